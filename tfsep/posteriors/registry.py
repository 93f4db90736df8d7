"""Every kind of posterior by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfsep.errors import InputError
from tfsep.posteriors.amortised import Amortised
from tfsep.posteriors.base import Posterior
from tfsep.posteriors.composition import Composition, kept
from tfsep.posteriors.diffusion import Diffusion
from tfsep.posteriors.gibbs import Gibbs
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
    **settings: Any,
) -> Composition:
    """Build the stages that are only described, as far as they are used, and compose them."""
    used = stages[: kept(len(stages), keep)]
    built = [
        stage if isinstance(stage, Posterior) else build(**{**stage, "priors": priors, "gains": gains})
        for stage in used
    ]
    return Composition(built, priors=priors, **settings)


KINDS: dict[str, Callable[..., Any]] = {
    "amortised": Amortised,
    "composition": composition,
    "diffusion": Diffusion,
    "gibbs": Gibbs,
    "langevin": Langevin,
    "latent": Latent,
    "stochastic_gibbs": StochasticGibbs,
}
LEARNED = ("amortised",)


def build(
    kind: str, priors: Sequence[Prior] | None = None, silence_probability: float = 0.0, **settings: Any
) -> Posterior:
    """Build a posterior; a learned one (:data:`LEARNED`) still needs its weights.

    Args:
        kind: one of :data:`KINDS`.
        priors: one per source, for the kinds that sample with them.
        silence_probability: how likely each source is absent from a mixture (silence.py); 0 for never.
        settings: the kind's own.

    Raises:
        InputError: for an unknown kind, a setting the kind does not have, or priors it cannot use.
    """
    if kind not in KINDS:
        raise InputError(f"the posterior must be one of {', '.join(sorted(KINDS))}, got {kind!r}")
    if silence_probability and kind in LEARNED:
        raise InputError(f"posterior {kind!r} learns silence from its data and takes no silence_probability")
    try:
        if silence_probability:
            priors = with_silence(priors or [], silence_probability)
        return KINDS[kind](priors=priors, **settings)
    except (TypeError, ValueError) as error:
        raise InputError(f"posterior {kind!r}: {error}") from error
