r"""The Wiener filter of a source, the least that a prior must beat: a Gaussian learned from isolated training cuts.

Waveforms are taken as stationary, with the power spectrum :math:`P(f)` of the source's cuts (periodic over an event),
and denoised by the gain :math:`P / (P + \sigma^2)`. Log spectra are taken as independent bins, each with the mean and
the variance that it has over all frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np


class LinearDenoiser(Protocol):
    """The best linear guess of clean events."""

    def denoise(self, events: np.ndarray, sigma: float) -> np.ndarray:
        """Noised events (num,) + event_shape -> the same shape."""


class WaveWiener:
    """Gain per frequency of waveforms (num, time, 1)."""

    def __init__(self, batches: Iterable[np.ndarray]) -> None:
        """Average the power spectra of batches of clean events."""
        total, count = np.zeros(()), 0
        for events in batches:
            total = total + np.sum(np.abs(np.fft.rfft(events[..., 0], norm="ortho")) ** 2, axis=0)
            count += len(events)
        self.power = total / count

    def denoise(self, events: np.ndarray, sigma: float) -> np.ndarray:
        """Noised waveforms -> the same shape."""
        gain = self.power / (self.power + sigma**2)
        spectrum = gain * np.fft.rfft(events[..., 0], norm="ortho")
        return np.fft.irfft(spectrum, events.shape[1], norm="ortho")[..., np.newaxis]


class SpectralWiener:
    """Mean and gain per bin of log spectra (num, frame, bin, 1)."""

    def __init__(self, batches: Iterable[np.ndarray]) -> None:
        """Average over examples and frames of batches of clean events."""
        first, second, count = np.zeros(()), np.zeros(()), 0
        for events in batches:
            first = first + np.sum(events, axis=(0, 1), dtype=np.float64)
            second = second + np.sum(np.square(events, dtype=np.float64), axis=(0, 1))
            count += events.shape[0] * events.shape[1]
        self.mean = first / count
        self.variance = np.maximum(second / count - self.mean**2, 0.0)

    def denoise(self, events: np.ndarray, sigma: float) -> np.ndarray:
        """Noised spectra -> the same shape."""
        return self.mean + self.variance / (self.variance + sigma**2) * (events - self.mean)


def wiener(domain: str, batches: Iterable[np.ndarray]) -> LinearDenoiser:
    """The filter of a domain, learned from batches of clean events."""
    return WaveWiener(batches) if domain == "wave" else SpectralWiener(batches)
