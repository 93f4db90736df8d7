"""The template of decaying notes: pitch, phase, amplitude and decay are found from every other sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.priors.flows.test_periodic_template import LENGTH, bins_of, relative, template
from tfsep import priors
from tfsep.errors import InputError
from tfsep.priors.flows.decaying_template import DecayingTemplate, searched_pitches

PITCHES, DECAYS = (4.0, 100.0), (0.3, 2.5)
SIGMA = 0.01


def decaying(turn: float = 1.0) -> DecayingTemplate:
    """The period of the tests of steady notes, at any pitch."""
    made = DecayingTemplate(LENGTH, PITCHES, DECAYS, num_partials=128, dtype="float64")
    made.partials.assign(template(turn=turn).partials)
    return made


def notes(num: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Notes with everything drawn from the ranges, and their samples (note, time, 1)."""
    rng = np.random.default_rng(seed)
    drawn = {
        "pitch": rng.uniform(6.0, 24.0, num),
        "phase": rng.uniform(size=num),
        "amplitude": rng.uniform(0.8, 1.2, num),
        "decay": np.exp(rng.uniform(*np.log(DECAYS), num)),
    }
    partials = np.array([1.0, -0.5 + 0.6j, 0.0, 0.4 + 0.4j, -0.6, 0.3j]) / np.arange(1, 7)
    time = (np.arange(LENGTH) - (LENGTH - 1) / 2) / LENGTH
    cycles = drawn["pitch"][:, np.newaxis] * time + drawn["phase"][:, np.newaxis]
    wave = np.real(np.exp(2j * np.pi * cycles[..., np.newaxis] * np.arange(1, 7)) @ partials)
    wave *= drawn["amplitude"][:, np.newaxis] * np.exp(-drawn["decay"][:, np.newaxis] * (time + 0.5))
    return {**drawn, "wave": wave[..., np.newaxis]}


def fit(made: DecayingTemplate, bins: np.ndarray, part: int = 0, sigma: float = SIGMA) -> Any:
    return made.fit(tf.constant(bins[:, part::2]), part, tf.fill([len(bins)], np.float64(sigma)))


@pytest.mark.parametrize("part", [0, 1])
def test_a_whole_note_follows_from_every_other_sample(part: int) -> None:
    drawn = notes(64)
    bins = bins_of(drawn["wave"])
    found = fit(decaying(), bins, part)
    assert np.quantile(relative(found.bins - bins, bins), 0.95) < 0.01
    np.testing.assert_allclose(np.median(np.abs(found.pitch - drawn["pitch"])), 0.0, atol=2e-3)


def test_noise_moves_the_other_half_by_what_four_numbers_need() -> None:
    """Four numbers are estimated, so the squared error is a few times that of the noise in one bin, not in all 64."""
    bins = bins_of(notes(64)["wave"])
    noisy = bins + 0.05 * np.random.default_rng(1).normal(size=bins.shape)
    error = (fit(decaying(), noisy, 0, 0.05).bins - bins)[:, 1::2]
    assert np.median(np.mean((error / 0.05) ** 2, axis=(1, 2))) * 128 < 12.0


def test_partials_in_other_phases_fit_worse() -> None:
    bins = bins_of(notes(32)["wave"])
    right, wrong = (fit(decaying(turn), bins) for turn in (1.0, -1.0))
    assert np.mean(right.features[:, 0] > wrong.features[:, 0]) > 0.9


def test_steps_stay_finite_in_silence_and_beside_what_is_no_number() -> None:
    silent = fit(decaying(), np.zeros((2, LENGTH // 2, 2)))
    assert np.all(np.isfinite(silent.bins)) and np.all(np.isfinite(silent.features))
    bins = bins_of(notes(2)["wave"])
    spoilt = bins.copy()
    spoilt[0] = np.nan
    np.testing.assert_array_equal(fit(decaying(), spoilt).bins[1], fit(decaying(), bins).bins[1])


def test_searched_pitches_lie_a_third_of_a_bin_apart_or_closer() -> None:
    pitches = searched_pitches(4.0, 100.0)
    steps = np.diff(pitches)
    assert pitches[0] == 4.0 and 99.6 < pitches[-1] < 100.0
    assert steps.max() == pytest.approx(0.35) and steps.min() == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("pitch_range", "decay_range", "message"),
    [
        ((5.0, 4.0), DECAYS, "must ascend above 0 periods per event, got 5 to 4"),
        ((0.5, 5.0), DECAYS, r"must lie within 1..128 periods of its 256 samples"),
        (PITCHES, (2.0, 2.0), r"must ascend above 0 nepers per event, got \(2.0, 2.0\)"),
    ],
)
def test_ranges_that_are_none_are_refused(
    pitch_range: tuple[float, float], decay_range: tuple[float, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        DecayingTemplate(LENGTH, pitch_range, decay_range)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decay_range": (0.5, 0.05)}, r"decay_range must ascend above 0 seconds, got \(0.5, 0.05\)"),
        ({"decay_range": (0.05, 0.5), "num_pitches": 3}, "num_pitches must be 0, got 3"),
    ],
)
def test_settings_of_a_flow_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        priors.build("spectral_realnvp", length=LENGTH, pitch_range=(500.0, 1500.0), **settings)
