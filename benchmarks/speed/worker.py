"""Processes that time cases: one keeps what it made and sleeps while others run.

    python -m benchmarks.speed.worker [--threads=N]

TensorFlow and PyTorch should not share a process, so each has a worker in its own environment. A
worker reads one JSON request a line from its standard input and answers in one line on its standard
output; what libraries print goes to its standard error.

    {"do": "make", "name": N, "call": "module:function", "setting": {...}}   build a case and run it once
    {"do": "run", "name": N}     run it: seconds of wall clock, and of processor time of all threads
    {"do": "peak", "name": N}    run it: bytes by which its memory rose above what it rested at
    {"do": "drop", "name": N}    forget it

:class:`Worker` starts such a process, asks it and ends it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import importlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from benchmarks.records import Record, Setting
from tfsep.errors import JobError

REPOSITORY = Path(__file__).resolve().parents[2]
#: The interpreter that `make pytorch` sets up.
PYTORCH = REPOSITORY / ".venv-pytorch" / "bin" / "python"


@dataclass(frozen=True)
class Case:
    """A call that can be repeated.

    Attributes:
        once: does the work and returns when the results are in memory.
        per_call: units of work (steps, levels) in one call.
        check: numbers that every participant of a row must share, such as nats per dimension of the
            same events.
        prepared: seconds of tracing and compiling before the first call, which adds the rest.
        flops: floating point operations of one unit, those of matrix products and convolutions;
            None if not counted.
        device: what it runs on and by which library, where that is worth a record.
        rise: runs the work and says by how many bytes its memory rose above where it rested, for a
            library that counts its own memory; None lets the worker ask the kernel.
    """

    once: Callable[[], object]
    per_call: int = 1
    check: list[float] = field(default_factory=list)
    prepared: float = 0.0
    flops: float | None = None
    device: str | None = None
    rise: Callable[[], int] | None = None


@dataclass(frozen=True)
class Timing:
    """Seconds of one unit of work: on the wall, and of processor time over all threads."""

    wall: float
    cpu: float


class Worker:
    """A process that keeps cases alive between the rounds of others.

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
            raise JobError(
                f"no worker starts with {self.python}: {error.strerror}; `make pytorch` sets it up"
            ) from error

    def ask(self, do: str, name: str, **request: object) -> Record:
        """Send one request and wait for the answer.

        Raises:
            JobError: with what went wrong in the process.
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

    def run(self, name: str, per_call: int) -> Timing:
        """Run a case once and return the seconds of a unit of work."""
        answer = self.ask("run", name)
        return Timing(answer["wall"] / per_call, answer["cpu"] / per_call)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def main() -> int:
    """Answer requests until the standard input ends."""
    parse = argparse.ArgumentParser(description=__doc__)
    parse.add_argument("--threads", type=int, default=0, help="processor cores this process may use (0: all)")
    args = parse.parse_args()
    if args.threads:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    serve(sys.stdin, answers)
    return 0


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answer every request; one that fails is answered with its ``error`` and leaves the worker alive."""
    cases: dict[str, Case] = {}
    for line in requests:
        try:
            answer = respond(cases, json.loads(line))
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def respond(cases: dict[str, Case], request: Setting) -> dict[str, object]:
    """Do what one request says.

    Raises:
        ValueError: for a request of another kind.
    """
    name = request["name"]
    if request["do"] == "make":
        module, _, function = request["call"].partition(":")
        cases[name] = case = getattr(importlib.import_module(module), function)(**request["setting"])
        start = time.perf_counter()
        case.once()
        first = case.prepared + time.perf_counter() - start
        made = {"check": case.check, "flops": case.flops, "per_call": case.per_call, "first": first}
        return made if case.device is None else {**made, "device": case.device}
    if request["do"] == "run":
        start, processor = time.perf_counter(), time.process_time()
        cases[name].once()
        return {"wall": time.perf_counter() - start, "cpu": time.process_time() - processor}
    if request["do"] == "peak":
        case = cases[name]
        return {"bytes": peak_rise(case) if case.rise is None else case.rise()}
    if request["do"] == "drop":
        cases.pop(name, None)
        gc.collect()
        return {}
    raise ValueError(f"a request is make, run, peak or drop, got {request['do']!r}")


def peak_rise(case: Case) -> int:
    """Return the bytes by which resident memory rises while a case runs (Linux only).

    The kernel's own high-water mark is set back before the run, so a short peak is not missed, and
    freed memory goes back to the system before, so that it is not found there again.
    """
    gc.collect()
    before = forget_peak()
    case.once()
    return resident("VmHWM") - before


def forget_peak() -> int:
    """Give free memory back to the system and let its peak start anew (Linux only).

    Returns:
        The resident set in bytes.
    """
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return resident("VmRSS")


def resident(which: str) -> int:
    """Return ``VmRSS``, the resident set now, or ``VmHWM``, its peak so far, in bytes (Linux only).

    Raises:
        ValueError: for a count that the kernel does not have.
    """
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(which + ":"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"/proc/self/status has no {which}")


if __name__ == "__main__":
    raise SystemExit(main())
