"""Change the sample rate of whole signals and of streams, by the SoX resampler (band-limited interpolation).

``time`` samples at ``from_rate`` become exactly round(time to_rate / from_rate) at ``to_rate``, so
that the way there and back ends with ``time`` samples wherever the rates allow it. Sample t stays
at t / rate seconds (linear phase, delay removed). A stream gives the samples of the whole signal,
whatever the size of its blocks.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

from tfsep.audio.formats import MAX_RATE, MIN_RATE

QUALITY = "VHQ"


def check_rate(sample_rate: int) -> None:
    """Refuse a rate that is not a whole number in 1000..384000 Hz, with a ValueError."""
    if sample_rate != int(sample_rate) or not MIN_RATE <= sample_rate <= MAX_RATE:
        raise ValueError(f"sample_rate must be a whole number in {MIN_RATE}..{MAX_RATE} Hz, got {sample_rate}")


def resampled_length(time: int, from_rate: int, to_rate: int) -> int:
    """Return round(time to_rate / from_rate), halves upwards, in whole numbers."""
    return (2 * time * to_rate + from_rate) // (2 * from_rate)


def resample(x: npt.ArrayLike, from_rate: int, to_rate: int) -> np.ndarray:
    """Change the sample rate of whole signals.

    Args:
        x: (..., time), float; other than float64, it is calculated in float32.
        from_rate: Of ``x``, in Hz, in 1000..384000.
        to_rate: Of the result, in Hz, in 1000..384000.

    Returns:
        (..., round(time to_rate / from_rate)), float32 or float64.

    Raises:
        ValueError: for a rate outside its range, or a signal without a time axis.
    """
    check_rate(from_rate)
    check_rate(to_rate)
    signal = np.asarray(x)
    if signal.ndim < 1:
        raise ValueError("x must have a time axis, got a single number")
    signal = np.ascontiguousarray(signal, np.float64 if signal.dtype == np.float64 else np.float32)
    length = resampled_length(signal.shape[-1], from_rate, to_rate)
    if from_rate == to_rate or length == 0:
        return signal[..., :length].copy()
    channels = signal.reshape(-1, signal.shape[-1])
    result = np.zeros((channels.shape[0], length), signal.dtype)
    for index, channel in enumerate(channels):
        stream = StreamResampler(from_rate, to_rate, 1, signal.dtype)
        result[index] = stream.push(channel[None], last=True)[0]
    return result.reshape(signal.shape[:-1] + (length,))


class StreamResampler:
    """Change the sample rate of a signal that comes block by block, in memory that does not grow with it."""

    def __init__(
        self, from_rate: int, to_rate: int, channels: int, dtype: npt.DTypeLike = np.float32, quality: str = QUALITY
    ) -> None:
        """Start a stream.

        Args:
            from_rate: Of the blocks pushed, in Hz, in 1000..384000.
            to_rate: Of the blocks returned, in Hz, in 1000..384000.
            channels: Number of channels, at least 1.
            dtype: float32 or float64.
            quality: "HQ" or "VHQ", SoX's names for 20 and 28 bits of precision.

        Raises:
            ValueError: for a rate outside its range or no channels.
        """
        check_rate(from_rate)
        check_rate(to_rate)
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}")
        self.from_rate, self.to_rate, self.channels = int(from_rate), int(to_rate), channels
        self._dtype = np.dtype(dtype)
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, channels, dtype=self._dtype.name, quality=quality)
        self._pushed = 0
        self._returned = 0
        self._finished = False

    def push(self, block: np.ndarray, last: bool = False) -> np.ndarray:
        """Resample the next block; return the samples that are determined by now.

        Args:
            block: (channels, time), time 0 or more.
            last: Whether the signal ends with this block; then the rest of it is returned.

        Returns:
            (channels, any length), of the stream's dtype; together they are round(time to_rate /
            from_rate) samples.

        Raises:
            ValueError: for a block of another number of channels, or one after the last.
        """
        if self._finished:
            raise ValueError("a stream must end with its last block, got another one")
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise ValueError(f"block must be ({self.channels}, time), got shape {block.shape}")
        block = np.asarray(block, self._dtype)
        self._pushed += block.shape[1]
        self._finished = last
        if self._stream is None:
            return block.copy()
        result = self._stream.resample_chunk(np.ascontiguousarray(block.T), last=last)
        result = np.ascontiguousarray(result.reshape(-1, self.channels).T)
        if last:
            missing = resampled_length(self._pushed, self.from_rate, self.to_rate) - self._returned
            silence = np.zeros((self.channels, max(missing - result.shape[1], 0)), self._dtype)
            result = np.concatenate([result, silence], axis=1)[:, :missing]
        self._returned += result.shape[1]
        return result
