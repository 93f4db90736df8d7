r"""Score prior: a denoiser trained at every noise level, a prior that has a score and no density.

A network F is wrapped so that its inputs and targets have unit variance at every noise level,

.. math:: D(y, \sigma) = c_{skip}\, y + c_{out}\, F(c_{in}\, y, \sigma), \qquad
          c_{skip} = \frac{\sigma_d^2}{\sigma^2 + \sigma_d^2}, \quad
          c_{out} = \frac{\sigma \sigma_d}{\sqrt{\sigma^2 + \sigma_d^2}}, \quad
          c_{in} = \frac{1}{\sqrt{\sigma^2 + \sigma_d^2}},

with the data's standard deviation :math:`\sigma_d`, and trained to return the clean event. The optimum is the
posterior mean, so the score is :math:`(D(y, \sigma) - y) / \sigma^2` (Tweedie's formula). Over waves F reads the
log-spectrum and sets gains, of one frame, then mends the result in the time domain, or of short-time frames; over
spectrograms it is a stack of gated convolutions.

Sources: Vincent 2011 (denoising score matching); Karras et al. 2022 (EDM), table 1, equation 7 and, for samples,
algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfsep.audio.front_end import FrontEnd
from tfsep.errors import InputError
from tfsep.networks.noise_embedding import NoiseEmbedding
from tfsep.networks.retrieval import Retrieval
from tfsep.networks.short_time_gain import ShortTimeGain
from tfsep.networks.spectral_gain import SpectralGain
from tfsep.priors.base import Prior, broadcast_to_event, per_example_sigma
from tfsep.priors.flows.conditioners import network_factory
from tfsep.priors.flows.flow import clean_variance
from tfsep.priors.stacked import Stackable

WAVE_NETWORKS: dict[str, Callable[..., keras.layers.Layer]] = {
    "spectral_gain": SpectralGain,
    "retrieval": Retrieval,
    "short_time_gain": ShortTimeGain,
}
NETWORKS = (*WAVE_NETWORKS, "convolutions")
_RHO = 7.0


class ScorePrior(keras.Model, Stackable):
    """A denoiser as a prior; see the module's text.

    Args:
        front_end: from waveforms to features.
        event_shape: (time, 1) or (frame, bin, 1).
        network: over waves "spectral_gain", "retrieval" or "short_time_gain"; "convolutions" (WaveNet or gated 2-D
            convolutions) over any events.
        sigma_range: smallest and largest noise level, in units of the features.
        condition_width: size of the embedded noise level.
        num_sampling_steps: steps of :meth:`sample`.
        background: whether other sounds take the place of white noise in its training. It is then the mean of the
            source given its sum with such sounds, which is no score: ``has_score`` is False.
        dtype: "float32" or "float64".
        settings: of the network.

    Raises:
        ValueError: for an unknown network, one that does not suit the events, or noise levels out of order.
    """

    kind = "score"
    has_log_prob = False
    __repr__ = __str__ = Prior.__repr__

    def __init__(
        self,
        front_end: FrontEnd,
        event_shape: tuple[int, ...],
        network: str = "spectral_gain",
        sigma_range: tuple[float, float] = (0.01, 1.0),
        condition_width: int = 32,
        num_sampling_steps: int = 24,
        background: bool = False,
        dtype: str = "float32",
        **settings: Any,
    ) -> None:
        """Create all weights; the network's output starts at zero."""
        super().__init__(name="score", dtype=dtype)
        if network not in NETWORKS:
            raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {network!r}")
        if network != "convolutions" and len(event_shape) != 2:
            raise ValueError(f"network {network!r} reads waves (time, 1); over spectrograms take 'convolutions'")
        if not 0.0 < sigma_range[0] < sigma_range[1] < math.inf:
            raise ValueError(f"sigma_range must be two positive numbers in ascending order, got {sigma_range}")
        self.front_end, self.domain, self.event_shape = front_end, front_end.domain, tuple(event_shape)
        self.sigma_range = (sigma_range[0], sigma_range[1])
        self.smallest_sigma, self.largest_sigma = sigma_range
        self.num_sampling_steps, self.has_score = num_sampling_steps, not background
        self.tf_dtype = tf.as_dtype(dtype)
        self.embedding = NoiseEmbedding(condition_width, dtype=dtype)
        if network == "convolutions":
            self.network = network_factory(self.event_shape, condition_width, dtype, **settings)(1, 1)
        else:
            build = WAVE_NETWORKS[network]
            self.network = build(self.event_shape[0], 1, condition_width=condition_width, dtype=dtype, **settings)
        one = keras.initializers.Constant(1.0)
        self.data_std = self.add_weight(shape=(), initializer=one, trainable=False, name="data_std")
        # Keras 3 hides layers in lists from tf.train.Checkpoint, which would save nearly nothing and say nothing.
        self.checkpointed = tf.train.Checkpoint(weights=[weight.value for weight in self.weights])
        self.built = True

    def initialise(self, x: Any, sigma: Any = None) -> None:
        """Set the data's standard deviation from events that carry noise of standard deviation sigma."""
        x = tf.cast(tf.convert_to_tensor(x), self.tf_dtype)
        level = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        self.data_std.assign(tf.sqrt(clean_variance(x, level)))

    def denoise(self, x: Any, sigma: Any) -> tf.Tensor:
        """Posterior mean of the clean event: (batch,) + event_shape -> the same."""
        x = tf.cast(tf.convert_to_tensor(x), self.tf_dtype)
        self.check_events(x)
        level = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        noise, clean = broadcast_to_event(level, x), tf.convert_to_tensor(self.data_std)
        total = tf.sqrt(noise**2 + clean**2)
        answer = self.network(x / total, self.embedding(level))
        return (clean / total) ** 2 * x + noise * clean / total * answer

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        """(D(x, sigma) - x) / sigma^2: (batch,) + event_shape -> the same."""
        x = tf.cast(tf.convert_to_tensor(x), self.tf_dtype)
        level = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        return (self.denoise(x, level) - x) / broadcast_to_event(level, x) ** 2

    def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
        """Refused: this prior has no density.

        Raises:
            InputError: always.
        """
        raise InputError("prior 'score' has a score and a denoiser but no density: log_prob cannot be asked of it")

    def loss_weight(self, sigma: tf.Tensor) -> tf.Tensor:
        """(sigma^2 + data_std^2) / (sigma data_std)^2, under which errors at all levels are errors of F: (batch,)."""
        clean = tf.convert_to_tensor(self.data_std)
        return (sigma**2 + clean**2) / (sigma * clean) ** 2

    def sample(self, num: int, seed: Any, sigma: Any = None) -> tf.Tensor:
        """Draw by the probability-flow equation in Heun's steps (Karras et al. 2022, algorithm 1).

        Args:
            num: events.
            seed: two integers.
            sigma: noise level at which the draws end, a number; None is ``smallest_sigma``.

        Returns:
            (num,) + event_shape.
        """
        last = self.smallest_sigma if sigma is None else float(sigma)
        count = self.num_sampling_steps
        ends = [self.largest_sigma ** (1.0 / _RHO), last ** (1.0 / _RHO)]
        levels = [(ends[0] + place / count * (ends[1] - ends[0])) ** _RHO for place in range(count + 1)]
        noise = tf.random.stateless_normal((num, *self.event_shape), seed, dtype=self.tf_dtype, alg="philox")
        start = tf.sqrt(levels[0] ** 2 + tf.convert_to_tensor(self.data_std) ** 2) * noise
        sigmas = tf.constant(levels, self.tf_dtype)

        def step(place: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            here, there = sigmas[place], sigmas[place + 1]
            slope = (x - self.denoise(x, here)) / here
            euler = x + (there - here) * slope
            end_slope = (euler - self.denoise(euler, there)) / there
            return place + 1, x + (there - here) * 0.5 * (slope + end_slope)

        return tf.while_loop(lambda place, _: place < count, step, (0, start), parallel_iterations=1)[1]

    def call(self, x: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
        """Keras' call: the denoiser."""
        return self.denoise(x, sigma)


def score(front_end: FrontEnd, event_shape: tuple[int, ...], **settings: Any) -> ScorePrior:
    """Build :class:`ScorePrior`."""
    return ScorePrior(front_end, event_shape, **settings)
