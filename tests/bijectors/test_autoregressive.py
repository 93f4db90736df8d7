"""Inverse autoregressive layers on masked networks: bijections, TFP's own numbers, and weights that are trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfsep.bijectors import InverseAutoregressive, Planar
from tfsep.networks.made import Made

Make = Callable[..., Any]


def network(num_dimensions: int, **settings: Any) -> Made:
    made = Made(num_dimensions, width=num_dimensions + 3, dtype="float64", **settings)
    rng = np.random.default_rng(2)
    for weight in made.trainable_variables:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return made


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("shape", [(3, 1), (2, 2, 1), (1, 1)])
def test_is_a_bijection(shape: tuple[int, ...], reverse: bool, assert_bijective: Make) -> None:
    made = network(int(np.prod(shape)))
    assert_bijective(InverseAutoregressive(made, len(shape), tf.float64, reverse=reverse), shape)


def test_a_conditioned_layer_is_a_bijection(assert_bijective: Make) -> None:
    made, condition = network(3, condition_width=2, conditioning="film"), tf.constant([[1.0, -2.0]] * 3, tf.float64)
    assert_bijective(InverseAutoregressive(lambda x: made(x, condition), 2, tf.float64), (3, 1))


def test_it_is_the_inverse_of_tfps_masked_autoregressive_flow(make_events: Make) -> None:
    made = network(5)

    def shift_and_log_scale(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """TFP's flow undoes y = x e^s + t in its own inverse direction."""
        shift, log_scale = tf.unstack(made(x), axis=-1)
        return -shift * tf.exp(-log_scale), -log_scale

    peer = tfb.Invert(tfb.MaskedAutoregressiveFlow(shift_and_log_scale))
    x = make_events((5, 1))
    y, log_det = InverseAutoregressive(made, 2, tf.float64, bound=None).forward_and_log_det(x)
    np.testing.assert_allclose(y[..., 0], peer.forward(x[..., 0]), rtol=1e-10)
    np.testing.assert_allclose(log_det, peer.forward_log_det_jacobian(x[..., 0], 1), rtol=1e-10)


def test_one_passes_order_is_reversed_in_the_next(make_events: Make) -> None:
    made, x = network(4), make_events((4, 1), 0, 1)

    def reaches(reverse: bool) -> np.ndarray:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            y = InverseAutoregressive(made, 2, tf.float64, reverse).forward_and_log_det(x)[0]
        return np.abs(tape.jacobian(y, x, experimental_use_pfor=False)).reshape(4, 4) > 0.0

    np.testing.assert_array_equal(reaches(False), np.tril(np.ones((4, 4), bool)))
    np.testing.assert_array_equal(reaches(True), np.triu(np.ones((4, 4), bool)))


class FlexiblePosterior(keras.Model):
    """What a posterior does with the two: networks of its own read a mixture and give bijectors their parameters."""

    def __init__(self) -> None:
        super().__init__(dtype="float64")
        self.made = Made(4, width=8, condition_width=3, dtype="float64")
        self.planar = keras.layers.Dense(9, dtype="float64")
        self.planar.build((None, 3))

    def log_prob(self, latent: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
        """Log-density of what ``latent`` (batch, 4, 1) becomes, less that of the latent."""
        flow = InverseAutoregressive(lambda x: self.made(x, features), 2, tf.float64)
        x, log_det = flow.forward_and_log_det(latent)
        raw = self.planar(features)
        parts = [tf.reshape(part, [-1, 4, 1]) for part in (raw[:, :4], raw[:, 4:8])]
        return -log_det - Planar(*parts, raw[:, 8], 2, tf.float64).forward_and_log_det(x)[1]


def test_a_keras_model_holds_the_networks_that_they_use(make_events: Make) -> None:
    model = FlexiblePosterior()
    rng = np.random.default_rng(0)
    for weight in model.trainable_variables:
        weight.assign_add(0.3 * rng.normal(size=weight.shape))
    features = tf.constant(rng.normal(size=(3, 3)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(model.log_prob(make_events((4, 1)), features))
    owned = [variable.value for variable in model.trainable_variables]
    assert {id(v) for v in tape.watched_variables()} == {id(v) for v in owned} and len(owned) == 3 * 2 + 2 + 2
    assert all(np.abs(gradient).max() > 0.0 for gradient in tape.gradient(loss, owned))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="bound of a log-scale must be positive, got 0.0"):
        InverseAutoregressive(network(3), 2, tf.float64, bound=0.0)
