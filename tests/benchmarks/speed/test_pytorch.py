"""The models in PyTorch are tfsep's: small ones agree in density and score. Skips without `make pytorch`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.speed.measure import disagreement
from benchmarks.speed.rows import spectrogram, wave
from benchmarks.speed.tfsep_process import example, samplers, training
from benchmarks.speed.worker import PYTORCH, Worker
from tfsep.errors import JobError

SMALL = {"width": 4, "num_layers": 2, "num_steps": 2}
WAVE = {**wave(4, 64), **SMALL}
GLOW = {**spectrogram(16), **SMALL, "num_levels": 2}

pytestmark = pytest.mark.slow


def written(prior: dict[str, Any], batch: int, file: str) -> list[float]:
    """Write a prior for PyTorch; nats per dimension of its events."""
    built = example.build(prior, {}, seed=0)
    x, sigma = example.events(built, batch, seed=1)
    example.save(built, x, sigma, file)
    return example.nats(built, x, sigma)


@pytest.fixture(scope="module")
def pytorch() -> Iterator[Worker]:
    if not PYTORCH.is_file():
        pytest.skip("needs PyTorch in .venv-pytorch: make pytorch")
    with Worker(PYTORCH) as worker:
        yield worker


@pytest.mark.parametrize(
    ("prior", "setting"),
    [
        (WAVE, {}),
        (WAVE, {"library": "normflows"}),
        (GLOW, {}),
        (GLOW, {"channels_last": True}),
        (GLOW, {"bfloat16": True, "channels_last": True}),
        (GLOW, {"library": "normflows"}),
        (GLOW, {"library": "nflows"}),
    ],
)
def test_a_training_step_is_of_the_same_model(
    prior: dict[str, Any], setting: dict[str, Any], pytorch: Worker, tmp_path: Path
) -> None:
    file = str(tmp_path / "model.npz")
    check = written(prior, 3, file)
    call = "benchmarks.speed.pytorch.training:step"
    answer = pytorch.ask("make", "step", call=call, setting={"prior": prior, "batch": 3, "file": file, **setting})
    assert len(set(check)) == 3
    assert disagreement(check, answer["check"]) < 1e-5
    assert answer["flops"] > 1e5


def test_tfseps_step_is_checked_on_what_it_writes(tmp_path: Path) -> None:
    case = training.step(WAVE, 512, str(tmp_path / "model.npz"))
    assert case.check == pytest.approx(written(WAVE, 512, str(tmp_path / "other.npz")), abs=1e-6)
    assert case.prepared > 0.0 and case.rise is not None
    case.once()
    assert case.rise() > 512 * 64 * 4


@pytest.mark.parametrize("which", ["langevin", "gibbs"])
def test_a_sampler_has_the_same_densities_and_scores(which: str, pytorch: Worker, tmp_path: Path) -> None:
    units = {"langevin": "steps", "gibbs": "levels"}[which]
    setting = {"prior": WAVE, "num_sources": 2, "chains": 2, "sigma": 0.1, units: 2, "file": str(tmp_path / "{k}.npz")}
    case = getattr(samplers, which)(**setting)
    answer = pytorch.ask("make", which, call=f"benchmarks.speed.pytorch.samplers:{which}", setting=setting)
    assert len(case.check) == 6 and case.per_call == answer["per_call"] == 2
    assert disagreement(case.check, answer["check"]) < 1e-4
    assert np.isfinite(case.once()).all()


def test_other_weights_disagree_and_missing_ones_are_named(pytorch: Worker, tmp_path: Path) -> None:
    file = tmp_path / "model.npz"
    check = written(WAVE, 2, str(file))
    setting = {"prior": WAVE, "batch": 2, "file": str(file)}
    stored = dict(np.load(file))
    np.savez(file, **{**stored, "steps.1.network.last.bias": stored["steps.1.network.last.bias"] + 0.1})
    answer = pytorch.ask("make", "step", call="benchmarks.speed.pytorch.training:step", setting=setting)
    assert disagreement(check, answer["check"]) > 1e-3
    del stored["steps.1.network.last.bias"]
    np.savez(file, **stored)
    with pytest.raises(JobError, match="weights differ: .*steps.1.network.last.bias"):
        pytorch.ask("make", "step", call="benchmarks.speed.pytorch.training:step", setting=setting)


def test_all_weights_are_written() -> None:
    for prior in (WAVE, GLOW):
        built = example.build(prior, {}, seed=0)
        assert len(example.weights(built)) == len(built.weights)
