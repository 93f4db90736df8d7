"""A plain product of two square matrices: what this machine can do at best, of which other cases reach a share."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from benchmarks.speed.worker import Case


def product(size: int, dtype: str, file: str = "") -> Case:
    """Multiply (size, size) by (size, size) in "float32" or "bfloat16"; a row's ``file`` is not needed."""
    del file
    random = np.random.default_rng(0)
    a, b = (tf.cast(random.standard_normal((size, size)), dtype) for _ in range(2))
    multiply = tf.function(tf.matmul)
    return Case(lambda: multiply(a, b)[0, 0].numpy(), flops=2.0 * size**3)
