r"""Annealed Langevin dynamics over log-magnitudes, with noise-conditional priors: the study's own sampler.

For noise levels :math:`\sigma_1 > \dots > \sigma_L`, T steps at each, and the weights, magnitudes and
P of :mod:`tfsep.posteriors.spectral`,

.. math:: y_k \leftarrow y_k + \eta_i\,[\nabla \log p_{k, \sigma_i}(y_k) + \nabla_{x_k} \log p_{\gamma_i}(m|x)]
          + \sqrt{2 \eta_i}\,\epsilon, \qquad \gamma_i = r\,\sigma_i.

The likelihood is "log_normal", :math:`\mathcal{N}(f(M); f(P), \gamma^2 I)` with f the map from
magnitudes to features :math:`(\log(M + \mathrm{floor}) - \mathrm{offset}) / \mathrm{scale}`, or
"poisson", :math:`-D_{KL}(M \| P) / \gamma^2`. With :math:`w_k = g_k X_k / P` the share of source k
in a bin their gradients are

.. math:: \frac{w_k\,(f(M) - f(P))}{\gamma^2} \qquad \text{and} \qquad
          \frac{\mathrm{scale} \cdot g_k X_k\,(M / P - 1)}{\gamma^2}.

x is where the likelihood is taken: at the states y themselves ("state"), as published, or at their
denoised means :math:`D_k(y_k, \sigma_i)`, with the Jacobian of D taken as the identity
("denoised"). The first samples the annealed posterior up to the bias of its steps, but at high
noise the sum of exponentials of noise explains nothing; the second is a guidance that looks at what
the priors believe, and works from noise levels far above the features' own spread.

Where :math:`P \approx M` the curvature of "log_normal" is at most :math:`\sum_k w_k^2 / \gamma^2 \le
1 / \gamma^2`, that of "poisson" at most :math:`\mathrm{scale}^2 M_b / \gamma^2` in bin b. A step is
stable while it times the whole curvature is below 2; each bin has its own,

.. math:: \eta_{i, b} = \frac{h}{1 / \sigma_i^2 + c_b / \gamma_i^2}, \qquad 0 < h < 2, \qquad
          c_b = 1 \text{ or } \mathrm{scale}^2 (M_b + \mathrm{floor}),

which depends on the mixture and not on the chain, so that it is a constant preconditioner and the
stationary density stays. The chains end at their denoised means.

Sources: Song and Ermon 2019, algorithm 1; Jayaram and Thickstun 2020 (BASIS), algorithm 1; Chung et
al. 2023, section 3 (likelihoods at denoised means).
"""

from __future__ import annotations

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

LIKELIHOODS = ("log_normal", "poisson")
GUIDANCES = ("denoised", "state")


class SpectralLangevin(Spectral):
    """Annealed Langevin dynamics over the features of priors over magnitudes, one compiled loop.

    Args:
        priors: one per source, over "log_stft" or "log_mel", with a score.
        gains: mixing gains; None is the mean.
        annealing: the schedule, which is geometric, and how priors are evaluated; None is the kind's
            defaults.
        num_steps: steps T at each level.
        step_size: h above, in 0..2.
        likelihood_ratio: r = gamma / sigma of the likelihood.
        likelihood: "log_normal" or "poisson".
        guidance: where the likelihood is taken, at "denoised" means or at the "state".
        num_restarts: independent starts per mixture.
        mask_exponent: p of the masks, above 0; 2 is the Wiener filter.

    Raises:
        InputError: for priors that cannot serve, or a setting out of its range.
    """

    kind = "spectral_langevin"
    annealing_defaults = AnnealingSettings(largest_sigma=1.0, smallest_sigma=0.05, num_levels=12)
    annealing_fields = ("largest_sigma", "smallest_sigma", "num_levels", "start_sigma", "stacked", "jit_compile")

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None = None,
        annealing: AnnealingSettings | None = None,
        num_steps: int = 5,
        step_size: float = 0.5,
        likelihood_ratio: float = 0.25,
        likelihood: str = "log_normal",
        guidance: str = "denoised",
        num_restarts: int = 4,
        mask_exponent: float = 2.0,
    ) -> None:
        """Check the settings, the stability of the step among them."""
        choices = (("likelihood", likelihood, LIKELIHOODS), ("guidance", guidance, GUIDANCES))
        for name, value, known in choices:
            if value not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        if num_steps < 1 or not likelihood_ratio > 0.0:
            given = f"{num_steps} and {likelihood_ratio:g}"
            raise InputError(f"num_steps must be at least 1 and likelihood_ratio above 0, got {given}")
        if not 0.0 < step_size < 2.0:
            raise InputError(
                f"the Langevin step is stable only while step_size times curvature lies in 0..2, got {step_size:g}"
            )
        annealing = annealing or self.annealing_defaults
        limits = [annealing.largest_sigma, annealing.smallest_sigma]
        sigmas = geometric(*limits, annealing.num_levels)
        warm_sigmas = warm(sigmas, annealing.start_sigma)
        super().__init__(priors, gains, annealing, sigmas, warm_sigmas, limits, num_restarts, mask_exponent)
        needs_score(self.kind, self.priors)
        self.num_steps, self.step_size, self.likelihood_ratio = num_steps, step_size, likelihood_ratio
        self.likelihood, self.guidance = likelihood, guidance

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

        def move(step: tf.Tensor, values: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            sigma = sigmas[step // self.num_steps]
            means = self.denoised(values, observed, weights, sigma)
            weights = self.fitted_weights(observed, weights, self.magnitudes(means))
            centre = means if self.guidance == "denoised" else values
            gamma = self.likelihood_ratio * sigma
            gradient, curvature = self.likelihood_gradient(observed, centre, weights)
            eta = self.step_size / (1.0 / sigma**2 + curvature / gamma**2)
            noise = normal(shape_of(values), fold(seed, step))
            drift = (means - values) / sigma**2 + gradient / gamma**2
            return step + 1, values + eta * drift + tf.sqrt(2.0 * eta) * noise, weights

        first, last = levels[0] * self.num_steps, levels[1] * self.num_steps
        begin = (first, *state)
        return tuple(tf.while_loop(lambda step, *_: step < last, move, begin, parallel_iterations=1)[1:])

    def clean(self, state: State, sigma: Sigma) -> tf.Tensor:
        """Denoise the chains at the last level; see :class:`Spectral`."""
        return self.means(state[0], sigma)

    def means(self, values: tf.Tensor, sigma: Sigma) -> tf.Tensor:
        """Denoise each source by its own prior: (chain, source, frame, bin) -> the same."""
        found = evaluate_priors(self.priors, "denoise", feature_events(values), sigma, self.stacked)
        return tf.cast(tf.stack([each[..., 0] for each in found], axis=1), tf.float32)

    def denoised(self, values: tf.Tensor, observed: tf.Tensor, weights: tf.Tensor, sigma: Sigma) -> tf.Tensor:
        """Denoise each source, within the bounds that the mixture sets: (chain, source, frame, bin) -> the same."""
        return self.bounded(self.means(values, sigma), observed, weights)

    def fitted_weights(self, observed: tf.Tensor, weights: tf.Tensor, magnitudes: tf.Tensor) -> tf.Tensor:
        """Return the weights, where they are free, after a step towards the largest likelihood.

        Args:
            observed: features of the mixtures, (chain, frame, bin).
            weights: (chain, source).
            magnitudes: of the sources, (chain, source, frame, bin).
        """
        if self.likelihood == "poisson" or self.front_end.level is None:
            return self.updated_weights(self.magnitudes(observed), weights, magnitudes)
        share, error = self._shares_and_error(observed, weights, magnitudes)
        step = tf.reduce_sum(share * error[:, tf.newaxis], [2, 3]) / tf.reduce_sum(share, [2, 3])
        return weights * tf.exp(self.front_end.scale * step)

    def _shares_and_error(
        self, observed: tf.Tensor, weights: tf.Tensor, magnitudes: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return w_k (chain, source, frame, bin) and f(M) - f(P) (chain, frame, bin)."""
        parts = weights[..., tf.newaxis, tf.newaxis] * (magnitudes + self.front_end.floor)
        found = self.front_end.to_features(explained(weights, magnitudes))[..., 0]
        return parts / tf.reduce_sum(parts, axis=1, keepdims=True), observed - found

    def likelihood_gradient(
        self, observed: tf.Tensor, centre: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the gradient of the likelihood of gamma 1 in the sources' features, and its largest curvature.

        Args:
            observed: features of the mixtures, (chain, frame, bin).
            centre: features of the sources, (chain, source, frame, bin).
            weights: (chain, source).

        Returns:
            The gradient, of the shape of ``centre``, and the curvature, (chain, 1, frame, bin) or a
            scalar.
        """
        each = self.magnitudes(self.bounded(centre, observed, weights))
        if self.likelihood == "log_normal":
            share, error = self._shares_and_error(observed, weights, each)
            return share * error[:, tf.newaxis], tf.constant(1.0)
        front_end, magnitudes = self.front_end, self.magnitudes(observed)
        ratio = (magnitudes + front_end.floor) / (explained(weights, each) + front_end.floor)
        parts = weights[..., tf.newaxis, tf.newaxis] * (each + front_end.floor)
        curvature = front_end.scale**2 * (magnitudes + front_end.floor)
        return front_end.scale * parts * (ratio - 1.0)[:, tf.newaxis], curvature[:, tf.newaxis]
