r"""A drum machine with random sounds: sine sweeps, noise and metallic squares, as in electronic kits.

A kick or a tom is a sine whose frequency falls, :math:`f(t) = f_1 + (f_0 - f_1) e^{-t / \tau}`; a
snare is such a sine and noise, a clap noise in four bursts, hats and cymbals high-passed noise with
square waves of inharmonic frequencies. All of them decay exponentially.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfsep.rendering.effects import driven, filtered

Stroke = Callable[[int, np.random.Generator], np.ndarray]
_METAL = (205.3, 304.4, 369.6, 522.7, 540.0, 800.0)


def _time(seconds: float, sample_rate: int) -> np.ndarray:
    """Return the times of samples in seconds."""
    return np.arange(round(seconds * sample_rate)) / sample_rate


def _falling(low: float, high: float, fall: float, decay: float, sample_rate: int) -> np.ndarray:
    """Return a decaying sine whose frequency falls from ``high`` to ``low`` Hz with the time constant ``fall``."""
    time = _time(6.0 * decay, sample_rate)
    phase = np.cumsum(low + (high - low) * np.exp(-time / fall)) / sample_rate
    return np.sin(2.0 * np.pi * phase) * np.exp(-time / decay)


def _hiss(decay: float, lowest: float, sample_rate: int, rng: np.random.Generator, metal: float = 0.0) -> np.ndarray:
    """Return decaying noise above a frequency in Hz, and square waves of inharmonic frequencies at level ``metal``."""
    time = _time(6.0 * decay, sample_rate)
    squares = sum(np.sign(np.sin(2.0 * np.pi * (rng.uniform(1.0, 2.5) * each) * time)) for each in _METAL)
    raw = (rng.standard_normal(len(time)) + metal * squares) * np.exp(-time / decay)
    return filtered(raw[np.newaxis], "highpass", min(lowest, 0.4 * sample_rate), sample_rate)[0]


def _kick(rate: int, rng: np.random.Generator) -> np.ndarray:
    low = rng.uniform(38.0, 85.0)
    wave = _falling(low, low * rng.uniform(3.0, 9.0), rng.uniform(0.01, 0.06), rng.uniform(0.05, 0.6), rate)
    click = _hiss(0.003, 1500.0, rate, rng) * rng.uniform(0.0, 0.3)
    wave[: len(click)] += click[: len(wave)]
    return driven(wave[np.newaxis], rng.uniform(0.5, 3.0))[0]


def _snare(rate: int, rng: np.random.Generator) -> np.ndarray:
    tone = rng.uniform(150.0, 240.0)
    body = _falling(tone, 1.7 * tone, 0.02, rng.uniform(0.03, 0.1), rate)
    hiss = _hiss(rng.uniform(0.05, 0.2), rng.uniform(500.0, 2500.0), rate, rng)
    wave = np.zeros(max(len(body), len(hiss)))
    wave[: len(body)] += body
    wave[: len(hiss)] += rng.uniform(0.3, 1.2) * hiss
    return wave


def _clap(rate: int, rng: np.random.Generator) -> np.ndarray:
    tail = _hiss(rng.uniform(0.04, 0.15), rng.uniform(700.0, 1500.0), rate, rng)
    wave = np.zeros(len(tail) + round(0.05 * rate))
    for burst in range(4):
        start = round(burst * rng.uniform(0.008, 0.013) * rate)
        wave[start : start + len(tail)] += tail if burst == 3 else tail * np.exp(-_time(len(tail) / rate, rate) / 0.004)
    return wave


def _hat(shortest: float, longest: float) -> Stroke:
    """Return a stroke of metallic noise that decays within a range of times in seconds."""

    def stroke(rate: int, rng: np.random.Generator) -> np.ndarray:
        return _hiss(rng.uniform(shortest, longest), rng.uniform(4000.0, 7500.0), rate, rng, rng.uniform(0.0, 0.5))

    return stroke


def _tom(rate: int, rng: np.random.Generator) -> np.ndarray:
    low = rng.uniform(80.0, 160.0)
    return _falling(low, low * rng.uniform(1.3, 2.5), 0.05, rng.uniform(0.08, 0.3), rate)


def _bell(rate: int, rng: np.random.Generator) -> np.ndarray:
    decay, tone = rng.uniform(0.03, 0.15), rng.uniform(500.0, 900.0)
    time = _time(6.0 * decay, rate)
    pair = np.sign(np.sin(2.0 * np.pi * tone * time)) + np.sign(np.sin(2.0 * np.pi * 1.48 * tone * time))
    return filtered((pair * np.exp(-time / decay))[np.newaxis], "highpass", 400.0, rate)[0]


#: The drums of drum_kits.py and how each is made.
STROKES: dict[str, Stroke] = {
    "kick": _kick,
    "snare": _snare,
    "clap": _clap,
    "stick": _hat(0.004, 0.02),
    "hat": _hat(0.01, 0.05),
    "pedal hat": _hat(0.02, 0.06),
    "open hat": _hat(0.08, 0.3),
    "crash": _hat(0.2, 0.6),
    "ride": _hat(0.1, 0.3),
    "tom": _tom,
    "shaker": _hat(0.015, 0.05),
    "bell": _bell,
}
_MOST_SECONDS = 4.0


def random_strokes(sample_rate: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw one stroke (2, time) with a peak of 1 for each drum."""
    found = {}
    for drum, make in STROKES.items():
        wave = make(sample_rate, rng)[: round(_MOST_SECONDS * sample_rate)]
        found[drum] = np.asarray(np.tile(wave / max(float(np.abs(wave).max()), 1e-9), (2, 1)), np.float32)
    return found
