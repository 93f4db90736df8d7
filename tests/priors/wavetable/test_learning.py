"""A wavetable learned from a few dozen isolated notes: its period, its pitches, and what is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import priors
from tfsep.data import toy
from tfsep.errors import JobError
from tfsep.priors.wavetable import learning
from tfsep.priors.wavetable.learning import average_period, learn

LENGTH, PITCHES = 256, (330.0, 523.0, 880.0)
SIGMAS = (0.5, 0.1, 0.02)


def notes(num: int, seed: int = 0) -> np.ndarray:
    """Notes (num, time) of a sawtooth on a few pitches, as the toy's: any phase, amplitudes 0.8 to 1."""
    rng = np.random.default_rng(seed)
    frequency = np.array(PITCHES)[np.arange(num) % len(PITCHES)]
    amplitude = rng.uniform(0.8, 1.0, num)
    return toy.render("sawtooth", frequency, rng.uniform(size=num), amplitude, LENGTH, 16000).numpy().astype(np.float32)


def wavetable(**settings: Any) -> Any:
    common = {"length": LENGTH, "pitch_range": (250.0, 1000.0), "num_pitches": 6, "num_phases": 32, "table_size": 512}
    return priors.build("wavetable", **{**common, **settings})


@pytest.fixture(scope="module")
def learned() -> tuple[Any, dict[str, float]]:
    prior = wavetable()
    with pytest.MonkeyPatch.context() as patch:
        # Fewer cells find as short a list of pitches.
        patch.setattr(learning, "_CELLS", 512)
        found = learn(prior, notes(24), SIGMAS)
    return prior, found


def test_pitches_and_weights_are_found(learned: tuple[Any, dict[str, float]]) -> None:
    prior, found = learned
    assert found["pitches"] == 3.0
    np.testing.assert_allclose(prior.frequency[:3], PITCHES, rtol=1e-3)
    np.testing.assert_allclose(prior.pitch_weight, [1 / 3, 1 / 3, 1 / 3, 0.0, 0.0, 0.0], atol=1e-6)


def test_the_period_is_a_sawtooth(learned: tuple[Any, dict[str, float]]) -> None:
    """But for its phase and its sign: a straight line with one jump."""
    table = learned[0].table.numpy()
    assert np.abs(table).max() == pytest.approx(1.0)
    steps = np.diff(np.append(table, table[0]))
    jump = int(np.abs(steps).argmax())
    line = np.roll(table, -jump - 1)[8:-8]
    fit = np.polyval(np.polyfit(np.arange(len(line)), line, 1), np.arange(len(line)))
    assert np.ptp(fit) > 1.6
    assert np.sqrt(np.mean((line - fit) ** 2)) < 0.05


def test_amplitude_and_residual_are_counted(learned: tuple[Any, dict[str, float]]) -> None:
    prior, found = learned
    assert 0.8 < float(prior.amplitude[0]) < 1.05 and float(prior.amplitude[1]) < 0.15
    assert found["residual"] == pytest.approx(float(prior.residual.numpy()))
    assert 1e-3 <= found["residual"] < 0.1


def test_it_denoises_notes_that_it_was_not_trained_on(learned: tuple[Any, dict[str, float]]) -> None:
    prior, clean = learned[0], notes(6, seed=1)[..., np.newaxis]
    y = clean + 0.3 * np.random.default_rng(2).normal(size=clean.shape).astype(np.float32)
    assert np.mean((prior.denoise(y, 0.3) - clean) ** 2) < 0.1 * np.mean((y - clean) ** 2)


def test_the_period_is_the_least_squares_average_over_phase() -> None:
    """At the true notes of a sine with a known decay it is that sine."""
    prior = wavetable(decay_range=(0.005, 0.05))
    rng = np.random.default_rng(0)
    true = np.stack([rng.uniform(300.0, 900.0, 20), rng.uniform(size=20), np.full(20, np.log(50.0))], -1)
    waves = 0.7 * prior.grid.render(tf.cast(prior.table, tf.float64), tf.constant(true)).numpy()
    prior.table.assign(np.roll(prior.table.numpy(), 1))
    expected = np.sin(2.0 * np.pi * np.arange(512) / 512)
    np.testing.assert_allclose(average_period(prior, waves, true), expected, atol=0.03)


def test_a_grid_of_too_many_pitches_is_refused() -> None:
    prior = wavetable(num_pitches=2)
    with pytest.raises(JobError, match=r"at most 2 pitches \(num_pitches\), got 3"):
        learning._set_grid(prior, learning._group(np.repeat(PITCHES, 2)))


def test_pitches_of_a_continuum_keep_their_density() -> None:
    """Weights are per cell, so equal counts in bands of log pitch give narrow bands more per hertz."""
    prior = wavetable(pitches="continuous", num_pitches=750)
    weight = learning._smooth_weights(prior, np.geomspace(250.0, 1000.0, 4801)[:-1])
    assert weight.sum() == pytest.approx(1.0)
    middle = prior.frequency.numpy()
    assert weight[middle < 500.0].sum() == pytest.approx(0.5, abs=0.02)
