"""Sample rates: exact lengths, streams that equal the whole, sines that stay sines."""

from __future__ import annotations

import numpy as np
import pytest

from tfsep.audio.resample import StreamResampler, resample, resampled_length

RATES = [(44100, 16000), (16000, 44100), (44100, 22050), (8000, 192000), (192000, 8000), (44100, 48000), (11025, 44101)]


def streamed(x: np.ndarray, from_rate: int, to_rate: int, sizes: list[int], empty_end: bool = False) -> np.ndarray:
    stream = StreamResampler(from_rate, to_rate, x.shape[0], x.dtype)
    pieces, start, index = [], 0, 0
    while start < x.shape[1]:
        stop = min(start + sizes[index % len(sizes)], x.shape[1])
        pieces.append(stream.push(x[:, start:stop], last=stop == x.shape[1] and not empty_end))
        start, index = stop, index + 1
    if empty_end:
        pieces.append(stream.push(x[:, :0], last=True))
    return np.concatenate(pieces, axis=1)


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("time", [0, 1, 2, 100, 4999, 20011])
def test_lengths_are_exact(rates: tuple[int, int], time: int) -> None:
    y = resample(np.ones((2, 3, time), np.float32), *rates)
    assert y.shape == (2, 3, int(np.floor(time * rates[1] / rates[0] + 0.5)))
    assert y.dtype == np.float32


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("sizes", [[1009], [1, 7, 4096, 333], [20011], [64]])
@pytest.mark.parametrize("empty_end", [False, True])
def test_a_stream_gives_what_the_whole_gives(rates: tuple[int, int], sizes: list[int], empty_end: bool) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (2, 20011)).astype(np.float32)
    whole = resample(x, *rates)
    pieces = streamed(x, *rates, sizes, empty_end)
    assert pieces.shape == whole.shape
    np.testing.assert_allclose(pieces, whole, atol=1e-5)


@pytest.mark.parametrize("time", [1, 2, 3, 50])
def test_short_streams_have_their_length_too(time: int) -> None:
    for rates in RATES:
        x = np.ones((1, time), np.float32)
        assert streamed(x, *rates, [1]).shape[1] == resampled_length(time, *rates)


@pytest.mark.parametrize("rates", RATES)
def test_a_sine_stays_where_it_is(rates: tuple[int, int]) -> None:
    """Neither delayed nor scaled: the error inside the signal is far below 16 bits."""
    x, y = (np.sin(2 * np.pi * 997 * np.arange(rate) / rate) for rate in rates)
    error = np.abs(resample(x, *rates) - y)[len(y) // 8 : -len(y) // 8]
    assert error.max() < 1e-5


def test_what_lies_above_the_new_range_is_removed() -> None:
    x = np.sin(2 * np.pi * 15000 * np.arange(44100) / 44100)
    assert np.abs(resample(x, 44100, 16000))[1000:-1000].max() < 1e-5


def test_there_and_back_again() -> None:
    """A song at 44.1 kHz through a model at 22.05 kHz has its length again."""
    for time in (1, 2, 999, 44101):
        assert resampled_length(resampled_length(time, 44100, 48000), 48000, 44100) == time
        x = np.random.default_rng(0).standard_normal((2, time))
        assert resample(resample(x, 44100, 48000), 48000, 44100).shape == x.shape


def test_equal_rates_change_nothing_and_share_nothing() -> None:
    x = np.random.default_rng(0).standard_normal((2, 500)).astype(np.float32)
    y = resample(x, 16000, 16000)
    np.testing.assert_array_equal(x, y)
    assert not np.shares_memory(x, y)
    np.testing.assert_array_equal(streamed(x, 16000, 16000, [77]), x)


def test_types() -> None:
    assert resample(np.ones(1000, np.float64), 16000, 8000).dtype == np.float64
    assert resample([0, 1, 0, -1], 16000, 8000).dtype == np.float32


@pytest.mark.parametrize(("from_rate", "to_rate", "bad"), [(999, 16000, 999), (16000, 384001, 384001), (0, 1000, 0)])
def test_bad_rates_are_refused(from_rate: int, to_rate: int, bad: int) -> None:
    with pytest.raises(ValueError, match=rf"sample_rate must be a whole number in 1000..384000 Hz, got {bad}"):
        resample(np.ones(10), from_rate, to_rate)
    with pytest.raises(ValueError, match=f"got {bad}"):
        StreamResampler(from_rate, to_rate, 1)


def test_bad_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="channels must be at least 1, got 0"):
        StreamResampler(16000, 8000, 0)
    with pytest.raises(ValueError, match="time axis"):
        resample(3.0, 16000, 8000)
    stream = StreamResampler(16000, 8000, 2)
    with pytest.raises(ValueError, match=r"block must be \(2, time\), got shape \(3, 10\)"):
        stream.push(np.ones((3, 10)))
    stream.push(np.ones((2, 10)), last=True)
    with pytest.raises(ValueError, match="must end with its last block"):
        stream.push(np.ones((2, 10)))
