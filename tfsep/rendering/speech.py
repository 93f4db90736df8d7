"""Analyse recorded speech by the vocoder WORLD, as the material of a singer.

Every 5 ms: pitch (DIO, refined by StoneMask), spectral envelope (CheapTrick) and aperiodicity
(D4C). Pauses are left out.

Source: Morise et al. 2016 (WORLD); the package ``pyworld``.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from scipy import ndimage

from tfsep.audio.suffixes import sound_files
from tfsep.data.packed import read_recording
from tfsep.errors import InputError, JobError

FRAME_SECONDS = 0.005
SPEECH_RATE = 22050
SPEECH_SECONDS = 25.0
_PAUSE_DB, _LONGEST_CLOSURE = 35.0, 12
_DITHER = 1e-4
_LEAST_VOICED = 0.1


@dataclass(frozen=True)
class Speech:
    """The analysis of speech without its pauses.

    Attributes:
        pitch: (frame,) Hz, 0 where unvoiced.
        envelope: (frame, bin) power.
        aperiodicity: (frame, bin) in 0..1.
        energy: (frame,) relative to the loudest frames, at most 1.
    """

    pitch: np.ndarray
    envelope: np.ndarray
    aperiodicity: np.ndarray
    energy: np.ndarray

    @property
    def median_pitch(self) -> float:
        """Return the median pitch of the voiced frames in Hz."""
        return float(np.median(self.pitch[self.pitch > 0.0]))


def package() -> ModuleType:
    """Import the package pyworld.

    Raises:
        JobError: if it is not installed.
    """
    try:
        return importlib.import_module("pyworld")
    except ImportError as error:
        raise JobError("singing needs the package pyworld, not installed (pip install 'tfsep[singing]')") from error


def singers(folder: str | Path) -> list[Path]:
    """Return the singers of a folder ``<folder>/<singer>/**/*.wav|flac|ogg|mp3``, in alphabetical order.

    Raises:
        InputError: if it has none, or a singer has no recordings.
    """
    found = sorted(path for path in Path(folder).glob("*") if path.is_dir())
    if not found:
        raise InputError(f"--voices must be a folder with one folder of speech for each singer, got {str(folder)!r}")
    for path in found:
        if not sound_files(path, deep=True):
            raise InputError(f"--voices has a singer without sound files: {path}")
    return found


def recorded_speech(singer: Path, rng: np.random.Generator) -> Speech:
    """Draw and analyse up to 25 seconds of the recordings of a singer.

    Raises:
        JobError: without pyworld, or if less than a tenth of it is voiced.
    """
    paths = sound_files(singer, deep=True)
    pieces: list[np.ndarray] = []
    left = round(SPEECH_SECONDS * SPEECH_RATE)
    for index in rng.permutation(len(paths)):
        if left <= 0:
            break
        sound = read_recording(paths[index], SPEECH_RATE)[0]
        sound = sound / max(float(np.sqrt(np.mean(sound**2))), 1e-6)
        pieces.append(sound[:left])
        left -= len(pieces[-1])
    speech = analyse(np.concatenate(pieces))
    voiced = float(np.mean(speech.pitch > 0.0)) if len(speech.pitch) else 0.0
    if voiced < _LEAST_VOICED:
        raise JobError(f"{_LEAST_VOICED:.0%} of speech must be voiced, got {voiced:.0%} in recordings of {singer}")
    return speech


def analyse(sound: np.ndarray) -> Speech:
    """Analyse (time,) samples at 22,050 Hz, without the parts that are 35 dB below the loud ones for over 60 ms.

    Dither, 80 dB below an RMS of 1, prevents an aperiodicity of 0 / 0 in digital silence.
    """
    world = package()
    dither = _DITHER * np.random.default_rng(0).standard_normal(len(sound))
    samples = sound.astype(np.float64) + dither
    period = 1000.0 * FRAME_SECONDS
    rough, times = world.dio(samples, SPEECH_RATE, f0_floor=65.0, f0_ceil=600.0, frame_period=period)
    pitch = world.stonemask(samples, rough, times, SPEECH_RATE)
    envelope = world.cheaptrick(samples, pitch, times, SPEECH_RATE)
    aperiodicity = world.d4c(samples, pitch, times, SPEECH_RATE)
    energy = envelope.sum(axis=1)
    energy = energy / max(float(np.percentile(energy, 98.0)), 1e-12)
    loud = ndimage.binary_closing(energy > 10.0 ** (-_PAUSE_DB / 10.0), np.ones(_LONGEST_CLOSURE))
    return Speech(pitch[loud], envelope[loud], aperiodicity[loud], np.minimum(energy[loud], 1.0))
