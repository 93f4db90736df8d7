"""Posteriors that a model folder describes, compositions of them included: which to use, and what it needs.

A composition's ``stages`` are a list; each is the kind of another posterior of the same model (its
settings and, where it is learned, its weights are used), or the arguments of a posterior that needs
only priors, with settings of its own. A sampler with a ``start``, the kind of another posterior of
the model, is the composition of the two (:func:`expanded`); as a stage it starts at the stage before
it instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfsep.errors import InputError
from tfsep.models.schema import Entry, ModelDescription
from tfsep.posteriors.kinds import COMPOSITION, LEARNED, kept
from tfsep.signatures import did_you_mean

if TYPE_CHECKING:
    from tfsep.posteriors.base import Posterior

__all__ = [
    "COMPOSITION",
    "built_stages",
    "by_kind",
    "chosen",
    "expanded",
    "is_learned",
    "needs_directions",
    "needs_priors",
    "used_stages",
    "with_silence",
]
FULL = "full"
#: Kinds of priors with ``has_directions``, here to be known without TensorFlow.
WITH_DIRECTIONS = ("wavetable",)


def expanded(entry: Entry) -> Entry:
    """Return the composition that a sampler with a ``start`` is; any other entry as it is.

    What a composition needs besides its stages, the names of its priors, stays beside them.
    """
    if entry.get("start") is None:
        return {name: value for name, value in entry.items() if name != "start"}
    outer = {name: entry[name] for name in ("priors",) if name in entry}
    sampler = {name: value for name, value in entry.items() if name not in ("start", *outer)}
    return {"kind": COMPOSITION, "stages": [entry["start"], sampler], **outer}


def used_stages(entry: Entry, known: Mapping[str, Entry]) -> list[Entry]:
    """Return the arguments of the stages that a composition uses.

    Args:
        entry: arguments of the composition.
        known: the model's posteriors by kind.

    Raises:
        InputError: for a stage that is no posterior of the model, a composition, learned without being
            the model's, or first and with a start of its own.
    """
    stages = entry.get("stages")
    if isinstance(stages, str) or not isinstance(stages, Sequence):
        raise InputError(f"stages of a composition must be a list of posteriors, got {stages!r}")
    found: list[Entry] = []
    for index, stage in enumerate(stages[: kept(len(stages), entry.get("keep"))]):
        if isinstance(stage, str):
            if stage not in known or stage == COMPOSITION:
                names = ", ".join(kind for kind in known if kind != COMPOSITION) or "none"
                raise InputError(f"a stage must be one of the model's posteriors ({names}), got {stage!r}")
            own = known[stage].get("start")
            if own is not None and index == 0:
                raise InputError(f"a first stage starts at none, and {stage!r} starts at {own!r}: name that first")
            found.append(expanded({**known[stage], "start": None}))
        elif not isinstance(stage, Mapping) or stage.get("kind") in (None, COMPOSITION, *LEARNED):
            raise InputError(f"a stage with its own settings must be a posterior that needs only priors, got {stage}")
        else:
            found.append(stage)
    return found


def is_learned(entry: Entry, known: Mapping[str, Entry]) -> bool:
    """Tell whether a posterior uses trained weights of its own, by itself, in one of its stages or in its start."""
    entry = expanded(entry)
    if entry["kind"] != COMPOSITION:
        return entry["kind"] in LEARNED
    return any(stage["kind"] in LEARNED for stage in used_stages(entry, known))


def needs_priors(entry: Entry, known: Mapping[str, Entry]) -> bool:
    """Tell whether a posterior uses priors, by itself, in one of its stages or in its choice."""
    entry = expanded(entry)
    if entry["kind"] != COMPOSITION:
        return entry["kind"] not in LEARNED
    chosen = entry.get("choice", "last") != "last"
    return chosen or any(stage["kind"] not in LEARNED for stage in used_stages(entry, known))


def needs_directions(entry: Entry, known: Mapping[str, Entry]) -> bool:
    """Tell whether a posterior finds sources anew, by itself or in one of its stages, which not all priors allow."""
    entry = expanded(entry)
    used = used_stages(entry, known) if entry["kind"] == COMPOSITION else [entry]
    return any(stage.get("renew_above") is not None for stage in used)


def built_stages(entry: Entry, known: Mapping[str, Entry], build: Callable[[Entry], Posterior]) -> dict[str, Any]:
    """Return the arguments of a composition with the stages that it uses, built by ``build``, and no others."""
    stages = [build(stage) for stage in used_stages(entry, known)]
    return {**entry, "stages": stages, "keep": None}


def with_silence(entry: Entry, known: Mapping[str, Entry], probability: float) -> dict[str, Any]:
    """Return the arguments of a posterior that may find sources absent; in a composition its samplers do.

    Args:
        entry: arguments of the posterior.
        known: the model's posteriors by kind.
        probability: of each source's silence, from 0 (never) to below 1.

    Raises:
        InputError: for a probability out of range, or if no part of it samples by priors.
    """
    if not 0.0 <= probability < 1.0:
        raise InputError(f"silence must be a probability from 0 to below 1, got {probability:g}")
    entry = expanded(entry)
    if entry["kind"] == COMPOSITION:
        found = [
            stage["kind"] if stage["kind"] in LEARNED else {**stage, "silence_probability": probability}
            for stage in used_stages(entry, known)
        ]
        if not all(isinstance(stage, str) for stage in found):
            return {**entry, "stages": found, "keep": None, "silence_probability": probability}
    elif entry["kind"] not in LEARNED:
        return {**entry, "silence_probability": probability}
    raise InputError(f"{entry['kind']!r} models silence by its training data; --silence is for samplers over priors")


def by_kind(description: ModelDescription) -> dict[str, Entry]:
    """Return the posteriors that a model's description has, by their kind."""
    return {entry["kind"]: entry for entry in description["posteriors"]}


def chosen(
    description: ModelDescription, wanted: str | None, own_priors: bool, added: bool, name: str, directions: bool = True
) -> Entry:
    """Return the description of the posterior to use.

    Args:
        description: of the model.
        wanted: its kind, "full" the composition; None is the first that serves.
        own_priors: whether priors are given, so that it must use priors.
        added: whether these add a source, so that it must not have learned anything of the model's
            sources.
        name: of the model, for messages.
        directions: whether all priors have directions, without which the first that serves must not need
            them (:func:`needs_directions`).

    Raises:
        InputError: if the model has none, listing those that serve.
    """
    known = by_kind(description)
    wanted = COMPOSITION if wanted == FULL else wanted

    def fits(entry: Entry) -> bool:
        served = directions or wanted is not None or not needs_directions(entry, known)
        return needs_priors(entry, known) and not (added and is_learned(entry, known)) and served

    fitting = {kind: entry for kind, entry in known.items() if not own_priors or fits(entry)}
    if wanted is None and fitting:
        return next(iter(fitting.values()))
    if wanted in fitting:
        return fitting[wanted]
    rule = ("that needs only priors " if added else "that uses priors ") if own_priors else ""
    known_kinds = ", ".join(f"{kind} ({FULL})" if kind == COMPOSITION else kind for kind in fitting) or "none"
    names = [*fitting, *([FULL] if COMPOSITION in fitting else [])]
    hint = did_you_mean(wanted, names) if wanted else ""
    raise InputError(f"model {name!r} has no posterior {rule}of kind {wanted or 'any'!r}; it has {known_kinds}{hint}")
