"""Every kind of posterior by name, and the parameters that each kind takes.

A kind is imported when it is first asked for: a model loads only the posterior that it uses.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from tfsep.errors import InputError
from tfsep.posteriors.base import Posterior
from tfsep.posteriors.kinds import COMPOSITION, LEARNED, kept
from tfsep.priors.base import Prior
from tfsep.signatures import described_parameters, did_you_mean, keyword_parameters, refuse_unknown

if TYPE_CHECKING:
    from tfsep.posteriors.annealed import Annealed
    from tfsep.posteriors.composition import Composition

#: The module and the name of each kind.
KINDS = {
    "amortised": ("amortised", "Amortised"),
    COMPOSITION: ("registry", "composition"),
    "diffusion": ("diffusion", "Diffusion"),
    "gibbs": ("gibbs", "Gibbs"),
    "langevin": ("langevin", "Langevin"),
    "latent": ("latent", "Latent"),
    "particles": ("particles", "Particles"),
    "spectral_langevin": ("spectral_langevin", "SpectralLangevin"),
    "spectral_latent": ("spectral_latent", "SpectralLatent"),
    "stochastic_gibbs": ("stochastic_gibbs", "StochasticGibbs"),
}
_OF_THE_MODEL = ("gains", "num_sources", "segment")


def composition(
    stages: Sequence[Posterior | Mapping[str, Any]],
    priors: Sequence[Prior] | None = None,
    gains: Sequence[float] | None = None,
    keep: int | None = None,
    choice: str = "last",
    choice_sigma: float | None = None,
    validation_si_sdri: Sequence[float] | None = None,
) -> Composition:
    """Build the stages that are only described, as far as they are used, and compose them.

    The arguments are those of :class:`Composition`; a stage may also be the arguments of
    :func:`build`.
    """
    from tfsep.posteriors.composition import Composition

    used = stages[: kept(len(stages), keep)]
    built = [
        stage if isinstance(stage, Posterior) else build(**{**stage, "priors": priors, "gains": gains})
        for stage in used
    ]
    return Composition(
        built, choice=choice, choice_sigma=choice_sigma, validation_si_sdri=validation_si_sdri, priors=priors
    )


def parameters(kind: str) -> dict[str, inspect.Parameter]:
    """Return the settings of a kind as keyword-only parameters with annotation (as text) and default.

    What a model gives to every posterior is left out: ``priors``, ``gains``, ``num_sources`` and
    ``segment``. The annealing settings of a sampler stand one by one, with the kind's defaults.

    Raises:
        InputError: for an unknown kind.
    """
    target = _target(kind)
    found = keyword_parameters(target, without=("self", "priors", *_OF_THE_MODEL))
    found.pop("annealing", None)
    found = _annealing_parameters(target) | found
    if kind not in LEARNED:
        found |= keyword_parameters(build, without=("kind", "priors"))
    if kind == COMPOSITION:
        del found["start"]
    return found


def describe_parameters(kind: str) -> dict[str, str]:
    """Return one line of text for each of the :func:`parameters` of a kind.

    Raises:
        InputError: for an unknown kind.
    """
    from tfsep.posteriors.annealed import AnnealingSettings
    from tfsep.posteriors.composition import Composition

    target = Composition if kind == COMPOSITION else _target(kind)
    texts = described_parameters(build) | described_parameters(AnnealingSettings) | described_parameters(target)
    return {name: texts[name] for name in parameters(kind)}


def build(
    kind: str,
    priors: Sequence[Prior] | None = None,
    silence_probability: float = 0.0,
    start: Posterior | str | None = None,
    **settings: Any,
) -> Posterior:
    """Build a posterior; a learned one (:data:`LEARNED`) still needs its weights.

    Args:
        kind: one of :data:`KINDS`.
        priors: one per source, for the kinds that sample with them.
        silence_probability: probability that a source is absent from a mixture, from 0 (never) to
            below 1 (:mod:`tfsep.posteriors.silence`).
        start: the posterior near whose estimate a sampler starts, instead of at noise: both in sequence
            are a composition. In a model folder and in gin files it is the kind of another of the
            model's posteriors, such as "amortised".
        settings: the kind's own (:func:`parameters`), and ``gains``; of a learned kind
            ``num_sources`` and ``segment``.

    Raises:
        InputError: for an unknown kind, a setting the kind does not have, priors it cannot use, or a
            start that is only named.
    """
    if start is not None and "start" not in parameters(kind):
        raise InputError(f"posterior {kind!r} has no start; a sampler has, and the first stage of a composition is one")
    if isinstance(start, str):
        raise InputError(f"posterior {kind!r}: start {start!r} is a name in a model folder; give the posterior itself")
    refuse_unknown(f"posterior {kind!r}", settings, [*parameters(kind), *_OF_THE_MODEL])
    if silence_probability and kind in LEARNED:
        raise InputError(f"posterior {kind!r} models silence by its training data and has no silence_probability")
    target = _target(kind)
    try:
        if silence_probability:
            from tfsep.posteriors.silence import with_silence

            priors = with_silence(priors or [], silence_probability)
        if annealed := _annealed(target):
            given = {name: settings.pop(name) for name in annealed.annealing_fields if name in settings}
            if given:
                settings["annealing"] = dataclasses.replace(annealed.annealing_defaults, **given)
        built = target(priors=priors, **settings)
        return built if start is None else composition([start, built])
    except (TypeError, ValueError) as error:
        raise InputError(f"posterior {kind!r}: {error}") from error


def _target(kind: str) -> Callable[..., Posterior]:
    if kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise InputError(f"the posterior must be one of {known}, got {kind!r}{did_you_mean(str(kind), KINDS)}")
    module, name = KINDS[kind]
    return getattr(importlib.import_module(f"tfsep.posteriors.{module}"), name)


def _annealed(target: Callable[..., Posterior]) -> type[Annealed] | None:
    """Return the class of an annealed sampler, which has annealing settings, None for any other kind."""
    return cast("type[Annealed]", target) if getattr(target, "annealing_fields", ()) else None


def _annealing_parameters(target: Callable[..., Posterior]) -> dict[str, inspect.Parameter]:
    """Return the annealing settings that a kind uses, as parameters with its defaults."""
    annealed = _annealed(target)
    if annealed is None:
        return {}
    found = keyword_parameters(type(annealed.annealing_defaults))
    return {
        name: found[name].replace(default=getattr(annealed.annealing_defaults, name))
        for name in annealed.annealing_fields
    }
