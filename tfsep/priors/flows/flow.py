r"""A normalising flow as a source prior: a Keras model that holds the weights of a chain of TFP bijectors.

With g the map from data to latent at noise level sigma,

.. math:: \log p_\sigma(y) = \log \mathcal{N}(g_\sigma(y); 0, I) + \log|\det \partial g_\sigma / \partial y|,

all of it, weight 1, in nats over the prior's domain. One set of networks is trained at all noise
levels, log sigma being embedded and given to each coupling. Each density is normalised, but nothing
forces it to be a noised version of the one at a lower level; :mod:`tfsep.prior_test.heat_equation`
measures how far it is from that. A clean flow has no sigma and refuses one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfsep import bijectors
from tfsep.audio.front_end import FrontEnd
from tfsep.axes import Seed, Sigma, TensorLike
from tfsep.bijectors.reversible import gradient
from tfsep.networks.noise_embedding import NoiseEmbedding
from tfsep.priors.base import Prior, per_example_sigma
from tfsep.priors.flows.flow_layers import FlowLayer, SequenceLayer
from tfsep.priors.stacked import Stackable

#: What a score is taken from.
SCORES = ("gradient", "conditionals")
_SMALLEST_VARIANCE = 1e-6


class FlowPrior(keras.Model, Stackable):
    """Exact density, score, sampler and codec of a flow.

    Args:
        kind: registered name.
        front_end: from waveforms to the flow's domain.
        event_shape: (time, 1) or (frame, bin, 1).
        make_layers: () -> the flow's layers from the data's side to the latents'.
        sigma_range: smallest and largest noise level, in units of the features; None for a clean
            flow.
        condition_width: size of the embedded noise level.
        dtype: "float32", or "float64" for more precise densities.
        floored: whether the noise level is a floor in layers
            (:class:`tfsep.priors.flows.flow_layers.MultiscaleLayer`). Then the mean of each feature
            is taken out first, and the condition begins with the logarithm of sigma over
            sqrt(data_std^2 + sigma^2).

    Attributes:
        recompute: what the gradient of the log-density recomputes instead of keeping it; see
            :meth:`set_recompute`.
        recompute_kept: steps at the latents' end for which nothing is recomputed.
        score_of: what :meth:`score` is: "gradient" of the log-density, or "conditionals", of flows
            with two orderings (:mod:`tfsep.priors.flows.orderings`).

    Raises:
        ValueError: for a ``sigma_range`` out of order, or what the layers refuse. Methods of a
            clean flow refuse a ``sigma`` likewise.
    """

    has_latents = True
    recompute: str = "none"
    recompute_kept: int = 0
    score_of: str = "gradient"

    def __init__(
        self,
        kind: str,
        front_end: FrontEnd,
        event_shape: tuple[int, ...],
        make_layers: Callable[[], list[FlowLayer]],
        sigma_range: tuple[float, float] | None,
        condition_width: int,
        dtype: str = "float32",
        floored: bool = False,
    ) -> None:
        """Create all weights; couplings start as the identity."""
        super().__init__(name=kind, dtype=dtype)
        if floored and sigma_range is None:
            raise ValueError("a flow whose noise is a floor needs a sigma_range, got None")
        if sigma_range is not None and not 0.0 < sigma_range[0] <= sigma_range[1] < math.inf:
            raise ValueError(f"sigma_range must be two positive numbers in ascending order, got {sigma_range}")
        self.kind, self.front_end, self.domain = kind, front_end, front_end.domain
        self.event_shape = tuple(event_shape)
        self.sigma_range = sigma_range
        self.smallest_sigma, self.largest_sigma = sigma_range or (0.0, 0.0)
        self.embedding = NoiseEmbedding(condition_width, dtype=dtype) if sigma_range else None
        self.flow = SequenceLayer(make_layers(), len(self.event_shape), dtype=dtype)
        self.data_std = self.flow.free_weight("data_std", 1.0, trainable=False)
        zeros = np.zeros(self.event_shape)
        self.data_mean = self.flow.free_weight("data_mean", zeros, trainable=False) if floored else None
        self.tf_dtype = self.flow.tf_dtype
        self.checkpointed = track_weights(self)
        self.built = True

    __repr__ = __str__ = Prior.__repr__

    def describe(self) -> str:
        """Return one line, what the score is included; see :class:`tfsep.priors.base.Prior`."""
        meaning = "of conditionals (pseudo-likelihood)" if self.score_of == "conditionals" else "the gradient"
        return f"{Prior.describe(self)}, score {meaning}"

    def set_recompute(self, mode: str, num_kept: int = 0) -> None:
        """Choose what gradients of the log-density recompute; before any graph is traced.

        Args:
            mode: "none" keeps all that they need; "step" keeps each step's input and evaluates its
                network twice; "inverse" keeps the latents only and inverts the steps, so that
                memory is flat in their number; "scan" does so in a loop over repeated blocks of
                steps, where XLA compiles. All give the same gradients, and no derivatives of the
                score.
            num_kept: steps at the latents' end, at least 0 (a normalisation, a mixing of channels
                and a coupling are one each), that keep what they need all the same, which takes
                memory and saves time.

        Raises:
            ValueError: for another mode or number, or steps to keep where all are kept.
        """
        if mode not in gradient.MODES:
            raise ValueError(f"recompute must be one of {', '.join(gradient.MODES)}, got {mode!r}")
        gradient.check_kept(num_kept)
        if mode == "none" and num_kept:
            raise ValueError(f"recompute_kept must be 0 where nothing is recomputed, got {num_kept}")
        self.recompute, self.recompute_kept = mode, num_kept

    def _events(self, x: TensorLike) -> tf.Tensor:
        x = tf.convert_to_tensor(x)
        x = tf.cast(x, self.tf_dtype)
        self.check_events(x)
        return x

    def _sigma(self, sigma: Sigma, x: tf.Tensor) -> tf.Tensor:
        if self.sigma_range is None:
            if sigma is not None:
                raise ValueError(f"this {self.kind} is a clean prior: sigma must be None, got {sigma}")
            return tf.zeros(tf.shape(x)[:1], x.dtype)
        return per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)

    def _condition(self, sigma: tf.Tensor) -> tf.Tensor | None:
        embedded = self.embedding(sigma) if self.embedding is not None else None
        if self.data_mean is None:
            return embedded
        relative = -0.5 * tf.math.log1p((tf.convert_to_tensor(self.data_std) / sigma) ** 2)
        return tf.concat([relative[:, tf.newaxis], embedded], axis=-1)

    def _scale(self, sigma: tf.Tensor) -> bijectors.Step:
        std = tf.convert_to_tensor(self.data_std)
        mean = None if self.data_mean is None else tf.convert_to_tensor(self.data_mean)
        return bijectors.NoiseScale(std, sigma, len(self.event_shape), self.tf_dtype, mean)

    def bijector(self, sigma: tf.Tensor) -> bijectors.Composition:
        """Return the flow at noise levels sigma (batch,), ``forward`` from latent to data."""
        steps = [self._scale(sigma), *self.flow.step(self._condition(sigma)).steps]
        return bijectors.Composition(steps, len(self.event_shape), self.tf_dtype)

    def distribution(self, sigma: tf.Tensor) -> tfd.Distribution:
        """Return the density at noise levels sigma (batch,) as a TFP distribution of batch shape (batch,).

        TFP remembers, for as long as an eager tensor lives, every bijector that it went through:
        where one tensor is evaluated over and over outside a graph, use :meth:`log_prob`, which
        remembers nothing.
        """
        base = tfd.Independent(
            tfd.Normal(tf.zeros(tf.concat([tf.shape(sigma), self.event_shape], 0), self.tf_dtype), 1.0),
            reinterpreted_batch_ndims=len(self.event_shape),
        )
        return tfd.TransformedDistribution(base, self.bijector(sigma).as_chain())

    def encode(self, x: TensorLike, sigma: Sigma | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Map data (batch,) + event_shape to latents of that shape; return these and log|det| (batch,) in nats."""
        x = self._events(x)
        sigma = self._sigma(sigma, x)
        if self.recompute == "none":
            return self.bijector(sigma).inverse_and_log_det(x)
        x, scaled = self._scale(sigma).inverse_and_log_det(x)
        chain = self.flow.chain(self._condition(sigma))
        z, log_det = gradient.inverse_and_log_det(chain, x, self.recompute, self.recompute_kept)
        return z, scaled + log_det

    def decode(self, z: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Map latent to data, the inverse of :meth:`encode`: (batch,) + event_shape -> the same."""
        z = self._events(z)
        return self.bijector(self._sigma(sigma, z)).forward_and_log_det(z)[0]

    def log_prob(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute the log-density in nats: (batch,) + event_shape -> (batch,)."""
        z, log_det = self.encode(x, sigma)
        axes = list(range(1, z.shape.rank))
        normaliser = tf.cast(0.5 * self.dimensions * np.log(2.0 * np.pi), z.dtype)
        return log_det - 0.5 * tf.reduce_sum(z**2, axes) - normaliser

    def score(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Differentiate :meth:`log_prob` in x, automatically: (batch,) + event_shape -> the same."""
        x = self._events(x)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            total = tf.reduce_sum(self.log_prob(x, sigma))
        return tape.gradient(total, x)

    def sample(self, num: int, seed: Seed, sigma: Sigma | None = None) -> tf.Tensor:
        """Decode ``num`` standard normal latents drawn from the two integers ``seed``: (num,) + event_shape."""
        shape = (num, *self.event_shape)
        return self.decode(tf.random.stateless_normal(shape, seed, dtype=self.tf_dtype, alg="philox"), sigma)

    def initialise(self, x: TensorLike, sigma: Sigma | None = None) -> None:
        """Set the data-dependent weights (scale of the data, activation normalisation) from events x.

        Call it eagerly, once, before training and before any graph is traced. Where the flow is
        noise-conditional, x must already carry noise of standard deviation sigma.
        """
        x = self._events(x)
        sigma = self._sigma(sigma, x)
        centred = x
        if self.data_mean is not None:
            column = tf.reshape(clean_variance(x, sigma) + sigma**2, [-1] + [1] * len(self.event_shape))
            self.data_mean.assign(tf.reduce_sum(x / column, 0) / tf.reduce_sum(1.0 / column, 0))
            centred = x - self.data_mean
        self.data_std.assign(tf.sqrt(clean_variance(centred, sigma)))
        self.flow.initialise(self._scale(sigma).inverse_and_log_det(x)[0], self._condition(sigma))

    def call(self, x: tf.Tensor, sigma: tf.Tensor | None = None) -> tf.Tensor:
        """Compute the log-density, as Keras' call."""
        return self.log_prob(x, sigma)


def track_weights(model: keras.Model) -> tf.train.Checkpoint:
    """Return what saves all weights: Keras 3 hides layers in lists from tf.train.Checkpoint, which would lose them."""
    return tf.train.Checkpoint(weights=[weight.value for weight in model.weights])


def clean_variance(x: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    r"""Estimate the variance v of clean events from noised ones, a scalar of at least 1e-6.

    Each example estimates v by its own mean square deviation less sigma^2, with an error of
    variance about :math:`v^2 + 2\sigma^4 / D`: how examples differ, and what noise of D dimensions
    leaves. Weighting by the inverse, and the common mean likewise, keeps the loudest noise from
    drowning a quiet source; v stands on both sides, hence the rounds.
    """
    axes = list(range(1, x.shape.rank))
    noise = 2.0 * sigma**4 / math.prod(x.shape[1:])
    variance = tf.constant(_SMALLEST_VARIANCE, x.dtype)
    for _ in range(5):
        mean = _weighted_mean(tf.reduce_mean(x, axes), 1.0 / (variance + sigma**2))
        each = tf.reduce_mean((x - mean) ** 2, axes) - sigma**2
        variance = tf.maximum(_weighted_mean(each, 1.0 / (variance**2 + noise)), _SMALLEST_VARIANCE)
    return variance


def _weighted_mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(weights * values) / tf.reduce_sum(weights)
