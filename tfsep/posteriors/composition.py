r"""A composition: posteriors in sequence, each starting where the one before it ended.

An amortised posterior finds the right mode fast, annealed Gibbs updates jump to another mode where
it was wrong, Langevin dynamics sample around their result: :math:`s^{(i)} \sim q_i(\cdot\,|\,m,
s^{(i-1)})`. A stage may do harm where its priors fit badly, so a composition keeps a prefix of its
stages (``keep``), the one with the highest SI-SDRi on validation mixtures
(:mod:`tfsep.evaluation.stage_selection`), and its first stage at least: it is never worse there than its
start.

The same choice can be made for each mixture, without knowing the sources (``choice``): among the
estimates of all stages, each of which explains the mixture, the one with the highest joint density
:math:`\sum_k \log p_{k,\sigma}(s_k)`, or the one whose denoised sources leave the smallest
residual, :math:`\lVert m - \sum_k a_k D_k(s_k, \sigma) \rVert^2`, where a prior has no density.
Neither is the default: learned densities rank what one method found well, and can rank what
different methods found badly, so it is validation that chooses between methods.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfsep.axes import Seed, Sources, TensorLike, Waves
from tfsep.errors import InputError
from tfsep.posteriors.base import Posterior, denoise_each, residual_energy, wave_priors
from tfsep.posteriors.kinds import COMPOSITION, kept
from tfsep.priors.base import Prior
from tfsep.runtime.graph_memory import bytes_of
from tfsep.runtime.stateless_random import fold

CHOICES = ("last", "density", "residual")


class Composition(Posterior):
    """Stages in sequence.

    Args:
        stages: posteriors of the same sources, gains and segment; all but the first must accept a
            start.
        keep: how many of the first stages to use; None is all.
        choice: "last", or how the estimate of each mixture is chosen among the stages', "density" or
            "residual".
        choice_sigma: noise level of that choice; None is the smallest that is in the range of all priors.
        validation_si_sdri: SI-SDRi of each prefix on validation mixtures in dB; a record, without
            effect.
        priors: one per source, for a choice by density or residual.

    Raises:
        InputError: for no stages, stages that do not fit together, or priors that cannot serve the
            choice.
    """

    kind = COMPOSITION

    def __init__(
        self,
        stages: Sequence[Posterior],
        keep: int | None = None,
        choice: str = "last",
        choice_sigma: float | None = None,
        validation_si_sdri: Sequence[float] | None = None,
        priors: Sequence[Prior] | None = None,
    ) -> None:
        """Check that the stages fit together, and the choice."""
        self.stages = tuple(stages)[: kept(len(stages), keep)]
        first = self.stages[0]
        self.num_sources, self.segment, self.gains = first.num_sources, first.segment, tuple(first.gains)
        for stage in self.stages[1:]:
            here, there = ((p.num_sources, p.segment, *map(float, p.gains)) for p in (stage, first))
            if here != there:
                raise InputError(
                    f"stages must share sources, segment and gains: {stage.kind!r} has {stage.num_sources} sources of "
                    f"{stage.segment} samples, {first.kind!r} has {first.num_sources} of {first.segment}"
                )
        if choice not in CHOICES:
            raise InputError(f"choice must be one of {', '.join(CHOICES)}, got {choice!r}")
        self.choice = choice
        self.validation_si_sdri = None if validation_si_sdri is None else tuple(validation_si_sdri)
        self.is_sampler = choice == "last" and self.stages[-1].is_sampler
        self.priors: list[Prior] = []
        if choice != "last":
            sigma = choice_sigma or max((prior.smallest_sigma for prior in priors or ()), default=0.0)
            self.priors, self.choice_sigma = wave_priors(f"composition by {choice}", priors, [sigma]), sigma
            without_density = [prior.kind for prior in self.priors if not prior.has_log_prob]
            if choice == "density" and without_density:
                raise InputError(
                    f"choice 'density' needs priors with a density, got {without_density[0]!r}; use 'residual'"
                )

    def describe(self) -> str:
        """Return the kinds of its stages in their order, such as "amortised > gibbs"."""
        return " > ".join(stage.describe() for stage in self.stages)

    @property
    def has_spread(self) -> bool:
        """Return that of its last stage, where no stage is chosen for each mixture."""
        return self.choice == "last" and self.stages[-1].has_spread

    def memory(self, num_samples: int) -> int:
        """Return that of the stage that uses most."""
        each = [stage.memory(num_samples) or bytes_of(stage.sample, self.segment, num_samples) for stage in self.stages]
        return max(each)

    def reports(self) -> bool:
        """Tell whether one of its stages does."""
        return any(stage.reports() for stage in self.stages)

    def estimates_of_stages(self, mixture: TensorLike, seed: Seed, start: TensorLike | None = None) -> list[Sources]:
        """Return the single best estimate of each prefix of the stages: (batch, source, segment) each."""
        found: list[tf.Tensor] = []
        for index, stage in enumerate(self.stages):
            estimate = stage.sample(mixture, 1, _seed(seed, index), start=found[-1] if found else start)
            found.append(estimate[0])
        return found

    def sample(self, mixture: TensorLike, num_samples: int, seed: Seed, start: TensorLike | None = None) -> tf.Tensor:
        """Return the chosen estimate, or ``num_samples`` draws of the last stage around the estimate before it.

        See :class:`Posterior`. The choice concerns the single estimate; draws are always those of the
        last stage kept.
        """
        mixture = tf.convert_to_tensor(mixture, tf.float32)
        if num_samples == 1:
            found = self.estimates_of_stages(mixture, seed, start)
            return (found[-1] if self.choice == "last" else self._choose(mixture, found))[tf.newaxis]
        for index, stage in enumerate(self.stages[:-1]):
            start = stage.sample(mixture, 1, _seed(seed, index), start=start)[0]
        last = len(self.stages) - 1
        return self.stages[last].sample(mixture, num_samples, _seed(seed, last), start=start)

    def _choose(self, mixture: Waves, found: Sequence[Sources]) -> Sources:
        """Choose for each mixture the estimate with the highest criterion, never one that is not finite."""
        criteria = tf.stack([self.criterion(mixture, estimate) for estimate in found])
        criteria = tf.where(tf.math.is_finite(criteria), criteria, tf.float32.min)
        best = tf.argmax(criteria, axis=0)
        return tf.gather(tf.stack(found, axis=1), best, axis=1, batch_dims=1)

    def criterion(self, mixture: Waves, sources: Sources) -> tf.Tensor:
        """Return how well the priors explain sources (batch, source, segment), the higher the better: (batch,)."""
        if self.choice == "density":
            each = [
                prior.log_prob(sources[:, k, :, tf.newaxis], self.choice_sigma) for k, prior in enumerate(self.priors)
            ]
            return tf.cast(tf.add_n(each), tf.float32)
        return -residual_energy(mixture, denoise_each(self.priors, sources, self.choice_sigma), self.gains)


def _seed(seed: Seed, index: int) -> tf.Tensor:
    return fold(tf.cast(tf.convert_to_tensor(seed), tf.int32), index)
