"""The statements of gin texts, as data.

A file is never executed: ``import`` and ``from`` statements (and with them gin's dynamic
registration) are refused, and a reference has its brackets. Gin's parser is given text; gin itself
opens no file. What may be read, and how much, is in :mod:`tfsep.config.reader`.
"""

from __future__ import annotations

import contextlib
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gin.config_parser import BindingStatement, ImportStatement, IncludeStatement

from gin import config_parser
from tfsep.errors import InputError

_SHOWN = 80


@dataclass(frozen=True)
class Reference:
    """``@scope/name()``, or ``@name`` without a call."""

    scope: str
    name: str
    called: bool = True

    def __repr__(self) -> str:
        """Return the reference as gin spells it."""
        return f"@{scoped(self.scope, self.name)}{'()' if self.called else ''}"


@dataclass(frozen=True)
class Macro:
    """``%name``: the value that is set for a macro."""

    name: str

    def __repr__(self) -> str:
        """Return the macro's use as gin spells it."""
        return f"%{self.name}"


@dataclass(frozen=True)
class Setting:
    """One statement ``scope/name.parameter = value``; a macro's has no parameter.

    Attributes:
        value: a literal, in which :class:`Reference` and :class:`Macro` may stand at any depth.
        where: file and line, for messages.
    """

    scope: str
    name: str
    parameter: str
    value: object
    where: str = ""

    @property
    def key(self) -> str:
        """The left side of the statement."""
        return scoped(self.scope, self.name) + (f".{self.parameter}" if self.parameter else "")

    @property
    def text(self) -> str:
        """The value as gin text, keys of dictionaries in order, so that equal values have one text."""
        return _text(self.value)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{key}: {text}" for key, text in sorted((_text(k), _text(v)) for k, v in value.items()))
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_text, value)) + (",)" if len(value) == 1 else ")")
    return repr(value)


def scoped(scope: str, name: str) -> str:
    """Return ``scope/name``, or the name alone where the scope is empty."""
    return f"{scope}/{name}" if scope else name


def leaves(value: object) -> Iterator[object]:
    """Yield everything in a value that is no container."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(key)
            yield from leaves(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from leaves(each)
    else:
        yield value


def with_leaves(value: object, change: Callable[[object], object]) -> object:
    """Return a value in which everything that is no container is changed."""
    if isinstance(value, dict):
        return {with_leaves(key, change): with_leaves(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_leaves(each, change) for each in value)
    return change(value)


def parsed_value(text: str) -> object:
    """Return the value that a text denotes on the right side of a statement.

    Raises:
        InputError: for a text that is no value.
    """
    with _explained("a value", text):
        return config_parser.ConfigParser(text, _Delegate()).parse_value()


def statements(text: str, source: str) -> Iterator[BindingStatement | IncludeStatement | ImportStatement]:
    """Yield the statements of a text.

    Args:
        text: of a gin file.
        source: its name, for messages.

    Raises:
        InputError: in one line, for a text that is not gin's.
    """
    with _explained(source, text):
        yield from config_parser.ConfigParser(text, _Delegate())


def shortened(text: str) -> str:
    """Return a text for a message: printable, and cut where it is long."""
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[:_SHOWN])
    return shown if len(text) <= _SHOWN else f"{shown}..."


@contextlib.contextmanager
def _explained(source: str, text: str) -> Iterator[None]:
    """Turn whatever gin's parser raises into an error of one line."""
    try:
        yield
    except InputError:
        raise
    except SyntaxError as error:
        line = shortened((error.text or text).strip())
        raise InputError(f"{source}, line {error.lineno or 1}: not a gin statement: '{line}'") from error
    except tokenize.TokenError as error:
        raise InputError(f"{source}: ends within a statement") from error
    except RecursionError as error:
        raise InputError(f"{source}: brackets are nested too deeply") from error
    except (TypeError, ValueError, AttributeError, LookupError, MemoryError, StopIteration) as error:
        raise InputError(f"{source}: not a gin file ({shortened(str(error) or type(error).__name__)})") from error


class _Delegate(config_parser.ParserDelegate):
    """Keep references and macros as they are written, whether or not what they name is known."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Reference:
        """Return a reference."""
        scope, _, name = scoped_configurable_name.rpartition("/")
        return Reference(scope, name.removeprefix("tfsep."), evaluate)

    def macro(self, macro_name: str) -> Macro:
        """Return a macro's use."""
        return Macro(macro_name)
