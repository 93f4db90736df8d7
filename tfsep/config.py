"""Gin configuration: the table of everything a gin file can name, a strict parser, the call into the configured run.

Gin files here are data, never code. A file is read whole before any of it takes effect: `import` and `from` statements
(and with them gin's dynamic registration) are refused, an `include` must lie below the search path, and a name that is
not registered, a parameter that does not exist, a macro that is undefined or used by nothing is an error in one line.
Gin itself opens no file.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import gin.config as gin
from gin.config_parser import BindingStatement, ConfigParser, ImportStatement, IncludeStatement

from tfsep.errors import InputError, JobError, TfsepError

REPOSITORY = Path(__file__).resolve().parents[1]
_STARTED: dict[str, Callable[[], None]] = {}


@dataclass(frozen=True)
class Entry:
    """A name for gin files: a function or class of a module, and the parameters that files may not set."""

    name: str
    module: str
    attribute: str
    closed: tuple[str, ...] = ()


TABLE = (
    Entry("fit", "tfsep.training.task", "FitSettings"),
    Entry("toy", "tfsep.data.toy", "ToyData"),
    Entry("stems", "tfsep.data.stems", "StemsData"),
    Entry("sounds", "tfsep.data.sounds", "SoundsData"),
    Entry("musdb", "tfsep.data.musdb", "MusdbData"),
    Entry("pooled", "tfsep.data.pooled", "PooledData"),
    Entry("aligned_stems", "tfsep.baselines.supervised", "AlignedStems"),
    Entry("objective", "tfsep.training.variational", "ObjectiveSettings"),
    Entry("prior", "tfsep.recipes.train", "prior"),
    Entry("posterior", "tfsep.recipes.train", "posterior"),
    Entry("train", "tfsep.recipes.train", "train", closed=("save_dir", "seed", "resume")),
    Entry("fine_tune", "tfsep.recipes.fine_tuning", "fine_tune", closed=("save_dir", "seed", "resume")),
    Entry("refine", "tfsep.recipes.add_priors", "refine", closed=("save_dir", "seed", "resume")),
)
_REGISTERED: dict[str, Entry] = {}


def register(table: Sequence[Entry] = TABLE) -> None:
    """Makes the entries of a table known to gin, each as a factory function; entries known already are left alone."""
    for entry in table:
        if entry.name not in _REGISTERED:
            target = getattr(importlib.import_module(entry.module), entry.attribute)
            factory = _factory(entry.name, target)
            with gin.unlock_config():
                gin.external_configurable(factory, entry.name, module="tfsep", denylist=list(entry.closed) or None)
            _REGISTERED[entry.name] = entry


def _factory(name: str, target: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a class or function, since gin breaks Keras classes; runs what waits for its first call by `call`."""

    @functools.wraps(target)
    def build(*args: Any, **kwargs: Any) -> Any:
        _STARTED.pop(name, lambda: None)()
        return target(*args, **kwargs)

    build.__signature__ = inspect.signature(target)  # type: ignore[attr-defined]
    return build


def parse(gin_files: Sequence[str], gin_params: Sequence[str] = (), search_paths: Sequence[str] = ()) -> None:
    """Forgets the configuration so far and reads a new one, later statements over earlier ones.

    Args:
        gin_files: paths; relative ones are looked for in the current folder, the search paths, the repository and its
            gin folder, in this order. They may include files below their own folder, the search paths and gin/.
        gin_params: further statements, such as "fit.num_steps = 100".
        search_paths: folders.

    Raises:
        InputError: in one line, with file, line and name, for anything that is not understood or not allowed.
    """
    gin.clear_config()
    roots = [Path(path).resolve() for path in search_paths] + [REPOSITORY / "gin"]
    macros = _Macros()
    for name in gin_files:
        file = _find(name, [Path(), *roots[:-1], REPOSITORY, REPOSITORY / "gin"], "")
        _read_file(file, [*roots, file.parent], (), macros)
    for text in gin_params:
        _execute(text, f"gin_param '{text.strip().partition(chr(10))[0]}'", roots, (), macros)
    macros.check()
    gin.finalize()


def bindings() -> dict[str, str]:
    """Returns every parameter set by `parse`, as {name: value as gin text}."""
    found: dict[str, str] = {}
    name = ""
    for line in gin.config_str().splitlines():
        if line.startswith(" "):
            found[name] = (found[name] + " " + line.strip().rstrip("\\")).strip()
        elif line and not line.startswith("#"):
            name, _, value = line.partition(" = ")
            found[name] = value.rstrip("\\").strip()
    return found


def operative_config() -> str:
    """Returns, as a gin file, every parameter used so far with its value, defaults included."""
    return gin.operative_config_str()


def call(name: str, started: Callable[[], None] | None = None, **arguments: Any) -> Any:
    """Calls a registered function with the parsed configuration.

    Args:
        name: registered name.
        started: called once, when the function's configured arguments have been built and before it runs.
        arguments: further arguments of the function.

    Raises:
        TfsepError: those of the function, without gin's additions to their text.
        InputError: a parameter without a default is not set.
    """
    if started is not None:
        _STARTED[name] = started
    try:
        return gin.get_configurable(name)(**arguments)
    except TfsepError as error:
        kind = next(k for k in (InputError, JobError, TfsepError) if isinstance(error, k))
        raise kind(str(error).partition("\n  In call to")[0]) from error
    except (RuntimeError, TypeError) as error:
        text = str(error).partition("\n")[0]
        if "not provided in config" in text or "No values supplied by Gin or caller" in str(error):
            raise InputError(f"the gin configuration is incomplete: {text}") from error
        raise
    finally:
        _STARTED.pop(name, None)


class _Macros(gin.ParserDelegate):
    """Builds gin's references while a text is read, and remembers where macros are defined and which are used."""

    def __init__(self) -> None:
        super().__init__()
        self.source = ""
        self.defined: dict[str, str] = {}
        self._used: dict[str, str] = {}

    def macro(self, name: str) -> Any:
        """Notes and returns the reference of a macro."""
        self._used[name] = self.source
        return super().macro(name)

    def check(self) -> None:
        """Refuses macros that are used and not defined, or defined and not used: a parameter's misspelt name."""
        for name, source in self._used.items():
            if name not in self.defined:
                raise InputError(f"{source}: the macro %{name} is not defined")
        for name, place in self.defined.items():
            if name not in self._used:
                raise InputError(f"{place}: nothing uses '{name}'; parameters are set as function.parameter = value")


def _read_file(file: Path, roots: Sequence[Path], above: tuple[Path, ...], macros: _Macros) -> None:
    if file.resolve() in above:
        raise InputError(f"{file} includes itself")
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read gin file {file}: {getattr(error, 'strerror', None) or error}") from error
    _execute(text, str(file), roots, (*above, file.resolve()), macros)


def _execute(text: str, source: str, roots: Sequence[Path], above: tuple[Path, ...], macros: _Macros) -> None:
    """Reads all statements of a text, then carries them out in their order."""
    statements = list(_statements(text, source, macros))
    for statement in statements:
        if isinstance(statement, ImportStatement):
            place = f"{source}, line {statement.location.line_num}"
            raise InputError(f"{place}: imports are not allowed in gin files, got '{statement.format()}'")
    for statement in statements:
        place = f"{source}, line {statement.location.line_num}"
        if isinstance(statement, IncludeStatement):
            here = [above[-1].parent] if above else []
            _read_file(_included(statement.filename, here, roots, place), roots, above, macros)
        elif isinstance(statement, BindingStatement):
            scope, selector, parameter, value, _ = statement
            key = (scope, selector, parameter)
            if not parameter:
                macro = f"{scope}/{selector}" if scope else selector
                macros.defined[macro] = place
                key = (macro, "gin.macro", "value")
            try:
                gin.bind_parameter(key, value)
            except (ValueError, TypeError) as error:
                _refuse(place, error)


def _statements(text: str, source: str, macros: _Macros) -> Iterator[Any]:
    macros.source = source
    try:
        yield from ConfigParser(text, macros)
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise InputError(f"{source}, line {error.lineno}: not a gin statement: '{line}'") from error
    except tokenize.TokenError as error:
        raise InputError(f"{source}: ends within a statement") from error
    except ValueError as error:
        _refuse(source, error)


def _refuse(place: str, error: Exception) -> NoReturn:
    """Turns gin's complaint about a name into one line, with the nearest known name."""
    lines = str(error).splitlines()
    line = next((part.strip() for part in lines if part.strip().startswith("In ") and " line " in part), "")
    if line and ", line" not in place:
        place += f", line {line.rpartition(' line ')[2]}"
    text = lines[0].rstrip(".")
    unknown = text.rpartition("'")[0].rpartition("'")[2].lstrip("@").removesuffix("()").rpartition("/")[2]
    near = difflib.get_close_matches(unknown, _REGISTERED, n=1) if "matching" in text else []
    raise InputError(f"{place}: {text}" + (f"; did you mean '{near[0]}'?" if near else "")) from error


def _find(name: str, folders: Sequence[Path], place: str) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{place}: no such file: {name}" if place else f"no such gin file: {name}")


def _included(name: str, here: Sequence[Path], roots: Sequence[Path], place: str) -> Path:
    file = _find(name, [*here, *roots], place)
    if not any(file.resolve().is_relative_to(root.resolve()) for root in roots):
        raise InputError(f"{place}: an included file must lie below the search path, got {name}")
    return file
