r"""Spectral RealNVP: the study's prior over STFT magnitudes, made an exact density of waveforms.

The whole event is one frame. Its orthonormal Fourier transform X
(:mod:`tfsep.bijectors.real_fourier`) has log-determinant zero, so a density of the complex bins is
one of the samples. A multiscale RealNVP along frequency factorises it, here with two levels,

.. math:: p_\sigma(X) = p(X_{odd} | X_{even})\; p(X_{2\,mod\,4} | X_{0\,mod\,4})\; p(X_{0\,mod\,4}),

each factor a product of :math:`\mathcal{N}(t_b, v_b)` over its bins, in each real coordinate, with
:math:`v_b = \sigma^2 (1 + e^{a_b})`: noise is a floor of every variance
(:mod:`tfsep.bijectors.spectral_coupling`). Shifts t are weighted sums of the nearest given bins.
Weights and log-ratios a depend on the **magnitudes** of the given bins only
(:mod:`tfsep.networks.spectral_predictor`), as do the study's densities of magnitudes; phases are
uniform by construction. The log-ratios begin at :math:`P_b / \sigma^2` with the mean power P of the
source's bins, which makes the untrained conditional a Wiener filter. The bins that are given to no
other level are Gaussian with variance :math:`\sigma^2 + P_b`.

**Phases of partials.** With pitches (``num_pitches`` above 0, or ``decay_range``) the first level
also finds the note of a learned period in its given bins
(:mod:`tfsep.priors.flows.periodic_template`). The bins are then
those of two signals, the even and the odd samples of the event, in turn, so that "even" and "odd"
bins are those of even and odd samples: either half holds every note whole, and both find the same
one, also beside other sounds. The note's bins T join the shift,

.. math:: t_b = T_b + \sum_j w_{bj} (X_j - T_j),

and bound the weights and the variance (:mod:`tfsep.priors.flows.spectral_layers`). So partials far
apart follow one phase and one pitch, and their side lobes the partials; the sum predicts what the
note leaves. The network then also sees how well the note fits. Turning all phases is no longer an
invariance: that of a delay takes its place, by multiples of each partial's frequency.

**Two orderings.** The density above, ordering A, ends with the odd bins. The first level's network
also predicts the even bins from the odd ones (a flag in its condition tells which), ordering B.
Training maximises :math:`\log p_\sigma(X) + \log p_B(X_{even} | X_{odd})`.

**Two scores.** ``score_of="gradient"`` differentiates the log-density. ``"conditionals"``, the
default, takes every half from the ordering in which it comes last,

.. math:: (\nabla_{X_{odd}} \log p_A(X_{odd} | X_{even}),\ \nabla_{X_{even}} \log p_B(X_{even} | X_{odd})),

which needs no derivative of a network: in each real coordinate it is :math:`(t_b - X_b) / v_b`, and
by Tweedie's formula the denoiser is :math:`D_b = t_b + (1 - \sigma^2 / v_b)(X_b - t_b)`. The two
agree where both orderings describe one density; else the second is the gradient of a
pseudo-likelihood (Besag 1975), and is no gradient of any one density.

Sources: Dinh et al. 2017 (RealNVP), sections 3.4 and 3.6; Besag 1975 (pseudo-likelihood).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfsep import bijectors
from tfsep.audio.front_end import FrontEnd
from tfsep.axes import Sigma, TensorLike
from tfsep.networks.spectral_predictor import SpectralPredictor
from tfsep.priors.flows.decaying_template import DecayingTemplate
from tfsep.priors.flows.flow import SCORES, FlowPrior
from tfsep.priors.flows.flow_layers import FlowLayer, SqueezeLayer
from tfsep.priors.flows.periodic_template import NUM_FEATURES, PeriodicTemplate
from tfsep.priors.flows.settings import FlowSettings
from tfsep.priors.flows.spectral_layers import RealFourierLayer, SpectralCouplingLayer, SpectralScaleLayer


@dataclass(frozen=True, kw_only=True)
class SpectralRealNVPSettings(FlowSettings):
    """Settings of a spectral RealNVP over waves (time, 1), time a multiple of 2^(num_levels + 1).

    Attributes:
        num_levels: levels that predict every other bin from those between, at least 1.
        width: hidden units of the first level's network.
        num_blocks: residual blocks of the first level's network.
        lower_width: hidden units of the other levels' networks.
        lower_blocks: residual blocks of the other levels' networks.
        num_neighbours: given bins in a weighted sum, at least 1.
        context: numbers that a network leaves for every bin, at least 1.
        local_width: hidden units of a network at every bin, at least 1.
        sigma_range: smallest and largest noise level, in units of amplitude.
        score_of: what the score, and so the denoiser, is taken from: "conditionals" or "gradient".
        num_pitches: pitches of the period in the first level's shifts; 0 for shifts without one.
        pitch_range: lowest and highest pitch in Hz; those between are evenly spaced in log-pitch.
            All are trained, but none moves far.
        num_partials: partials of the period, at least 1.
        decay_range: shortest and longest time in seconds in which notes fall to 1/e; the note then has
            any pitch in its range (:mod:`tfsep.priors.flows.decaying_template`), and ``num_pitches``
            is 0. None for notes that do not decay.
        sample_rate: Hz; pitches and decays alone depend on it.
        background: whether the flow is trained with sums of other sources in place of white noise.
            Its denoiser, of the conditionals, then gives its source out of such sums, and no score.
    """

    kind: ClassVar[str] = "spectral_realnvp"
    squeeze: int = field(default=1, init=False)
    num_steps: int = field(default=1, init=False)
    bound: float | None = field(default=None, init=False)
    num_levels: int = 3
    width: int = 160
    num_blocks: int = 2
    lower_width: int = 48
    lower_blocks: int = 1
    num_neighbours: int = 6
    context: int = 4
    local_width: int = 32
    sigma_range: tuple[float, float] | None = (0.02, 8.0)
    score_of: str = "conditionals"
    num_pitches: int = 0
    pitch_range: tuple[float, float] = (27.5, 4186.009)
    num_partials: int = 4096
    decay_range: tuple[float, float] | None = None
    sample_rate: int = 16000
    background: bool = False

    def layers(self, event_shape: tuple[int, ...]) -> list[FlowLayer]:
        """Build the layers; see :meth:`FlowSettings.layers`.

        Raises:
            ValueError: for events that are no waves, or that the levels cannot halve.
        """
        if len(event_shape) != 2 or event_shape[-1] != 1:
            raise ValueError(f"a spectral RealNVP is a density over waves (time, 1), got {event_shape}")
        if self.num_levels < 1:
            raise ValueError(f"num_levels must be at least 1, got {self.num_levels}")
        if self.num_pitches < 0:
            raise ValueError(f"num_pitches must be at least 0, got {self.num_pitches}")
        groups, rest = divmod(event_shape[0], 2 ** (self.num_levels + 1))
        if rest or groups < 2:
            raise ValueError(
                f"the number of samples must be a multiple of {2 ** (self.num_levels + 1)}, at least twice, "
                f"for {self.num_levels} levels, got {event_shape[0]}"
            )
        num_bins = event_shape[0] // 2
        if self.num_pitches and self.decay_range is not None:
            raise ValueError(f"notes that decay have any pitch: num_pitches must be 0, got {self.num_pitches}")
        template = self.template(event_shape[0]) if self.has_note else None
        levels: list[FlowLayer] = []
        for level in range(self.num_levels):
            joins = template is not None and level == 0
            network = SpectralPredictor(
                num_bins >> (level + 1),
                self.num_neighbours,
                self.lower_width if level else self.width,
                self.lower_blocks if level else self.num_blocks,
                self.context,
                self.local_width,
                self.condition_width,
                num_features=self.num_neighbours + 3 + NUM_FEATURES if joins else 0,
                dtype=self.dtype,
            )
            levels.append(SpectralCouplingLayer(network, 2 << level, template if joins else None, dtype=self.dtype))
        last = SpectralScaleLayer(num_bins >> self.num_levels, 1 << self.num_levels, dtype=self.dtype)
        return [
            RealFourierLayer(2, self.num_parts, dtype=self.dtype),
            *levels,
            last,
            SqueezeLayer((2,), reverse=True, dtype=self.dtype),
        ]

    @property
    def has_note(self) -> bool:
        """Return whether the first level's shifts follow a note."""
        return self.num_pitches > 0 or self.decay_range is not None

    @property
    def num_parts(self) -> int:
        """Two, every other sample, where a note is to be found in either half; else one."""
        return 2 if self.has_note else 1

    def template(self, length: int) -> PeriodicTemplate:
        """Build the learned period of events of some length, in samples.

        Raises:
            ValueError: for a range that does not ascend, or pitches that the template refuses.
        """
        low, high = self.pitch_range
        if not 0.0 < low < high < self.sample_rate / 2:
            raise ValueError(f"pitch_range must ascend within 0..{self.sample_rate / 2:g} Hz, got {self.pitch_range}")
        seconds = length / self.sample_rate
        if self.decay_range is not None:
            shortest, longest = self.decay_range
            if not 0.0 < shortest < longest:
                raise ValueError(f"decay_range must ascend above 0 seconds, got {self.decay_range}")
            decays = (seconds / longest, seconds / shortest)
            return DecayingTemplate(
                length, (low * seconds, high * seconds), decays, self.num_partials, dtype=self.dtype
            )
        pitches = np.geomspace(low, high, self.num_pitches) * seconds
        return PeriodicTemplate(length, pitches, self.num_partials, dtype=self.dtype)

    def build(self, front_end: FrontEnd, event_shape: tuple[int, ...]) -> SpectralRealNVP:
        """Build the untrained flow; see :meth:`FlowSettings.build`."""
        if self.sigma_range is None:
            raise ValueError("sigma_range must be two noise levels, as noise is the floor of every variance; got None")
        if self.score_of not in SCORES:
            raise ValueError(f"score_of must be one of {', '.join(SCORES)}, got {self.score_of!r}")
        return SpectralRealNVP(front_end, event_shape, self)


class SpectralRealNVP(FlowPrior):
    """The flow with its two orderings; see the module's text.

    Args:
        front_end: from waveforms to events.
        event_shape: (time, 1).
        settings: of the flow.

    Raises:
        ValueError: for what the settings' layers refuse.
    """

    def __init__(self, front_end: FrontEnd, event_shape: tuple[int, ...], settings: SpectralRealNVPSettings) -> None:
        """Create all weights; the untrained flow is Gaussian."""
        layers = settings.layers(event_shape)
        arguments = (settings.sigma_range, settings.condition_width, settings.dtype)
        super().__init__(settings.kind, front_end, event_shape, lambda: layers, *arguments)
        self.score_of, self.num_parts = settings.score_of, settings.num_parts
        self.has_score = not settings.background

    def _first(self, condition: tf.Tensor, mirrored: bool) -> bijectors.SpectralCoupling:
        """Return the coupling of the first level, odd bins given even ones, or mirrored."""
        layer = self.flow.layers[1]
        if not isinstance(layer, SpectralCouplingLayer):
            raise TypeError(f"the first level must be a spectral coupling, got {type(layer).__name__}")
        return layer.step(condition, mirrored)

    def _condition(self, sigma: tf.Tensor) -> tf.Tensor:
        """Embed sigma over data_std, with its value in front, which the bijectors need: (batch, 1 + width)."""
        relative = sigma / tf.convert_to_tensor(self.data_std)
        return tf.concat([relative[:, tf.newaxis], super()._condition(relative)], axis=-1)

    def _scale(self, sigma: tf.Tensor) -> bijectors.Step:
        std = tf.convert_to_tensor(self.data_std)
        return bijectors.NoiseScale(std, tf.zeros_like(sigma), len(self.event_shape), self.tf_dtype)

    def _bins(self, x: tf.Tensor) -> tf.Tensor:
        """Transform events to bins in units of data_std: (batch, bin, 2)."""
        return bijectors.RealFourier(self.tf_dtype, self.num_parts).inverse_and_log_det(
            x / tf.convert_to_tensor(self.data_std)
        )[0]

    def training_terms(self, x: TensorLike, sigma: Sigma | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Compute the log-density and log p_B(even bins | odd bins), in nats; see :class:`tfsep.priors.base.Prior`."""
        x = self._events(x)
        level = self._sigma(sigma, x)
        first = self._first(self._condition(level), mirrored=True)
        units = 0.5 * self.dimensions * tf.math.log(tf.convert_to_tensor(self.data_std))
        return self.log_prob(x, level), first.conditional_log_prob(self._bins(x)) - units

    def score(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute the gradient of the log-density, or the scores of the conditionals: (batch,) + event_shape."""
        if self.score_of == "gradient":
            return super().score(x, sigma)
        x = self._events(x)
        condition, bins = self._condition(self._sigma(sigma, x)), self._bins(x)
        halves = [self._first(condition, mirrored).conditional_score(bins) for mirrored in (True, False)]
        score = tf.reshape(tf.stack(halves, axis=2), [-1, *bins.shape[1:]])
        wave = bijectors.RealFourier(self.tf_dtype, self.num_parts).forward_and_log_det(score)[0]
        return wave / tf.convert_to_tensor(self.data_std)
