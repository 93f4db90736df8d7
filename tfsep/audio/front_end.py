"""Front ends: the domain in which a prior models a waveform, and the inverse.

A front end turns waveforms (batch, time) into features (batch,) + event_shape and ``aux``, what the
features leave out and the inverse needs. It has settings and no weights; a model folder stores
``domain`` and ``settings()``, from which ``build`` makes it again. Densities over different domains
are never compared.

- "wave": features (time, 1), the samples; aux is None.
- "log_stft": features (num_frames, num_bins - 1, 1), (log(|S| + floor) - offset) / scale of the
  STFT S without the bin at half the sample rate; aux is the phase of the same bins in radians,
  (batch, num_frames, num_bins - 1).
- "log_mel": features (num_frames, num_mels, 1), the same of mel-band magnitudes; aux is the phase
  of all bins in radians, (batch, num_frames, num_bins).

Without aux, the spectral domains estimate a phase by the algorithm of Griffin and Lim.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
import math
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfsep.audio.companding import inverse_log_magnitude, log_magnitude
from tfsep.audio.mel import gather, mel_matrix, spread
from tfsep.audio.phase import griffin_lim, phase_of, polar
from tfsep.audio.stft import Length, check_framing, inverse_stft, longest_signal, num_frames, static_or_dynamic, stft
from tfsep.errors import InputError

_QUIET = 1e-3


def rms(waves: tf.Tensor) -> tf.Tensor:
    """Compute the root mean square of waveforms over time: (..., time) -> (..., 1)."""
    return tf.sqrt(tf.reduce_mean(waves**2, axis=-1, keepdims=True))


@dataclasses.dataclass(frozen=True)
class FrontEnd(abc.ABC):
    """A map between waveforms and the features of one domain."""

    domain: ClassVar[str]

    @property
    def silence(self) -> float:
        """Return the value that every feature of a silent waveform has."""
        return 0.0

    def settings(self) -> dict[str, object]:
        """Return the arguments that make this front end again, for JSON: ``build(front_end.domain, **settings)``."""
        return dataclasses.asdict(self)

    @abc.abstractmethod
    def event_shape(self, length: int) -> tuple[int, ...]:
        """Return the shape of the features of one waveform of ``length`` samples."""

    @abc.abstractmethod
    def analyse(self, wave: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Turn waveforms (batch, time) into features (batch,) + event_shape(time) and what they leave out."""

    @abc.abstractmethod
    def synthesise(self, features: tf.Tensor, aux: tf.Tensor | None, length: Length) -> tf.Tensor:
        """Turn features into waveforms (batch, length).

        ``aux`` is that of this or another signal's ``analyse``, or None.
        """


@dataclasses.dataclass(frozen=True)
class WaveFrontEnd(FrontEnd):
    """The samples themselves, with a channel axis: features (batch, time, 1), in full scale 1."""

    domain: ClassVar[str] = "wave"

    def event_shape(self, length: int) -> tuple[int, ...]:
        """Return (length, 1)."""
        return (length, 1)

    def analyse(self, wave: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Return waveforms (batch, time) as features (batch, time, 1); nothing is left out."""
        return tf.convert_to_tensor(wave)[..., None], None

    def synthesise(self, features: tf.Tensor, aux: tf.Tensor | None, length: Length) -> tf.Tensor:
        """Return features (batch, time, 1) as waveforms (batch, length), with length <= time."""
        return tf.convert_to_tensor(features)[..., 0][..., :length]


@dataclasses.dataclass(frozen=True)
class SpectralFrontEnd(FrontEnd):
    """The logarithmic spectral domains: framing, and features (log(magnitude + floor) - offset) / scale.

    Attributes:
        frame_length: Samples of a frame.
        frame_step: Samples between two frames, in 1..frame_length/2.
        fft_length: Samples of the transform; None: the next power of two.
        floor: Magnitude that is added before the logarithm (a full-scale sine has a magnitude of
            frame_length / 4).
        offset: Centre of the log magnitudes, in nats; with ``scale``, it brings features to about
            -1.6..2.5.
        scale: Spread of the log magnitudes, in nats, above 0.
        frame_multiple: The number of frames is a multiple of this; zeros behind the signal fill the
            last frames.
        phase_iterations: Rounds of Griffin-Lim where no phase is given.
        level: RMS level that each waveform is scaled to before its analysis, so that features do
            not depend on loudness; a waveform below an RMS of 0.001 gets the gain of one at 0.001, and
            silence stays silent. The inverse returns waveforms at this level. None leaves waveforms
            as they are.
    """

    frame_length: int = 1024
    frame_step: int = 256
    fft_length: int | None = None
    floor: float = 1e-3
    offset: float = -2.0
    scale: float = 3.0
    frame_multiple: int = 2
    phase_iterations: int = 32
    level: float | None = None

    def __post_init__(self) -> None:
        """Refuse settings outside their ranges with a ValueError."""
        check_framing(self.frame_length, self.frame_step, self.fft_length)
        for name in ("floor", "scale", "frame_multiple"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.phase_iterations < 0:
            raise ValueError(f"phase_iterations must be at least 0, got {self.phase_iterations}")
        if self.level is not None and not self.level > 0:
            raise ValueError(f"level must be positive or None, got {self.level}")

    @property
    def silence(self) -> float:
        """Return the feature of the magnitude 0, (log(floor) - offset) / scale."""
        return (math.log(self.floor) - self.offset) / self.scale

    @abc.abstractmethod
    def to_bins(self, magnitude: tf.Tensor) -> tf.Tensor:
        """Spread magnitudes (..., frame, feature) of the domain over all bins of the transform, (..., frame, num_bins).

        None becomes negative, and a sum is spread as the sum of what its parts are spread to: the
        shares of sources stay shares.
        """

    @property
    def num_bins(self) -> int:
        """Return the bins of the transform, 0 Hz and half the sample rate included."""
        return check_framing(self.frame_length, self.frame_step, self.fft_length) // 2 + 1

    def num_frames(self, length: Length) -> Length:
        """Return the frames of a waveform of ``length`` samples, rounded up to ``frame_multiple``."""
        frames = num_frames(length, self.frame_length, self.frame_step)
        return (frames + self.frame_multiple - 1) // self.frame_multiple * self.frame_multiple

    def spectrum(self, wave: tf.Tensor) -> tf.Tensor:
        """Return the STFT (batch, num_frames, num_bins) complex64 of waveforms (batch, time)."""
        wave = tf.convert_to_tensor(wave)
        time = static_or_dynamic(wave, -1)
        padded_time = longest_signal(self.num_frames(time), self.frame_length, self.frame_step)
        padded = tf.pad(wave, [[0, 0]] * (wave.shape.rank - 1) + [[0, padded_time - time]])
        return stft(padded, self.frame_length, self.frame_step, self.fft_length)

    def waveform(self, spectrum: tf.Tensor, length: Length) -> tf.Tensor:
        """Return the waveforms (batch, length) of spectra (batch, num_frames, num_bins), inverting ``spectrum``."""
        return inverse_stft(spectrum, self.frame_length, self.frame_step, self.fft_length, length=length)

    def levelled(self, wave: tf.Tensor) -> tf.Tensor:
        """Scale waveforms (batch, time) to the RMS level ``level``, or leave them as they are without one."""
        wave = tf.convert_to_tensor(wave)
        if self.level is None:
            return wave
        return wave * (self.level / tf.maximum(rms(wave), _QUIET))

    def to_features(self, magnitude: tf.Tensor) -> tf.Tensor:
        """Return the features (..., 1) of magnitudes (...)."""
        return ((log_magnitude(magnitude, self.floor) - self.offset) / self.scale)[..., None]

    def to_magnitude(self, features: tf.Tensor) -> tf.Tensor:
        """Return the magnitudes (...) of features (..., 1): the inverse of ``to_features``."""
        return inverse_log_magnitude(features[..., 0] * self.scale + self.offset, self.floor)

    def with_phase(self, magnitude: tf.Tensor, phase: tf.Tensor | None, length: Length) -> tf.Tensor:
        """Return waveforms (batch, length) of magnitudes (batch, num_frames, num_bins); None: by Griffin-Lim."""
        if phase is not None:
            return self.waveform(polar(magnitude, phase), length)
        framing = (self.frame_length, self.frame_step, self.fft_length)
        return griffin_lim(magnitude, *framing, length=length, iterations=self.phase_iterations)


@dataclasses.dataclass(frozen=True)
class LogStftFrontEnd(SpectralFrontEnd):
    """Log magnitudes of the STFT, without the bin at half the sample rate (so that the bins halve well)."""

    domain: ClassVar[str] = "log_stft"

    def event_shape(self, length: int) -> tuple[int, ...]:
        """Return (num_frames, num_bins - 1, 1)."""
        return (int(self.num_frames(length)), self.num_bins - 1, 1)

    def to_bins(self, magnitude: tf.Tensor) -> tf.Tensor:
        """Return the magnitudes with the last bin once more, for the one at half the sample rate."""
        return tf.concat([magnitude, magnitude[..., -1:]], axis=-1)

    def analyse(self, wave: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Return the log magnitudes of waveforms (batch, time), and the phase (batch, num_frames, num_bins - 1)."""
        spectrum = self.spectrum(self.levelled(wave))[..., :-1]
        return self.to_features(tf.abs(spectrum)), phase_of(spectrum)

    def synthesise(self, features: tf.Tensor, aux: tf.Tensor | None, length: Length) -> tf.Tensor:
        """Return waveforms (batch, length) with the given phase, or one by Griffin-Lim; the dropped bin is zero."""
        top = [[0, 0]] * (len(features.shape) - 2) + [[0, 1]]
        magnitude = tf.pad(self.to_magnitude(tf.convert_to_tensor(features)), top)
        return self.with_phase(magnitude, None if aux is None else tf.pad(aux, top), length)


@dataclasses.dataclass(frozen=True)
class LogMelFrontEnd(SpectralFrontEnd):
    """Log magnitudes in mel bands: mainly for analysis; the inverse is the pseudo-inverse and loses detail.

    Attributes:
        sample_rate: Of the waveforms, in Hz.
        num_mels: Number of bands, each of which must hold a bin.
    """

    sample_rate: int = 16000
    num_mels: int = 80
    domain: ClassVar[str] = "log_mel"

    def __post_init__(self) -> None:
        """Refuse settings outside their ranges with a ValueError."""
        super().__post_init__()
        self.matrix.max()

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        """Return the matrix (num_bins, num_mels) of the bands."""
        return mel_matrix(self.num_mels, self.num_bins, self.sample_rate)

    def event_shape(self, length: int) -> tuple[int, ...]:
        """Return (num_frames, num_mels, 1)."""
        return (int(self.num_frames(length)), self.num_mels, 1)

    def to_bins(self, magnitude: tf.Tensor) -> tf.Tensor:
        """Return the bands' magnitudes through the transposed filter bank; bins that no band holds are zero."""
        return gather(magnitude, np.ascontiguousarray(self.matrix.T))

    def analyse(self, wave: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Return the log band magnitudes of waveforms (batch, time), and the phase (batch, num_frames, num_bins)."""
        spectrum = self.spectrum(self.levelled(wave))
        return self.to_features(gather(tf.abs(spectrum), self.matrix)), phase_of(spectrum)

    def synthesise(self, features: tf.Tensor, aux: tf.Tensor | None, length: Length) -> tf.Tensor:
        """Return waveforms (batch, length) of the least-squares magnitudes, with the given phase or by Griffin-Lim."""
        magnitude = spread(self.to_magnitude(tf.convert_to_tensor(features)), self.matrix)
        return self.with_phase(magnitude, aux, length)


FRONT_ENDS: dict[str, type[FrontEnd]] = {kind.domain: kind for kind in (WaveFrontEnd, LogStftFrontEnd, LogMelFrontEnd)}


def build(domain: str, **settings: object) -> FrontEnd:
    """Make a front end by the name of its domain.

    Args:
        domain: "wave", "log_stft" or "log_mel".
        **settings: The attributes of the front end's class; those left out keep their defaults.

    Returns:
        The front end.

    Raises:
        InputError: for an unknown domain, an unknown setting, or a setting outside its range.
    """
    if domain not in FRONT_ENDS:
        raise InputError(f"front end domain must be one of {', '.join(FRONT_ENDS)}, got {domain!r}")
    kind = FRONT_ENDS[domain]
    known = [field.name for field in dataclasses.fields(kind)]
    for name in settings:
        if name not in known:
            raise InputError(f"settings of {domain} must be among {', '.join(known) or '(none)'}, got {name!r}")
    try:
        return kind(**settings)
    except (TypeError, ValueError) as error:
        raise InputError(f"front end {domain}: {error}") from error
