r"""Annealed Langevin dynamics over log-magnitudes, with noise-conditional priors: the study's own sampler.

For noise levels :math:`\sigma_1 > \dots > \sigma_L`, T steps at each, and the weights, magnitudes and
P of :mod:`tfsep.posteriors.spectral`, each source moves in the features y_k of its prior,

.. math:: y_k \leftarrow y_k + \eta_i\,[\nabla \log p_{k, \sigma_i}(y_k) + \nabla_{x_k} \log p_{\gamma_i}(m|x)]
          + \sigma_i \sqrt{h (2 - h)}\,\epsilon, \qquad \eta_i = h\,\sigma_i^2, \quad \gamma_i = r\,\sigma_i.

With f the map from magnitudes to features, :math:`f(M) = (\log(M + \mathrm{floor}) -
\mathrm{offset}) / \mathrm{scale}`, the likelihood is :math:`\mathcal{N}(f(M); f(P), \gamma^2 I)`: near
P = M the generalised Kullback-Leibler divergence with every bin of like weight, as the features have
it. Its gradient shares the error of a bin among the sources as they share the bin,

.. math:: \nabla_{x_k} \log p_\gamma(m|x) = \frac{w_k\,(f(M) - f(P))}{\gamma^2}, \qquad w_k = \frac{g_k X_k}{P}.

x is where the likelihood is taken: at the states y themselves ("state"), as published, or at their
denoised means :math:`D_k(y_k, \sigma_i)`, with the Jacobian of D taken as the identity
("denoised"). At high noise the first explains nothing, since exponentials of noise add up to noise;
the second looks at what the priors believe, and works from noise far above the features' own spread.

Where P = M the curvature of the likelihood is :math:`\sum_k w_k^2 / \gamma^2 \le 1 / \gamma^2`, that
of the priors at most :math:`1 / \sigma^2`, so a step is stable while

.. math:: \eta_i (1 / \sigma_i^2 + 1 / \gamma_i^2) = h (1 + 1 / r^2) < 2.

It is the same number at every level, and settings that break it are refused. The noise is the one
that keeps the variance :math:`\sigma_i^2` exactly where the prior is narrow against it, :math:`\sqrt{2
\eta_i}` for small steps; then states carry the noise for which the priors are evaluated. It follows
the schedule while :math:`(1 - h)^T` is no larger than the ratio of two levels. Chains end at their
denoised means. As the steps are not adjusted and the means stand for the states, the result is an
estimate and no exact draw.

Sources: Song and Ermon 2019, algorithm 1; Jayaram and Thickstun 2020 (BASIS), algorithm 1; Chung et
al. 2023, section 3 (likelihoods at denoised means).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from tfsep.axes import Sigma
from tfsep.errors import InputError
from tfsep.posteriors.annealed import AnnealingSettings
from tfsep.posteriors.base import needs_score
from tfsep.posteriors.noise_schedule import geometric, warm
from tfsep.posteriors.spectral import Spectral, State, explained, feature_events
from tfsep.priors.base import Prior, evaluate_priors
from tfsep.runtime.stateless_random import fold, normal, shape_of

GUIDANCES = ("denoised", "state")


class SpectralLangevin(Spectral):
    """Annealed Langevin dynamics over the features of priors over magnitudes, one compiled loop.

    Args:
        priors: one per source, over "log_stft" or "log_mel", with a score.
        gains: mixing gains; None is the mean.
        annealing: the schedule, which is geometric, and how priors are evaluated; None is the kind's
            defaults.
        num_steps: steps T at each level.
        step_size: h above, part of the way to the denoised means that a step goes, above 0.
        likelihood_ratio: r = gamma / sigma of the likelihood.
        guidance: where the likelihood is taken, at "denoised" means or at the "state".
        num_restarts: independent starts per mixture.
        mask_exponent: p of the masks, above 0; 2 is the Wiener filter.

    Raises:
        InputError: for priors that cannot serve, a setting out of its range, or steps that are not
            stable.
    """

    kind = "spectral_langevin"
    annealing_defaults = AnnealingSettings(largest_sigma=1.0, smallest_sigma=0.05, num_levels=12)
    annealing_fields = ("largest_sigma", "smallest_sigma", "num_levels", "start_sigma", "stacked", "jit_compile")

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None = None,
        annealing: AnnealingSettings | None = None,
        num_steps: int = 2,
        step_size: float = 0.39,
        likelihood_ratio: float = 0.5,
        guidance: str = "denoised",
        num_restarts: int = 4,
        mask_exponent: float = 2.0,
    ) -> None:
        """Check the settings, the stability of the step among them."""
        if guidance not in GUIDANCES:
            raise InputError(f"guidance must be one of {', '.join(GUIDANCES)}, got {guidance!r}")
        if num_steps < 1 or not likelihood_ratio > 0.0:
            given = f"{num_steps} and {likelihood_ratio:g}"
            raise InputError(f"num_steps must be at least 1 and likelihood_ratio above 0, got {given}")
        stability = step_size * (1.0 + likelihood_ratio**-2)
        if not 0.0 < stability < 2.0:
            raise InputError(
                "the Langevin step is stable only while step_size (1 + 1 / likelihood_ratio^2) lies in 0..2, "
                f"got {stability:.3g} from step_size {step_size:g} and likelihood_ratio {likelihood_ratio:g}"
            )
        annealing = annealing or self.annealing_defaults
        limits = [annealing.largest_sigma, annealing.smallest_sigma]
        sigmas = geometric(annealing.largest_sigma, annealing.smallest_sigma, annealing.num_levels)
        warm_sigmas = warm(sigmas, annealing.start_sigma)
        super().__init__(priors, gains, annealing, sigmas, warm_sigmas, limits, num_restarts, mask_exponent)
        needs_score(self.kind, self.priors)
        self.num_steps, self.step_size = num_steps, step_size
        self.likelihood_ratio, self.guidance = likelihood_ratio, guidance

    def evaluations(self, num_levels: int) -> int:
        """One a step, and one at the end; see :class:`Spectral`."""
        return num_levels * self.num_steps + 1

    def begin(
        self, observed: tf.Tensor, noise: tf.Tensor, number: tf.Tensor, start: tf.Tensor | None, sigma: Sigma
    ) -> State:
        """Begin at the mixture's features, or at those given, with noise; see :class:`Spectral`."""
        del number
        centre = observed[:, tf.newaxis] if start is None else start
        return centre + sigma * noise, self.first_weights(tf.shape(noise)[0])

    def run(self, observed: tf.Tensor, state: State, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor) -> State:
        """Run all steps of each level; see :class:`Spectral`."""
        pull, push = self.step_size, self.step_size / self.likelihood_ratio**2
        spread = math.sqrt(self.step_size * (2.0 - self.step_size))

        def move(step: tf.Tensor, values: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            sigma = sigmas[step // self.num_steps]
            means = self.bounded(self.means(values, sigma), observed, weights)
            weights = self.fitted_weights(observed, weights, means)
            centre = means if self.guidance == "denoised" else self.bounded(values, observed, weights)
            noise = sigma * spread * normal(shape_of(values), fold(seed, step))
            drift = pull * (means - values) + push * self.likelihood_gradient(observed, weights, centre)
            return step + 1, values + drift + noise, weights

        first, last = levels[0] * self.num_steps, levels[1] * self.num_steps
        walk = tf.while_loop(lambda step, *_: step < last, move, (first, *state), parallel_iterations=1)
        return tuple(walk[1:])

    def clean(self, state: State, sigma: Sigma) -> tf.Tensor:
        """Denoise the chains at the last level; see :class:`Spectral`."""
        return self.means(state[0], sigma)

    def means(self, values: tf.Tensor, sigma: Sigma) -> tf.Tensor:
        """Denoise each source by its own prior: (chain, source, frame, bin) -> the same."""
        found = evaluate_priors(self.priors, "denoise", feature_events(values), sigma, self.stacked)
        return tf.cast(tf.stack([each[..., 0] for each in found], axis=1), tf.float32)

    def likelihood_gradient(self, observed: tf.Tensor, weights: tf.Tensor, centre: tf.Tensor) -> tf.Tensor:
        """Return the gradient of the log-likelihood of gamma 1 in the features of the sources.

        Args:
            observed: features of the mixtures, (chain, frame, bin).
            weights: (chain, source).
            centre: features of the sources, (chain, source, frame, bin), of which the result has the
                shape.
        """
        share, error = self._shares_and_error(observed, weights, centre)
        return share * error[:, tf.newaxis]

    def fitted_weights(self, observed: tf.Tensor, weights: tf.Tensor, centre: tf.Tensor) -> tf.Tensor:
        """Return the weights, where they are free, after a step towards the largest likelihood; as above."""
        if self.front_end.level is None:
            return weights
        share, error = self._shares_and_error(observed, weights, centre)
        step = tf.reduce_sum(share * error[:, tf.newaxis], [2, 3]) / tf.reduce_sum(share, [2, 3])
        return weights * tf.exp(self.front_end.scale * step)

    def _shares_and_error(
        self, observed: tf.Tensor, weights: tf.Tensor, centre: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return w_k (chain, source, frame, bin) and f(M) - f(P) (chain, frame, bin)."""
        magnitudes = self.magnitudes(centre)
        parts = weights[..., tf.newaxis, tf.newaxis] * (magnitudes + self.front_end.floor)
        found = self.front_end.to_features(explained(weights, magnitudes))[..., 0]
        return parts / tf.reduce_sum(parts, axis=1, keepdims=True), observed - found
