"""What the entries of a ``model.json`` must be, before anything is built from them.

A description comes from anywhere. Its size, its depth, its texts and its numbers are bounded, names
can be those of files, and weights lie in the folder. What a part makes of its own settings is checked
by the part when it is built.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from tfsep.errors import InputError

MAX_BYTES = 4 << 20
MAX_DEPTH, MAX_VALUES = 16, 100_000
MAX_SOURCES, MAX_PARTS, MAX_STAGES = 64, 256, 16
SAMPLE_RATES = (1000, 384_000)
LONGEST_SECONDS = 60.0
MAX_NUMBER = 10_000
_MAX_INTEGER = 2**31
_MAX_TEXT = 255
_NAME = re.compile(r"[^./\\:\x00-\x1f][^/\\:\x00-\x1f]{0,99}")
_WEIGHTS = ".safetensors"
_SUBSETS = {"source_subset": "indices", "present": "places"}  # alias: the second is still read


def parsed(file: Path) -> dict[str, Any]:
    """Return the JSON object of a file, plain and bounded.

    Raises:
        InputError: for a file that cannot be read, is no JSON object, or holds too much.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        description = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: not a model description ({type(error).__name__}: {error})") from error
    if not isinstance(description, dict):
        raise InputError(f"{file}: not a model description (it must be an object, got {_shown(description)})")
    count = 0
    for value, depth in _values(description):
        count += 1
        if depth > MAX_DEPTH or count > MAX_VALUES:
            rule = f"at most {MAX_VALUES} values, {MAX_DEPTH} deep"
            raise InputError(f"{file}: a model description must hold {rule}, got more")
        if (broken := _broken_rule(value)) is not None:
            raise InputError(f"{file}: {broken}, got {_shown(value)}")
    return description


def check(description: Mapping[str, Any], file: Path) -> None:
    """Check the entries of a description against each other and the rules of this module.

    Raises:
        InputError: for the first rule that is broken.
    """
    for name, (rule, holds) in _RULES.items():
        if name not in description:
            if name == "manifest":  # which models of earlier versions do not have
                continue
            raise InputError(f"{file}: a model description needs {name}")
        if not holds(description[name]):
            raise InputError(f"{file}: {name} must be {rule}, got {_shown(description[name])}")
    if len(description["gains"]) != len(description["sources"]):
        count = f"{len(description['gains'])} for {len(description['sources'])}"
        raise InputError(f"{file}: there must be one gain for each source, got {count}")
    longest = LONGEST_SECONDS * description["sample_rate"]
    lengths = [part["length"] for part in description["priors"].values() if _is_count(part.get("length"))]
    for samples in (description["segment"], *lengths):
        if samples > longest:
            raise InputError(f"{file}: segments must be at most {LONGEST_SECONDS:g} s, got {samples} samples")


def _values(value: object, depth: int = 0) -> Iterator[tuple[object, int]]:
    """Yield a value and everything in it, keys included, with how deep it lies, down to just below the bound."""
    yield value, depth
    if depth <= MAX_DEPTH and isinstance(value, dict | list):
        for each in value:
            yield from _values(each, depth + 1)
            if isinstance(value, dict):
                yield from _values(value[each], depth + 1)


def _broken_rule(value: object) -> str | None:
    """Return the rule that a single value breaks, None where it breaks none."""
    if isinstance(value, str):
        if len(value) > _MAX_TEXT or not value.isprintable():
            return f"texts must be printable and at most {_MAX_TEXT} characters long"
    elif isinstance(value, float):
        if not math.isfinite(value):
            return "numbers must be finite"
    elif isinstance(value, int) and abs(value) >= _MAX_INTEGER:
        return "whole numbers must be below 2^31"
    return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"numbers must be finite, got {name}")


def _shown(value: object) -> str:
    return json.dumps(value)[:80]


def is_plain_name(value: object) -> bool:
    """Tell whether a name can be that of a file on any system, in its folder."""
    return isinstance(value, str) and value.isprintable() and _NAME.fullmatch(value) is not None


def is_weights_file(value: object) -> bool:
    """Tell whether a text is the path of a safetensors file below the folder that it is relative to."""
    if not isinstance(value, str) or "\\" in value or not value.endswith(_WEIGHTS):
        return False
    path = PurePosixPath(value)
    return not path.is_absolute() and all(part not in (".", "..") for part in path.parts) and bool(path.stem)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_rate(value: object) -> bool:
    return isinstance(value, int) and _is_count(value) and SAMPLE_RATES[0] <= value <= SAMPLE_RATES[1]


def _are_names(value: object) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_SOURCES or not all(map(is_plain_name, value)):
        return False
    return len({name.casefold() for name in value}) == len(value)


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(x, int | float) and not isinstance(x, bool) for x in value)


def _is_part(value: object) -> bool:
    """Tell whether a part has a kind, and whether what is read before it is built has its form."""
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        return False
    own = value.get("priors", {})
    return (
        ("weights" not in value or is_weights_file(value["weights"]))
        and isinstance(own, dict)
        and all(isinstance(name, str) for name in own.values())
        and (value.get("keep") is None or _is_count(value["keep"]))
        and _is_start(value.get("start"))
        and all(_is_subset(value[name], indices) for name, indices in _SUBSETS.items() if name in value)
        and ("stages" not in value or _are_stages(value["stages"]))
    )


def _is_start(value: object) -> bool:
    return value is None or isinstance(value, str) or (_is_part(value) and _is_leaf(value))


def _is_leaf(value: object) -> bool:
    """Tell whether a part is one by itself, without further parts in it."""
    return isinstance(value, dict) and value.get("stages") is None and value.get("start") is None


def _are_stages(value: object) -> bool:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_STAGES:
        return False
    return all(isinstance(each, str) or (_is_part(each) and _is_leaf(each)) for each in value)


def _is_subset(value: object, indices: str) -> bool:
    if not isinstance(value, dict) or not _is_count(value.get("num_sources")) or value["num_sources"] > MAX_SOURCES:
        return False
    chosen = value.get(indices)
    if not isinstance(chosen, list) or not all(isinstance(x, int) and not isinstance(x, bool) for x in chosen):
        return False
    return 0 < len(set(chosen)) == len(chosen) and all(0 <= x < value["num_sources"] for x in chosen)


def _are_priors(value: object) -> bool:
    if not isinstance(value, dict) or len(value) > MAX_PARTS:
        return False
    return all(is_plain_name(name) and _is_part(part) for name, part in value.items())


def _are_posteriors(value: object) -> bool:
    if not isinstance(value, list) or len(value) > MAX_PARTS or not all(map(_is_part, value)):
        return False
    return len({part["kind"] for part in value}) == len(value)


def _is_manifest(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return all(
        is_weights_file(file) and isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)
        for file, digest in value.items()
    )


# What the entries of a description must be; everything else is checked by the parts that are built from it.
_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "sources": (f"1 to {MAX_SOURCES} different names, each fit for a file", _are_names),
    "sample_rate": (f"a whole number in {SAMPLE_RATES[0]}..{SAMPLE_RATES[1]} Hz", _is_rate),
    "segment": ("a whole number above 0", _is_count),
    "gains": ("a list of numbers", _are_numbers),
    "priors": (f"an object of at most {MAX_PARTS} parts with a kind, their weights in the folder", _are_priors),
    "posteriors": (
        f"a list of parts of different kinds, their weights in the folder, with at most {MAX_STAGES} stages",
        _are_posteriors,
    ),
    "settings": ("an object", lambda value: isinstance(value, dict)),
    "manifest": ("an object of weights files with their SHA-256", _is_manifest),
}
