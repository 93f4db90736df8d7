"""Random effects for rendered parts: a filter, drive (soft clipping), reverberation and panning."""

from __future__ import annotations

import numpy as np
from scipy import signal

CHANCES = {"filter": 0.4, "drive": 0.25, "reverb": 0.5}


def filtered(sound: np.ndarray, kind: str, frequency: float, sample_rate: int) -> np.ndarray:
    """Filter (channels, time) by a second-order Butterworth filter, to float32.

    Args:
        sound: (channels, time).
        kind: "lowpass" or "highpass".
        frequency: of -3 dB in Hz, below half the sample rate.
        sample_rate: Hz.
    """
    sections = signal.butter(2, frequency, kind, fs=sample_rate, output="sos")
    return np.asarray(signal.sosfilt(sections, sound, axis=-1), np.float32)


def driven(sound: np.ndarray, drive: float) -> np.ndarray:
    """Clip (channels, time) softly: tanh(g x) / g with g = ``drive`` over the peak; ``drive`` above 0."""
    gain = drive / max(float(np.abs(sound).max()), 1e-9)
    return np.tanh(gain * sound) / gain


def reverberated(sound: np.ndarray, decay: float, wet: float, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Add reverberation: ``wet`` times the sound convolved with exponentially decaying noise, one for each channel.

    Args:
        sound: (channels, time).
        decay: seconds in which the reverberation falls by 60 dB.
        wet: level of the reverberation relative to the sound, for white noise.
        sample_rate: Hz.
        rng: the noise.
    """
    time = np.arange(round(decay * sample_rate)) / sample_rate
    noise = rng.standard_normal((len(sound), len(time))) * 10.0 ** (-3.0 * time / decay)
    noise = filtered(noise, "lowpass", 0.2 * sample_rate, sample_rate)
    response = noise / np.sqrt(np.sum(noise**2, axis=1, keepdims=True))
    tail = signal.fftconvolve(sound, response, axes=-1)[:, : sound.shape[1]]
    return np.asarray(sound + wet * tail, np.float32)


def panned(sound: np.ndarray, position: float) -> np.ndarray:
    """Pan (2, time) between left (-1) and right (1); the gain of each side is at most 1."""
    gains = np.array([min(1.0, 1.0 - position), min(1.0, 1.0 + position)])
    return np.asarray(sound * gains[:, np.newaxis], np.float32)


def random_effects(sound: np.ndarray, group: str, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Draw and apply effects that suit a group, to (2, time); bass is not panned and gets little reverberation."""
    draws = {name: rng.uniform() < chance for name, chance in CHANCES.items()}
    low, high, drive, decay, wet, position = rng.uniform(size=6)
    if draws["filter"]:
        kind = "lowpass" if group == "bass" or low < 0.5 else "highpass"
        frequency = 1500.0 * 4.0**high if kind == "lowpass" else 60.0 * 5.0**high
        sound = filtered(sound, kind, min(frequency, 0.4 * sample_rate), sample_rate)
    if draws["drive"]:
        sound = driven(sound, 1.0 + 5.0 * drive)
    if draws["reverb"]:
        seconds = 0.2 + (0.3 if group in ("bass", "drums") else 1.8) * decay
        sound = reverberated(sound, seconds, (0.1 if group == "bass" else 0.4) * wet, sample_rate, rng)
    return panned(sound, 0.7 * (2.0 * position - 1.0) if group == "other" else 0.0)
