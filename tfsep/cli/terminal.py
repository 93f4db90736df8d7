r"""What commands print: plain lines that name any file, and streams that are open, whatever the caller closed.

A file name may hold escape sequences, line breaks and bytes that are no text. Messages show these as ``\x1b`` and the
like; a path on a stdout that is no terminal is printed as it is, since programs read it.
"""

from __future__ import annotations

import io
import logging
import os
import sys

from tfsep.errors import TfsepError


def plain(text: object) -> str:
    """Return a text as one line that no terminal takes for more than text."""
    line = " ".join(str(text).split())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in line)


def complain(kind: str, text: object) -> None:
    """Print one line on stderr: ``kind`` ("error", "warning" or "note"), and the text."""
    print(f"{kind}: {plain(text)}", file=sys.stderr, flush=True)


def print_paths(*paths: object) -> None:
    """Print paths on stdout, a line each; on a terminal without what it would take for a command."""
    shown = map(plain, paths) if sys.stdout.isatty() else map(str, paths)
    print(*shown, sep="\n", flush=True)


def open_streams() -> None:
    """Give the process the standard streams that its caller closed, and stdout the bytes of any file name.

    A closed standard input is an empty one, messages to a closed stderr are dropped, and what is written to a closed
    stdout fails, as it would have to.
    """
    for number, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")


class LogLines(logging.Handler):
    """Print what the package logs as the lines of a command, and count the errors among them.

    Attributes:
        errors: how many.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.errors = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        failed = record.levelno >= logging.ERROR
        self.errors += failed
        complain("error" if failed else "warning", record.getMessage())

    def __enter__(self) -> LogLines:
        logging.getLogger("tfsep").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("tfsep").removeHandler(self)

    def exit_code(self, code: int) -> int:
        """Return the exit code of a command that would end with ``code``: 1 where that is 0 and errors were logged."""
        return TfsepError.exit_code if code == 0 and self.errors else code
