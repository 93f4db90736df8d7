"""The template: a note is found from half of its bins, with pitch, phase and amplitude, and predicts the other half."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfsep import priors
from tfsep.bijectors import RealFourier
from tfsep.priors.flows.periodic_template import NUM_FEATURES, PeriodicTemplate

LENGTH = 256
PITCHES = np.array([5.3, 7.4, 11.6, 19.4])
SIGMA = 0.01


def template(ratio: float = 1.0, turn: float = 1.0) -> PeriodicTemplate:
    """A period of six partials with mutual phases, of 128 that a table of 512 points holds; or wrong ones."""
    made = PeriodicTemplate(LENGTH, ratio * PITCHES, num_partials=128, dtype="float64")
    partials = np.array([[1.0, 0.0], [-0.5, 0.6], [0.0, 0.0], [0.4, 0.4], [-0.6, 0.0], [0.0, 0.3]])
    made.partials.assign(0.1 * np.pad(partials * [1.0, turn], [(0, 122), (0, 0)]))
    return made


def notes(pitch: np.ndarray, phase: np.ndarray, amplitude: np.ndarray) -> np.ndarray:
    """The same period, summed partial by partial: (note, time, 1)."""
    order = np.arange(1, 7)
    partials = np.array([1.0, -0.5 + 0.6j, 0.0, 0.4 + 0.4j, -0.6, 0.3j]) / order
    time = (np.arange(LENGTH) - (LENGTH - 1) / 2) / LENGTH
    cycles = pitch[:, np.newaxis] * time + phase[:, np.newaxis]
    wave = np.real(np.exp(2j * np.pi * cycles[..., np.newaxis] * order) @ partials)
    return (amplitude[:, np.newaxis] * wave)[..., np.newaxis]


def bins_of(wave: np.ndarray) -> np.ndarray:
    bins: np.ndarray = RealFourier(tf.float64, num_parts=2).inverse_and_log_det(tf.constant(wave))[0].numpy()
    return bins


@pytest.fixture
def clean() -> np.ndarray:
    rng = np.random.default_rng(0)
    return notes(np.repeat(PITCHES, 8), rng.uniform(size=32), rng.uniform(0.7, 1.2, 32))


def fit(made: PeriodicTemplate, bins: np.ndarray, part: int = 0, sigma: float = SIGMA) -> Any:
    """The template of every other sample alone."""
    return made.fit(tf.constant(bins[:, part::2]), part, tf.fill([len(bins)], np.float64(sigma)))


def relative(error: tf.Tensor, bins: np.ndarray) -> np.ndarray:
    """Root-mean-square error of every event over its bins' root mean square."""
    root: np.ndarray = np.sqrt((error.numpy() ** 2).sum((1, 2)) / (bins**2).sum((1, 2)))
    return root


@pytest.mark.parametrize("part", [0, 1])
def test_a_whole_note_follows_from_every_other_sample(clean: np.ndarray, part: int) -> None:
    bins = bins_of(clean)
    assert relative(fit(template(), bins, part).bins - bins, bins).max() < 0.01


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("pitch", [8.0, 40.5, 70.0, 100.7, 126.3])
def test_both_halves_find_the_same_note_wherever_its_pitch_lies(part: int, pitch: float) -> None:
    """On a bin or between two, and above a quarter of the sample rate, where every other sample folds it."""
    pitches, wave = np.array([8.0, 40.5, 70.0, 100.7, 126.3]), notes(np.array([pitch]), np.array([0.3]), np.ones(1))
    made = PeriodicTemplate(LENGTH, pitches, num_partials=6, dtype="float64")
    made.partials.assign(template().partials[:6])
    near = fit(made, bins_of(wave), part, 0.3)
    np.testing.assert_allclose([near.pitch[0], near.certainty[0]], [pitch, 1.0], rtol=1e-3)


@pytest.mark.parametrize("part", [0, 1])
def test_noise_moves_the_other_half_by_little_more_than_itself(clean: np.ndarray, part: int) -> None:
    """Two numbers are estimated, so the squared error is a few times that of the noise in one bin, not in all 64."""
    bins = bins_of(clean)
    noisy = bins + 0.1 * np.random.default_rng(1).normal(size=bins.shape)
    error = (fit(template(), noisy, part, 0.1).bins - bins)[:, 1 - part :: 2]
    assert np.mean((error / 0.1) ** 2) * 128 < 12.0


def test_partials_in_other_phases_fit_worse(clean: np.ndarray) -> None:
    """Of the same magnitudes: a period whose partials are mirrored in time."""
    bins = bins_of(clean)
    right, wrong = (fit(template(turn=turn), bins) for turn in (1.0, -1.0))
    assert np.all(right.features[:, 0] > wrong.features[:, 0])
    assert relative(wrong.bins - bins, bins).min() > 0.2
    assert right.features.shape == (32, NUM_FEATURES)


@pytest.mark.parametrize("ratio", [0.998, 1.002])
def test_pitches_are_tuned_by_gradients(clean: np.ndarray, ratio: float) -> None:
    bins, made = bins_of(clean), template(ratio)
    with tf.GradientTape() as tape:
        error = tf.reduce_sum((fit(made, bins).bins - bins) ** 2)
    slope = tape.gradient(error, made.tuning.value)
    np.testing.assert_array_equal(np.sign(tf.convert_to_tensor(slope)), np.sign(ratio - 1.0))


def test_a_sine_learns_the_other_partials_with_their_phases(clean: np.ndarray) -> None:
    bins, made = bins_of(clean), PeriodicTemplate(LENGTH, PITCHES, num_partials=128, dtype="float64")
    before = relative(fit(made, bins).bins - bins, bins).mean()
    optimiser = keras.optimizers.Adam(3e-3)

    @tf.function
    def step() -> None:
        with tf.GradientTape() as tape:
            error = tf.reduce_mean((fit(made, bins).bins - bins)[:, 1::2] ** 2)
        variables = made.trainable_variables
        optimiser.apply_gradients(zip(tape.gradient(error, variables), variables, strict=True))

    for _ in range(150):
        step()
    assert before > 0.3 and relative(fit(made, bins).bins - bins, bins).mean() < 0.1


@pytest.mark.parametrize(
    ("pitches", "num_partials", "message"),
    [
        ([5.0], 0, "at least 1 partial, got 0"),
        ([0.5, 5.0], 4, r"must lie within 1..128 periods of its 256 samples, got 0.5 to 5"),
        ([5.0, 130.0], 4, "got 5 to 130"),
        ([], 4, "needs at least 1 pitch"),
    ],
)
def test_sizes_out_of_range_are_refused(pitches: list[float], num_partials: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PeriodicTemplate(LENGTH, np.array(pitches), num_partials=num_partials)


def test_a_third_half_is_refused(clean: np.ndarray) -> None:
    with pytest.raises(ValueError, match="part must be 0 or 1, got 2"):
        fit(template(), bins_of(clean), 2)


@pytest.mark.parametrize(("mirrored", "target"), [(False, 1), (True, 0)])
def test_the_note_is_the_shift_of_an_untrained_flow(clean: np.ndarray, mirrored: bool, target: int) -> None:
    flow: Any = priors.build(
        "spectral_realnvp",
        **{"length": LENGTH, "width": 8, "num_blocks": 1, "lower_width": 4, "dtype": "float64", "num_partials": 128},
        **{"num_pitches": 4, "pitch_range": (331.25, 1212.5)},
    )
    layer, sigma = flow.flow.layers[1], tf.fill([32], np.float64(0.1))
    bins = tf.constant(bins_of(clean))
    parts = [bins[:, ::2], bins[:, 1::2]]
    shift = flow._first(flow._condition(sigma), mirrored).conditional(parts)[0]
    note = layer.template.fit(parts[1 - target], 1 - target, sigma)
    np.testing.assert_allclose(shift, note.bins[:, target::2], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(layer.template.tuned_pitches().numpy()[[0, 3]], [5.3, 19.4])


def test_certainty_is_the_share_of_the_likeliest_notes(clean: np.ndarray) -> None:
    """All of it for clear notes; of noise, two of four pitches are half as likely as all."""
    sure = fit(template(), bins_of(clean))
    noise = bins_of(np.random.default_rng(3).normal(size=clean.shape))
    unsure = fit(template(), noise, 0, 100.0)
    np.testing.assert_allclose(sure.certainty, 1.0, atol=1e-3)
    np.testing.assert_allclose(unsure.certainty, 0.5, atol=0.05)
    assert np.all(unsure.spread >= 0.0) and np.all(np.mean(unsure.spread, axis=1) > 1e3 * np.mean(sure.spread, axis=1))


def test_a_tone_beside_the_note_is_no_part_of_what_is_denoised(clean: np.ndarray) -> None:
    """The mean power of all bins is far above the noise, so without notes a tone above all partials passes."""
    passed = []
    for num_pitches in (0, len(PITCHES)):
        flow: Any = priors.build(
            "spectral_realnvp",
            **{"length": LENGTH, "width": 8, "num_blocks": 1, "lower_width": 4, "dtype": "float64"},
            **{"num_pitches": num_pitches, "pitch_range": (331.25, 1212.5), "num_partials": 128},
        )
        layer = flow.flow.layers[1]
        layer.log_power.assign(tf.fill(layer.log_power.shape, np.log(LENGTH / 4.0) / 5.0))
        if num_pitches:
            for weight, value in zip(layer.template.trainable_variables, template().trainable_variables, strict=True):
                weight.assign(value)
            layer.log_background.assign(math.log(1e-4) / 10.0)
        tone = 0.5 * np.cos(2.0 * np.pi * 50.4 * np.arange(LENGTH) / LENGTH)[np.newaxis, :, np.newaxis]
        own = clean[:1]
        mixed = flow.denoise(own + tone, 0.3).numpy()
        passed.append(np.sqrt(np.mean((mixed - own) ** 2) / np.mean(tone**2)))
    assert passed[1] < 0.15 and passed[0] > 0.5, passed
