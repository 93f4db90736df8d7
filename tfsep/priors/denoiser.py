r"""Score prior: a denoiser trained at every noise level, a prior that has a score and no density.

A network F is wrapped so that its inputs and targets have unit variance at every noise level,

.. math:: D(y, \sigma) = c_{skip}\, y + c_{out}\, F(c_{in}\, y, \sigma), \qquad
          c_{skip} = \frac{\sigma_d^2}{\sigma^2 + \sigma_d^2}, \quad
          c_{out} = \frac{\sigma \sigma_d}{\sqrt{\sigma^2 + \sigma_d^2}}, \quad
          c_{in} = \frac{1}{\sqrt{\sigma^2 + \sigma_d^2}},

with the data's standard deviation :math:`\sigma_d`, and trained to return the clean event. The
optimum is the posterior mean, so the score is :math:`(D(y, \sigma) - y) / \sigma^2` (Tweedie's
formula). Over waves F reads the log-spectrum and sets gains, of one frame, then corrects the result in
the time domain, or of short-time frames; over spectrograms it is a stack of gated convolutions.

Sources: Vincent 2011 (denoising score matching); Karras et al. 2022 (EDM), table 1, equation 7 and,
for samples, algorithm 1.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

import keras
import tensorflow as tf

from tfsep.audio.front_end import FrontEnd
from tfsep.axes import Seed, Sigma, TensorLike
from tfsep.errors import InputError
from tfsep.networks.noise_embedding import NoiseEmbedding
from tfsep.networks.retrieval import Retrieval
from tfsep.networks.short_time_gain import ShortTimeGain
from tfsep.networks.spectral_gain import SpectralGain
from tfsep.priors.base import Prior, broadcast_to_event, per_example_sigma
from tfsep.priors.flows.conditioners import NetworkSettings, network_arguments
from tfsep.priors.flows.flow import clean_variance
from tfsep.priors.stacked import Stackable

WAVE_NETWORKS: dict[str, type[keras.layers.Layer]] = {
    "spectral_gain": SpectralGain,
    "retrieval": Retrieval,
    "short_time_gain": ShortTimeGain,
}
NETWORKS = (*WAVE_NETWORKS, "convolutions")
_RHO = 7.0


@dataclass(frozen=True, kw_only=True)
class DenoiserSettings(NetworkSettings):
    """Settings of a score prior, those of its network among them; None is the network's own default.

    Attributes:
        network: over waves "spectral_gain", "retrieval" or "short_time_gain"; "convolutions"
            (WaveNet or gated 2-D convolutions) over any events.
        width: hidden units or channels of the network; None is 128 in "spectral_gain" and
            "retrieval", 160 in "short_time_gain", 48 in a WaveNet and 32 in gated convolutions.
        dilation_cycle: of "short_time_gain" and a WaveNet: layers after which the dilation starts
            again from 1; None is 4 and 6.
        precision: of "convolutions": what the network computes in, "bfloat16" for a float32 prior;
            None is ``dtype``.
        num_blocks: residual blocks; None is 2 in "spectral_gain" and 6 in "short_time_gain".
        local_width: of "spectral_gain": channels of its WaveNet, 0 for none; None is 48.
        local_layers: of "spectral_gain": gated layers of its WaveNet; None is 3.
        local_block: of "spectral_gain": samples that are one position of its WaveNet; None is 8.
        num_atoms: of "retrieval": learned spectra, at least 1; None is 256.
        frame_length: of "short_time_gain": samples of a frame; None is 2048.
        frame_step: of "short_time_gain": samples from one frame to the next; None is 512.
        sigma_range: smallest and largest noise level, in units of the features.
        condition_width: size of the embedded noise level, at least 1.
        num_sampling_steps: steps of :meth:`ScorePrior.sample`, at least 1.
        background: whether the prior is trained with sums of other sources in place of white
            noise. It then computes the mean of its source given the sum of that source and such
            sounds, which yields no score: ``has_score`` is False.
        dtype: "float32" or "float64".
    """

    network: str | None = "spectral_gain"
    num_blocks: int | None = None
    local_width: int | None = None
    local_layers: int | None = None
    local_block: int | None = None
    num_atoms: int | None = None
    frame_length: int | None = None
    frame_step: int | None = None
    sigma_range: tuple[float, float] = (0.01, 1.0)
    condition_width: int = 32
    num_sampling_steps: int = 24
    background: bool = False
    dtype: str = "float32"

    network_fields: ClassVar[tuple[str, ...]] = (
        *NetworkSettings.network_fields,
        "num_blocks",
        "local_width",
        "local_layers",
        "local_block",
        "num_atoms",
        "frame_length",
        "frame_step",
    )

    def build_network(self, event_shape: tuple[int, ...]) -> keras.layers.Layer:
        """Build the network, from (batch,) + event_shape and the embedded noise level to the same shape.

        Raises:
            ValueError: for an unknown network, one that does not suit the events, or a setting that
                it does not have.
        """
        if self.network not in NETWORKS:
            raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {self.network!r}")
        if self.network == "convolutions":
            usual = dataclasses.replace(self, network=None)
            return usual.network_factory(event_shape, self.condition_width, self.dtype)(1, 1)
        if len(event_shape) != 2:
            raise ValueError(f"network {self.network!r} reads waves (time, 1); over spectrograms take 'convolutions'")
        if self.precision is not None:
            raise ValueError(f"precision must be None for network {self.network!r}, got {self.precision!r}")
        layer = WAVE_NETWORKS[self.network]
        arguments = network_arguments(self.network, layer, self.given_to_network())
        return layer(event_shape[0], 1, condition_width=self.condition_width, dtype=self.dtype, **arguments)

    def build(self, front_end: FrontEnd, event_shape: tuple[int, ...]) -> ScorePrior:
        """Build the untrained prior; see :class:`ScorePrior`."""
        return ScorePrior(front_end, event_shape, self)


class ScorePrior(keras.Model, Stackable):
    """A denoiser as a prior; see the module's text.

    Args:
        front_end: from waveforms to features.
        event_shape: (time, 1) or (frame, bin, 1).
        settings: of the prior and its network.

    Raises:
        ValueError: for an unknown network, one that does not suit the events, or noise levels out
            of order.
    """

    kind = "score"
    has_log_prob = False
    __repr__ = __str__ = Prior.__repr__

    def __init__(self, front_end: FrontEnd, event_shape: tuple[int, ...], settings: DenoiserSettings) -> None:
        """Create all weights; the network's output starts at zero."""
        super().__init__(name="score", dtype=settings.dtype)
        low, high = settings.sigma_range
        if not 0.0 < low < high < math.inf:
            raise ValueError(f"sigma_range must be two positive numbers in ascending order, got {settings.sigma_range}")
        self.front_end, self.domain, self.event_shape = front_end, front_end.domain, tuple(event_shape)
        self.sigma_range = (low, high)
        self.smallest_sigma, self.largest_sigma = low, high
        self.num_sampling_steps, self.has_score = settings.num_sampling_steps, not settings.background
        self.tf_dtype = tf.as_dtype(settings.dtype)
        self.embedding = NoiseEmbedding(settings.condition_width, dtype=settings.dtype)
        self.network = settings.build_network(self.event_shape)
        one = keras.initializers.Constant(1.0)
        self.data_std = self.add_weight(shape=(), initializer=one, trainable=False, name="data_std")
        # Keras 3 hides layers in lists from tf.train.Checkpoint, which would silently save nearly nothing.
        self.checkpointed = tf.train.Checkpoint(weights=[weight.value for weight in self.weights])
        self.built = True

    def initialise(self, x: TensorLike, sigma: Sigma | None = None) -> None:
        """Set the data's standard deviation from events that carry noise of standard deviation sigma."""
        x = tf.cast(tf.convert_to_tensor(x), self.tf_dtype)
        level = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        self.data_std.assign(tf.sqrt(clean_variance(x, level)))

    def denoise(self, x: TensorLike, sigma: Sigma) -> tf.Tensor:
        """Compute the posterior mean of the clean event: (batch,) + event_shape -> the same."""
        x = tf.cast(tf.convert_to_tensor(x), self.tf_dtype)
        self.check_events(x)
        level = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        noise, clean = broadcast_to_event(level, x), tf.convert_to_tensor(self.data_std)
        total = tf.sqrt(noise**2 + clean**2)
        output = self.network(x / total, self.embedding(level))
        return (clean / total) ** 2 * x + noise * clean / total * output

    def score(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute (D(x, sigma) - x) / sigma^2: (batch,) + event_shape -> the same."""
        x = tf.cast(tf.convert_to_tensor(x), self.tf_dtype)
        level = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        return (self.denoise(x, level) - x) / broadcast_to_event(level, x) ** 2

    def log_prob(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Refuse: this prior has no density.

        Raises:
            InputError: always.
        """
        raise InputError("prior 'score' has a score and a denoiser but no density: it has no log_prob")

    def loss_weight(self, sigma: tf.Tensor) -> tf.Tensor:
        """Return (sigma^2 + data_std^2) / (sigma data_std)^2, which turns errors of D into errors of F: (batch,)."""
        clean = tf.convert_to_tensor(self.data_std)
        return (sigma**2 + clean**2) / (sigma * clean) ** 2

    def sample(self, num: int, seed: Seed, sigma: Sigma | None = None) -> tf.Tensor:
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
        levels = [(ends[0] + step / count * (ends[1] - ends[0])) ** _RHO for step in range(count + 1)]
        noise = tf.random.stateless_normal((num, *self.event_shape), seed, dtype=self.tf_dtype, alg="philox")
        start = tf.sqrt(levels[0] ** 2 + tf.convert_to_tensor(self.data_std) ** 2) * noise
        sigmas = tf.constant(levels, self.tf_dtype)

        def heun(step: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            here, there = sigmas[step], sigmas[step + 1]
            slope = (x - self.denoise(x, here)) / here
            euler = x + (there - here) * slope
            end_slope = (euler - self.denoise(euler, there)) / there
            return step + 1, x + (there - here) * 0.5 * (slope + end_slope)

        return tf.while_loop(lambda step, _: step < count, heun, (0, start), parallel_iterations=1)[1]

    def call(self, x: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
        """Denoise, as Keras' call."""
        return self.denoise(x, sigma)
