r"""Layers of a spectral RealNVP: what the bijectors of its levels are made of at every noise level.

A level predicts the bins of one half by a network and the mean powers P of the bins
(:class:`SpectralCouplingLayer`). One with a note adds the bins T of a learned period
(:mod:`tfsep.priors.flows.periodic_template`) and leaves the network little room beside it,

.. math:: t_b = T_b + \frac{r_b}{r_b + E_b} \sum_j w_{bj} (X_j - T_j), \qquad
          e^{-a_b} = e^{-a'_b} + \sigma^2 / r_b, \qquad
          r_b = \overline{|T|^2}_b + S_b + (1 - c + \beta) P_b,

where :math:`a'` is the network's log-ratio, :math:`\overline{|T|^2}_b` and :math:`E_b` are energies per
real coordinate of the note and of what it leaves in the given bins, both averaged over three bins,
S is the variance among the likeliest notes, c the probability of these, and :math:`\beta` a learned
share of the mean power, .001 at first. So a loud sound beside the note, which no training example
has, moves neither shift nor variance: the prior takes one note out of a mixture and leaves the rest
to the other sources.
"""

from __future__ import annotations

import math
from typing import Unpack

import numpy as np
import tensorflow as tf

from tfsep import bijectors
from tfsep.networks.layer_arguments import LayerArguments
from tfsep.networks.spectral_predictor import SpectralPredictor, neighbours
from tfsep.priors.flows.flow_layers import FlowLayer
from tfsep.priors.flows.periodic_template import PeriodicTemplate, Template

# Of the mean power: where one batch shows none, a smaller one would stop the gradients of the log-ratios.
_SMALLEST_POWER = 1e-3
_SMOOTHED_BINS = 9
_FAR_BINS = 129
_SMALLEST_SHARE = 0.1
_NEAR_BINS = 15
# Steps of the optimiser are of one size for all weights; these are logarithms that move far.
_BACKGROUND_UNIT = 10.0
_POWER_UNIT = 5.0
_FIRST_BACKGROUND = 1e-3
# Of the noise: the logarithm of what is left to the network stays finite.
_SMALLEST_ROOM = 1e-6


class RealFourierLayer(FlowLayer):
    """Keras layer for :class:`tfsep.bijectors.RealFourier` with ``num_parts``; it has no weights."""

    def __init__(self, event_ndims: int, num_parts: int, **kwargs: Unpack[LayerArguments]) -> None:
        """Set the number of parts."""
        super().__init__(event_ndims, **kwargs)
        self.num_parts = num_parts

    def step(self, condition: tf.Tensor | None) -> bijectors.Step:
        """Return the bijector; the condition has no influence."""
        return bijectors.RealFourier(self.tf_dtype, self.num_parts)


class SpectralCouplingLayer(FlowLayer):
    """Keras layer for :class:`tfsep.bijectors.SpectralCoupling`: a network and the mean powers of the bins.

    Args:
        network: predicts one half of the bins of this level from the other.
        stride: distance of the bins of each half.
        template: the period that joins the shifts; the network then has one gate and the features
            of :func:`fit_features` and the template.
    """

    def __init__(
        self,
        network: SpectralPredictor,
        stride: int,
        template: PeriodicTemplate | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        """Create the powers of both halves, or of the half that is predicted; only the first level mirrors."""
        super().__init__(2, **kwargs)
        self.network, self.stride, self.mirrors, self.template = network, stride, stride == 2, template
        self.log_power = self.free_weight("log_power", np.zeros((1 + self.mirrors, network.num_bins, 2)))
        width = network.get_config()["condition_width"]
        self.flag = self.free_weight("flag", np.zeros(width)) if self.mirrors else None
        if template is not None:
            start = math.log(_FIRST_BACKGROUND) / _BACKGROUND_UNIT
            self.log_background = self.free_weight("background", start)

    def step(self, condition: tf.Tensor | None, mirrored: bool = False) -> bijectors.SpectralCoupling:
        """Return the bijector at the noise level that is the first entry of the condition (batch, 1 + condition_width).

        Args:
            condition: sigma and its embedding.
            mirrored: predict the first half from the second; of the first level only.
        """
        sigma, embedded = split_condition(condition)
        if self.flag is not None:
            flag = tf.convert_to_tensor(self.flag)
            embedded = embedded + (-flag if mirrored else flag)
        target, given = (0, self.stride // 2) if mirrored else (self.stride // 2, 0)
        num = self.network.num_neighbours
        first = -(num // 2) if mirrored else 1 - (num + 1) // 2
        log_power = _POWER_UNIT * tf.convert_to_tensor(self.log_power)[int(mirrored)]

        template = self.template

        def predict(bins: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            power = relative_power(log_power, sigma)
            if template is None:
                weights, log_ratio = self.network(bins, sigma, embedded, first=first)
                return weighted_sum(weights, bins, first), log_ratio[..., tf.newaxis] + power
            note = template.fit(bins, given, sigma)
            here, there = note.bins[:, target :: self.stride], note.bins[:, given :: self.stride]
            rest = bins - there
            features = fit_features(note, rest, here, sigma, (num, first))
            weights, log_ratio = self.network(bins, sigma, embedded, first=first, features=features)
            room = local_energy(here) + note.spread[:, target :: self.stride]
            doubt = (1.0 - note.certainty)[:, tf.newaxis] + self.background()
            room += doubt * tf.reduce_mean(tf.exp(log_power), axis=-1) + _SMALLEST_ROOM * sigma[:, tf.newaxis] ** 2
            weights *= (room / (room + local_energy(rest)))[..., tf.newaxis]
            limit = relative_power(tf.math.log(room)[..., tf.newaxis], sigma)
            log_ratio = -log_add(-(log_ratio[..., tf.newaxis] + power), -limit)
            return here + weighted_sum(weights, rest, first), log_ratio

        return bijectors.SpectralCoupling(predict, self.stride, target, given, sigma, self.tf_dtype)

    def background(self) -> tf.Tensor:
        """Return the share of the mean power that is left to the network where a note is certain."""
        return tf.exp(_BACKGROUND_UNIT * tf.convert_to_tensor(self.log_background))

    def initialise(self, y: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """Set the powers from bins y (batch, bin, 2) at the noise level that is the first entry of the condition."""
        power = mean_power(y, split_condition(condition)[0])
        places = (self.stride // 2, 0) if self.mirrors else (self.stride // 2,)
        self.log_power.assign(tf.math.log(tf.stack([power[place :: self.stride] for place in places])) / _POWER_UNIT)
        return y


class SpectralScaleLayer(FlowLayer):
    r"""Keras layer of the last bins, independent with variance :math:`\sigma^2 + P_b` in each real coordinate."""

    def __init__(self, num_bins: int, stride: int, **kwargs: Unpack[LayerArguments]) -> None:
        """Create the powers of ``num_bins`` bins, one in ``stride``."""
        super().__init__(2, **kwargs)
        self.stride, self.log_power = stride, self.free_weight("log_power", np.zeros((num_bins, 2)))

    def step(self, condition: tf.Tensor | None) -> bijectors.SpectralCoupling:
        """Return the bijector at the noise level that is the first entry of the condition."""
        sigma, log_power = split_condition(condition)[0], _POWER_UNIT * tf.convert_to_tensor(self.log_power)

        def predict(bins: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.zeros_like(bins), relative_power(log_power, sigma)

        return bijectors.SpectralCoupling(predict, self.stride, 0, 0, sigma, self.tf_dtype)

    def initialise(self, y: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """Set the powers from bins y (batch, bin, 2) at the noise level that is the first entry of the condition."""
        power = mean_power(y, split_condition(condition)[0])[:: self.stride]
        self.log_power.assign(tf.math.log(power) / _POWER_UNIT)
        return y


def split_condition(condition: tf.Tensor | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the noise levels (batch,) and their embedding (batch, width) of a condition (batch, 1 + width).

    Raises:
        ValueError: without a condition.
    """
    if condition is None:
        raise ValueError("a spectral RealNVP needs noise levels, got no condition")
    return condition[:, 0], condition[:, 1:]


def weighted_sum(weights: tf.Tensor, bins: tf.Tensor, first: int) -> tf.Tensor:
    """Sum the bins (batch, bin, 2) first, first + 1, ... relative to each place with weights (batch, bin, weight)."""
    return tf.reduce_sum(weights[..., tf.newaxis] * neighbours(bins, weights.shape[-1], first), axis=2)


def fit_features(
    note: Template, rest: tf.Tensor, here: tf.Tensor, sigma: tf.Tensor, near: tuple[int, int]
) -> tf.Tensor:
    """Describe at every place how well a note fits the given bins, and how loud it is where bins are predicted.

    Args:
        note: the note, of a batch of events.
        rest: given bins less those of the note, (batch, bin, 2).
        here: the note's bins to be predicted, (batch, bin, 2).
        sigma: noise levels, (batch,).
        near: number and first offset of the nearest given bins.

    Returns:
        (batch, bin, number + 3 + 4): log-energies in units of the noise, of the rest in the nearest
        bins, of the note here, of the rest on average around here and over all bins; then the
        features of the note.
    """
    noise, count = 2.0 * sigma[:, tf.newaxis, tf.newaxis] ** 2, rest.shape[1]
    left, loud = (0.5 * tf.math.log1p(tf.reduce_sum(each**2, axis=-1, keepdims=True) / noise) for each in (rest, here))
    overall = tf.concat([2.0 * tf.reduce_mean(left, axis=1), note.features], axis=-1)
    features = [
        tf.reshape(neighbours(left, *near), [-1, count, near[0]]),
        loud,
        2.0 * tf.nn.avg_pool1d(left, min(_NEAR_BINS, count), 1, "SAME"),
        tf.tile(overall[:, tf.newaxis], [1, count, 1]),
    ]
    return tf.concat(features, axis=-1)


def local_energy(bins: tf.Tensor) -> tf.Tensor:
    """Average the energy of bins (batch, bin, 2), in each real coordinate, over three neighbours: (batch, bin)."""
    energy = 0.5 * tf.reduce_sum(bins**2, axis=-1, keepdims=True)
    return tf.nn.avg_pool1d(energy, 3, 1, "SAME")[..., 0]


def log_add(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Compute log(e^first + e^second), broadcast."""
    return tf.maximum(first, second) + tf.nn.softplus(-tf.abs(first - second))


def relative_power(log_power: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Compute log(P / sigma^2) of log-powers (..., bin, 1 or 2) at noise levels (batch,): (batch, bin, 1 or 2)."""
    return log_power - 2.0 * tf.math.log(sigma)[:, tf.newaxis, tf.newaxis]


def mean_power(bins: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Estimate the mean power of every bin, in each real coordinate, less that of the noise: (bin, 2).

    Both coordinates of a bin, and a few neighbouring bins, are averaged, as a batch has few
    pitches, and none is below a tenth of that of its wider surroundings; the two of bin 0 are two
    frequencies and stay apart. Examples are weighted by the
    inverse of the square of their power, the noise included.

    Args:
        bins: (batch, bin, 2).
        sigma: their noise levels, (batch,).
    """
    energy = bins**2 - sigma[:, tf.newaxis, tf.newaxis] ** 2
    weights = 1.0 / (sigma**2 + tf.reduce_mean(tf.maximum(energy, 0.0))) ** 2
    mean = tf.reduce_sum(weights[:, tf.newaxis, tf.newaxis] * energy, axis=0) / tf.reduce_sum(weights)
    inner = tf.reduce_mean(mean[1:], axis=-1)
    near = tf.nn.avg_pool1d(inner[tf.newaxis, :, tf.newaxis], _SMOOTHED_BINS, 1, "SAME")[0]
    far = tf.nn.avg_pool1d(inner[tf.newaxis, :, tf.newaxis], _FAR_BINS, 1, "SAME")[0]
    near = tf.maximum(near, _SMALLEST_SHARE * far)
    return tf.maximum(tf.concat([mean[:1], tf.tile(near, [1, 2])], axis=0), _SMALLEST_POWER)
