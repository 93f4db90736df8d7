"""Read gin files strictly, as data: into a list of settings, before any of them takes effect.

A file is never executed: ``import`` and ``from`` statements (and with them gin's dynamic
registration) are refused, an ``include`` must lie below the search path, and a macro that is
undefined or used by nothing is an error. Gin's parser is given text; gin itself opens no file.
"""

from __future__ import annotations

import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gin.config_parser import BindingStatement, ImportStatement, IncludeStatement

from gin import config_parser
from tfsep.config import files
from tfsep.errors import InputError


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


def read(
    gin_files: Sequence[str], gin_params: Sequence[str] = (), search_paths: Sequence[str | Path] = ()
) -> list[Setting]:
    """Read files, then single statements; later settings are meant to replace earlier ones.

    Args:
        gin_files: names, as :func:`tfsep.config.files.find` takes them. They may include files
            below their own folder, the search paths and the gin folder of tfsep.
        gin_params: statements, such as "fit.num_steps = 100".
        search_paths: folders.

    Raises:
        InputError: in one line, with file and line, for anything that is not understood or not
            allowed.
    """
    reader = _Reader([Path(path) for path in search_paths])
    for name in gin_files:
        reader.read_file(files.find(name, search_paths), ())
    for text in gin_params:
        reader.read_text(text, f"gin_param '{text.strip().partition(chr(10))[0]}'", ())
    _check_macros(reader.settings)
    return reader.settings


def parsed_value(text: str) -> object:
    """Return the value that a text denotes on the right side of a statement.

    Raises:
        SyntaxError: for a text that is no value.
        tokenize.TokenError: for a text that ends within one.
    """
    return config_parser.ConfigParser(text, _Delegate()).parse_value()


class _Delegate(config_parser.ParserDelegate):
    """Keep references and macros as they are written, whether or not what they name is known."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Reference:
        """Return a reference."""
        scope, _, name = scoped_configurable_name.rpartition("/")
        return Reference(scope, name.removeprefix("tfsep."), evaluate)

    def macro(self, macro_name: str) -> Macro:
        """Return a macro's use."""
        return Macro(macro_name)


class _Reader:
    """Collects the settings of files and of those that they include."""

    def __init__(self, search_paths: Sequence[Path]) -> None:
        self._search_paths = list(search_paths)
        self.settings: list[Setting] = []

    def read_file(self, file: Path, above: tuple[Path, ...]) -> None:
        """Read a file; ``above`` are the files that include it, resolved."""
        if file.resolve() in above:
            raise InputError(f"{file} includes itself")
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read gin file {file}: {getattr(error, 'strerror', None) or error}") from error
        self.read_text(text, str(file), (*above, file.resolve()))

    def read_text(self, text: str, source: str, above: tuple[Path, ...]) -> None:
        """Read all statements of a text."""
        statements = list(_statements(text, source))
        for statement in statements:
            if isinstance(statement, ImportStatement):
                where = f"{source}, line {statement.location.line_num}"
                raise InputError(f"{where}: imports are not allowed in gin files, got '{statement.format()}'")
        for statement in statements:
            where = f"{source}, line {statement.location.line_num}"
            if isinstance(statement, IncludeStatement):
                here = above[-1].parent if above else None
                folders = [*self._search_paths, *(path.parent for path in above[:1])]
                self.read_file(files.find_included(statement.filename, here, folders, where), above)
            elif isinstance(statement, BindingStatement):
                scope, name = statement.scope, statement.selector.removeprefix("tfsep.")
                if not statement.arg_name:
                    scope, name = "", scoped(scope, name)
                self.settings.append(Setting(scope, name, statement.arg_name or "", statement.value, where))


def _statements(text: str, source: str) -> Iterator[BindingStatement | IncludeStatement | ImportStatement]:
    try:
        yield from config_parser.ConfigParser(text, _Delegate())
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise InputError(f"{source}, line {error.lineno}: not a gin statement: '{line}'") from error
    except tokenize.TokenError as error:
        raise InputError(f"{source}: ends within a statement") from error


def _check_macros(settings: Sequence[Setting]) -> None:
    """Refuse macros that are used and not defined, or defined and not used: a parameter's misspelt name."""
    defined = {setting.name: setting.where for setting in settings if not setting.parameter}
    used = {leaf.name: each.where for each in settings for leaf in leaves(each.value) if isinstance(leaf, Macro)}
    for name, where in used.items():
        if name not in defined:
            raise InputError(f"{where}: the macro %{name} is not defined")
    for name, where in defined.items():
        if name not in used:
            raise InputError(f"{where}: nothing uses '{name}'; parameters are set as function.parameter = value")
