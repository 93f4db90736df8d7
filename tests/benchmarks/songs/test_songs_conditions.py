"""Conditions: what each changes of a song, and that inaudible sound does not enter the score."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.songs import conditions
from tfsep.evaluation.mixtures import Batch

RATE, LONG = 22050, 44100


@pytest.fixture
def song() -> Batch:
    """A song of two sources, white noise and a tone."""
    tone = 0.1 * np.sin(2.0 * np.pi * 440.0 * np.arange(LONG) / RATE)
    noise = 0.05 * np.random.default_rng(0).standard_normal(LONG)
    references = np.stack([tone, noise])[np.newaxis].astype(np.float32)
    return Batch(references.sum(axis=1), references, RATE, song=True)


def power_above(sound: np.ndarray, frequency: float, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(sound)) ** 2
    return float(spectrum[np.fft.rfftfreq(len(sound), 1.0 / rate) > frequency].sum() / spectrum.sum())


def test_inaudible_sound_is_added_to_the_mixture_alone(song: Batch) -> None:
    for change in (conditions.constant, conditions.rumble):
        changed = change(song)
        np.testing.assert_array_equal(changed.references, song.references)
        added = changed.mixture - song.mixture
        assert np.sqrt(np.mean(added**2)) == pytest.approx(0.1 if change is conditions.constant else 0.2 / 2**0.5, 1e-3)
        assert np.abs(conditions.above_rumble(added, RATE))[:, 4000:-4000].max() < 2e-3


def test_other_rates_and_codecs_limit_the_band_of_all(song: Batch) -> None:
    changed = conditions.at_rate(11025)(song)
    assert changed.sample_rate == 11025 and changed.references.shape == (1, 2, LONG // 2)
    np.testing.assert_allclose(changed.references.sum(axis=1), changed.mixture, atol=1e-4)
    limited = conditions.codec(song)
    assert power_above(song.references[0, 1], 9800.0, RATE) > 0.1
    assert power_above(limited.references[0, 1], 9800.0, RATE) < 1e-3
    np.testing.assert_allclose(limited.references.sum(axis=1), limited.mixture, atol=1e-4)


def test_the_table_names_the_difference() -> None:
    each = {"model": "it", "data": "rendered/test", "tracks": 1}
    rows = [{**each, "condition": "as they are", "mean": 8.0}, {**each, "condition": "codec", "mean": 7.5}]
    assert conditions.as_table(rows).splitlines()[-1] == "| it | rendered/test | codec | 1 | 7.5 | -0.5 |"


def test_a_set_needs_its_split(capsys: pytest.CaptureFixture[str]) -> None:
    assert conditions.main(["--stems=.", "--set=rendered"]) == 2
    assert "--set must be SET/SPLIT" in capsys.readouterr().err
