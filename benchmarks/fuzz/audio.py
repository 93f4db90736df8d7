"""Sound files changed at random are read or refused in one line: no other error, no crash, no hang, no silent loss."""

from __future__ import annotations

import logging
import multiprocessing
import sys
import tempfile
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.fuzz.sounds import Case, make_case, originals
from benchmarks.fuzz.summary import Summary

#: Seconds after which a case is a hang.
LIMIT_SECONDS = 10.0
_START_SECONDS = 120.0
_REPORT_EVERY = 500
_BLOCK = 4096
_TOLERANCE = 0.15
_MOST_SECONDS = 600.0


def run(num_cases: int, seed: int) -> Summary:
    """Make cases and read each, in a process of its own that may crash.

    Args:
        num_cases: how many.
        seed: of the cases.
    """
    summary, first = Summary("audio", num_cases), 0
    with tempfile.TemporaryDirectory(prefix="tfsep-fuzz-") as folder:
        while first < num_cases:
            first = _run_from(first, num_cases, seed, Path(folder), summary.faults)
    return summary


def _run_from(first: int, num_cases: int, seed: int, folder: Path, faults: list[str]) -> int:
    """Read cases from number ``first`` on until the process ends; return the number to go on with."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, first, num_cases, seed, folder))
    process.start()
    there.close()
    number, limit = first, _START_SECONDS
    try:
        while here.poll(limit):
            fault = here.recv()
            if fault is not None:
                faults.append(fault)
            number, limit = number + 1, LIMIT_SECONDS
            if fault is not None or number % _REPORT_EVERY == 0:
                print(f"audio: {number} of {num_cases} cases, {len(faults)} faults", file=sys.stderr, flush=True)
            if number == num_cases:
                return number
        faults.append(f"case {number} of seed {seed}: no end after {limit:g} s")
    except EOFError:
        process.join()
        faults.append(f"case {number} of seed {seed}: the process ended with {process.exitcode}")
    finally:
        process.kill()
        process.join()
    return number + 1


def _work(pipe: Connection, first: int, num_cases: int, seed: int, folder: Path) -> None:
    """Read cases one by one and send the fault of each, or None."""
    files = originals(folder / "originals")
    for number in range(first, num_cases):
        pipe.send(fault_of(make_case(files, folder, number, seed)))


class _Records(logging.Handler):
    """Collect what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        self.lines.append(record.getMessage())


def fault_of(case: Case) -> str | None:
    """Read a case; return what tfsep did that it must not, or None."""
    from tfsep.audio import files
    from tfsep.errors import JobError

    records, logger = _Records(), logging.getLogger("tfsep")
    logger.addHandler(records)
    try:
        described = files.info(case.path, _MOST_SECONDS)
        frames = sum(block.shape[1] for block in files.blocks(case.path, _BLOCK, _MOST_SECONDS))
    except JobError as error:
        text = str(error)
        if "\n" in text or str(case.path) not in text:
            return f"{case.what}: not one line that names the file: {text!r}"
        return None
    except BaseException as error:  # whatever else escapes is what is looked for
        return f"{case.what}: {type(error).__name__}: {error} {traceback.format_exc().splitlines()[-3].strip()}"
    finally:
        logger.removeHandler(records)
    seconds = frames / described.sample_rate
    if frames != described.frames:
        return f"{case.what}: {described.frames} samples announced, {frames} read"
    if case.seconds is not None and seconds < case.seconds - _TOLERANCE and not records.lines:
        return f"{case.what}: {seconds:.2f} s of {case.seconds:.2f} s are read without a word"
    return None
