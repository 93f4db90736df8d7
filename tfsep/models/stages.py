"""The posteriors that a model folder describes, compositions of them included.

A composition's ``stages`` are a list; each is the kind of another posterior of the same model (its settings and, where
it is learned, its weights are used), or the arguments of a posterior that needs only priors, with settings of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfsep.errors import InputError
from tfsep.posteriors.base import Posterior
from tfsep.posteriors.composition import kept
from tfsep.posteriors.registry import LEARNED

COMPOSITION, FULL = "composition", "full"
Entry = Mapping[str, Any]


def used_stages(entry: Entry, known: Mapping[str, Entry]) -> list[Entry]:
    """The arguments of the stages that a composition uses.

    Args:
        entry: arguments of the composition.
        known: the model's posteriors by kind.

    Raises:
        InputError: for a stage that is no posterior of the model, a composition, or learned without being the model's.
    """
    stages = entry.get("stages")
    if isinstance(stages, str) or not isinstance(stages, Sequence):
        raise InputError(f"stages of a composition must be a list of posteriors, got {stages!r}")
    found: list[Entry] = []
    for stage in stages[: kept(len(stages), entry.get("keep"))]:
        if isinstance(stage, str):
            if stage not in known or stage == COMPOSITION:
                names = ", ".join(kind for kind in known if kind != COMPOSITION) or "none"
                raise InputError(f"a stage must be one of the model's posteriors ({names}), got {stage!r}")
            found.append(known[stage])
        elif not isinstance(stage, Mapping) or stage.get("kind") in (None, COMPOSITION, *LEARNED):
            raise InputError(f"a stage with its own settings must be a posterior that needs only priors, got {stage}")
        else:
            found.append(stage)
    return found


def is_learned(entry: Entry, known: Mapping[str, Entry]) -> bool:
    """Whether a posterior uses trained weights of its own, by itself or in one of its stages."""
    if entry["kind"] != COMPOSITION:
        return entry["kind"] in LEARNED
    return any(stage["kind"] in LEARNED for stage in used_stages(entry, known))


def needs_priors(entry: Entry, known: Mapping[str, Entry]) -> bool:
    """Whether a posterior uses priors, by itself, in one of its stages or in its choice."""
    if entry["kind"] != COMPOSITION:
        return entry["kind"] not in LEARNED
    chosen = entry.get("choice", "last") != "last"
    return chosen or any(stage["kind"] not in LEARNED for stage in used_stages(entry, known))


def built_stages(entry: Entry, known: Mapping[str, Entry], build: Callable[[Entry], Posterior]) -> dict[str, Any]:
    """Arguments of a composition with the stages that it uses built by ``build``, and no others."""
    stages = [build(stage) for stage in used_stages(entry, known)]
    return {**entry, "stages": stages, "keep": None}


def with_silence(entry: Entry, known: Mapping[str, Entry], probability: float) -> dict[str, Any]:
    """The arguments of a posterior that may find sources absent; of a composition, those of its samplers.

    Args:
        entry: arguments of the posterior.
        known: the model's posteriors by kind.
        probability: of each source's silence, from 0 (never) to below 1.

    Raises:
        InputError: for a probability out of range, or if no part of it samples by priors.
    """
    if not 0.0 <= probability < 1.0:
        raise InputError(f"silence must be a probability from 0 to below 1, got {probability:g}")
    if entry["kind"] == COMPOSITION:
        found = [
            stage["kind"] if stage["kind"] in LEARNED else {**stage, "silence_probability": probability}
            for stage in used_stages(entry, known)
        ]
        if not all(isinstance(stage, str) for stage in found):
            return {**entry, "stages": found, "keep": None, "silence_probability": probability}
    elif entry["kind"] not in LEARNED:
        return {**entry, "silence_probability": probability}
    raise InputError(f"posterior {entry['kind']!r} learned silence from its data and takes no probability of it")


def by_kind(description: Mapping[str, Any]) -> dict[str, Entry]:
    """The posteriors that a model's description has, by their kind."""
    return {entry["kind"]: entry for entry in description["posteriors"]}


def chosen(description: Mapping[str, Any], wanted: str | None, own_priors: bool, added: bool, name: str) -> Entry:
    """The description of the posterior to use: where priors are given one that uses them, and if these add a source
    one that has learned nothing of the model's sources. "full" is the composition.
    """
    known = by_kind(description)
    wanted = COMPOSITION if wanted == FULL else wanted

    def fits(entry: Mapping[str, Any]) -> bool:
        return needs_priors(entry, known) and not (added and is_learned(entry, known))

    offered = {kind: entry for kind, entry in known.items() if not own_priors or fits(entry)}
    if wanted is None and offered:
        return next(iter(offered.values()))
    if wanted in offered:
        return offered[wanted]
    rule = ("that needs only priors " if added else "that uses priors ") if own_priors else ""
    names = ", ".join(offered) or "none"
    raise InputError(f"model {name!r} has no posterior {rule}of kind {wanted or 'any'!r}; it has {names}")
