"""Objectives of amortised posteriors by name: simulated pairs, a bound over priors, or both.

For the bounds the priors' noise level falls geometrically from ``largest_sigma`` to
``smallest_sigma`` over the first part of a training, because a sharp density has no gradient far
from its modes, and beta rises linearly from ``first_beta`` to 1.

A batch is a pair (sources, progress): the share of the training that is done travels with the data,
which are a pure function of the step, so a resumed training anneals as an uninterrupted one.

Source: Sonderby et al. 2016 (warm-up of beta).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfsep.axes import Sources
from tfsep.errors import InputError
from tfsep.posteriors.base import MOST_ASSIGNED, needs_score, wave_priors
from tfsep.priors.base import Prior
from tfsep.training import mean_field
from tfsep.training.evidence_lower_bound import negative_elbo
from tfsep.training.pair_objectives import MSE_WEIGHT, DrawnPosterior, pairs
from tfsep.training.task import Loss

OBJECTIVES = ("simulated_pairs", "elbo", "mean_field", "both")


@dataclass(frozen=True)
class ObjectiveSettings:
    """Which objective an amortised posterior is trained by.

    Attributes:
        kind: "simulated_pairs", "elbo", "mean_field" (the bound over tilted priors, mean_field.py),
            or "both" of the first two.
        pairs_from: "data", pairs of recorded sources, or "priors", pairs simulated from the priors
            at their smallest noise level: the sleep phase of Hinton et al. 1995, which needs no
            recording.
        pairs_weight, elbo_weight: weights of the two parts of "both", above 0.
        mse_weight: weight of the plain mean square error beside its logarithm, for pairs from data
            alone, above 0.
        num_samples: draws of q per mixture, at least 1.
        largest_sigma, smallest_sigma: the priors' noise level at the beginning and at the end.
        annealed: share of the training after which sigma is at its smallest, in 0..1.
        first_beta: weight of the divergence from the priors at the beginning, in 0..1.
        warmed_up: share of the training after which beta is 1, in 0..1.
        likelihood_ratio: r = gamma / (sigma |a|), above 0.
        exchanges: pairs of indices of sources that "mean_field" tries to exchange in every step; if
            empty, one pair a step is drawn at random.
        reassign: try all N! assignments in every step of "mean_field" instead, N at most 6.
        rounds: updates by the bound that "mean_field" makes before the network follows, at least 1.
    """

    kind: str = "simulated_pairs"
    pairs_from: str = "data"
    pairs_weight: float = 1.0
    elbo_weight: float = 0.1
    mse_weight: float = MSE_WEIGHT
    num_samples: int = 1
    largest_sigma: float = 1.0
    smallest_sigma: float = 0.1
    annealed: float = 0.7
    first_beta: float = 0.1
    warmed_up: float = 0.1
    likelihood_ratio: float = 1.0
    exchanges: Sequence[Sequence[int]] = ()
    reassign: bool = False
    rounds: int = 1

    def __post_init__(self) -> None:
        """Check every range.

        Raises:
            InputError: naming the setting, its rule and its value.
        """
        if self.kind not in OBJECTIVES:
            raise InputError(f"objective.kind must be one of {', '.join(OBJECTIVES)}, got {self.kind!r}")
        if self.pairs_from not in ("data", "priors"):
            raise InputError(f"objective.pairs_from must be data or priors, got {self.pairs_from!r}")
        if not 0.0 < self.smallest_sigma <= self.largest_sigma:
            given = f"{self.smallest_sigma:g} and {self.largest_sigma:g}"
            raise InputError(f"objective needs 0 < smallest_sigma <= largest_sigma, got {given}")
        for name in ("annealed", "first_beta", "warmed_up"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"objective.{name} must lie in 0..1, got {getattr(self, name):g}")
        for name in ("pairs_weight", "elbo_weight", "mse_weight", "likelihood_ratio", "num_samples", "rounds"):
            if not getattr(self, name) > 0:
                raise InputError(f"objective.{name} must be above 0, got {getattr(self, name):g}")
        indices = [index for pair in self.exchanges for index in pair]
        in_pairs = all(len(pair) == 2 for pair in self.exchanges) and len(set(indices)) == len(indices)
        if not in_pairs or min(indices, default=0) < 0:
            raise InputError(
                f"objective.exchanges must be pairs of indices of sources, none twice, got {self.exchanges!r}"
            )
        used = {"exchanges": bool(self.exchanges), "reassign": self.reassign, "rounds": self.rounds != 1}
        for name in used:
            if used[name] and self.kind != "mean_field":
                raise InputError(f"objective.{name} is for kind 'mean_field', got {self.kind!r}")
        if self.mse_weight != MSE_WEIGHT and self.needs_priors:
            raise InputError(f"objective.mse_weight is for kind 'simulated_pairs' from data, got {self.kind!r}")
        if self.exchanges and self.reassign:
            raise InputError(
                "objective.reassign tries all exchanges; set objective.exchanges to (), or reassign to False"
            )

    @property
    def needs_priors(self) -> bool:
        """Whether priors must be trained first."""
        return self.kind != "simulated_pairs" or self.pairs_from == "priors"


def build(settings: ObjectiveSettings, priors: Sequence[Prior] | None) -> Callable[[Any, Any, tf.Tensor], Loss]:
    """Return the objective (posterior, batch, seed) -> (loss, metrics) of some settings.

    A batch is the sources alone where no priors are needed, else (sources, progress).

    Raises:
        InputError: if priors are needed and there are none, or they cannot serve.
    """
    if not settings.needs_priors:
        return functools.partial(pairs, mse_weight=settings.mse_weight)
    swaps = [(int(first), int(second)) for first, second in settings.exchanges]
    known = wave_priors("amortised (elbo)", priors, (settings.smallest_sigma, settings.largest_sigma))
    if any(index >= len(known) for pair in swaps for index in pair):
        raise InputError(f"objective.exchanges are indices of {len(known)} sources, got {settings.exchanges!r}")
    if settings.reassign and len(known) > MOST_ASSIGNED:
        raise InputError(
            f"objective.reassign tries every assignment, of at most {MOST_ASSIGNED} sources, got {len(known)}; "
            "set it to False, or give objective.exchanges"
        )
    if settings.kind != "mean_field":
        needs_score("amortised (elbo)", known)

    def objective(posterior: DrawnPosterior, batch: tuple[tf.Tensor, tf.Tensor], seed: tf.Tensor) -> Loss:
        sources, progress = batch
        sigma, beta = annealed(progress[0], settings)
        if settings.kind == "mean_field":
            how = swaps, settings.reassign, settings.rounds
            return mean_field.natural_gradient(posterior, known, sources, sigma, seed, *how)
        parts: list[tuple[float, Loss]] = []
        if settings.kind != "simulated_pairs":
            weight = settings.elbo_weight if settings.kind == "both" else 1.0
            draws, ratio = settings.num_samples, settings.likelihood_ratio
            parts.append((weight, negative_elbo(posterior, known, sources, sigma, beta, seed, draws, ratio)))
        if settings.kind != "elbo":
            drawn = sources if settings.pairs_from == "data" else simulated_sources(known, sources.shape[0], seed)
            weight = settings.pairs_weight if settings.kind == "both" else 1.0
            parts.append((weight, pairs(posterior, drawn, seed)))
        metrics = {name: value for _, (_, found) in parts for name, value in found.items()}
        return tf.add_n([weight * loss for weight, (loss, _) in parts]), metrics

    return objective


def simulated_sources(priors: Sequence[Prior], num: int, seed: tf.Tensor) -> Sources:
    """Draw sources from the priors, independently of each other: (num, source, time)."""
    each = [
        prior.sample(num, tf.random.experimental.stateless_fold_in(seed, 1 + k))[..., 0]
        for k, prior in enumerate(priors)
    ]
    return tf.stop_gradient(tf.cast(tf.stack(each, axis=1), tf.float32))


def annealed(progress: tf.Tensor, settings: ObjectiveSettings) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the priors' noise level and beta at a share ``progress`` of the training, scalars."""
    position = tf.minimum(progress / max(settings.annealed, 1e-6), 1.0)
    low, high = math.log(settings.smallest_sigma), math.log(settings.largest_sigma)
    warm = tf.minimum(progress / max(settings.warmed_up, 1e-6), 1.0)
    return tf.exp(high + (low - high) * position), settings.first_beta + (1.0 - settings.first_beta) * warm
