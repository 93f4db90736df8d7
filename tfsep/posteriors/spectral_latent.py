r"""Latents of flows over magnitudes, optimised until their decoded spectra explain the mixture's (InstGlow).

With :math:`X_k(z_k)` the magnitudes of the features that the flow of source k decodes at one noise
level, and the weights, P and divergence of :mod:`tfsep.posteriors.spectral`, Adam descends

.. math:: J(z) = \frac{D_{KL}(M \| P(z))}{\bar M} + \lambda \sum_k \frac{\lVert z_k \rVert^2}{2}

from z = 0, the middle of every prior. Divided by the mixture's mean magnitude :math:`\bar M`, the
divergence counts bins and does not depend on loudness, so that lambda has one meaning for all
mixtures. :math:`-J` is the log-posterior of z at the temperature lambda: the result is a mode in the
flows' coordinates, not a draw. Further restarts and samples begin at z of a small normal spread.

Sources: Zhu et al. 2022 (InstGlow), section 3; Kingma and Ba 2015 (Adam).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfsep.axes import Sigma
from tfsep.errors import InputError
from tfsep.posteriors.adam import adam_step
from tfsep.posteriors.annealed import AnnealingSettings
from tfsep.posteriors.spectral import Spectral, State, divergence, explained, feature_events
from tfsep.priors.base import Prior


class SpectralLatent(Spectral):
    """Optimise the latents of flows over magnitudes, one compiled loop.

    Args:
        priors: one per source, flows over "log_stft" or "log_mel".
        gains: mixing gains; None is the mean.
        num_steps: steps of Adam.
        step_size: the largest move of a latent in one step, above 0.
        weight: lambda above, at least 0.
        sigma: noise level at which the flows decode; None is the smallest that all of them know.
        spread: standard deviation of the latents from which restarts and samples after the first
            begin, at least 0.
        num_restarts: starts per mixture.
        mask_exponent: p of the masks, above 0; 2 is the Wiener filter.

    Raises:
        InputError: for priors that are no flows over magnitudes, or a setting out of its range.
    """

    kind = "spectral_latent"

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None = None,
        num_steps: int = 200,
        step_size: float = 0.05,
        weight: float = 0.1,
        sigma: float | None = None,
        spread: float = 0.1,
        num_restarts: int = 1,
        mask_exponent: float = 2.0,
    ) -> None:
        """Check the settings, and that every prior is a flow."""
        if num_steps < 1 or not step_size > 0.0:
            given = f"{num_steps} and {step_size:g}"
            raise InputError(f"num_steps must be at least 1 and step_size above 0, got {given}")
        if not weight >= 0.0 or not spread >= 0.0:
            raise InputError(f"weight and spread must be at least 0, got {weight:g} and {spread:g}")
        level = max((prior.smallest_sigma for prior in priors or ()), default=0.0) if sigma is None else sigma
        # One level a step: a part of the loop may end after any step.
        settings = AnnealingSettings(level, level, num_steps, jit_compile=False)
        sigmas = np.full(num_steps, level, np.float32)
        super().__init__(priors, gains, settings, sigmas, sigmas, [level], num_restarts, mask_exponent, num_moments=2)
        for prior in self.priors:
            if not prior.has_latents:
                raise InputError(
                    f"posterior {self.kind!r} moves latents, which prior {prior.kind!r} does not have; "
                    "use 'spectral_langevin'"
                )
        self.level, self.step_size, self.weight, self.spread = level, step_size, weight, spread

    def evaluations(self, num_levels: int) -> int:
        """One a step, and one at the end; see :class:`Spectral`."""
        return num_levels + 1

    def begin(
        self, observed: tf.Tensor, noise: tf.Tensor, number: tf.Tensor, start: tf.Tensor | None, sigma: Sigma
    ) -> State:
        """Begin at zero, or at latents of given features, and later chains around it; see :class:`Spectral`."""
        none = tf.zeros_like(noise)
        centre = none
        if start is not None:
            pairs = zip(self.priors, feature_events(start), strict=True)
            latents = [prior.encode(each, self._sigma(prior))[0][..., 0] for prior, each in pairs]
            centre = tf.cast(tf.stack(latents, axis=1), tf.float32)
        further = tf.cast(number > 0, tf.float32)[:, tf.newaxis, tf.newaxis, tf.newaxis]
        values = centre + self.spread * further * noise
        return values, self.first_weights(tf.shape(noise)[0]), none, none

    def run(self, observed: tf.Tensor, state: State, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor) -> State:
        """Take a step for each level; see :class:`Spectral`."""
        magnitudes = self.magnitudes(observed)

        def move(step: tf.Tensor, *state: tf.Tensor) -> tuple[tf.Tensor, ...]:
            latents, weights, first, second = state
            gradient, found = self._gradient(magnitudes, latents, weights)
            change, first, second = adam_step(gradient, first, second, step, self.step_size)
            return step + 1, latents + change, self.updated_weights(magnitudes, weights, found), first, second

        walk = tf.while_loop(lambda step, *_: step < levels[1], move, (levels[0], *state), parallel_iterations=1)
        return tuple(walk[1:])

    def clean(self, state: State, sigma: Sigma) -> tf.Tensor:
        """Decode the latents; see :class:`Spectral`."""
        return self.decode(state[0])

    def decode(self, latents: tf.Tensor) -> tf.Tensor:
        """Decode each source by its own prior: (chain, source, frame, bin) -> the same."""
        pairs = zip(self.priors, feature_events(latents), strict=True)
        decoded = [prior.decode(each, self._sigma(prior))[..., 0] for prior, each in pairs]
        return tf.cast(tf.stack(decoded, axis=1), tf.float32)

    def _sigma(self, prior: Prior) -> float | None:
        """Return the noise level at which a prior is decoded, None for a clean one."""
        return None if prior.sigma_range is None else self.level

    def _gradient(self, observed: tf.Tensor, latents: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the gradient of -J in the latents and the magnitudes decoded, both (chain, source, frame, bin)."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(latents)
            found = self.magnitudes(self.decode(latents))
            misfit = divergence(observed, explained(weights, found), self.front_end.floor)
            misfit /= tf.reduce_mean(observed, [1, 2]) + self.front_end.floor
        return -tape.gradient(misfit, latents) - self.weight * latents, found
