"""Numbers that callers give: the rules that a command's own arguments meet by its parser."""

from __future__ import annotations

import math
import operator

from tfsep.errors import InputError


def whole_number(name: str, value: object, lowest: int, highest: int = 2**31 - 1) -> int:
    """Return a whole number from ``lowest`` to ``highest``.

    Raises:
        InputError: for a number that is not an integer, or out of range.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # a TypeError says that it is none
    except TypeError:
        number = lowest - 1
    if isinstance(value, bool) or not lowest <= number <= highest:
        raise InputError(f"{name} must be a whole number in {lowest}..{highest}, got {value!r}")
    return number


def real_number(name: str, value: object) -> float:
    """Return a real number, NaN and infinity among them.

    Raises:
        InputError: for anything else, such as text.
    """
    try:
        number = math.nan if isinstance(value, str | bytes | bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number) and not isinstance(value, float):
        raise InputError(f"{name} must be a number, got {value!r}")
    return number
