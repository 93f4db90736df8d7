"""Check a value of a gin file against the annotation of the parameter that it is for.

Annotations are read as the text that the source has, so that checking one imports nothing. An
annotation that is not known here takes anything.
"""

from __future__ import annotations

import ast
from collections.abc import Callable

from tfsep.config.statements import Macro, Reference

_PLAIN: dict[str, Callable[[object], bool]] = {
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "bool": lambda value: isinstance(value, bool),
    "str": lambda value: isinstance(value, str),
    "Path": lambda value: isinstance(value, str),
    "None": lambda value: value is None,
    **dict.fromkeys(("dict", "Mapping", "Settings", "PartSettings", "Entry"), lambda value: isinstance(value, dict)),
    # Built by a reference, never written.
    **dict.fromkeys(("SourceData", "FitSettings", "ObjectiveSettings"), lambda value: False),
    **dict.fromkeys(("list", "tuple", "Sequence"), lambda value: isinstance(value, list | tuple)),
}


def fits(value: object, annotation: str, gives: Callable[[Reference], frozenset[str]] = lambda _: frozenset()) -> bool:
    """Return whether a value may be given for a parameter with this annotation.

    Lists may stand for tuples and whole numbers for real ones, but True and False for neither.

    Args:
        value: a literal; macros in it are taken for anything.
        annotation: Python text, such as "int | Sequence[int]".
        gives: from a reference to the names of what it builds; without any it is taken for anything.
    """
    try:
        tree = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return True
    return _fits(value, tree, gives)


def _fits(value: object, tree: ast.expr, gives: Callable[[Reference], frozenset[str]]) -> bool:
    if isinstance(value, Macro):
        return True
    if isinstance(tree, ast.Constant):
        text = tree.value if isinstance(tree.value, str) else repr(tree.value)
        return fits(value, text, gives) if isinstance(tree.value, str) else _fits(value, ast.Name(text), gives)
    if isinstance(tree, ast.BinOp):
        return _fits(value, tree.left, gives) or _fits(value, tree.right, gives)
    if isinstance(value, Reference):
        return _refers_to(gives(value), tree)
    if isinstance(tree, ast.Name):
        return tree.id not in _PLAIN or _PLAIN[tree.id](value)
    if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Name):
        arguments = tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice]
        return _fits(value, tree.value, gives) and _fits_inside(value, tree.value.id, arguments, gives)
    return True


def _refers_to(names: frozenset[str], tree: ast.expr) -> bool:
    """Return whether what has these names fits an annotation that is no choice between several."""
    if isinstance(tree, ast.Subscript):
        tree = tree.value
    return not names or not isinstance(tree, ast.Name) or tree.id in names or tree.id in ("object", "Any")


def _fits_inside(
    value: object, container: str, arguments: list[ast.expr], gives: Callable[[Reference], frozenset[str]]
) -> bool:
    """Return whether the elements of a container fit those of its annotation."""
    if container == "Literal":
        return any(isinstance(each, ast.Constant) and each.value == value for each in arguments)
    if container in ("dict", "Mapping") and isinstance(value, dict):
        pairs = value.items()
        return all(_fits(key, arguments[0], gives) and _fits(each, arguments[1], gives) for key, each in pairs)
    if not isinstance(value, list | tuple) or container not in _PLAIN:
        return True
    if container == "tuple" and not (len(arguments) == 2 and ast.unparse(arguments[1]) == "..."):
        inside = zip(value, arguments, strict=False)
        return len(value) == len(arguments) and all(_fits(each, wanted, gives) for each, wanted in inside)
    return all(_fits(each, arguments[0], gives) for each in value)
