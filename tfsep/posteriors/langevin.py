r"""Annealed stochastic gradient Langevin dynamics with noise-conditional priors.

For noise levels :math:`\sigma_1 > \dots > \sigma_L` and T steps at each,

.. math:: s \leftarrow s + \eta_i P\,[\nabla \log p_{\sigma_i}(s) + \nabla_s \log p_{\gamma_i}(m|s)]
          + \sqrt{\nu\,\eta_i P}\,\epsilon, \qquad \eta_i = \rho\,\sigma_i^2, \quad
          \rho = \delta / \sigma_L^2, \quad \gamma_i = r\,\sigma_i.

**The noise of a step.** As published :math:`\nu = 2`, which is right for short steps: where a prior
knows its source, the score is :math:`(x - s)/\sigma_i^2`, and sources settle at a noise of variance
:math:`\sigma_i^2 / (1 - \rho/2)`, above the level that the priors are asked about. With
:math:`\nu = 2 - \rho` (``consistent``) they settle at :math:`\sigma_i^2` exactly, however long the
steps, and :math:`\rho = 1` denoises each source and noises it anew. Where a prior is much wider than
the noise its draws then have :math:`1 - \rho/2` of the variance. Both err less as
:math:`\rho \to 0`, and both draw the posterior in that limit.

**The mixture.** P acts on the source axis. It is the identity as published; preconditioned it is
:math:`(I + a a^T / r^2)^{-1}`, which shortens steps only along the gains a, where the likelihood is
stiff; its limit r -> 0 projects on the directions that leave the mixture alone, which is the exact
constraint: the likelihood disappears and the state is projected too.

**Stability.** Near a mode the curvature is at most :math:`(I + a a^T / r^2) / \sigma_i^2`, so a step is
stable only while :math:`\eta_i (1/\sigma_i^2 + \|a\|^2/\gamma_i^2) < 2`, without the second term where
P cancels it. It is the same number at every level, and settings that break it are refused.

The Metropolis-adjusted step accepts or rejects each proposal by the ratio of densities and proposal
densities, so its length no longer biases the draws; its proposals have the published noise. A last
Tweedie step removes the noise of the final level.

**Modes.** A step gives every source 1/N of what the others leave unexplained, so chains seldom leave
a mode. With two sources one of a few chains from noise mostly finds the right one; it is told by the
residual of its denoised sources (``num_restarts``). With more sources start from an estimate:
``start`` in a model folder, or the stage before it in a composition.

The published sampler (BASIS) is ``exact=False, consistent=False, largest_sigma=1,
smallest_sigma=0.01, num_levels=10, num_steps=100, delta=3e-5, num_restarts=1``.

Sources: Welling and Teh 2011; Song and Ermon 2019, algorithm 1; Jayaram and Thickstun 2020 (BASIS),
algorithm 1; Jolicoeur-Martineau et al. 2021, section 3 (consistent noise); Roberts and Tweedie 1996
(adjusted steps); Girolami and Calderhead 2011 (preconditioning).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Nats, Seed, Sigma, Sources, TensorLike, Waves
from tfsep.errors import InputError
from tfsep.posteriors.annealed import Annealed, AnnealingSettings, log_prob_of_all
from tfsep.posteriors.base import needs_log_prob, needs_score, residual_energy
from tfsep.posteriors.noise_schedule import geometric
from tfsep.priors.base import Prior
from tfsep.runtime.stateless_random import fold, normal, shape_of, split, uniform


class Langevin(Annealed):
    """Annealed SGLD over waveforms, one compiled loop.

    The defaults serve from noise, for two sources, and from an estimate of any number of sources, where
    the chain begins at the middle of the schedule, sigma 0.2.

    Args:
        priors: one per source, over waves, with a score.
        gains: mixing gains; None is the mean.
        annealing: the schedule, which is geometric, and the chains; None is the kind's defaults.
        num_steps: steps T at each level, at least 1.
        delta: step size at the last level, in units of variance; None is ``smallest_sigma`` squared, a
            step as long as the noise.
        likelihood_ratio: r = gamma / sigma of the soft constraint, above 0.
        exact: project on the mixture instead of the soft constraint.
        preconditioned: shorten the steps of the soft constraint along the gains.
        metropolis: adjust steps; needs priors with a log-density, and steps far shorter than the
            default.
        final_denoise: end with a Tweedie step; the exact projection that ends every run follows it.
        consistent: noise of a step that keeps sources at the noise of their level; False is the
            published noise, which needs short steps. Adjusted steps always have the published noise.
        num_restarts: independent starts from noise of the single estimate, at least 1; the mean of
            those ``num_chains`` is kept whose denoised sources leave the smallest residual. Draws
            (more than one sample) and warm starts are not chosen.

    Raises:
        InputError: for priors that cannot serve, a setting out of its range, or steps that are not
            stable.
    """

    kind = "langevin"
    is_sampler = True
    annealing_defaults = AnnealingSettings(largest_sigma=2.0, smallest_sigma=0.02, num_levels=24)

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None = None,
        annealing: AnnealingSettings | None = None,
        num_steps: int = 2,
        delta: float | None = None,
        likelihood_ratio: float = 1.0,
        exact: bool = True,
        preconditioned: bool = False,
        metropolis: bool = False,
        final_denoise: bool = True,
        consistent: bool = True,
        num_restarts: int = 4,
    ) -> None:
        """Check the settings, the stability of the step among them."""
        if num_steps < 1 or num_restarts < 1:
            name, value = ("num_steps", num_steps) if num_steps < 1 else ("num_restarts", num_restarts)
            raise InputError(f"{name} must be at least 1, got {value}")
        if not likelihood_ratio > 0.0:
            raise InputError(f"likelihood_ratio must be above 0 (exact is its limit), got {likelihood_ratio:g}")
        annealing = self.settings_or_defaults(annealing)
        smallest_sigma = annealing.smallest_sigma
        sigmas = geometric(annealing.largest_sigma, smallest_sigma, annealing.num_levels)
        super().__init__(priors, gains, annealing, sigmas, [annealing.largest_sigma, smallest_sigma])
        needs_score(self.kind, self.priors)
        delta = smallest_sigma**2 if delta is None else delta
        self.num_steps, self.relative_step = num_steps, delta / smallest_sigma**2
        self.consistent, self.num_restarts = consistent, num_restarts
        self.likelihood_ratio, self.exact, self.final_denoise = likelihood_ratio, exact, final_denoise
        self.preconditioned, self.metropolis = preconditioned, metropolis
        if metropolis:
            needs_log_prob(self.kind, "the Metropolis-adjusted step", self.priors, "metropolis = False")
        if not 0.0 < self.stability() < 2.0:
            raise InputError(
                "the Langevin step is stable only while eta (1/sigma^2 + |a|^2/gamma^2) lies in 0..2, "
                f"got {self.stability():.3g} from delta {delta:g}, smallest_sigma {smallest_sigma:g}, "
                f"likelihood_ratio {likelihood_ratio:g}"
            )

    @property
    def _stiffness(self) -> float:
        """Return |a|^2 / r^2, by how much the likelihood's curvature along the gains exceeds the priors'."""
        return sum(gain**2 for gain in self.gains) / self.likelihood_ratio**2

    @property
    def _shortening(self) -> float:
        """Return the eigenvalue of P along the gains; all others are one."""
        if self.exact:
            return 0.0
        return 1.0 / (1.0 + self._stiffness) if self.preconditioned else 1.0

    def stability(self) -> float:
        """Return eta_i (1/sigma_i^2 + |a|^2/gamma_i^2), less what P cancels; below 2 the dynamics are stable."""
        cancelled = self.exact or self.preconditioned
        return self.relative_step * (1.0 if cancelled else 1.0 + self._stiffness)

    @property
    def _noise_share(self) -> float:
        """Return nu, the variance of a step's noise over its length."""
        return 2.0 - self.relative_step if self.consistent and not self.metropolis else 2.0

    def chains_of(self, num_samples: int, started: bool = False) -> int:
        """Return the number of chains, of a single estimate from noise those of all restarts; see :class:`Annealed`."""
        restarts = self.num_restarts if num_samples == 1 and not started else 1
        return restarts * super().chains_of(num_samples, started)

    def sample(self, mixture: TensorLike, num_samples: int, seed: Seed, start: TensorLike | None = None) -> tf.Tensor:
        """Return draws, or the best restarts where one estimate from noise is asked for; see :class:`Posterior`."""
        if num_samples > 1 or start is not None or self.num_restarts == 1:
            return super().sample(mixture, num_samples, seed, start)
        ends = self.chains(mixture, self.chains_of(1), seed)
        means = ends
        if not self.final_denoise:
            flat = tf.reshape(ends, [-1, self.num_sources, self.segment])
            means = tf.reshape(self.denoised(flat, tf.constant(self.sigmas[-1])), tf.shape(ends))
        residual = residual_energy(tf.cast(mixture, tf.float32), means, self.gains)
        residual = tf.where(tf.math.is_finite(residual), residual, tf.float32.max)
        kept = tf.math.top_k(-tf.transpose(residual), self.annealing.num_chains)[1]
        best = tf.gather(tf.transpose(ends, [1, 0, 2, 3]), kept, axis=1, batch_dims=1)
        return mixing.project(mixture, tf.reduce_mean(best, axis=1), self.gains)[tf.newaxis]

    def evaluations(self, num_levels: int) -> int:
        """One a step, with the density for adjusted ones, and the last step's; see :class:`Annealed`."""
        return num_levels * self.num_steps * (2 if self.metropolis else 1) + int(self.final_denoise)

    def run(
        self, mixture: tf.Tensor, sources: tf.Tensor, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor
    ) -> tf.Tensor:
        """Run all steps of each level; see :class:`Annealed`."""

        def anneal(level: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return level + 1, self.walk(mixture, sources, sigmas[level], self.num_steps, fold(seed, level))[0]

        begin = (levels[0], sources)
        return tf.while_loop(lambda level, _: level < levels[1], anneal, begin, parallel_iterations=1)[1]

    def enter(self, mixture: Waves, sources: Sources) -> Sources:
        """Project the chains on the mixture; see :class:`Annealed`."""
        return mixing.project(mixture, sources, self.gains)

    def finish(self, sources: Sources, sigma: Sigma) -> Sources:
        """Take Tweedie's step, if asked for; see :class:`Annealed`."""
        return self.denoised(sources, sigma) if self.final_denoise else sources

    def walk(
        self, mixture: Waves, sources: Sources, sigma: Sigma, num_steps: int, seed: tf.Tensor
    ) -> tuple[Sources, tf.Tensor]:
        """Take steps at one noise level: (chain, source, segment) -> the same, and the acceptance rate (chain,)."""
        none = tf.zeros(tf.shape(sources)[:1])
        if self.metropolis:
            begin = (0, sources, *self._density(mixture, sources, sigma), none)
            walk = tf.while_loop(lambda step, *_: step < num_steps, self._adjusted(mixture, sigma, seed), begin)
            return walk[1], walk[4] / num_steps

        def move(step: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            moved = self._propose(mixture, sources, self._gradient(mixture, sources, sigma), sigma, fold(seed, step))
            return step + 1, moved

        walk = tf.while_loop(lambda step, _: step < num_steps, move, (0, sources), parallel_iterations=1)
        return walk[1], none + 1.0

    def _adjusted(self, mixture: Waves, sigma: Sigma, seed: tf.Tensor) -> Callable[..., tuple[tf.Tensor, ...]]:
        """Return the Metropolis-adjusted step, of (step, sources, log-density, gradient, moves accepted)."""

        def move(
            step: tf.Tensor, sources: tf.Tensor, density: tf.Tensor, gradient: tf.Tensor, accepted: tf.Tensor
        ) -> tuple[tf.Tensor, ...]:
            seeds = split(fold(seed, step), 2)
            proposed = self._propose(mixture, sources, gradient, sigma, seeds[0])
            new_density, new_gradient = self._density(mixture, proposed, sigma)
            forward = self._log_kernel(sources, proposed, gradient, sigma)
            backward = self._log_kernel(proposed, sources, new_gradient, sigma)
            chance = tf.math.log(uniform(shape_of(density), seeds[1]))
            accept = chance < new_density - density + backward - forward
            wide = accept[:, tf.newaxis, tf.newaxis]
            return (
                step + 1,
                tf.where(wide, proposed, sources),
                tf.where(accept, new_density, density),
                tf.where(wide, new_gradient, gradient),
                accepted + tf.cast(accept, tf.float32),
            )

        return move

    def _propose(
        self, mixture: tf.Tensor, sources: tf.Tensor, gradient: tf.Tensor, sigma: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """Propose a move, noise included, from sources with this gradient."""
        eta = self.relative_step * sigma**2
        noise = normal(shape_of(sources), seed)
        jump = self._along_gains(noise, math.sqrt(self._shortening))
        moved = sources + eta * self._along_gains(gradient, self._shortening) + tf.sqrt(self._noise_share * eta) * jump
        return mixing.project(mixture, moved, self.gains) if self.exact else moved

    def _log_kernel(self, here: tf.Tensor, there: tf.Tensor, gradient: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
        """Return the log-density of the move from here to there but for a constant: (chain,)."""
        eta = self.relative_step * sigma**2
        rest = there - here - eta * self._along_gains(gradient, self._shortening)
        white = self._along_gains(rest, 0.0 if self.exact else 1.0 / math.sqrt(self._shortening))
        return -tf.reduce_sum(white**2, [1, 2]) / (2.0 * self._noise_share * eta)

    def _along_gains(self, direction: tf.Tensor, factor: float) -> tf.Tensor:
        """Scale the part of a move of the sources that changes the mixture."""
        if factor == 1.0:
            return direction
        tangent = mixing.project_tangent(direction, self.gains)
        return tangent + factor * (direction - tangent)

    def _gradient(self, mixture: Waves, sources: Sources, sigma: Sigma) -> Sources:
        """Return the gradient of the joint log-density; that of the likelihood is left out where it is exact."""
        score = self.scores(sources, sigma)
        if self.exact:
            return score
        return score + mixing.gradient(mixture, sources, self.likelihood_ratio * sigma, self.gains)

    def _density(self, mixture: Waves, sources: Sources, sigma: Sigma) -> tuple[Nats, Sources]:
        """Return the joint log-density but for a constant (chain,), and its gradient."""
        density = log_prob_of_all(self.priors, sources, sigma)
        if not self.exact:
            density += mixing.log_likelihood(mixture, sources, self.likelihood_ratio * sigma, self.gains)
        return density, self._gradient(mixture, sources, sigma)
