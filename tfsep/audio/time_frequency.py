"""Time-frequency planes on which masks act: one spectrum of a whole segment, or a short-time transform.

A plane turns a wave (batch, time) into a complex spectrum (batch, frame, bin); an unchanged
spectrum is inverted exactly. The inverse is linear, so the waves of masked spectra sum to the wave
if the masks sum to one.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass

import tensorflow as tf

from tfsep.audio.stft import check_framing, inverse_stft, num_frames, stft
from tfsep.errors import InputError


class Plane(abc.ABC):
    """A linear, invertible time-frequency transform of segments of ``segment`` samples."""

    segment: int

    @property
    @abc.abstractmethod
    def num_bins(self) -> int:
        """Return the bins of a frame, 0 Hz and half the sample rate included."""

    @abc.abstractmethod
    def analyse(self, wave: tf.Tensor) -> tf.Tensor:
        """Return the complex spectrum (..., frame, bin) of waves (..., segment)."""

    @abc.abstractmethod
    def synthesise(self, spectrum: tf.Tensor) -> tf.Tensor:
        """Return the waves (..., segment) of complex spectra (..., frame, bin): the inverse of :meth:`analyse`."""

    @abc.abstractmethod
    def magnitudes(self, wave: tf.Tensor) -> tf.Tensor:
        """Return tapered magnitudes (..., frame, bin) as input of a network, about 1 for noise of unit variance."""

    def low_magnitudes(self, wave: tf.Tensor, frame_length: int, num_bins: int) -> tf.Tensor:
        """Return magnitudes of low frequencies through a longer window: (..., frame, num_bins).

        Frames are those of :meth:`magnitudes`, with the same centres.

        Args:
            wave: (..., segment).
            frame_length: samples of the longer window.
            num_bins: the lowest bins that are returned.

        Raises:
            InputError: as from :meth:`check_low`.
        """
        raise InputError(self._without_frames(frame_length))

    def check_low(self, frame_length: int, num_bins: int) -> int:
        """Check the arguments of :meth:`low_magnitudes`, and return the longer frames that begin before the first.

        Raises:
            InputError: for a plane without such frames, or lengths that do not fit.
        """
        raise InputError(self._without_frames(frame_length))

    def _without_frames(self, frame_length: int) -> str:
        return f"low_bins must be 0 on a plane without short frames, got a longer window of {frame_length} samples"


@dataclass(frozen=True)
class WholeSegment(Plane):
    """One frame: the zero-padded spectrum of 2 x ``segment`` points, so that masks do not filter in a circle.

    ``magnitudes`` are those of the segment under a Hann taper, whose leakage is low enough to
    resolve partials.
    """

    segment: int

    @property
    def num_bins(self) -> int:
        """Return ``segment`` + 1."""
        return self.segment + 1

    def analyse(self, wave: tf.Tensor) -> tf.Tensor:
        """Return the spectra (..., 1, segment + 1) of waves (..., segment)."""
        return tf.signal.rfft(wave, [2 * self.segment])[..., tf.newaxis, :]

    def synthesise(self, spectrum: tf.Tensor) -> tf.Tensor:
        """Return the waves (..., segment) of spectra (..., 1, segment + 1)."""
        return tf.signal.irfft(spectrum[..., 0, :], [2 * self.segment])[..., : self.segment]

    def magnitudes(self, wave: tf.Tensor) -> tf.Tensor:
        """Return the tapered magnitudes (..., 1, segment + 1) of waves (..., segment)."""
        taper = tf.signal.hann_window(self.segment, dtype=wave.dtype)
        return tf.abs(self.analyse(wave * taper)) / tf.norm(taper)


@dataclass(frozen=True)
class ShortTime(Plane):
    """Short-time Fourier transform with exact reconstruction (stft.py)."""

    segment: int
    frame_length: int = 2048
    frame_step: int = 512

    @property
    def num_bins(self) -> int:
        """Return half the transform length + 1."""
        return check_framing(self.frame_length, self.frame_step) // 2 + 1

    def analyse(self, wave: tf.Tensor) -> tf.Tensor:
        """Return the STFT (..., frame, bin) of waves (..., segment)."""
        return stft(wave, self.frame_length, self.frame_step)

    def synthesise(self, spectrum: tf.Tensor) -> tf.Tensor:
        """Return the waves (..., segment) of spectra (..., frame, bin)."""
        return inverse_stft(spectrum, self.frame_length, self.frame_step, length=self.segment)

    def magnitudes(self, wave: tf.Tensor) -> tf.Tensor:
        """Return the tapered magnitudes (..., frame, bin) of waves (..., segment)."""
        taper = tf.signal.hann_window(self.frame_length, dtype=wave.dtype)
        return tf.abs(self.analyse(wave)) / tf.norm(taper)

    def low_magnitudes(self, wave: tf.Tensor, frame_length: int, num_bins: int) -> tf.Tensor:
        """Return the magnitudes (..., frame, num_bins) of the lowest bins through a longer window."""
        later = self.check_low(frame_length, num_bins)
        frames = num_frames(self.segment, self.frame_length, self.frame_step)
        taper = tf.signal.hann_window(frame_length, dtype=wave.dtype)
        spectrum = stft(wave, frame_length, self.frame_step)[..., later : later + frames, :num_bins]
        return tf.abs(spectrum) / tf.norm(taper)

    def check_low(self, frame_length: int, num_bins: int) -> int:
        """Return by how many frames the longer window's frame of equal centre comes later."""
        later, odd = divmod(frame_length - self.frame_length, 2 * self.frame_step)
        if later < 0 or odd:
            rule = f"frame_length = {self.frame_length} samples plus a multiple of 2 frame_step = {2 * self.frame_step}"
            raise InputError(f"low_length must be {rule}, got {frame_length}")
        if not 1 <= num_bins <= frame_length // 2 + 1:
            raise InputError(f"low_bins must lie in 1..{frame_length // 2 + 1}, half of low_length, got {num_bins}")
        return later


PLANES: dict[str, type[WholeSegment] | type[ShortTime]] = {"whole_segment": WholeSegment, "short_time": ShortTime}


def build(kind: str, segment: int, **settings: int) -> Plane:
    """Build a plane by name.

    Raises:
        InputError: for an unknown name, or settings it does not have.
    """
    if kind not in PLANES:
        raise InputError(f"the plane must be one of {', '.join(sorted(PLANES))}, got {kind!r}")
    try:
        return PLANES[kind](segment, **settings)
    except TypeError as error:
        raise InputError(f"plane {kind!r}: {error}") from error
