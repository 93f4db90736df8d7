"""Requests that need no model are handled before TensorFlow is imported, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LIBRARIES = ("tensorflow", "keras", "tf_keras", "tensorflow_probability", "scipy", "librosa")


def run(folder: Path, command: str, *arguments: str) -> tuple[int, str, str, list[str]]:
    """Run a command in ``folder``; return its exit code, stdout, stderr and the slow libraries that it imported."""
    code = (
        f"import sys\nfrom tfsep.cli import {command.replace('-', '_')} as command\ncode = command.main(sys.argv[1:])\n"
        f"print(*(name for name in {LIBRARIES} if name in sys.modules), file=sys.stderr)\nsys.exit(code)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TFSEP_MODELS"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    *errors, imported = done.stderr.split("\n")[:-1]
    return done.returncode, done.stdout, "\n".join(errors), imported.split()


def test_bundled_models_are_listed(tmp_path: Path) -> None:
    code, out, err, imported = run(tmp_path, "separate", "--list_models")
    assert (code, err, imported) == (0, "", [])
    assert "songs: drums, bass, other, vocals; 22050 Hz" in out.splitlines()


@pytest.mark.parametrize(
    ("command", "arguments", "complaint"),
    [
        ("separate", ["x.wav", "--model=soungs"], "no model 'soungs'"),
        ("separate", ["x.wav", "--two_stems=flute"], "source must be one of drums, bass, other, vocals, got 'flute'"),
        ("separate", ["x.wav", "--source=flute"], "source must be one of drums, bass, other, vocals, got 'flute'"),
        ("separate", ["x.wav", "--without=flute"], "got 'flute'"),
        ("separate", ["x.wav", "--posterior=guess"], "no posterior of kind 'guess'"),
        ("separate", ["x.wav", "--priors=bass=nowhere"], "no model 'nowhere'"),
        ("separate", ["x.wav", "--model=toy", "--priors=flute=toy"], "not for 'flute'"),
        ("separate", ["x.wav", "--priors=drums=toy"], "model 'toy' has priors for sine, sawtooth, square, triangle"),
        ("separate", ["x.wav", "--model=toy", "--posterior=ful"], "composition (full), "),
        ("separate", ["x.wav", "--model=toy", "--posterior=ful"], "; did you mean 'full'?"),
        ("separate", ["x.wav", "--steps=3"], "posterior 'amortised' has no steps to set"),
        ("separate", ["x.wav", "--silence=0.1"], "'amortised' models silence by its training data"),
        ("separate", ["x.wav", "--segment=0.001"], "segment must lie in"),
        ("separate", ["x.wav", "--overlap=0.99"], "overlap must lie in 0..0.9 of a segment, got 0.99"),
        ("separate", ["x.wav", "--memory=0"], "memory must be above 0 GB, got 0"),
        ("separate", ["x.wav", "--stereo=front"], "stereo must be one of each, mid_side, wiener, got 'front'"),
        ("separate", ["x.wav", "--seed=x"], "argument --seed: invalid int value: 'x'"),
        ("separate", ["x.wav", "--num_samples=0"], "--num_samples must be at least 1 and below 2^31, got 0"),
        ("evaluate", ["--model=soungs", "--data=toy"], "no model 'soungs'"),
        ("evaluate", ["--model=toy", "--data=nowhere"], "--data must be toy, toy-free or a folder, got 'nowhere'"),
        ("evaluate", ["--model=toy", "--data=toy", "--posterior=guess"], "no posterior of kind 'guess'"),
        ("evaluate", ["--model=toy", "--data=toy", "--overlap=1"], "overlap must lie in 0..0.9 of a segment, got 1.0"),
        ("evaluate", ["--model=toy", "--data=toy", "--priors=sine"], "--priors must be SOURCE=DIR,..., got 'sine'"),
        ("export", ["--model=toy", "--output=x", "--steps=0"], "--steps must be at least 1 and below 2^31, got 0"),
        ("export", ["--model=soungs", "--output=x"], "no model 'soungs'"),
        ("export", ["--model=toy", "--output=x", "--without=flute"], "got 'flute'"),
        ("prior-test", ["--model=soungs", "--data=toy"], "no model 'soungs'"),
        ("prior-test", ["--model=toy", "--data=toy", "--source=flute"], "'flute'"),
        ("train", ["--gin_file=nowhere.gin"], "no such gin file: nowhere.gin"),
        ("train", ["--gin_file=toy.gin", "--gin_param=fit"], "gin_param 'fit', line 1: not a gin statement"),
        ("train", ["--gin_file=toy.gin", "--seed=-1"], "--seed must lie in 0..4294967295, got -1"),
    ],
)
def test_a_request_that_cannot_be_met(tmp_path: Path, command: str, arguments: list[str], complaint: str) -> None:
    code, out, err, imported = run(tmp_path, command, *arguments)
    assert (code, out, imported) == (2, "", [])
    assert err.startswith("error: ") and complaint in err and "\n" not in err
    assert list(tmp_path.iterdir()) == []


def test_an_input_that_is_not_there(tmp_path: Path) -> None:
    assert run(tmp_path, "separate", "x.wav") == (1, "", "error: x.wav: no such file", [])
