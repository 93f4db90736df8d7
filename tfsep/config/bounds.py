"""How large a configuration may be, and that everything in it has an end.

A gin file is data from anywhere. It must not hang its reader, fill the memory or end in a recursion
without end, however small it is: macros that use macros twice, includes that include twice, and
references to what refers back grow without bound in a few lines.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tfsep.config.statements import Macro, Reference, Setting, leaves, shortened
from tfsep.errors import InputError

MAX_FILES = 256
MAX_BYTES = 1 << 17
MAX_INCLUDES = 32  # one within another
MAX_DEPTH = 32  # of brackets, macros or references, one within another
MAX_PARTS = 100_000
_INTEGERS = range(-(2**63), 2**63)
_Node = TypeVar("_Node", bound=Hashable)


class ReadingLimits:
    """Counts the files and the bytes that one configuration is read from."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._files, self._bytes = 0, 0

    def read(self, file: Path, depth: int) -> str:
        """Return the text of a file that is included ``depth`` files deep.

        Raises:
            InputError: for a file that cannot be read, or beyond a limit.
        """
        self._files += 1
        if self._files > MAX_FILES:
            raise InputError(f"a configuration must have at most {MAX_FILES} files, includes counted again; got {file}")
        if depth > MAX_INCLUDES:
            raise InputError(f"includes must be at most {MAX_INCLUDES} deep, got {file}")
        try:
            with file.open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
            self._bytes += len(content)
            if self._bytes > MAX_BYTES:
                raise InputError(f"a configuration must have at most {MAX_BYTES} bytes in all, got more with {file}")
            return content.decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read gin file {file}: {getattr(error, 'strerror', None) or error}") from error


def check_value(value: object, where: str) -> None:
    """Check one value: its depth, its whole numbers and its texts.

    Raises:
        InputError: in one line, for a value out of bounds.
    """
    if _is_deep(value):
        raise InputError(f"{where}: brackets must be at most {MAX_DEPTH} deep")
    for leaf in leaves(value):
        if isinstance(leaf, int) and leaf not in _INTEGERS:
            raise InputError(f"{where}: a whole number must fit into 64 bits, got one of {leaf.bit_length()} bits")
        if isinstance(leaf, str) and not _is_encodable(leaf):
            raise InputError(f"{where}: a text must be Unicode, got {shortened(ascii(leaf))}")


def check_macros(settings: Sequence[Setting]) -> None:
    """Check that macros come to an end, and to a bounded number of values.

    Raises:
        InputError: for a macro that uses itself, or too many within one another.
    """
    defined = {each.name: each for each in settings if not each.parameter}
    inside = {
        name: [leaf.name for leaf in leaves(each.value) if isinstance(leaf, Macro) and leaf.name in defined]
        for name, each in defined.items()
    }
    extents: dict[str, _Extent] = {}

    def weight(name: str) -> int:
        return sum(1 for _ in leaves(defined[name].value)) + 1

    for name, each in defined.items():
        _measured(name, inside.__getitem__, extents, f"{each.where}: the macro %{shortened(name)}", weight)
    for each in settings:
        used = [leaf.name for leaf in leaves(each.value) if isinstance(leaf, Macro) and leaf.name in extents]
        if sum(extents[name].size for name in used) > MAX_PARTS:
            raise InputError(f"{each.where}: {shortened(each.key)} comes to more than {MAX_PARTS} parts by its macros")


def check_references(settings: Sequence[Setting], kinds: frozenset[str]) -> None:
    """Check that what references build comes to an end, and to a bounded number of parts.

    Args:
        settings: without aliases, macros checked.
        kinds: names whose settings without a scope no other scope inherits.

    Raises:
        InputError: for a name that is built from itself, or from too many parts.
    """
    macros = {each.name: each.value for each in settings if not each.parameter}
    by_name: dict[str, list[Setting]] = {}
    for each in settings:
        if each.parameter:
            by_name.setdefault(each.name, []).append(each)

    def built_from(node: tuple[str, str]) -> list[tuple[str, str]]:
        return [
            target
            for each in _in_force(by_name.get(node[1], ()), node[0], kinds)
            for target in _referred(each.value, node[0], kinds, macros)
        ]

    def one(node: tuple[str, str]) -> int:
        return 1

    extents: dict[tuple[str, str], _Extent] = {}
    for each in settings:
        own = each.scope or (each.name if each.name in kinds else "")
        for target in _referred(each.value, own, kinds, macros):
            _measured(target, built_from, extents, f"{each.where}: what {shortened(each.key)} refers to", one)


@dataclass(frozen=True)
class _Extent:
    """How many parts something comes to, and how deep they are within one another."""

    size: int
    depth: int


def _measured(
    node: _Node,
    inside: Callable[[_Node], Sequence[_Node]],
    known: dict[_Node, _Extent],
    what: str,
    weight: Callable[[_Node], int],
    path: tuple[_Node, ...] = (),
) -> _Extent:
    """Measure a node: itself and all that is in it.

    Args:
        node: where to begin.
        inside: from a node to those in it.
        known: of the nodes measured already; added to.
        what: the node, and where it is used, for messages.
        weight: of a node without those in it.
        path: the nodes that led here.

    Raises:
        InputError: for a node within itself, or nodes nested too deeply or too many.
    """
    if node in path:
        raise InputError(f"{what} leads back to itself")
    if node not in known and len(path) < MAX_DEPTH:
        found = [_measured(each, inside, known, what, weight, (*path, node)) for each in inside(node)]
        size, depth = sum(each.size for each in found), max((each.depth for each in found), default=0)
        known[node] = _Extent(weight(node) + size, 1 + depth)
    if node not in known or len(path) + known[node].depth > MAX_DEPTH:
        raise InputError(f"{what} is nested more than {MAX_DEPTH} deep")
    if known[node].size > MAX_PARTS:
        raise InputError(f"{what} comes to more than {MAX_PARTS} parts")
    return known[node]


def _in_force(settings: Sequence[Setting], scope: str, kinds: frozenset[str]) -> list[Setting]:
    """Return the settings of a name that hold under a scope: of each parameter the innermost, then the last."""
    chosen: dict[str, tuple[int, Setting]] = {}
    for each in settings:
        own = each.scope or (each.name if each.name in kinds else "")
        if own in ("", scope) or scope.startswith(f"{own}/"):
            depth = len(own)
            if each.parameter not in chosen or depth >= chosen[each.parameter][0]:
                chosen[each.parameter] = (depth, each)
    return [each for _, each in chosen.values()]


def _referred(
    value: object, scope: str, kinds: frozenset[str], macros: Mapping[str, object], depth: int = 0
) -> list[tuple[str, str]]:
    """Return scope and name of everything that a value refers to, that of its macros included."""
    found: list[tuple[str, str]] = []
    for leaf in leaves(value):
        if isinstance(leaf, Reference):
            found.append((leaf.scope or (leaf.name if leaf.name in kinds else scope), leaf.name))
        elif isinstance(leaf, Macro) and depth < MAX_DEPTH:
            found += _referred(macros.get(leaf.name), scope, kinds, macros, depth + 1)
    return found


def _is_deep(value: object) -> bool:
    """Tell whether brackets are nested too deeply, without a recursion as deep as they are."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [each for each in level if isinstance(each, dict | list | tuple)]
        if not level:
            return False
        level = [part for each in level for part in ([*each, *each.values()] if isinstance(each, dict) else each)]
    return True


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
