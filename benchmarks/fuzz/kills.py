"""Processes that end at random moments: a training loses no weight, and a separation leaves all stems or none.

As a script it trains a small model in a folder, which is what is killed:

    python -m benchmarks.fuzz.kills FOLDER
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fuzz.summary import Summary

_REPOSITORY = Path(__file__).resolve().parents[2]
_KILLS_PER_TRAINING = 5
_LIMIT = 10.0  # seconds from SIGTERM to the end
_NUM_STEPS = 600
_SECONDS = 6.0
_STEMS = frozenset(("sine.wav", "sawtooth.wav", "square.wav", "triangle.wav"))


def run(num_cases: int, seed: int) -> Summary:
    """Kill trainings, and half as many separations, by SIGKILL and SIGTERM.

    Args:
        num_cases: how many kills in all.
        seed: of the moments and the signals; what a process does at a moment differs from run to
            run.
    """
    summary = Summary("kills", num_cases)
    draw = random.Random(seed)
    separations = num_cases // 3
    with tempfile.TemporaryDirectory() as place:
        summary.faults += _trainings(num_cases - separations, draw, Path(place))
        summary.faults += _separations(separations, draw, Path(place))
    return summary


def _trainings(num_kills: int, draw: random.Random, place: Path) -> list[str]:
    """Kill trainings, then let each come to its end, and compare weights with those of one that nothing disturbed."""
    faults: list[str] = []
    command = [sys.executable, "-m", "benchmarks.fuzz.kills"]
    began = time.monotonic()
    whole = subprocess.run(
        [*command, str(place / "whole")], cwd=_REPOSITORY, capture_output=True, text=True, check=True
    )
    seconds = time.monotonic() - began
    for number in range(num_kills):
        folder = place / f"training{number // _KILLS_PER_TRAINING}"
        # Mostly within the training itself, which follows the imports.
        moment = draw.uniform(0.3, 1.0) * seconds
        code, error = _ended([*command, str(folder)], moment, draw, {})
        faults += [f"training {number}: {each}" for each in _bad_end(code, error)]
        if number % _KILLS_PER_TRAINING == _KILLS_PER_TRAINING - 1 or number == num_kills - 1:
            done = subprocess.run([*command, str(folder)], cwd=_REPOSITORY, capture_output=True, text=True, check=False)
            if done.returncode or done.stdout != whole.stdout:
                faults.append(f"training {number}: other weights after it was resumed: {done.stderr.strip()[-200:]}")
            if left := [path.name for path in folder.rglob("*") if ".part" in path.name or "temp" in path.name]:
                faults.append(f"training {number}: left {', '.join(left)}")
    return faults


def _separations(num_kills: int, draw: random.Random, place: Path) -> list[str]:
    """Kill separations; after each one there are all stems or none, and the next call sweeps what is left."""
    faults: list[str] = []
    song, temporary = place / "song.wav", place / "temporary"
    temporary.mkdir()
    _write_song(song)
    surroundings = {"TMPDIR": str(temporary)}
    command = [sys.executable, str(_REPOSITORY / "bin" / "separate"), str(song), "--model", "toy", "--overwrite"]
    began = time.monotonic()
    subprocess.run([*command, "--output", str(place / "out")], cwd=_REPOSITORY, capture_output=True, check=True)
    seconds = time.monotonic() - began
    for number in range(num_kills):
        output = place / f"out{number}"
        code, error = _ended([*command, "--output", str(output)], draw.uniform(0.0, 1.05) * seconds, draw, surroundings)
        faults += [f"separation {number}: {each}" for each in _bad_end(code, error)]
        stems = {path.name for path in output.rglob("*.wav") if ".partial-" not in str(path)}
        if stems not in (set(), _STEMS):
            faults.append(f"separation {number}: some stems and not others: {', '.join(sorted(stems))}")
        left = [*output.rglob(".partial-*"), *temporary.glob("tfsep*")]
        if left and code != -signal.SIGKILL:
            faults.append(f"separation {number}: left {', '.join(path.name for path in left)}")
        if left:
            again = [*command, "--output", str(output)]
            done = subprocess.run(
                again, cwd=_REPOSITORY, env=os.environ | surroundings, capture_output=True, check=False
            )
            found = [path.name for path in (*output.rglob(".partial-*"), *temporary.glob("tfsep*"))]
            if done.returncode or found:
                faults.append(f"separation {number}: the next call ends with {done.returncode} and leaves {found}")
    return faults


def _ended(command: Sequence[str], moment: float, draw: random.Random, surroundings: dict[str, str]) -> tuple[int, str]:
    """Start a command, send it a signal after some seconds, and return its exit code and what it says."""
    number = draw.choice((signal.SIGKILL, signal.SIGTERM))
    with subprocess.Popen(
        command, cwd=_REPOSITORY, env=os.environ | surroundings, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as started:
        try:
            _, error = started.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            started.send_signal(number)
            try:
                _, error = started.communicate(timeout=_LIMIT)
            except subprocess.TimeoutExpired:
                started.kill()
                return -1, f"no end within {_LIMIT:g} s of {number.name}"
        return started.returncode, error.decode(errors="replace")


def _bad_end(code: int, error: str) -> list[str]:
    """Return what is wrong with the end of a process: it is done, or ended by one of the two signals."""
    known = (0, -signal.SIGKILL, -signal.SIGTERM, 128 + signal.SIGTERM)
    faults = [] if code in known else [f"exit code {code}: {error.strip()[-200:]}"]
    return faults + (["a traceback"] if "Traceback (most recent call last)" in error else [])


def _write_song(path: Path) -> None:
    import numpy as np

    from tfsep.audio import files

    noise = np.random.default_rng(0).normal(size=(1, int(16_000 * _SECONDS))).astype(np.float32)
    with files.Writer(path, 16_000, 1) as writer:
        writer.write(0.1 * noise)


def _train(folder: str) -> None:
    """Train a small model to its end, and print a fingerprint of its weights."""
    import keras
    import tensorflow as tf

    from tfsep.training.loop import fit
    from tfsep.training.task import FitSettings, Task

    def build() -> keras.Model:
        model = keras.Sequential([keras.layers.Dense(64, activation="tanh"), keras.layers.Dense(8)])
        model.build((None, 8))
        return model

    def objective(model: keras.Model, batch: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        noise = tf.random.stateless_normal(tf.shape(batch), seed)
        return tf.reduce_mean(tf.square(model(batch + noise) - batch)), {}

    def dataset(first: int) -> tf.data.Dataset:
        return tf.data.Dataset.counter(first).map(
            lambda step: tf.random.stateless_normal((16, 8), tf.stack([tf.constant(5, tf.int64), step]))
        )

    task = Task("small", build, objective, dataset, 8000)
    settings = FitSettings(num_steps=_NUM_STEPS, checkpoint_every=20, log_every=10, steps_per_call=5)
    model = fit(task, folder, settings, seed=3)
    print(hashlib.sha256(b"".join(v.numpy().tobytes() for v in model.variables)).hexdigest())


if __name__ == "__main__":
    _train(sys.argv[1])
