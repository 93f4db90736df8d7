"""Read gin files strictly, as data: into a list of settings, before any of them takes effect.

Imports are refused, an ``include`` must lie below the search path, a macro that is undefined or used
by nothing is an error, and so is anything beyond :mod:`tfsep.config.bounds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gin.config_parser import BindingStatement, ImportStatement, IncludeStatement

from tfsep.config import bounds, files
from tfsep.config.statements import Macro, Setting, leaves, scoped, shortened, statements
from tfsep.errors import InputError


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
        reader.read_text(text, f"gin_param '{shortened(text.strip().partition(chr(10))[0])}'", ())
    bounds.check_macros(reader.settings)
    _check_macros(reader.settings)
    return reader.settings


class _Reader:
    """Collects the settings of files and of those that they include."""

    def __init__(self, search_paths: Sequence[Path]) -> None:
        self._search_paths = list(search_paths)
        self._limits = bounds.ReadingLimits()
        self.settings: list[Setting] = []

    def read_file(self, file: Path, above: tuple[Path, ...]) -> None:
        """Read a file; ``above`` are the files that include it, resolved."""
        if file.resolve() in above:
            raise InputError(f"{file} includes itself")
        self.read_text(self._limits.read(file, len(above)), str(file), (*above, file.resolve()))

    def read_text(self, text: str, source: str, above: tuple[Path, ...]) -> None:
        """Read all statements of a text."""
        found = list(statements(text, source))
        for statement in found:
            if isinstance(statement, ImportStatement):
                where = f"{source}, line {statement.location.line_num}"
                raise InputError(
                    f"{where}: imports are not allowed in gin files, got '{shortened(statement.format())}'"
                )
        for statement in found:
            where = f"{source}, line {statement.location.line_num}"
            if isinstance(statement, IncludeStatement):
                here = above[-1].parent if above else None
                folders = [*self._search_paths, *(path.parent for path in above[:1])]
                self.read_file(files.find_included(statement.filename, here, folders, where), above)
            elif isinstance(statement, BindingStatement):
                scope, name = statement.scope, statement.selector.removeprefix("tfsep.")
                if not statement.arg_name:
                    scope, name = "", scoped(scope, name)
                bounds.check_value(statement.value, where)
                self.settings.append(Setting(scope, name, statement.arg_name or "", statement.value, where))


def _check_macros(settings: Sequence[Setting]) -> None:
    """Refuse macros that are used and not defined, or defined and not used: a parameter's misspelt name."""
    defined = {setting.name: setting.where for setting in settings if not setting.parameter}
    used = {leaf.name: each.where for each in settings for leaf in leaves(each.value) if isinstance(leaf, Macro)}
    for name, where in used.items():
        if name not in defined:
            raise InputError(f"{where}: the macro %{shortened(name)} is not defined")
    for name, where in defined.items():
        if name not in used:
            raise InputError(
                f"{where}: nothing uses '{shortened(name)}'; parameters are set as function.parameter = value"
            )
