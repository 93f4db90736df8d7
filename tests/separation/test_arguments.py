"""What a separator refuses of arrays and numbers, and what it takes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest

from tfsep.arguments import whole_number
from tfsep.errors import InputError
from tfsep.separation import arguments
from tfsep.separation.separator import Separator

MakeSeparator = Callable[..., Separator]
TIME_FIRST = r"waveform must be \(channels, time\); yours looks like \(time, channels\): use .T, got shape"


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        (np.zeros((1000, 2)), TIME_FIRST),
        (np.zeros((9, 1)), TIME_FIRST),
        (np.zeros((9, 9)), r"\(channels, time\) with at most 8 channels, got shape \(9, 9\)"),
        (np.zeros((1000, 1000), np.float32), "with at most 8 channels"),
        (np.zeros(5, complex), "must be an array of real numbers, got the type complex128"),
        (np.array(["a", "b"]), "must be an array of real numbers, got the type <U1"),
        (np.array([None, 1.0]), "must be an array of real numbers, got the type object"),
        ([[1.0, 2.0], [3.0]], "must be an array of equally long channels"),
        ("song.wav", "must be an array of real numbers"),
        (np.zeros((2, 2, 2)), r"\(channels, time\) and not empty, got shape \(2, 2, 2\)"),
        ([], r"not empty, got shape \(0,\)"),
        (np.array([0.0, np.nan]), "must be finite"),
        (np.array([0.0, 1e300]), "must be finite"),
        (np.array([0.0, 1e30]), r"must be at most 1e\+10 times full scale, got 1e\+30"),
    ],
)
def test_arrays_that_are_no_sound(make_separator: MakeSeparator, waveform: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_separator()(waveform)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [44100.7, float("nan"), float("inf"), "44100", None, True, 999, 384001, 1j, [8000]])
def test_rates_that_are_none(rate: object) -> None:
    with pytest.raises(InputError, match="sample_rate must be a whole number in 1000..384000 Hz, got"):
        arguments.rate(rate)


@pytest.mark.parametrize("number", [1.5, 2.0, "1", None, True, 0, 2**31, float("nan")])
def test_numbers_that_are_not_whole(number: object) -> None:
    with pytest.raises(InputError, match=r"num_samples must be a whole number in 1..2147483647, got"):
        whole_number("num_samples", number, 1)


@pytest.mark.parametrize(
    "options", [{"num_samples": 2.0}, {"num_samples": 2**31}, {"seed": 1.5}, {"seed": -1}, {"sample_rate": 44100.7}]
)
def test_a_separator_refuses_them(make_separator: MakeSeparator, options: dict[str, float]) -> None:
    separator = make_separator()
    with pytest.raises(InputError, match=f"{next(iter(options))} must be a whole number"):
        separator(np.zeros(100), **options)  # type: ignore[arg-type]


def test_what_is_right_is_taken(make_separator: MakeSeparator) -> None:
    separator = make_separator()
    for waveform in (np.zeros(100, np.int16), [0.0, 0.5], np.zeros((8, 100)), np.ones(7, np.float16)):
        stems = separator(waveform, np.float64(8000.0), num_samples=np.int64(1), seed=np.int32(3))
        assert all(np.isfinite(stem).all() for stem in stems.values())


@pytest.mark.parametrize("peak", [1e-30, 1e-10, 32768.0, 9e9])
def test_very_loud_and_very_quiet_sound_is_separated(make_separator: MakeSeparator, peak: float) -> None:
    waveform = (peak * np.sin(0.1 * np.arange(3000))).astype(np.float32)
    stems = make_separator()(waveform)
    total = np.sum([stem.astype(np.float64) for stem in stems.values()], axis=0)
    np.testing.assert_allclose(total, waveform, atol=1e-6 * peak)


def test_a_separator_says_how_to_have_another(make_separator: MakeSeparator) -> None:
    separator = make_separator()
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a Separator cannot be pickled or copied: call Separator.load"):
            attempt(separator)
