"""Every kind of posterior by name, and the parameters that each kind takes."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfsep.errors import InputError
from tfsep.parameters import described_parameters, did_you_mean, keyword_parameters, refuse_unknown
from tfsep.posteriors.amortised import Amortised
from tfsep.posteriors.annealed import Annealed, AnnealingSettings
from tfsep.posteriors.base import Posterior
from tfsep.posteriors.composition import Composition
from tfsep.posteriors.diffusion import Diffusion
from tfsep.posteriors.gibbs import Gibbs
from tfsep.posteriors.kinds import COMPOSITION, LEARNED, kept
from tfsep.posteriors.langevin import Langevin
from tfsep.posteriors.latent import Latent
from tfsep.posteriors.silence import with_silence
from tfsep.posteriors.stochastic_gibbs import StochasticGibbs
from tfsep.priors.base import Prior


def composition(
    stages: Sequence[Posterior | Mapping[str, Any]],
    priors: Sequence[Prior] | None = None,
    gains: Sequence[float] | None = None,
    keep: int | None = None,
    choice: str = "last",
    choice_sigma: float | None = None,
    scores: Sequence[float] | None = None,
) -> Composition:
    """Build the stages that are only described, as far as they are used, and compose them.

    The arguments are those of :class:`Composition`; a stage may also be the arguments of :func:`build`.
    """
    used = stages[: kept(len(stages), keep)]
    built = [
        stage if isinstance(stage, Posterior) else build(**{**stage, "priors": priors, "gains": gains})
        for stage in used
    ]
    return Composition(built, choice=choice, choice_sigma=choice_sigma, scores=scores, priors=priors)


KINDS: dict[str, Callable[..., Posterior]] = {
    "amortised": Amortised,
    COMPOSITION: composition,
    "diffusion": Diffusion,
    "gibbs": Gibbs,
    "langevin": Langevin,
    "latent": Latent,
    "stochastic_gibbs": StochasticGibbs,
}
_OF_THE_MODEL = ("gains", "num_sources", "segment")


def parameters(kind: str) -> dict[str, inspect.Parameter]:
    """Return the settings of a kind as keyword-only parameters with annotation (as text) and default.

    What a model gives to every posterior is left out: ``priors``, ``gains``, ``num_sources`` and ``segment``. The
    annealing settings of a sampler stand one by one, with the kind's defaults.

    Raises:
        InputError: for an unknown kind.
    """
    target = _target(kind)
    found = keyword_parameters(target, without=("self", "priors", *_OF_THE_MODEL))
    if "annealing" in found:
        del found["annealing"]
        found = _annealing_parameters(target) | found
    if kind not in LEARNED:
        found |= keyword_parameters(build, without=("kind", "priors"))
    return found


def describe_parameters(kind: str) -> dict[str, str]:
    """Return one line of text for each of the :func:`parameters` of a kind.

    Raises:
        InputError: for an unknown kind.
    """
    target = Composition if _target(kind) is composition else _target(kind)
    texts = described_parameters(build) | described_parameters(AnnealingSettings) | described_parameters(target)
    return {name: texts[name] for name in parameters(kind)}


def build(
    kind: str, priors: Sequence[Prior] | None = None, silence_probability: float = 0.0, **settings: Any
) -> Posterior:
    """Build a posterior; a learned one (:data:`LEARNED`) still needs its weights.

    Args:
        kind: one of :data:`KINDS`.
        priors: one per source, for the kinds that sample with them.
        silence_probability: probability that a source is absent from a mixture, from 0 (never) to below 1
            (:mod:`tfsep.posteriors.silence`).
        settings: the kind's own (:func:`parameters`), and ``gains``; of a learned kind ``num_sources`` and ``segment``.

    Raises:
        InputError: for an unknown kind, a setting the kind does not have, or priors it cannot use.
    """
    refuse_unknown(f"posterior {kind!r}", settings, [*parameters(kind), *_OF_THE_MODEL])
    if silence_probability and kind in LEARNED:
        raise InputError(f"posterior {kind!r} learns silence from its data and takes no silence_probability")
    target = KINDS[kind]
    try:
        if silence_probability:
            priors = with_silence(priors or [], silence_probability)
        if isinstance(target, type) and issubclass(target, Annealed):
            given = {name: settings.pop(name) for name in _annealing_parameters(target) if name in settings}
            if given:
                settings["annealing"] = dataclasses.replace(target.annealing_defaults, **given)
        return target(priors=priors, **settings)
    except (TypeError, ValueError) as error:
        raise InputError(f"posterior {kind!r}: {error}") from error


def _target(kind: str) -> Callable[..., Posterior]:
    if kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise InputError(f"the posterior must be one of {known}, got {kind!r}{did_you_mean(str(kind), KINDS)}")
    return KINDS[kind]


def _annealing_parameters(target: Callable[..., Posterior]) -> dict[str, inspect.Parameter]:
    """Return the annealing settings that a kind uses, as parameters with its defaults."""
    if not (isinstance(target, type) and issubclass(target, Annealed)):
        return {}
    found = keyword_parameters(AnnealingSettings)
    return {
        name: found[name].replace(default=getattr(target.annealing_defaults, name)) for name in target.annealing_fields
    }
