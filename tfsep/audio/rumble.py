r"""Split waves into what is too low to be audible, constant offsets included, and the rest.

The low part is the wave under a windowed-sinc low-pass with half its gain at 1/P cycles per sample
and a transition of the same width; the rest is the wave without it, so that the two sum to the wave
exactly. The wave is continued by its mirror image at both ends, which keeps a constant whole.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tfsep.axes import Waves

_PERIODS = 6


def split_rumble(wave: Waves, period: int) -> tuple[Waves, Waves]:
    """Return the low part of waves and the rest, both (batch, time).

    Args:
        wave: (batch, time) float32, of at least two samples.
        period: P, samples; at a sample rate R the low part ends at R / P Hz.
    """
    time = int(wave.shape[-1])
    reach = min(_PERIODS * period // 2, time)
    kernel = low_pass(period, reach)
    padded = tf.pad(wave, [[0, 0], [reach, reach]], mode="SYMMETRIC")
    points = 1 << (time + 4 * reach - 1).bit_length()
    product = tf.signal.rfft(padded, [points]) * tf.signal.rfft(tf.constant(kernel), [points])
    low = tf.signal.irfft(product, [points])[:, 2 * reach : 2 * reach + time]
    low = tf.ensure_shape(low, wave.shape)
    return low, wave - low


def low_pass(period: int, reach: int) -> np.ndarray:
    """Return the low-pass, (2 reach + 1,) float32, whose sum is 1."""
    time = np.arange(-reach, reach + 1)
    kernel = np.sinc(2.0 * time / period) * np.hanning(len(time) + 2)[1:-1]
    return np.asarray(kernel / kernel.sum(), np.float32)
