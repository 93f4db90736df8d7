"""Parameters of functions and classes, read from their signatures and docstrings.

Kinds of priors and posteriors are listed by it, and a parameter that a kind does not have is
refused with the nearest one that it has.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Collection, Iterable

from tfsep.errors import InputError

_SECTION = re.compile(r"(?:Args|Attributes):$", re.MULTILINE)
_NAMES = re.compile(r"(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)*)(?: \([^)]*\))?: (?P<text>.*)", re.DOTALL)


def keyword_parameters(
    function: Callable[..., object], without: Collection[str] = ("self",)
) -> dict[str, inspect.Parameter]:
    """Return the named parameters of a function or class as keyword-only ones, in their order.

    Args:
        function: annotations stay the text that the source has.
        without: names to leave out; ``*args`` and ``**kwargs`` are left out too.
    """
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name: parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in named and name not in without
    }


def described_parameters(documented: object) -> dict[str, str]:
    """Return {name: text on one line} from the ``Args`` and ``Attributes`` sections of a docstring.

    Names that share an entry, as in "width, depth: of the network.", share its text.
    """
    found: dict[str, str] = {}
    for section in _SECTION.split(inspect.getdoc(documented) or "")[1:]:
        for entry in _entries(section):
            if parsed := _NAMES.match(entry):
                text = " ".join(parsed["text"].split())
                found |= {name.lstrip("*"): text for name in parsed["names"].split(", ")}
    return found


def _entries(section: str) -> list[str]:
    """Split the indented part behind a section's heading into its entries."""
    entries: list[str] = []
    for line in section.strip("\n").splitlines():
        if not line.startswith("    "):
            break
        if line[4:5].strip():
            entries.append(line.strip())
        elif entries:
            entries[-1] += "\n" + line.strip()
    return entries


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'X'?" for the known name X nearest to ``name``, or "" where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def refuse_unknown(what: str, given: Iterable[str], known: Collection[str]) -> None:
    """Check that every given parameter is a known one.

    Args:
        what: "posterior 'langevin'", say, the subject of the message.
        given: names.
        known: the names there are.

    Raises:
        InputError: for the first that is not, with the nearest that is.
    """
    for name in given:
        if name not in known:
            raise InputError(f"{what} has no parameter {name!r}{did_you_mean(name, known)}")
