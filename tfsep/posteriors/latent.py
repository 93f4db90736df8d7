r"""Posterior over the latents of flows: chains move in latents, from which sources are decoded.

With :math:`s_k = f_k(z_k)` decoded at the prior's smallest noise level,

.. math:: \log p(z|m) = \sum_k \log \mathcal{N}(z_k; 0, I)
          + \log \mathcal{N}\Big(m; \sum_k a_k f_k(z_k), \gamma^2 I\Big) + \text{const},

with the mixture noise gamma falling level by level. ``optimise`` climbs it by Adam and ends at a
mode in z: a heuristic, whose result depends on the flow's coordinates. ``sample`` draws from it by
Langevin's steps of length :math:`\eta_i = h / (1 + \|a\|^2 / \gamma_i^2)`, which is stable for h <
2 where decoders do not stretch (their slopes are at most one, as for sources within full scale); a
flow with larger slopes needs a smaller h.

Sources: Kingma and Ba 2015 (Adam); Jalal et al. 2021 (Langevin dynamics in latents); Zhu et al.
2022 (InstGlow).
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Sources, Waves
from tfsep.errors import InputError
from tfsep.posteriors.adam import adam_step
from tfsep.posteriors.annealed import Annealed, AnnealingSettings
from tfsep.posteriors.base import events_of
from tfsep.posteriors.noise_schedule import geometric
from tfsep.priors.base import Prior
from tfsep.runtime.stateless_random import fold, normal, shape_of

UPDATES = ("optimise", "sample")


class Latent(Annealed):
    """Optimise or sample the latents of flow priors over waveforms, one compiled loop.

    Args:
        priors: one per source, flows over waves.
        gains: mixing gains; None is the mean.
        update: "optimise" or "sample".
        largest_gamma, smallest_gamma, num_levels: the geometric schedule of the mixture's noise.
        num_steps: steps at each level.
        step_size: h above; of Adam, the largest move of a latent in one step.
        num_chains: chains averaged into one sample.
        start_sigma: gamma at which a warm start begins, and the noise added to it; None is the
            middle of the schedule.

    Raises:
        InputError: for priors that are no flows over waves, or a setting out of its range.
    """

    kind = "latent"
    annealing_fields = ()
    divisible = False  # Adam's moments are carried from level to level

    def __init__(
        self,
        priors: Sequence[Prior] | None,
        gains: Sequence[float] | None = None,
        update: str = "optimise",
        largest_gamma: float = 1.0,
        smallest_gamma: float = 0.03,
        num_levels: int = 10,
        num_steps: int = 50,
        step_size: float = 0.05,
        num_chains: int = 1,
        start_sigma: float | None = None,
    ) -> None:
        """Check the settings, and that every prior is a flow."""
        if update not in UPDATES:
            raise InputError(f"update must be one of {', '.join(UPDATES)}, got {update!r}")
        if num_steps < 1 or not 0.0 < step_size < 2.0:
            raise InputError(f"num_steps must be at least 1 and step_size in 0..2, got {num_steps} and {step_size:g}")
        gammas = geometric(largest_gamma, smallest_gamma, num_levels)
        known = [prior.smallest_sigma for prior in priors or []]
        annealing = AnnealingSettings(
            largest_gamma, smallest_gamma, num_levels, start_sigma, num_chains, jit_compile=False
        )
        super().__init__(priors, gains, annealing, gammas, known)
        for prior in self.priors:
            if not prior.has_latents:
                raise InputError(f"posterior {self.kind!r} moves latents, which prior {prior.kind!r} does not have")
        self.update, self.num_steps, self.step_size = update, num_steps, step_size
        self.is_sampler = update == "sample"

    def cold(self, mixture: Waves, noise: Sources) -> Sources:
        """Draw from the priors, by decoding standard normal noise (chain, source, segment), of its shape."""
        return self.decode(noise)

    def run(
        self, mixture: tf.Tensor, sources: tf.Tensor, sigmas: tf.Tensor, seed: tf.Tensor, levels: tf.Tensor
    ) -> tf.Tensor:
        """Run all levels and steps; see :class:`Annealed`."""
        del levels  # all of them are run at once
        pairs = zip(self.priors, events_of(sources), strict=True)
        latents = [prior.encode(events)[0][..., 0] for prior, events in pairs]
        total = tf.shape(sigmas)[0] * self.num_steps
        return self.decode(self._walk(mixture, tf.stack(latents, axis=1), sigmas, seed, total))

    def decode(self, latents: tf.Tensor) -> Sources:
        """Decode each source by its own prior: (batch, source, time) -> the same."""
        pairs = zip(self.priors, events_of(latents), strict=True)
        return tf.stack([prior.decode(z)[..., 0] for prior, z in pairs], axis=1)

    def _walk(
        self, mixture: tf.Tensor, latents: tf.Tensor, gammas: tf.Tensor, seed: tf.Tensor, total: tf.Tensor
    ) -> tf.Tensor:
        """Take ``total`` steps in the latents, (chain, source, segment)."""

        def move(
            step: tf.Tensor, latents: tf.Tensor, first: tf.Tensor, second: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
            gamma = gammas[step // self.num_steps]
            gradient = self._gradient(mixture, latents, gamma)
            if self.update == "sample":
                eta = self.step_size / (1.0 + sum(gain**2 for gain in self.gains) / gamma**2)
                noise = normal(shape_of(latents), fold(seed, step))
                return step + 1, latents + eta * gradient + tf.sqrt(2.0 * eta) * noise, first, second
            change, first, second = adam_step(gradient, first, second, step, self.step_size)
            return step + 1, latents + change, first, second

        none = tf.zeros_like(latents)
        begin = (0, latents, none, none)
        return tf.while_loop(lambda step, *_: step < total, move, begin, parallel_iterations=1)[1]

    def _gradient(self, mixture: tf.Tensor, latents: tf.Tensor, gamma: tf.Tensor) -> tf.Tensor:
        """Return the gradient of log p(z|m): (batch, source, time)."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(latents)
            explained = mixing.log_likelihood(mixture, self.decode(latents), gamma, self.gains)
        return tape.gradient(explained, latents) - latents
