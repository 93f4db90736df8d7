"""The curves and their inverses, values and slopes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from tfsep.audio.companding import inverse_log_magnitude, inverse_mu_law, log_magnitude, mu_law

AMPLITUDES = np.concatenate([np.linspace(-1, 1, 401), [1e-6, -1e-6, 0.0, -0.0]]).astype(np.float32)


@pytest.mark.parametrize("mu", [1.0, 255.0, 65535.0])
def test_mu_law_and_its_inverse(mu: float) -> None:
    y = mu_law(AMPLITUDES, mu).numpy()
    expected = np.sign(AMPLITUDES) * np.log1p(mu * np.abs(AMPLITUDES)) / np.log1p(mu)
    np.testing.assert_allclose(y, expected, atol=1e-6)
    assert np.abs(y).max() == pytest.approx(1.0)
    np.testing.assert_allclose(inverse_mu_law(y, mu), AMPLITUDES, atol=2e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_slope_at_zero_is_found(compiled: bool) -> None:
    @tf.function(jit_compile=compiled)
    def slope(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = mu_law(x)
        return tape.gradient(y, x)

    np.testing.assert_allclose(
        slope(tf.constant([-0.5, 0.0, 0.5])), 255 / math.log(256) / np.array([128.5, 1.0, 128.5]), rtol=1e-5
    )


def test_the_slopes_of_both_directions_are_reciprocal() -> None:
    x = tf.constant(AMPLITUDES, tf.float64)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = mu_law(x)
        back = inverse_mu_law(y)
    np.testing.assert_allclose(tape.gradient(back, x), 1.0, rtol=1e-9)


def test_log_magnitude_and_its_inverse() -> None:
    magnitude = np.geomspace(1e-4, 1e3, 300).astype(np.float32)
    level = log_magnitude(magnitude, 1e-3)
    np.testing.assert_allclose(level, np.log(magnitude + 1e-3), rtol=1e-5)
    np.testing.assert_allclose(inverse_log_magnitude(level, 1e-3), magnitude, rtol=1e-4, atol=1e-8)


def test_silence_is_the_floor_and_below_it_is_silence() -> None:
    assert float(log_magnitude(0.0, 0.01)) == pytest.approx(math.log(0.01))
    np.testing.assert_array_equal(inverse_log_magnitude(np.array([-50.0, -4.7], np.float32), 0.01), 0.0)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_bad_settings_are_refused(value: float) -> None:
    for curve in (mu_law, inverse_mu_law):
        with pytest.raises(ValueError, match=f"mu must be positive and finite, got {value}"):
            curve(AMPLITUDES, value)
    for curve in (log_magnitude, inverse_log_magnitude):
        with pytest.raises(ValueError, match=f"floor must be positive and finite, got {value}"):
            curve(AMPLITUDES, value)
