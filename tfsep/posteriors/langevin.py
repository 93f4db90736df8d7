r"""Annealed stochastic gradient Langevin dynamics with noise-conditional priors.

For noise levels :math:`\sigma_1 > \dots > \sigma_L` and T steps at each,

.. math:: s_k \leftarrow s_k + \eta_i\,[\nabla \log p_{\sigma_i}(s_k) + \nabla_{s_k} \log p_{\gamma_i}(m|s)]
          + \sqrt{2 \eta_i}\,\epsilon_k, \qquad \eta_i = \delta\,\sigma_i^2 / \sigma_L^2, \quad \gamma_i = r\,\sigma_i.

With the exact constraint the likelihood disappears, and gradient, noise and state are projected instead (mixing.py).
Near a mode the curvature of the two terms is at most :math:`1/\sigma_i^2 + \|a\|^2/\gamma_i^2`, so a step is stable
only while :math:`\eta_i (1/\sigma_i^2 + \|a\|^2/\gamma_i^2) < 2`, which is the same number at every level; settings
that break it are refused. A last Tweedie step removes the noise of the final level.

Sources: Welling and Teh 2011; Song and Ermon 2019, algorithm 1; Jayaram and Thickstun 2020 (BASIS), algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfsep import mixing
from tfsep.errors import InputError
from tfsep.posteriors.base import Posterior, check_start, compiled, denoise_each, wave_priors
from tfsep.posteriors.schedule import geometric, warm
from tfsep.priors.base import Prior


class Langevin(Posterior):
    """Annealed SGLD over waveforms, one compiled loop.

    Args:
        priors: one per source, over waves.
        gains: mixing gains; None is the mean.
        largest_sigma, smallest_sigma, num_levels: the geometric noise schedule.
        num_steps: steps T at each level.
        delta: step size at the last level, in units of variance.
        likelihood_ratio: r = gamma / sigma of the soft constraint.
        exact: project on the mixture instead of the soft constraint.
        final_denoise: end with a Tweedie step; the exact projection that ends every run follows it.
        start_sigma: noise level at which a warm start begins; None is the middle of the schedule.
        num_chains: chains averaged into one sample (a mean of K chains has (1 + 1/K) / 2 of a sample's error).
    """

    kind = "langevin"

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None = None,
        largest_sigma: float = 1.0,
        smallest_sigma: float = 0.01,
        num_levels: int = 10,
        num_steps: int = 100,
        delta: float = 3e-5,
        likelihood_ratio: float = 1.0,
        exact: bool = False,
        final_denoise: bool = True,
        num_chains: int = 1,
        start_sigma: float | None = None,
    ) -> None:
        """Check the settings, the stability of the step among them."""
        self.sigmas = geometric(largest_sigma, smallest_sigma, num_levels)
        self.warm_sigmas = warm(self.sigmas, start_sigma)
        self.priors = wave_priors(self.kind, priors, [smallest_sigma, largest_sigma])
        self.num_sources, self.segment = len(self.priors), self.priors[0].event_shape[0]
        self.gains = mixing.gain_vector(self.num_sources, gains)
        if num_steps < 1 or num_chains < 1:
            raise InputError(f"num_steps and num_chains must be at least 1, got {num_steps} and {num_chains}")
        if not likelihood_ratio > 0.0:
            raise InputError(f"likelihood_ratio must be above 0 (exact is its limit), got {likelihood_ratio:g}")
        self.num_steps, self.num_chains = num_steps, num_chains
        self.relative_step = delta / smallest_sigma**2
        self.likelihood_ratio, self.exact, self.final_denoise = likelihood_ratio, exact, final_denoise
        if not 0.0 < self.stability() < 2.0:
            raise InputError(
                "the Langevin step is stable only while eta (1/sigma^2 + |a|^2/gamma^2) lies in 0..2, "
                f"got {self.stability():.3g} from delta {delta:g}, smallest_sigma {smallest_sigma:g}, "
                f"likelihood_ratio {likelihood_ratio:g}"
            )
        self._compiled = compiled(self._run, self.num_sources, self.segment)

    def stability(self) -> float:
        """eta_i (1/sigma_i^2 + |a|^2/gamma_i^2), the same at every level; below 2 the dynamics are stable."""
        likelihood = 0.0 if self.exact else sum(gain**2 for gain in self.gains) / self.likelihood_ratio**2
        return self.relative_step * (1.0 + likelihood)

    def sample(self, mixture: Any, num_samples: int, seed: Any, start: Any = None) -> tf.Tensor:
        """Run ``num_samples`` x ``num_chains`` chains in the batch axis; see :class:`Posterior`."""
        mixture, seed = tf.convert_to_tensor(mixture, tf.float32), tf.cast(seed, tf.int32)
        chains = num_samples * self.num_chains
        sources, sigmas = tf.broadcast_to(mixture[:, tf.newaxis], self._shape(mixture)), self.sigmas
        if start is not None:
            sources, sigmas = check_start(self.kind, mixture, start, self.num_sources), self.warm_sigmas
        sources, mixtures = tf.tile(sources, [chains, 1, 1]), tf.tile(mixture, [chains, 1])
        sources += sigmas[0] * _noise(tf.shape(sources), seed, tf.constant(0))
        sources = self._compiled(mixtures, mixing.project(mixtures, sources, self.gains), sigmas, seed)
        shape = [num_samples, self.num_chains, -1, self.num_sources, self.segment]
        return mixing.project(mixture, tf.reduce_mean(tf.reshape(sources, shape), axis=1), self.gains)

    def _shape(self, mixture: tf.Tensor) -> tf.Tensor:
        return tf.stack([tf.shape(mixture)[0], self.num_sources, self.segment])

    def _run(self, mixture: tf.Tensor, sources: tf.Tensor, sigmas: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """All levels and steps: (batch, source, time) -> the same."""

        def move(step: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            sigma = sigmas[step // self.num_steps]
            eta = self.relative_step * sigma**2
            drift = tf.stack(
                [prior.score(sources[:, k, :, tf.newaxis], sigma)[..., 0] for k, prior in enumerate(self.priors)], 1
            )
            jump = tf.sqrt(2.0 * eta) * _noise(tf.shape(sources), seed, step + 1)
            if self.exact:
                moved = sources + mixing.project_tangent(eta * drift + jump, self.gains)
                return step + 1, mixing.project(mixture, moved, self.gains)
            drift += mixing.gradient(mixture, sources, self.likelihood_ratio * sigma, self.gains)
            return step + 1, sources + eta * drift + jump

        total = tf.shape(sigmas)[0] * self.num_steps
        _, sources = tf.while_loop(lambda step, _: step < total, move, (0, sources), parallel_iterations=1)
        return denoise_each(self.priors, sources, sigmas[-1]) if self.final_denoise else sources


def _noise(shape: tf.Tensor, seed: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_normal(shape, tf.stack([seed[0], seed[1] * 65537 + step]), alg="philox")
