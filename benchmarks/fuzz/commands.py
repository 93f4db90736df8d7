"""Commands in trouble: bad inputs, closed and full streams, wrong options; one line each, and nothing left behind.

Every command ends before it would load a model, so a case takes about a second.
"""

from __future__ import annotations

import itertools
import os
import shlex
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.fuzz.summary import Summary

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 120.0
_EXIT_CODES = (0, 1, 2)
_STREAMS = ("", "<&-", ">&-", "2>&-", "> /dev/full", "<&- >&- 2>&-")
_OPTIONS = (
    "separate --duration=inf good.wav",
    "separate --start=nan good.wav",
    "separate --start=1e308 good.wav",
    "separate --max_duration=inf good.wav",
    "separate --seed=1e3 good.wav",
    "separate --seed=99999999999 good.wav",
    "separate --num_samples=0 good.wav",
    "separate --segment=-1 good.wav",
    "separate --overlap=nan good.wav",
    "separate --memory=nan good.wav",
    "separate --filename={stem}/../x good.wav",
    "separate --model=../../etc good.wav",
    "separate --model= good.wav",
    "separate --two_stems=x --source=y good.wav",
    "separate --report_seconds=nan --report good.wav",
    "separate --references=missing --report good.wav",
    "separate --start=100 good.wav",
    "separate --max_duration=0.01 good.wav",
    "separate - < /dev/null",
    "separate --max_duration=0.001 - < /dev/zero",
    "separate --format=mp3 odd_rate.wav",
    "separate --format=ogg high_rate.wav",
    "separate --list_models > /dev/full",
    "separate --help > /dev/full",
    "separate",
    "evaluate --model=toy --data=missing",
    "evaluate --model=toy --data=folder",
    "evaluate --model=missing --data=toy",
    "evaluate --model=toy --data=toy --num_mixtures=0",
    "evaluate --model=toy --data=toy --json=folder",
    "render --output=out --synthesised=nan",
    "render --output=out --seconds=inf --synthesised=1",
    "render --output=out --voices=folder --synthesised=1",
    "render --output=out --stems=folder",
    "train --gin_file=missing.gin",
    "train --gin_file=text.wav",
    "train",
    "export --model=missing --output=out",
    "prior-test --model=missing --data=toy",
)


def run(num_cases: int, seed: int) -> Summary:
    """Run commands in a folder of bad inputs.

    Args:
        num_cases: how many, of about 150 that there are.
        seed: of the order in which they are taken.
    """
    with tempfile.TemporaryDirectory(prefix="tfsep-fuzz-") as name:
        folder = Path(name)
        lines = [*_OPTIONS, *_with_inputs(folder)]
        chosen = [lines[index] for index in np.random.default_rng(seed).permutation(len(lines))[:num_cases]]
        before = _listing(folder)
        summary = Summary("commands", len(chosen))
        for line in chosen:
            fault = _fault_of(line, folder)
            left = _listing(folder) - before
            if fault or left:
                summary.faults.append(f"{line}: {fault or 'it left ' + ', '.join(sorted(left))}")
            before |= left
    return summary


def _with_inputs(folder: Path) -> list[str]:
    """Write bad inputs to a folder, and return a command for each of them and each state of the streams."""
    soundfile.write(folder / "good.wav", np.zeros((800, 2)), 8000)
    soundfile.write(folder / "odd_rate.wav", np.zeros((800, 2)), 96000)
    soundfile.write(folder / "high_rate.wav", np.zeros((800, 2)), 384000)
    soundfile.write(folder / "nine.wav", np.zeros((800, 9)), 8000)
    soundfile.write(folder / "a.ogg", np.zeros((800, 2)), 8000)
    whole = (folder / "good.wav").read_bytes()
    (folder / "cut.wav").write_bytes(whole[:500])
    (folder / "cut.ogg").write_bytes((folder / "a.ogg").read_bytes()[:-100])
    (folder / "chained.ogg").write_bytes(2 * (folder / "a.ogg").read_bytes())
    (folder / "a.ogg").unlink()
    (folder / "text.wav").write_text("this is no sound")
    (folder / "text.m4a").write_text("this is no sound")
    (folder / "empty.wav").touch()
    (folder / "huge.wav").write_bytes(whole[:40] + struct.pack("<I", 0x7FFF0000 - 1) + whole[44:])
    (folder / "loop.wav").symlink_to("loop.wav")
    (folder / "dead.wav").symlink_to("nowhere")
    (folder / "folder").mkdir()
    (folder / "\x1b[31mred.wav").write_text("this is no sound")
    os.mkfifo(folder / "pipe.wav")
    inputs = sorted(
        path.name for path in folder.iterdir() if path.name.split(".")[0] not in ("good", "odd_rate", "high_rate")
    )
    inputs += ["missing.wav", "n" * 300 + ".wav", "good.wav/below.wav", "/dev/zero"]
    return [f"separate {shlex.quote(name)} {stream}" for name, stream in itertools.product(inputs, _STREAMS)]


def _fault_of(line: str, folder: Path) -> str:
    """Run a line of a shell; return what it did that it must not."""
    name, _, rest = line.partition(" ")
    words = f"{shlex.quote(sys.executable)} {shlex.quote(str(REPOSITORY / 'bin' / name))} {rest}"
    try:
        finished = subprocess.run(
            ["/bin/sh", "-c", words],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {LIMIT_SECONDS:g} s"
    said = finished.stderr.decode(errors="replace")
    if finished.returncode not in _EXIT_CODES:
        return f"exit code {finished.returncode}"
    if "Traceback" in said or "Exception ignored" in said:
        return said.strip().splitlines()[-1]
    if "\x1b" in said:
        return "an escape sequence reached the terminal"
    if finished.returncode and "2>&-" not in line and not any(line.startswith("error: ") for line in said.splitlines()):
        return f"no line says why: {said[:200]!r}"
    return ""


def _listing(folder: Path) -> set[str]:
    """Return what there is in a folder, at any depth."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}
