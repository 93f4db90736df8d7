r"""Amortised posterior: one Keras network per source, q_k(s_k | m), answers in one pass.

Network k reads the log-magnitudes of the mixture in a time-frequency plane and gives a mask logit per bin and a
log-spread per frame. The logits of all sources meet in a softmax, so the masks sum to one and the means

.. math:: a_k \mu_k = \mathrm{synthesis}\big(\mathrm{softmax}_k(l_1, \dots, l_N) \odot \mathrm{analysis}(m)\big)

explain the mixture exactly. q_k is the diagonal Gaussian :math:`\mathcal{N}(\mu_k, \mathrm{diag}(e^{2 r_k(t)}))`, whose
log-spread is interpolated from frames to samples. Segments are scaled to unit power on the way in and back on the way
out, so the answer scales with the mixture. A draw is a draw of q moved to the nearest sources that sum to the mixture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfsep import mixing
from tfsep.audio import time_frequency
from tfsep.errors import InputError
from tfsep.networks.spectral_mask import FrameMask, TemporalMask
from tfsep.posteriors.base import Posterior
from tfsep.priors.base import Prior

NETWORKS = {"frame": FrameMask, "temporal": TemporalMask}
_SMALLEST_POWER = 1e-10


class Amortised(keras.Model, Posterior):
    """N mask networks; see the module's text.

    Args:
        num_sources: N.
        segment: samples of a segment.
        gains: mixing gains; None is the mean.
        plane: "whole_segment" or "short_time".
        plane_settings: settings of the plane (frame_length, frame_step).
        network: "frame" or "temporal".
        network_settings: settings of each network (width, num_blocks, ...).
        floor: added to magnitudes before the logarithm, relative to a mixture of unit power.
        priors: not needed; accepted because every posterior is built alike.
    """

    def __init__(
        self,
        num_sources: int,
        segment: int,
        gains: Sequence[float] | None = None,
        plane: str = "whole_segment",
        plane_settings: Mapping[str, Any] | None = None,
        network: str = "frame",
        network_settings: Mapping[str, Any] | None = None,
        floor: float = 1e-3,
        priors: Sequence[Prior] | None = None,
    ) -> None:
        """Create all weights."""
        super().__init__(name="amortised")
        self.kind = "amortised"
        self.num_sources, self.segment = num_sources, segment
        self.gains = mixing.gain_vector(num_sources, gains)
        if segment < 2 or not floor > 0.0:
            raise InputError(f"segment must be at least 2 samples and floor above 0, got {segment} and {floor:g}")
        self.floor = floor
        if network not in NETWORKS:
            raise InputError(f"the network must be one of {', '.join(sorted(NETWORKS))}, got {network!r}")
        self.plane = time_frequency.build(plane, segment, **dict(plane_settings or {}))
        try:
            each = [NETWORKS[network](self.plane.num_bins, **dict(network_settings or {})) for _ in range(num_sources)]
        except TypeError as error:
            raise InputError(f"network {network!r}: {error}") from error
        self.networks = each
        self.built = True

    def call(self, mixture: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and log-spread of every q_k at the mixture's scale.

        Args:
            mixture: (batch, segment).

        Returns:
            The means of a_k s_k and the log-spreads (nats, of a_k s_k), both (batch, source, segment).
        """
        power = tf.reduce_mean(mixture**2, axis=-1, keepdims=True)
        level = tf.sqrt(tf.maximum(power, _SMALLEST_POWER))
        unit = mixture / level
        features = (tf.math.log(self.plane.magnitudes(unit) + self.floor) + 2.0) / 2.0
        outputs = tf.stack([network(features) for network in self.networks], axis=1)
        masks = tf.nn.softmax(outputs[..., :-1], axis=1)
        spectrum = self.plane.analyse(unit)[:, tf.newaxis]
        means = self.plane.synthesise(tf.cast(masks, spectrum.dtype) * spectrum)
        spread = tf.image.resize(tf.transpose(outputs[..., -1], [0, 2, 1])[..., tf.newaxis], self._time_by_source)
        spread = tf.transpose(spread[..., 0], [0, 2, 1])
        column = level[:, tf.newaxis]
        return means * column, spread + tf.math.log(column)

    @property
    def _time_by_source(self) -> tuple[int, int]:
        return self.segment, self.num_sources

    def sample(self, mixture: Any, num_samples: int, seed: Any, start: Any = None) -> tf.Tensor:
        """The means, or ``num_samples`` draws of q; see :class:`Posterior`."""
        if start is not None:
            raise InputError("posterior 'amortised' answers in one pass and takes no start")
        mixture = tf.convert_to_tensor(mixture, tf.float32)
        means, spread = self(mixture)
        column = tf.constant(self.gains)[:, tf.newaxis]
        if num_samples == 1:
            return mixing.project(mixture, means / column, self.gains)[tf.newaxis]
        shape = tf.concat([[num_samples], tf.shape(means)], axis=0)
        noise = tf.random.stateless_normal(shape, seed, alg="philox")
        return mixing.project(mixture, (means + tf.exp(spread) * noise) / column, self.gains)
