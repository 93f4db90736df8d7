"""``model.json``, the description of a model: what it holds, how it is read and checked, how it is written.

``format`` is 1; then ``sources``, ``sample_rate`` (Hz), ``segment`` (samples), ``gains``,
``priors`` {source: arguments of :func:`tfsep.priors.build` and "weights"}, ``posteriors``
[arguments of :func:`tfsep.posteriors.build` and "weights" where learned], the first being the
default, and ``settings`` of the separator (such as ``overlap``). The last three may be absent.
``priors`` may hold more than the sources' own: ``background`` for likelihood ratios, and a second
set for posteriors whose entry has ``priors`` {source: name of the prior that it uses}. What was
fitted on validation mixtures is stored with a posterior's arguments: ``temperature`` of a learned
one, ``keep`` and ``validation_si_sdri`` of a composition, whose ``stages`` are explained in
:mod:`tfsep.models.stages`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, cast

from tfsep.atomic import write_text
from tfsep.errors import InputError

FORMAT = 1
MODEL_FILE = "model.json"
SOURCE_SUBSET = "source_subset"
_FORMER_SUBSET, _FORMER_INDICES = "present", "places"  # alias: keys that are still read
VALIDATION = "validation_si_sdri"
_FORMER_VALIDATION = "scores"  # alias of it

#: Arguments of ``priors.build`` or ``posteriors.build``, which check them, and where the weights are.
Entry: TypeAlias = Mapping[str, Any]


class ModelDescription(TypedDict):
    """The contents of a ``model.json``; see the module's text."""

    format: int
    sources: list[str]
    sample_rate: int
    segment: int
    gains: list[float]
    priors: Mapping[str, Entry]
    posteriors: list[Entry]
    settings: dict[str, Any]


class SourceSubset(TypedDict):
    """The entry ``source_subset`` of a learned posterior of which some sources were left out.

    ``num_sources`` is the number that it was trained for, ``indices`` are those that stay, in their
    order.
    """

    num_sources: int
    indices: list[int]


def read_description(file: Path) -> ModelDescription:
    """Read a ``model.json``; ``priors``, ``posteriors`` and ``settings`` are there even where the file has none.

    Raises:
        InputError: if it cannot be read, or breaks a rule of this file.
    """
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        if description["format"] != FORMAT:
            raise InputError(f"{file}: format must be {FORMAT}, got {description['format']!r}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{file}: not a model description ({type(error).__name__}: {error})") from error
    description = {"priors": {}, "posteriors": [], "settings": {}, **description}
    for name, (rule, holds) in _RULES.items():
        if name not in description:
            raise InputError(f"{file}: a model description needs {name}")
        if not holds(description[name]):
            raise InputError(f"{file}: {name} must be {rule}, got {json.dumps(description[name])[:80]}")
    if len(description["gains"]) != len(description["sources"]):
        count = f"{len(description['gains'])} for {len(description['sources'])}"
        raise InputError(f"{file}: there must be one gain for each source, got {count}")
    description["posteriors"] = [_renamed(entry) for entry in description["posteriors"]]
    return cast(ModelDescription, description)


def write_description(folder: Path, description: ModelDescription) -> None:
    """Write ``model.json`` into a folder, whole or not at all; the folder is created if absent."""
    content: Mapping[str, object] = {**description}
    ordered = {name: content[name] for name in ModelDescription.__annotations__ if name in content}
    write_text(folder / MODEL_FILE, json.dumps(ordered, indent=2) + "\n")


def _renamed(entry: Entry) -> Entry:
    """Return the entry of a posterior with the keys of today."""
    if _FORMER_VALIDATION in entry:  # alias
        entry = {VALIDATION if name == _FORMER_VALIDATION else name: value for name, value in entry.items()}  # alias
    if _FORMER_SUBSET not in entry:  # alias
        return entry
    former = entry[_FORMER_SUBSET]  # alias
    subset = {"num_sources": former["num_sources"], "indices": former[_FORMER_INDICES]}  # alias
    return {**{name: value for name, value in entry.items() if name != _FORMER_SUBSET}, SOURCE_SUBSET: subset}  # alias


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_names(value: object) -> bool:
    """Tell whether each may name a file of a stem without leaving its folder."""
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        return False
    return len(set(value)) == len(value) and all(name not in ("", "..") and Path(name).name == name for name in value)


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(x, int | float) and not isinstance(x, bool) for x in value)


def _are_parts(values: Iterable[object]) -> bool:
    return all(
        isinstance(part, dict)
        and isinstance(part.get("kind"), str)
        and isinstance(part.get("weights", ""), str)
        and isinstance(part.get("priors", {}), dict)
        and all(isinstance(name, str) for name in part.get("priors", {}).values())
        for part in values
    )


# What the entries of a description must be; everything else is checked by the parts that are built from it.
_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "sources": ("different names, each fit for a file", _are_names),
    "sample_rate": ("a whole number above 0", _is_count),
    "segment": ("a whole number above 0", _is_count),
    "gains": ("a list of numbers", _are_numbers),
    "priors": ("an object of parts with a kind", lambda value: isinstance(value, dict) and _are_parts(value.values())),
    "posteriors": ("a list of parts with a kind", lambda value: isinstance(value, list) and _are_parts(value)),
    "settings": ("an object", lambda value: isinstance(value, dict)),
}
