"""Signals are answered in Python, or by the end of the process where Python does not get its turn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfsep.runtime.stop_signals import Handling

# A slow hash stands for a compiler: one call outside Python, in which no handler runs.
STUCK = """
import hashlib, sys, signal
from pathlib import Path
from tfsep.locks import temporary_folder
from tfsep.runtime.stop_signals import Handling
patience = None if sys.argv[2] == "None" else float(sys.argv[2])
with Handling((signal.SIGTERM,), lambda number: sys.exit("answered"), lambda: patience):
    with temporary_folder(Path(sys.argv[1])):
        print("ready", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", int(float(sys.argv[3])))
        print("done", flush=True)
"""


def terminated(folder: Path, patience: float | None, rounds: float) -> tuple[int, float, str]:
    """Exit code, seconds and stderr of a process that is sent SIGTERM in the middle of a computation."""
    command = [sys.executable, "-c", STUCK, str(folder), str(patience), str(rounds)]
    surroundings = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None and started.stdout.readline() == "ready\n"
        time.sleep(0.2)
        began = time.monotonic()
        started.terminate()
        try:
            _, err = started.communicate(timeout=20)
        finally:
            started.kill()
        return started.returncode, time.monotonic() - began, err


def test_a_computation_that_does_not_end_is_ended(tmp_path: Path) -> None:
    code, seconds, err = terminated(tmp_path, 0.5, 1e9)
    assert code == 143 and seconds < 5.0
    assert err == "SIGTERM: ended in the middle of a computation\n"
    assert list(tmp_path.iterdir()) == []


def test_what_is_worth_waiting_for_is_waited_for(tmp_path: Path) -> None:
    code, _, err = terminated(tmp_path, None, 1e6)
    assert (code, err) == (1, "answered\n")
    assert list(tmp_path.iterdir()) == []


def test_everything_is_as_before_after_the_block() -> None:
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers], signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before[1])
    seen: list[int] = []
    with Handling(numbers, seen.append, lambda: None):
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.01)
        assert signal.getsignal(signal.SIGTERM) is before[0][0]
    assert seen == [signal.SIGHUP]
    assert [signal.getsignal(number) for number in numbers] == before[0]
    assert signal.set_wakeup_fd(before[1]) == before[1]


def test_an_ignored_signal_stays_ignored() -> None:
    """A command started by nohup outlives its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Handling((signal.SIGHUP,), lambda number: pytest.fail("it was to be ignored"), lambda: None):
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGHUP, before)
