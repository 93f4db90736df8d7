"""Effects for rendered parts, drawn at random: a filter, a drive, a room and a place between the speakers."""

from __future__ import annotations

import numpy as np
from scipy import signal

CHANCES = {"filter": 0.4, "drive": 0.25, "reverb": 0.5}


def filtered(sound: np.ndarray, kind: str, frequency: float, sample_rate: int) -> np.ndarray:
    """A second-order Butterworth filter over (channels, time), float32.

    Args:
        sound: (channels, time).
        kind: "lowpass" or "highpass".
        frequency: of -3 dB in Hz, below half the sample rate.
        sample_rate: Hz.
    """
    sections = signal.butter(2, frequency, kind, fs=sample_rate, output="sos")
    return np.asarray(signal.sosfilt(sections, sound, axis=-1), np.float32)


def driven(sound: np.ndarray, drive: float) -> np.ndarray:
    """Soft clipping of (channels, time), tanh(g x) / g with g = ``drive`` over the peak; ``drive`` above 0."""
    gain = drive / max(float(np.abs(sound).max()), 1e-9)
    return np.tanh(gain * sound) / gain


def reverberated(sound: np.ndarray, decay: float, wet: float, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """A room: (channels, time) plus ``wet`` times itself through exponentially decaying noise of each channel's own.

    Args:
        sound: (channels, time).
        decay: seconds in which the room falls by 60 dB.
        wet: level of the room, relative to the sound's for white noise.
        sample_rate: Hz.
        rng: the noise.
    """
    time = np.arange(round(decay * sample_rate)) / sample_rate
    noise = rng.standard_normal((len(sound), len(time))) * 10.0 ** (-3.0 * time / decay)
    noise = filtered(noise, "lowpass", 0.2 * sample_rate, sample_rate)
    room = noise / np.sqrt(np.sum(noise**2, axis=1, keepdims=True))
    tail = signal.fftconvolve(sound, room, axes=-1)[:, : sound.shape[1]]
    return np.asarray(sound + wet * tail, np.float32)


def placed(sound: np.ndarray, position: float) -> np.ndarray:
    """Balance (2, time) between left (-1) and right (1): each side's gain is at most 1."""
    gains = np.array([min(1.0, 1.0 - position), min(1.0, 1.0 + position)])
    return np.asarray(sound * gains[:, np.newaxis], np.float32)


def random_effects(sound: np.ndarray, group: str, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Draw and apply effects as they suit a group: (2, time); bass stays in the middle and out of large rooms."""
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
    return placed(sound, 0.7 * (2.0 * position - 1.0) if group == "other" else 0.0)
