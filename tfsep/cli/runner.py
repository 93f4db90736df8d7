"""How every command starts and ends: a quiet TensorFlow, one-line errors, and exit codes that scripts can rely on.

A command is a function of its arguments that raises :class:`~tfsep.errors.TfsepError` when it cannot go on::

    def separate(argv: Sequence[str]) -> int: ...

    def main(argv: Sequence[str] | None = None) -> int:
        return runner.run(separate, argv)

Exit codes: 0 done, 1 the job failed, 2 the request was wrong, 130 interrupted, 143 terminated (SIGTERM). A command that
is interrupted or terminated removes what is temporary, and what a killed one left is removed by the next. Messages go
to stderr, results to stdout. What the package logs as a warning or an error is such a message, and a logged error makes
exit code 1. With ``TF_CPP_MIN_LOG_LEVEL`` set by the user, TensorFlow says all that it is asked to. With
``TFSEP_COMPILE_CACHE`` set to a folder, programs that XLA compiles are kept there and found by the next process.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from tfsep.cli import terminal
from tfsep.errors import InputError, TfsepError
from tfsep.locks import no_temporary_folder, sweep_temporary, temporary_folder
from tfsep.runtime.stop_signals import SIGNAL_EXIT, Handling

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_QUIET_LEVEL = "2"  # errors only
_SILENT_LEVEL = "3"  # XLA calls its own machine's instruction set an error when it reads a kept program
# What Keras imports where it is installed, for wrappers, pictures and tables that no command uses.
_UNUSED = ("sklearn", "matplotlib", "pandas")
_XLA_FLAGS = "TF_XLA_FLAGS"
COMPILE_CACHE = "TFSEP_COMPILE_CACHE"
# What a full disk or a closed descriptor says; such an error of a file has its name.
_OF_STDOUT = (errno.ENOSPC, errno.EBADF, errno.EIO, errno.EFBIG)
INTERRUPTED = SIGNAL_EXIT + signal.SIGINT
_STOPPING = (signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 5.0  # seconds that a compiler may keep SIGTERM waiting


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP; like Ctrl-C it passes all that handles errors, and what is temporary is removed."""

    def __init__(self, number: int) -> None:
        """Keep the number of the signal."""
        super().__init__(number)
        self.number = number


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, like every other error of a command."""

    def error(self, message: str) -> NoReturn:
        """Raise the parser's complaint instead of printing the usage.

        Raises:
            InputError: always.
        """
        raise InputError(f"{message} (see {self.prog} --help)")

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        """Print the help without hiding an error of stdout, as the parser's own method would."""
        (file or sys.stderr).write(message or "")


def run(main_function: Callable[[Sequence[str]], int | None], argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        main_function: the command; it takes the arguments after the command's name and returns an exit code, None
            meaning 0.
        argv: the arguments, those of the process where none are given.
    """
    os.environ.setdefault(_LOG_LEVEL, _QUIET_LEVEL)
    terminal.open_streams()
    sweep_temporary()
    try:
        code = _run(main_function, sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of stdout has gone (`... | head`).
        _discard_stdout()
        return TfsepError.exit_code
    except OSError as error:
        terminal.complain("error", f"standard output: {error.strerror or error}")
        _discard_stdout()
        return TfsepError.exit_code


def _run(main_function: Callable[[Sequence[str]], int | None], argv: Sequence[str]) -> int:
    """Run a command up to its last line, which may still wait to be written."""
    try:
        with Handling(_STOPPING, _stop, lambda: _PATIENCE, _STOPPING), terminal.LogLines() as lines:
            code = main_function(argv) or 0
        return lines.exit_code(code)
    except TfsepError as error:
        terminal.complain("error", error)
        return error.exit_code
    except Stopped as stopped:
        print(f"ended by {signal.Signals(stopped.number).name}", file=sys.stderr)
        return SIGNAL_EXIT + stopped.number
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as leave:
        return _exit_code(leave)
    except OSError as error:
        if isinstance(error, BrokenPipeError) or error.filename is None and error.errno in _OF_STDOUT:
            raise
        named = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        terminal.complain("error", f"{named}{error.strerror or error}")
        return TfsepError.exit_code


def _stop(number: int) -> None:
    """Leave the command as Ctrl-C does.

    Raises:
        Stopped: always.
    """
    raise Stopped(number)


@contextlib.contextmanager
def temporary_files() -> Iterator[Path]:
    """Yield a folder in which all temporary files of this process are made for the length of a block.

    It is removed at the end; one that a killed process left is removed at the beginning.

    Raises:
        JobError: if it cannot be made.
    """
    import tempfile

    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder())
        except OSError as error:
            raise no_temporary_folder(error) from error
        before, tempfile.tempdir = tempfile.tempdir, str(folder)
        try:
            yield folder
        finally:
            tempfile.tempdir = before


def start_tensorflow() -> ModuleType:
    """Import TensorFlow and look for its devices without the lines that it prints on the way; return the module.

    TensorFlow's C++ parts write about drivers and instruction sets before any log level can reach them. These lines
    are kept from the terminal, and shown after all when the import fails.

    Raises:
        InputError: if :data:`COMPILE_CACHE` names what cannot be a folder.
    """
    use_compile_cache()
    with quiet_stderr(), absent(*_UNUSED):
        tensorflow = importlib.import_module("tensorflow")
        tensorflow.config.list_physical_devices()
    tensorflow.get_logger().setLevel("ERROR")
    return tensorflow


@contextlib.contextmanager
def absent(*packages: str) -> Iterator[None]:
    """Let packages that are not imported yet seem not installed for the length of a block."""
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is "no such module"
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


def use_compile_cache() -> None:
    """Have XLA keep its programs in the folder that the environment names, one part for each TensorFlow and processor.

    Raises:
        InputError: if it cannot be a folder.
    """
    given = os.environ.get(COMPILE_CACHE)
    if not given:
        return
    import importlib.metadata
    import platform
    import zlib

    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.is_file() else []
    flags = [line for line in lines if line.startswith(("flags", "Features"))][:1]
    processor = zlib.crc32("".join([platform.machine(), *flags]).encode())
    folder = Path(given).expanduser().resolve() / f"{importlib.metadata.version('tensorflow')}-{processor:08x}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{COMPILE_CACHE} must name a folder, got {given!r}: {error.strerror}") from error
    kept = os.environ.get(_XLA_FLAGS, "")
    os.environ[_XLA_FLAGS] = f"{kept} --tf_xla_persistent_cache_directory={folder}".strip()
    if os.environ.get(_LOG_LEVEL) == _QUIET_LEVEL:
        os.environ[_LOG_LEVEL] = _SILENT_LEVEL


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Collect everything written to the process's stderr, C++ included; show it only on an exception.

    A user who has asked for more than errors (``TF_CPP_MIN_LOG_LEVEL`` of 0 or 1) sees everything at once.
    """
    if os.environ.get(_LOG_LEVEL, _QUIET_LEVEL) < _QUIET_LEVEL:
        yield
        return
    import tempfile

    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as collected:
        os.dup2(collected.fileno(), 2)
        try:
            yield
        except BaseException:
            _restore(kept)
            collected.seek(0)
            os.write(2, collected.read())
            raise
        _restore(kept)


def _restore(kept: int) -> None:
    """Make ``kept`` the process's stderr again."""
    sys.stderr.flush()
    os.dup2(kept, 2)
    os.close(kept)


def _discard_stdout() -> None:
    """Send what stdout does not take nowhere: Python must not trip over it again while shutting down."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit_code(leave: SystemExit) -> int:
    """Read a SystemExit as the interpreter does: None is 0, a message is printed and is 1."""
    if leave.code is None:
        return 0
    if isinstance(leave.code, int):
        return leave.code
    print(leave.code, file=sys.stderr)
    return TfsepError.exit_code
