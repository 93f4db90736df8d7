"""The far end of a pipe: a process that makes cases and runs one when it is asked, and sleeps in between.

    python -m benchmarks.speed.worker [--threads=N]

It reads one JSON request a line from its standard input and answers in one line on its standard output; what libraries
print goes to stderr. TensorFlow and PyTorch should not share a process, so each has a worker, in its own environment.

    {"do": "make", "name": N, "call": "module:function", "setting": {...}}   build a case and run it once
    {"do": "run", "name": N}     run it: seconds of wall clock, and of processor time of all threads
    {"do": "peak", "name": N}    run it: bytes by which its memory rose above what it rested at
    {"do": "drop", "name": N}    forget it
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from benchmarks.speed.case import Case


def main() -> int:
    """Serve until the standard input ends."""
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


def respond(cases: dict[str, Case], request: Mapping[str, Any]) -> dict[str, Any]:
    """Do what one request says."""
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
    """Bytes by which resident memory rises while a case runs, above what is resident before it (Linux only).

    The kernel's own high-water mark is set back before the run, so a short peak is not missed, and freed memory goes
    back to the system before, so that it is not found there again.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    case.once()
    return _resident("VmHWM") - before


def _resident(which: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(which + ":"):
            return 1024 * int(line.split()[1])
    raise ValueError(f"/proc/self/status has no {which}")


if __name__ == "__main__":
    raise SystemExit(main())
