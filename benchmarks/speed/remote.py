"""The near end of a pipe to a worker (see worker.py): start it, ask it, end it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.speed.interleave import Turn
from tfsep.errors import JobError

REPOSITORY = Path(__file__).resolve().parents[2]


class Worker:
    """A process that keeps cases alive between the turns of others.

    Args:
        python: the interpreter of its environment.
        threads: processor cores it may use, 0 for all.

    Raises:
        JobError: if there is no such interpreter, or the process ends.
    """

    def __init__(self, python: str | Path, threads: int = 0) -> None:
        """Start the process."""
        self.python = str(python)
        command = [self.python, "-m", "benchmarks.speed.worker", f"--threads={threads}"]
        try:
            self._process = subprocess.Popen(
                command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        except OSError as error:
            raise JobError(f"no worker starts with {self.python}: {error.strerror}; `make peers` sets it up") from error

    def ask(self, do: str, name: str, **request: Any) -> dict[str, Any]:
        """Send one request and wait for the answer.

        Raises:
            JobError: with what went wrong at the other end.
        """
        line = ""
        if self._process.poll() is None and self._process.stdin and self._process.stdout:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps({"do": do, "name": name, **request}) + "\n")
                self._process.stdin.flush()
                line = self._process.stdout.readline()
        if not line:
            raise JobError(f"the worker of {self.python} ended with code {self._process.wait()} at {do} {name}")
        answer = json.loads(line)
        if "error" in answer:
            raise JobError(f"{name}: {answer['error']}")
        return answer

    def turn(self, name: str, per_call: int) -> Turn:
        """One run of a case, seconds per unit of work."""
        answer = self.ask("run", name)
        return Turn(answer["wall"] / per_call, answer["cpu"] / per_call)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
