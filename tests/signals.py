"""Random signals for tests, the same at every call, and the files that hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfsep.audio import files


def noise(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    """Draw standard normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def noise_tensor(*shape: int, seed: int = 0, dtype: Any = tf.float32) -> tf.Tensor:
    """Draw standard normal numbers as a tensor."""
    return tf.constant(np.random.default_rng(seed).normal(size=shape), dtype)


def quiet_noise(channels: int = 2, time: int = 1000, seed: int = 0) -> np.ndarray:
    """Draw a waveform, (channel, time), with an RMS level of 0.1."""
    return np.random.default_rng(seed).normal(0.0, 0.1, (channels, time)).astype(np.float32)


def write_wave(path: Path, waveform: np.ndarray, sample_rate: int) -> Path:
    """Write a waveform, (channel, time), and return its path."""
    with files.Writer(path, sample_rate, len(waveform)) as writer:
        writer.write(waveform)
    return path
