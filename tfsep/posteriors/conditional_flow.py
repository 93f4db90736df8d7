r"""A conditional flow: from white noise to the standardised error of one source's estimate, given what is known.

Affine couplings act on blocks of samples, (time / block, block), half of a block's channels
conditioning the other in turn (Dinh et al. 2017, equations 7 and 8). Each conditioner is a WaveNet
that also reads the mixture and the estimate, so the error's shape may follow them. The couplings
start as the identity, which makes the flow a Gaussian at first.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from tfsep import bijectors
from tfsep.axes import Nats, Waves
from tfsep.bijectors.masks import Mask
from tfsep.networks.refinement import fold, unfold
from tfsep.networks.wavenet import WaveNet

_EVENT_NDIMS = 2


class ConditionalFlow(keras.layers.Layer):
    """A few couplings, and the layer that owns their conditioners.

    Args:
        num_conditions: waves that condition.
        block: samples folded into channels, even.
        num_couplings: affine couplings, each half of a block in turn.
        width, num_layers: of each conditioner.
        bound: soft clamp of a log-scale, in nats.
    """

    def __init__(
        self,
        num_conditions: int,
        block: int = 16,
        num_couplings: int = 4,
        width: int = 32,
        num_layers: int = 3,
        bound: float = 2.0,
        **kwargs: object,
    ) -> None:
        """Build the weights.

        Raises:
            ValueError: for an odd block, or no coupling.
        """
        super().__init__(**kwargs)
        if block < 2 or block % 2 or num_couplings < 1:
            raise ValueError(f"block must be even and num_couplings at least 1, got {block} and {num_couplings}")
        self.block, self.bound = block, bound
        sizes = {"width": width, "num_layers": num_layers, "dtype": self.dtype_policy}
        self.conditioners = [WaveNet(block // 2 + num_conditions * block, block, **sizes) for _ in range(num_couplings)]

    def bijector(self, condition: tf.Tensor) -> bijectors.Composition:
        """Return the flow given waves (batch, condition, time).

        Its ``forward`` maps noise to an error, events of (time / block, block) both.
        """
        known = fold(condition, self.block)

        def conditioner(network: WaveNet) -> Callable[[tf.Tensor], tf.Tensor]:
            return lambda kept: network(tf.concat([kept, known], axis=-1))

        dtype = tf.as_dtype(self.compute_dtype)
        steps = [
            bijectors.Coupling(
                conditioner(network), Mask("channel", swap=bool(index % 2)), _EVENT_NDIMS, dtype, bound=self.bound
            )
            for index, network in enumerate(self.conditioners)
        ]
        return bijectors.Composition(steps, _EVENT_NDIMS, dtype)

    def shape_noise(self, noise: Waves, condition: tf.Tensor) -> tuple[Waves, Nats]:
        """Turn white noise (batch, time) into an error of the same shape; also return log|det| (batch,) in nats."""
        blocks, log_det = self.bijector(condition).forward_and_log_det(fold(noise[:, tf.newaxis], self.block))
        return unfold(blocks, self.block)[:, 0], log_det

    def whiten(self, error: Waves, condition: tf.Tensor) -> tuple[Waves, Nats]:
        """Invert :meth:`shape_noise`; also return log|det| of the inverse."""
        blocks, log_det = self.bijector(condition).inverse_and_log_det(fold(error[:, tf.newaxis], self.block))
        return unfold(blocks, self.block)[:, 0], log_det
