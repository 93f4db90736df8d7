"""The noise level as a vector: finite over many decades, smooth, and different for different levels."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfsep.networks.noise_embedding import NoiseEmbedding


def test_levels_over_six_decades_are_finite_and_distinct() -> None:
    sigma = np.geomspace(1e-4, 1e2, 61).astype(np.float32)
    vectors = NoiseEmbedding(16)(tf.constant(sigma)).numpy()
    assert vectors.shape == (61, 16) and np.isfinite(vectors).all()
    distance = np.linalg.norm(vectors[:, np.newaxis] - vectors, axis=-1)
    assert distance[~np.eye(61, dtype=bool)].min() > 1e-2


def test_neighbouring_levels_have_neighbouring_vectors() -> None:
    """The highest frequency is two cycles per e-fold, so a percent of sigma moves no angle by more than an eighth."""
    vectors = NoiseEmbedding(16)(tf.constant([0.1, 0.101])).numpy()
    assert np.abs(vectors[1] - vectors[0]).max() < 0.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_keeps_its_dtype(dtype: str) -> None:
    assert NoiseEmbedding(4, dtype=dtype)(tf.constant([0.1], dtype)).dtype == dtype


def test_its_settings_make_it_again() -> None:
    layer = NoiseEmbedding(4, num_frequencies=3)
    copy = NoiseEmbedding.from_config(layer.get_config())
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(copy(tf.constant([0.3])), layer(tf.constant([0.3])))
