"""Check a value of a gin file against the annotation of the parameter that it is for.

Annotations are read as the text that the source has, so that checking one imports nothing. What a
gin file cannot write (a data set, a posterior) is not checked: such an annotation takes anything.
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
    **dict.fromkeys(("dict", "Mapping", "Settings"), lambda value: isinstance(value, dict)),
    **dict.fromkeys(("list", "tuple", "Sequence"), lambda value: isinstance(value, list | tuple)),
}


def fits(value: object, annotation: str) -> bool:
    """Return whether a value may be given for a parameter with this annotation.

    Lists may stand for tuples and whole numbers for real ones, but True and False for neither.

    Args:
        value: a literal; references and macros in it are taken for anything.
        annotation: Python text, such as "int | Sequence[int]".
    """
    try:
        tree = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return True
    return _fits(value, tree)


def _fits(value: object, tree: ast.expr) -> bool:
    if isinstance(value, Reference | Macro):
        return True
    if isinstance(tree, ast.Constant):
        return fits(value, tree.value) if isinstance(tree.value, str) else _fits(value, ast.Name(repr(tree.value)))
    if isinstance(tree, ast.BinOp):
        return _fits(value, tree.left) or _fits(value, tree.right)
    if isinstance(tree, ast.Name):
        return tree.id not in _PLAIN or _PLAIN[tree.id](value)
    if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Name):
        arguments = tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice]
        return _fits(value, tree.value) and _fits_inside(value, tree.value.id, arguments)
    return True


def _fits_inside(value: object, container: str, arguments: list[ast.expr]) -> bool:
    """Return whether the elements of a container fit those of its annotation."""
    if container == "Literal":
        return any(isinstance(each, ast.Constant) and each.value == value for each in arguments)
    if container in ("dict", "Mapping") and isinstance(value, dict):
        return all(_fits(key, arguments[0]) and _fits(each, arguments[1]) for key, each in value.items())
    if not isinstance(value, list | tuple) or container not in _PLAIN:
        return True
    if container == "tuple" and not (len(arguments) == 2 and ast.unparse(arguments[1]) == "..."):
        pairs = zip(value, arguments, strict=False)
        return len(value) == len(arguments) and all(_fits(each, inside) for each, inside in pairs)
    return all(_fits(each, arguments[0]) for each in value)
