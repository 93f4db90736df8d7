r"""Amortised posterior: one Keras network per source, q_k(s_k | m), evaluated in one pass.

The networks may share their body: "unet", "trunk" and "bands" are one network with an output for
each source. The input of network k is the log-magnitudes of the mixture in a time-frequency plane, its output a
mask logit per bin and a log-spread per frame. The logits of all sources go through a softmax, so
the masks sum to one and the means

.. math:: a_k \mu_k = \mathrm{synthesis}\big(\mathrm{softmax}_k(l_1, \dots, l_N) \odot \mathrm{analysis}(m)\big)

explain the mixture exactly; so they do after ``refine``, whose correction of the waves is projected
on what does not change the mixture. q_k is :math:`\mu_k + e^{r_k(t)} u` at mixture scale, where u
is white noise (family "gaussian": a diagonal Gaussian) or white noise through a conditional flow
(family "flow"), and the log-spread is interpolated from frames to samples. With masks "free" each
is the sigmoid of its own logit: the means may leave some of the mixture unexplained, or explain it
twice, during training by the evidence lower bound, and estimates are moved to the nearest sources
that sum to the mixture. Segments are scaled to unit power, and the estimates back, so an estimate
scales with the mixture. With ``rumble_period`` what is below the audible range, constant offsets
included, is taken away before (rumble.py) and each source gets its share 1/N of it: it changes
neither level nor masks. A draw is a draw of q, its deviation from the mean times the source's
``temperature``, moved to the nearest sources that sum to the mixture. Each of K draws of one call
is such a draw, and they are centred, :math:`\sqrt{K / (K - 1)}\,(u_i - \bar u)` in place of the
noise u_i: their mean is the estimate itself, without the noise that K independent draws would leave
in it. (Draws of the family "flow" are independent.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import tensorflow as tf

from tfsep import mixing
from tfsep.audio import time_frequency
from tfsep.audio.rumble import split_rumble
from tfsep.axes import Nats, Seed, Sources, TensorLike, Waves
from tfsep.errors import InputError
from tfsep.networks.band_mask import BandMask
from tfsep.networks.spectral_mask import FrameMask, TemporalMask, TrunkMask
from tfsep.networks.unet_mask import UNetMask
from tfsep.posteriors.base import Posterior
from tfsep.priors.base import Prior
from tfsep.runtime.stateless_random import normal, seeds_of_draws, seeds_of_rows

if TYPE_CHECKING:
    from tfsep.networks.refinement import WaveRefinement
    from tfsep.posteriors.conditional_flow import ConditionalFlow

#: Arguments of a part, which checks them.
PartSettings: TypeAlias = Mapping[str, Any]

NETWORKS = {"frame": FrameMask, "temporal": TemporalMask}
JOINT_NETWORKS = {"unet": UNetMask, "trunk": TrunkMask, "bands": BandMask}
FAMILIES = ("gaussian", "flow")
MASKS = ("shared", "free")
_SMALLEST_POWER = 1e-10
_LOG_PEAK = 0.5 * math.log(math.tau)


class Amortised(keras.Model, Posterior):
    """N mask networks and the density around their estimates; see the module's text.

    Args:
        num_sources: N.
        segment: samples of a segment.
        gains: mixing gains; None is the mean.
        plane: "whole_segment" or "short_time".
        plane_settings: settings of the plane (frame_length, frame_step).
        network: "frame" or "temporal", one for each source; "unet", "trunk" or "bands", one for all
            sources.
        network_settings: settings of each network (width, num_blocks, ...).
        precision: what the networks compute in, such as "mixed_bfloat16"; None is float32.
        rumble_period: samples of the longest audible period (sample rate over 15 Hz, say); None
            takes nothing away.
        masks: "shared", which sum to one, or "free".
        floor: added to magnitudes before the logarithm, relative to a mixture of unit power.
        family: "gaussian" or "flow".
        family_settings: of each source's conditional flow (block, num_couplings, width, ...).
        refine: settings of the waveform refinement (block, width, num_layers, ...); None for
            masks alone.
        temperature: factor of each source's spread in draws, fitted so that 90 % intervals cover
            90 % of the true values; None is 1.
        priors: not needed; accepted because every posterior is built alike.

    Raises:
        InputError: for an unknown name, a setting out of its range, or blocks that do not divide
            the segment.
    """

    def __init__(
        self,
        num_sources: int,
        segment: int,
        gains: Sequence[float] | None = None,
        plane: str = "whole_segment",
        plane_settings: PartSettings | None = None,
        network: str = "frame",
        network_settings: PartSettings | None = None,
        precision: str | None = None,
        rumble_period: int | None = None,
        masks: str = "shared",
        floor: float = 1e-3,
        family: str = "gaussian",
        family_settings: PartSettings | None = None,
        refine: PartSettings | None = None,
        temperature: Sequence[float] | None = None,
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
        known = sorted([*NETWORKS, *JOINT_NETWORKS])
        if network not in known:
            raise InputError(f"the network must be one of {', '.join(known)}, got {network!r}")
        if rumble_period is not None and rumble_period < 2:
            raise InputError(f"rumble_period must be at least 2 samples or None, got {rumble_period}")
        self.rumble_period = rumble_period
        if family not in FAMILIES:
            raise InputError(f"the family must be one of {', '.join(FAMILIES)}, got {family!r}")
        if family == "gaussian" and family_settings:
            raise InputError(f"the family 'gaussian' has no settings, got {', '.join(family_settings)}")
        if masks not in MASKS:
            raise InputError(f"the masks must be one of {', '.join(MASKS)}, got {masks!r}")
        self.family, self.masks = family, masks
        self.temperature = _checked_temperature(temperature, num_sources)
        self.plane = time_frequency.build(plane, segment, **dict(plane_settings or {}))
        given = {**({} if precision is None else {"dtype": precision}), **dict(network_settings or {})}
        try:
            if network in JOINT_NETWORKS:
                self.networks = [JOINT_NETWORKS[network](self.plane.num_bins, num_sources, **given)]
            else:
                self.networks = [NETWORKS[network](self.plane.num_bins, **given) for _ in range(num_sources)]
        except TypeError as error:
            raise InputError(f"network {network!r}: {error}") from error
        self.low_length, self.low_bins = (getattr(self.networks[0], name, 0) for name in ("low_length", "low_bins"))
        if self.low_bins:
            self.plane.check_low(self.low_length, self.low_bins)
        self.refinement = None if refine is None else _refinement(num_sources, refine)
        self.flows = _flows(num_sources, family_settings or {}) if family == "flow" else []
        blocks = [flow.block for flow in self.flows] + ([self.refinement.block] if self.refinement else [])
        for block in blocks:
            if segment % block:
                raise InputError(f"block must divide the segment of {segment} samples, got {block}")
        self.built = True

    def call(self, mixture: Waves) -> tuple[Sources, Sources]:
        """Compute mean and log-spread of every q_k at the mixture's scale.

        Args:
            mixture: (batch, segment).

        Returns:
            The means of a_k s_k and the log-spreads (nats, of a_k s_k), both (batch, source,
            segment).
        """
        if self.rumble_period is None:
            return self._of_audible(mixture)
        low, rest = split_rumble(mixture, self.rumble_period)
        means, spread = self._of_audible(rest)
        return means + low[:, tf.newaxis] / self.num_sources, spread

    def _of_audible(self, mixture: Waves) -> tuple[Sources, Sources]:
        """Compute what :meth:`call` returns for a mixture without rumble."""
        level = _level(mixture)
        unit = mixture / level
        outputs = self._outputs(unit)
        logits = outputs[..., :-1]
        masks = tf.nn.softmax(logits, axis=1) if self.masks == "shared" else tf.sigmoid(logits)
        spectrum = self.plane.analyse(unit)[:, tf.newaxis]
        means = self.plane.synthesise(tf.cast(masks, spectrum.dtype) * spectrum)
        if self.refinement is not None:
            means += self._mixture_preserving(self.refinement(tf.concat([unit[:, tf.newaxis], means], axis=1)))
        spread = tf.image.resize(tf.transpose(outputs[..., -1], [0, 2, 1])[..., tf.newaxis], self._time_by_source)
        spread = tf.transpose(spread[..., 0], [0, 2, 1])
        column = level[:, tf.newaxis]
        return means * column, spread + tf.math.log(column)

    def _outputs(self, unit: Waves) -> tf.Tensor:
        """Return the networks' outputs for mixtures of unit power: (batch, source, frame, bin + 1) float32."""
        features = (tf.math.log(self.plane.magnitudes(unit) + self.floor) + 2.0) / 2.0
        if self.low_bins:
            low = self.plane.low_magnitudes(unit, self.low_length, self.low_bins)
            return tf.cast(self.networks[0](features, (tf.math.log(low + self.floor) + 2.0) / 2.0), tf.float32)
        if len(self.networks) < self.num_sources:
            return tf.cast(self.networks[0](features), tf.float32)
        return tf.stack([tf.cast(network(features), tf.float32) for network in self.networks], axis=1)

    def _mixture_preserving(self, change: tf.Tensor) -> tf.Tensor:
        """Return a change of the means (batch, source, segment) without the part that would change the mixture."""
        column = tf.constant(self.gains)[:, tf.newaxis]
        return column * mixing.project_tangent(change / column, self.gains)

    @property
    def _time_by_source(self) -> tuple[int, int]:
        """Return (segment, num_sources), the size to which spreads are interpolated."""
        return self.segment, self.num_sources

    def draw(self, mixture: Waves, num_samples: int, seed: Seed) -> tuple[tf.Tensor, tf.Tensor]:
        """Draw from q as it is trained, reparameterised: no temperature, no projection.

        Args:
            mixture: (batch, segment).
            num_samples: how many.
            seed: two integers.

        Returns:
            Draws of a_k s_k (num_samples, batch, source, segment), and log q_k of each in nats over
            a_k s_k, (num_samples, batch, source).
        """
        means, spread = self(mixture)
        noise = normal(tf.concat([[num_samples], tf.shape(means)], axis=0), tf.cast(seed, tf.int32))
        error, log_det = self._errors(mixture, means, noise)
        log_q = -tf.reduce_sum(0.5 * noise**2 + _LOG_PEAK + spread, axis=-1) - log_det
        return means + tf.exp(spread) * error, log_q

    def _errors(self, mixture: Waves, means: Sources, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Shape white noise to standardised errors, and return them with log|det| of the map.

        Their shapes are (num_samples, batch, source, segment), as the noise has it, of log|det|
        without the segment.
        """
        shape = tf.shape(noise)
        num_samples = shape[0]
        if not self.flows:
            return noise, tf.zeros(shape[:-1])
        known = self._known(mixture, means)
        pairs = [
            flow.shape_noise(tf.reshape(noise[:, :, k], [-1, self.segment]), tf.tile(known[:, k], [num_samples, 1, 1]))
            for k, flow in enumerate(self.flows)
        ]
        error = tf.stack([tf.reshape(wave, [num_samples, -1, self.segment]) for wave, _ in pairs], axis=2)
        return error, tf.stack([tf.reshape(log_det, [num_samples, -1]) for _, log_det in pairs], axis=2)

    def _known(self, mixture: Waves, means: Sources) -> tf.Tensor:
        """Return what conditions each source's flow, mixture and mean at unit power: (batch, source, 2, segment)."""
        level = _level(mixture)[:, tf.newaxis]
        whole = tf.broadcast_to(mixture[:, tf.newaxis] / level, tf.shape(means))
        return tf.stack([whole, means / level], axis=2)

    def log_prob_of_error(self, mixture: Waves, means: Sources, spread: Sources, error: Sources) -> Nats:
        """Return log q_k of means + error, in nats over a_k s_k, from what :meth:`call` returned for the mixture.

        Args:
            mixture: (batch, segment).
            means, spread, error: (batch, source, segment).

        Returns:
            (batch, source).
        """
        unit = error * tf.exp(-spread)
        log_det = tf.zeros(tf.shape(unit)[:-1])
        if self.flows:
            known = self._known(mixture, means)
            pairs = [flow.whiten(unit[:, k], known[:, k]) for k, flow in enumerate(self.flows)]
            unit = tf.stack([white for white, _ in pairs], axis=1)
            log_det = tf.stack([log_det for _, log_det in pairs], axis=1)
        return log_det - tf.reduce_sum(0.5 * unit**2 + _LOG_PEAK + spread, axis=-1)

    @property
    def has_spread(self) -> bool:
        """Return True: its densities are trained, and their width is fitted."""
        return True

    def sample(self, mixture: TensorLike, num_samples: int, seed: Seed, start: TensorLike | None = None) -> tf.Tensor:
        """Return the means, or ``num_samples`` draws of q; see :class:`Posterior`."""
        if start is not None:
            raise InputError("posterior 'amortised' estimates in one pass and accepts no start")
        mixture = tf.convert_to_tensor(mixture, tf.float32)
        means, spread = self(mixture)
        column = tf.constant(self.gains)[:, tf.newaxis]
        if num_samples == 1:
            return mixing.project(mixture, means / column, self.gains)[tf.newaxis]
        seeds = seeds_of_draws(seeds_of_rows(seed, tf.shape(mixture)[0]), num_samples)
        noise = normal(tf.concat([tf.shape(seeds)[:1], [self.num_sources, self.segment]], axis=0), seeds)
        error, _ = self._errors(mixture, means, tf.reshape(noise, [num_samples, -1, self.num_sources, self.segment]))
        if not self.flows:
            centred = error - tf.reduce_mean(error, axis=0, keepdims=True)
            error = math.sqrt(num_samples / (num_samples - 1)) * centred
        scale = tf.exp(spread) * tf.constant(self.temperature)[:, tf.newaxis]
        return mixing.project(mixture, (means + scale * error) / column, self.gains)


def _level(mixture: Waves) -> tf.Tensor:
    """Return the root mean square of each segment, at least 10^-5: (batch, segment) -> (batch, 1)."""
    power = tf.reduce_mean(mixture**2, axis=-1, keepdims=True)
    return tf.sqrt(tf.maximum(power, _SMALLEST_POWER))


def _refinement(num_sources: int, settings: PartSettings) -> WaveRefinement:
    """Build the waveform refinement, which few models have."""
    from tfsep.networks.refinement import WaveRefinement

    return WaveRefinement(num_sources, **dict(settings))


def _checked_temperature(temperature: Sequence[float] | None, num_sources: int) -> tuple[float, ...]:
    """Return one temperature for each source, 1 where none are given."""
    if temperature is None:
        return (1.0,) * num_sources
    values = tuple(float(value) for value in temperature)
    if len(values) != num_sources or not all(0.0 < value < math.inf for value in values):
        raise InputError(f"temperature must be a number above 0 for each of the {num_sources} sources, got {values}")
    return values


def _flows(num_sources: int, settings: PartSettings) -> list[ConditionalFlow]:
    """Return a conditional flow per source; TensorFlow Probability is imported for this family only."""
    from tfsep.posteriors.conditional_flow import ConditionalFlow

    return [ConditionalFlow(2, **settings) for _ in range(num_sources)]
