"""``model.json``, the description of a model: what it holds, how it is read and checked, how it is written.

``format`` is 1; then ``sources``, ``sample_rate`` (Hz), ``segment`` (samples), ``gains``,
``priors`` {source: arguments of :func:`tfsep.priors.build` and "weights"}, ``posteriors``
[arguments of :func:`tfsep.posteriors.build` and "weights" where learned], the first being the
default, and ``settings`` of the separator (such as ``overlap``). The last three may be absent.
``manifest`` {weights file: SHA-256} is written with the description, and weights are read only if
they are those; models of earlier versions have none.
``priors`` may hold more than the sources' own: ``background`` for likelihood ratios, and a second
set for posteriors whose entry has ``priors`` {source: name of the prior that it uses}. What was
fitted on validation mixtures is stored with a posterior's arguments: ``temperature`` of a learned
one, ``keep`` and ``validation_si_sdri`` of a composition, whose ``stages`` are explained in
:mod:`tfsep.models.stages`.
"""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypeAlias, TypedDict, cast

from tfsep.atomic import write_text
from tfsep.errors import InputError
from tfsep.models import rules

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
    manifest: NotRequired[dict[str, str]]


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
    content = rules.parsed(file)
    if content.get("format") != FORMAT:
        got = json.dumps(content["format"])[:80] if "format" in content else "none"
        raise InputError(f"{file}: not a model description (format must be {FORMAT}, got {got})")
    description = {"priors": {}, "posteriors": [], "settings": {}, **content}
    rules.check(description, file)
    description["posteriors"] = [_renamed(entry) for entry in description["posteriors"]]
    return cast(ModelDescription, description)


def write_description(folder: Path, description: ModelDescription) -> None:
    """Write ``model.json`` into a folder, whole or not at all, with the manifest of the weights there.

    The folder is created if absent.

    Raises:
        InputError: if weights that the description names are missing.
    """
    content: Mapping[str, object] = {**description, "manifest": manifest(folder, description)}
    ordered = {name: content[name] for name in ModelDescription.__annotations__ if name in content}
    write_text(folder / MODEL_FILE, json.dumps(ordered, indent=2) + "\n")


def weights_files(description: ModelDescription) -> list[str]:
    """Return the first files of all weights that a description names, in order."""
    parts = [*description["priors"].values(), *description["posteriors"]]
    return list(dict.fromkeys(str(part["weights"]) for part in parts if "weights" in part))


def manifest(folder: Path, description: ModelDescription) -> dict[str, str]:
    """Return the SHA-256 of each weights file that a description names, and of its further parts.

    Raises:
        InputError: if one is missing.
    """
    found: dict[str, str] = {}
    for name in weights_files(description):
        first = folder / name
        further = sorted(path for path in first.parent.glob(f"{glob.escape(first.stem)}.*{first.suffix}"))
        parts = [path for path in further if path.name[len(first.stem) + 1 : -len(first.suffix)].isdecimal()]
        for path in (first, *parts):
            try:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise InputError(f"{path}: the weights of this model are missing") from error
            found[path.relative_to(folder).as_posix()] = digest
    return found


def _renamed(entry: Entry) -> Entry:
    """Return the entry of a posterior with the keys of today."""
    if _FORMER_VALIDATION in entry:  # alias
        entry = {VALIDATION if name == _FORMER_VALIDATION else name: value for name, value in entry.items()}  # alias
    if _FORMER_SUBSET not in entry:  # alias
        return entry
    former = entry[_FORMER_SUBSET]  # alias
    subset = {"num_sources": former["num_sources"], "indices": former[_FORMER_INDICES]}  # alias
    return {**{name: value for name, value in entry.items() if name != _FORMER_SUBSET}, SOURCE_SUBSET: subset}  # alias
