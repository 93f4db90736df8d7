"""Mel bands: the bins of a spectrum gathered on a scale of perceived pitch.

The mel scale is mel(f) = 2595 log10(1 + f / 700) (O'Shaughnessy, 1987). Band b is a triangle over
frequency that rises from the centre of band b - 1 to its own and falls to that of band b + 1, the
centres being equally spaced in mel.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def hertz_to_mel(frequency: np.ndarray | float) -> np.ndarray:
    """Convert frequencies in Hz, not negative, to the mel scale."""
    return 2595.0 * np.log10(1.0 + np.asarray(frequency, np.float64) / 700.0)


def mel_to_hertz(mel: np.ndarray | float) -> np.ndarray:
    """Convert values on the mel scale to frequencies in Hz."""
    return 700.0 * (10.0 ** (np.asarray(mel, np.float64) / 2595.0) - 1.0)


def mel_matrix(
    num_mels: int, num_bins: int, sample_rate: int, min_frequency: float = 0.0, max_frequency: float | None = None
) -> np.ndarray:
    """Return the matrix that sums the bins of a spectrum into mel bands; each triangle has a peak of one.

    Args:
        num_mels: Number of bands, at least 1.
        num_bins: Number of bins from 0 Hz to half the sample rate, both included; at least 2.
        sample_rate: In Hz.
        min_frequency: Lower end of the first band in Hz, at least 0.
        max_frequency: Upper end of the last band in Hz, at most half the sample rate; None: half
            the sample rate.

    Returns:
        (num_bins, num_mels) float32, in 0..1: ``magnitude @ mel_matrix(...)`` are the band
        magnitudes.

    Raises:
        ValueError: for numbers or frequencies outside their ranges, or a band so narrow that it
            holds no bin.
    """
    top = sample_rate / 2.0 if max_frequency is None else max_frequency
    if num_mels < 1 or num_bins < 2:
        raise ValueError(f"num_mels must be at least 1 and num_bins at least 2, got {num_mels} and {num_bins}")
    if not 0.0 <= min_frequency < top <= sample_rate / 2.0:
        raise ValueError(f"mel bands must lie in 0..{sample_rate / 2:g} Hz, got {min_frequency:g}..{top:g} Hz")
    edges = mel_to_hertz(np.linspace(hertz_to_mel(min_frequency), hertz_to_mel(top), num_mels + 2))
    frequency = np.linspace(0.0, sample_rate / 2.0, num_bins)[:, None]
    rise = (frequency - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - frequency) / (edges[2:] - edges[1:-1])
    matrix: np.ndarray = np.maximum(0.0, np.minimum(rise, fall))
    empty = np.flatnonzero(matrix.max(axis=0) == 0.0)
    if empty.size:
        raise ValueError(f"every mel band must hold a bin, got none in band {empty[0]} of {num_mels}: fewer bands")
    return matrix.astype(np.float32)


def gather(magnitude: tf.Tensor, matrix: np.ndarray) -> tf.Tensor:
    """Sum bin magnitudes (..., num_bins) into band magnitudes (..., num_mels)."""
    return tf.tensordot(magnitude, tf.constant(matrix, magnitude.dtype), axes=1)


def spread(bands: tf.Tensor, matrix: np.ndarray) -> tf.Tensor:
    """Return the least-squares bin magnitudes (..., num_bins) of band magnitudes (..., num_mels), none negative."""
    return tf.nn.relu(gather(bands, np.linalg.pinv(matrix.astype(np.float64))))
