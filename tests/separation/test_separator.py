"""The separator as a function: shapes, rates, seeds, levels and refusals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tfsep.errors import InputError
from tfsep.separation.separator import Separator

MakeSeparator = Callable[..., Separator]


def wave(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def residual_db(mixture: np.ndarray, stems: dict[str, np.ndarray]) -> float:
    error = mixture.astype(np.float64) - sum(stem.astype(np.float64) for stem in stems.values())
    return float(10 * np.log10(np.sum(error**2) / np.sum(mixture.astype(np.float64) ** 2) + 1e-30))


@pytest.mark.parametrize("sample_rate", [None, 8000, 11025, 44100, 192000, 1000])
@pytest.mark.parametrize("shape", [(3001,), (2, 3001), (6, 1), (1,)])
def test_stems_have_the_shape_of_the_waveform_and_sum_to_it(
    make_separator: MakeSeparator, sample_rate: int | None, shape: tuple[int, ...]
) -> None:
    separator = make_separator(num_sources=3, error=0.1)
    waveform = wave(*shape)
    stems = separator(waveform, sample_rate)
    assert tuple(stems) == separator.sources == ("low", "high", "top")
    assert all(stem.shape == shape and stem.dtype == np.float32 for stem in stems.values())
    assert residual_db(waveform, stems) < -120


def test_several_samples_lead_with_their_axis(make_separator: MakeSeparator) -> None:
    separator = make_separator(noise=0.5)
    waveform = wave(2, 2000)
    stems = separator(waveform, 16000, num_samples=3)
    assert all(stem.shape == (3, 2, 2000) for stem in stems.values())
    for i in range(3):
        assert residual_db(waveform, {name: stem[i] for name, stem in stems.items()}) < -120
    assert np.abs(stems["low"][0] - stems["low"][1]).max() > 0.1


def test_what_lies_above_the_models_band_is_shared(make_separator: MakeSeparator) -> None:
    separator = make_separator()
    time = np.arange(44100) / 44100
    waveform = np.sin(2 * np.pi * 15000 * time).astype(np.float32)
    stems = separator(waveform, 44100)
    middle = slice(4000, -4000)
    np.testing.assert_allclose(stems["low"][middle], 0.8 * waveform[middle], atol=1e-3)
    np.testing.assert_allclose(stems["high"][middle], 0.2 * waveform[middle], atol=1e-3)


def test_resampling_keeps_stems_in_time(make_separator: MakeSeparator) -> None:
    separator = make_separator()
    time = np.arange(44100) / 44100
    low, high = np.sin(2 * np.pi * 250 * time), np.sin(2 * np.pi * 3000 * time)
    stems = separator(0.4 * (low + high), 44100)
    middle = slice(4000, -4000)
    np.testing.assert_allclose(stems["low"][middle], 0.4 * low[middle], atol=0.02)
    np.testing.assert_allclose(stems["high"][middle], 0.4 * high[middle], atol=0.02)


def test_seed(make_separator: MakeSeparator) -> None:
    separator = make_separator(noise=0.5)
    waveform = wave(3000)
    first, again, other = (separator(waveform, 8000, seed=seed)["low"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_the_program_is_traced_once(make_separator: MakeSeparator) -> None:
    separator = make_separator()
    for time in (1, 600, 3000, 20000, 21000, 40000):
        separator(wave(2, time), 8000)
    assert separator.model.posterior.traces == 1


def test_a_batch_is_separated_one_by_one(make_separator: MakeSeparator) -> None:
    separator = make_separator(settings={"normalise": True, "level": 0.2}, error=0.1)
    mixtures = wave(5, 1500) * np.array([[1.0], [0.1], [0.01], [1e-3], [0.0]], np.float32)
    stems = separator.separate_batch(mixtures, num_samples=2)
    assert stems.shape == (2, 5, 2, 1500)
    for row, mixture in enumerate(mixtures):
        alone = separator(mixture, 8000)
        np.testing.assert_allclose(stems[0, row], np.stack(list(alone.values())), rtol=1e-4, atol=1e-7)


def test_normalise_makes_the_answer_independent_of_level(make_separator: MakeSeparator) -> None:
    waveform = wave(2, 3000)
    level = make_separator(settings={"normalise": True}, error=0.3)
    loud, quiet = level(waveform, 8000)["low"], level(0.01 * waveform, 8000)["low"]
    np.testing.assert_allclose(quiet, 0.01 * loud, atol=1e-6)
    plain = make_separator(error=0.3)
    assert np.abs(plain(0.01 * waveform, 8000)["low"] - 0.01 * plain(waveform, 8000)["low"]).max() > 0.01


def test_silence_gives_silence(make_separator: MakeSeparator) -> None:
    separator = make_separator(settings={"normalise": True}, error=0.3, noise=1.0)
    stems = separator(np.zeros((2, 5000), np.float32), 22050)
    assert not any(stem.any() for stem in stems.values())


def test_overlap_comes_from_the_model_unless_given(make_separator: MakeSeparator) -> None:
    assert make_separator().hop == 384
    assert make_separator(settings={"overlap": 0.5}).hop == 256
    assert make_separator(settings={"overlap": 0.5}, overlap=0.0).hop == 512
    with pytest.raises(InputError, match=r"got 0\.95"):
        make_separator(overlap=0.95)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((np.zeros(0), 8000), "not empty"),
        ((np.zeros((1, 2, 3)), 8000), "channels, time"),
        ((np.array([0.0, np.nan]), 8000), "finite"),
        ((np.zeros(5), 999), "1000..384000 Hz, got 999"),
        ((np.zeros(5), 8000, 0), "num_samples must be a whole number in 1..2147483647, got 0"),
        ((np.zeros(5), 8000, 1, -1), "seed must be a whole number in 0..2147483647, got -1"),
    ],
)
def test_bad_arguments_are_refused(make_separator: MakeSeparator, arguments: tuple, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        make_separator()(*arguments)


def test_a_separator_is_shown_in_two_lines(make_separator: MakeSeparator) -> None:
    shown = repr(make_separator(overlap=0.5)).splitlines()
    assert shown[0] == "<Separator 'bands': low, high at 8000 Hz,"
    assert shown[1] == " posterior 'BandPosterior', segments of 0.064 s, overlap 0.5>"


def test_draws_depend_on_the_seed_and_the_place_alone(make_separator: Callable[..., Separator]) -> None:
    """Not on how many segments go side by side, nor on what else is in the batch; each seed draws its own."""
    separator = make_separator(noise=0.3)
    waves = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 3000)).astype(np.float32)
    whole = separator.separate_batch(waves, 2, [5, 6, 5])
    for chunk_size in (1, 2, 32):
        other = Separator(separator.model, chunk_size=chunk_size)
        np.testing.assert_allclose(other.separate_batch(waves, 2, [5, 6, 5]), whole, atol=1e-6)
    for row, seed in ((0, 5), (1, 6)):
        alone = separator.separate_batch(waves[row : row + 1], 2, seed)
        np.testing.assert_allclose(alone[:, 0], whole[:, row], atol=1e-6)
    same = separator.separate_batch(np.stack([waves[0]] * 2), 2, [5, 6])
    assert np.abs(same[:, 0] - same[:, 1]).max() > 0.1 and np.abs(same[0] - same[1]).max() > 0.1
    with pytest.raises(InputError, match="seed must be one number, or one for each of the 3 rows, got 2"):
        separator.separate_batch(waves, 2, [5, 6])
