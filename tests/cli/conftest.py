"""Tiny untrained models, found by name, for the commands to run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tfsep.cli import separate

REPOSITORY = Path(__file__).resolve().parents[2]
SONG_SOURCES = ("drums", "bass", "other", "vocals")
TOY_SOURCES = ("sine", "sawtooth", "square", "triangle")


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models ``songs`` (8 kHz, sum) and ``toy`` (16 kHz, mean)."""
    import keras

    from tfsep import posteriors
    from tfsep.models.store import save_model

    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("models")
    posterior = {
        "kind": "amortised",
        "plane": "short_time",
        "plane_settings": {"frame_length": 128, "frame_step": 32},
        "network_settings": {"width": 8, "num_blocks": 1},
    }
    for name, sources, sample_rate, gain in (("songs", SONG_SOURCES, 8000, 1.0), ("toy", TOY_SOURCES, 16000, 0.25)):
        gains = (gain,) * 4
        trained = posteriors.build(num_sources=4, segment=1024, gains=gains, **posterior)
        for weight in trained.trainable_variables:
            weight.assign_add(keras.random.normal(weight.shape, stddev=0.2))
        save_model(folder / name, sources, sample_rate, 1024, gains, posteriors=[(posterior, trained)])
    return folder


@pytest.fixture
def command(tiny_models: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run a command of bin/ in a folder of its own, as a user would: command("separate", "song.wav", ...)."""

    def run(name: str, *arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, REPOSITORY / "bin" / name, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "TFSEP_MODELS": str(tiny_models), "PYTHONIOENCODING": "utf-8"},
            input=stdin,
            capture_output=True,
            check=False,
            timeout=300,
        )

    return run


@pytest.fixture
def run(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[str], str]]:
    """Call bin/separate's function in this process: exit code, lines of stdout, stderr."""
    monkeypatch.setenv("TFSEP_MODELS", str(tiny_models))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, list[str], str]:
        capfd.readouterr()
        code = separate.main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return code, out.splitlines(), err

    return call


@pytest.fixture(scope="session")
def peak_memory_script() -> str:
    """A program: bin/separate with its arguments, the largest resident memory in kilobytes last on stderr."""
    return """
import resource, sys
from tfsep.cli import separate
code = separate.main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
