"""Every kind of posterior by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tfsep.errors import InputError
from tfsep.posteriors.amortised import Amortised
from tfsep.posteriors.base import Posterior
from tfsep.posteriors.gibbs import Gibbs
from tfsep.posteriors.langevin import Langevin
from tfsep.priors.base import Prior

KINDS: dict[str, Callable[..., Any]] = {"amortised": Amortised, "gibbs": Gibbs, "langevin": Langevin}
LEARNED = ("amortised",)


def build(kind: str, priors: Sequence[Prior] | None = None, **settings: Any) -> Posterior:
    """Build a posterior; a learned one (:data:`LEARNED`) still needs its weights.

    Args:
        kind: one of :data:`KINDS`.
        priors: one per source, for the kinds that sample with them.
        settings: the kind's own.

    Raises:
        InputError: for an unknown kind, a setting the kind does not have, or priors it cannot use.
    """
    if kind not in KINDS:
        raise InputError(f"the posterior must be one of {', '.join(sorted(KINDS))}, got {kind!r}")
    try:
        return KINDS[kind](priors=priors, **settings)
    except (TypeError, ValueError) as error:
        raise InputError(f"posterior {kind!r}: {error}") from error
