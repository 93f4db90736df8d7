r"""The oscillators of the toy data: sine, sawtooth, square and triangle of unit amplitude, and a pulse.

The four are the study's. The pulse is high for a quarter of its period, 1, and -1/3 for the rest, so
that its mean is 0; it is a class to add to the four.

The naive waveforms are sampled from the ideal curve, so every harmonic above half the sample rate
is aliased: at 16 kHz a sawtooth on the highest piano key (4,186 Hz) has one true harmonic and the
rest is alias. The band-limited ones are the partial Fourier sums below that limit (they overshoot
by the Gibbs phenomenon, up to 1.18).
"""

from __future__ import annotations

import math

import tensorflow as tf

KINDS = ("sine", "sawtooth", "square", "triangle")
ALL_KINDS = (*KINDS, "pulse")
DUTY = 0.25


def naive(kind: str, cycles: tf.Tensor) -> tf.Tensor:
    """Return the value in -1..1 of an oscillator after ``cycles`` periods, any shape.

    Raises:
        ValueError: if ``kind`` is not one of :data:`ALL_KINDS`.
    """
    if kind == "sine":
        return tf.sin(math.tau * cycles)
    fraction = tf.math.floormod(cycles, tf.ones_like(cycles))
    if kind == "sawtooth":
        return 2.0 * fraction - 1.0
    if kind == "square":
        return tf.where(fraction < 0.5, tf.ones_like(fraction), -tf.ones_like(fraction))
    if kind == "triangle":
        return 4.0 * tf.abs(fraction - 0.5) - 1.0
    if kind == "pulse":
        high = tf.abs(fraction - 0.5) > 0.5 - 0.5 * DUTY
        return tf.where(high, tf.ones_like(fraction), tf.ones_like(fraction) * (-DUTY / (1.0 - DUTY)))
    raise ValueError(f"the oscillator must be one of {', '.join(ALL_KINDS)}, got {kind!r}")


def band_limited(kind: str, cycles: tf.Tensor, num_harmonics: tf.Tensor) -> tf.Tensor:
    r"""Sum the first ``num_harmonics`` terms of an oscillator's Fourier series.

    With :math:`\theta = 2\pi` cycles: sawtooth
    :math:`-\frac{2}{\pi} \sum_k \frac{\sin k\theta}{k}`, square
    :math:`\frac{4}{\pi} \sum_{k\,odd} \frac{\sin k\theta}{k}`, triangle
    :math:`\frac{8}{\pi^2} \sum_{k\,odd} \frac{\cos k\theta}{k^2}`, pulse with duty d
    :math:`\frac{2}{\pi (1 - d)} \sum_k \frac{\sin \pi d k}{k} \cos k\theta`. The harmonics follow from one
    sine and one cosine by the Chebyshev recurrence :math:`h_{k+1} = 2 \cos\theta\, h_k - h_{k-1}`,
    in float64.

    Args:
        kind: one of :data:`ALL_KINDS`.
        cycles: (batch, time), float64.
        num_harmonics: (batch,) int32, at least 1.

    Raises:
        ValueError: for another kind.
    """
    if kind == "sine":
        return naive(kind, cycles)
    angle = math.tau * cycles
    twice_cosine = 2.0 * tf.cos(angle)
    if kind == "pulse":
        before, harmonic = tf.ones_like(angle), tf.cos(angle)
        scale, power, odd_only = 2.0 / (math.pi * (1.0 - DUTY)), 1.0, False
    elif kind == "triangle":
        before, harmonic = tf.ones_like(angle), tf.cos(angle)
        scale, power, odd_only = 8.0 / math.pi**2, 2.0, True
    elif kind in ("sawtooth", "square"):
        before, harmonic = tf.zeros_like(angle), tf.sin(angle)
        scale, power, odd_only = (-2.0 / math.pi, 1.0, False) if kind == "sawtooth" else (4.0 / math.pi, 1.0, True)
    else:
        raise ValueError(f"the oscillator must be one of {', '.join(ALL_KINDS)}, got {kind!r}")

    def add(
        order: tf.Tensor, before: tf.Tensor, harmonic: tf.Tensor, total: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        kept = order <= num_harmonics
        if odd_only:
            kept &= order % 2 == 1
        weight = tf.cast(kept, angle.dtype) * scale / tf.cast(order, angle.dtype) ** power
        if kind == "pulse":
            weight *= tf.sin(math.pi * DUTY * tf.cast(order, angle.dtype))
        total += weight[:, tf.newaxis] * harmonic
        return order + 1, harmonic, twice_cosine * harmonic - before, total

    last = tf.reduce_max(num_harmonics)
    loop = tf.while_loop(lambda order, *_: order <= last, add, (1, before, harmonic, tf.zeros_like(angle)))
    return loop[3]
