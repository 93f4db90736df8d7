"""bin/prior-test: the record, the tables, and one line for whatever cannot be tested."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.priors import prior_quality
from tfsep import priors
from tfsep.audio import files
from tfsep.cli import prior_test
from tfsep.models.store import save_model

PAIR = ("sine", "square")
GLOW: dict[str, Any] = {
    "kind": "glow", "domain": "wave", "length": 64, "squeeze": 4, "num_levels": 1, "num_steps": 1, "width": 4,
    "num_layers": 1, "sigma_range": (0.01, 8.0),
}  # fmt: skip
Run = Callable[..., tuple[int, str, str]]


def save(folder: Path, changes: dict[str, dict[str, Any]], rate: int = 16000) -> None:
    """A model of untrained priors, each with changes to the description."""
    trained = {source: ({**GLOW, **change}, priors.build(**{**GLOW, **change})) for source, change in changes.items()}
    save_model(folder, list(changes), rate, 64, (1.0,) * len(changes), trained)


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Call a command in a folder of its own: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, main: Callable[..., int] = prior_test.main) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(list(arguments))
        return code, *capfd.readouterr()

    return run


def test_record_of_a_toy_model(call: Run, tmp_path: Path) -> None:
    save(tmp_path / "pair", {source: {} for source in PAIR})
    shared = ("--model=pair", "--data=toy-free", "--num_examples=4", "--sigma=0.1", "--sigma=clean")
    code, out, err = call(*shared, "--normalise", "--seed=2", "--json=new/r.json")
    assert code == 0 and err == ""
    found = json.loads((tmp_path / "new" / "r.json").read_text())
    assert (found["model"], found["data"], found["seed"], found["num_examples"]) == ("pair", "toy-free", 2, 4)
    assert found["sigma"] == 0.1 and [row["sigma"] for row in found["by_sigma"]] == [0.1, None]
    assert set(found["log_prob"]) == set(found["auroc"]) == set(found["accuracy_per_source"]) == set(PAIR)
    assert all(value <= bound + 1e-3 for row in found["gibbs_bound"].values() for _, value, bound in row)
    assert {"accuracy", "auroc"} <= set(found["scores"]["score_norms"]) and found["domain"] == "wave"
    assert set(found["heat_residual"]) == set(PAIR) and found["heat_equation"]["num_probes"] == 4
    assert found["level"] == pytest.approx(0.55, abs=0.3) and "ideal" not in found
    assert out.startswith("pair on toy-free: 4 excerpts a source, seed 2, domain wave, sigma 0.1\n")


@pytest.fixture(scope="module")
def unsound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models that cannot be tested, or not on the data beside them."""
    folder = tmp_path_factory.mktemp("unsound")
    spectral = {"domain": "log_stft", "squeeze": 2, "front_end": {"frame_length": 16, "frame_step": 4}}
    save(folder / "pair", {source: {} for source in PAIR})
    save(folder / "one", {"sine": {}})
    save_model(folder / "none", ["sine"], 16000, 64, [1.0])
    save(folder / "uneven", {"sine": {}, "square": {"length": 32}})
    save(folder / "mixed", {"sine": {}, "square": spectral})
    for name, rate in (("songs", 8000), ("slow", 4000)):
        save(folder / name, {"bass": {}, "drums": {}}, rate)
    for source in ("bass", "drums"):
        with files.Writer(folder / "songs" / "test" / "a" / f"{source}.wav", 8000, 1) as writer:
            writer.write(0.1 * np.random.default_rng(0).normal(size=(1, 9000)).astype(np.float32))
    return folder


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--data=toy"], "required: --model"),
        (["--model=pair", "--data=nowhere"], "--data must be toy, toy-free or a folder, got 'nowhere'"),
        (["--model=pair", "--data=toy", "--num_examples=1"], "--num_examples must be at least 2"),
        (["--model=pair", "--data=toy", "--num_small=0"], "--num_small must be at least 1"),
        (
            ["--model=pair", "--data=toy", "--num_probes=1"],
            "--num_probes must be 0 or at least 2 and below 2^31",
        ),
        (["--model=pair", "--data=toy", "--sigma=loud"], "--sigma must be 'clean' or a number above 0, got 'loud'"),
        (["--model=pair", "--data=toy", "--sigma=9"], "sigma must be in 0.01..8 for the prior of 'sine', got 9"),
        (["--model=pair", "--data=toy", "--seconds=0.001"], "events (64, 1) of 64 samples, an excerpt of 'toy' has 16"),
        (["--model=pair", "--data=toy", "--track=a"], "--track chooses tracks of a folder, --data is 'toy'"),
        (["--model=songs", "--data=songs", "--track=b"], "no track under songs has an audible"),
        (["--model=one", "--data=toy"], "at least two priors, 'one' has 1 (sine)"),
        (["--model=pair", "--data=toy", "--source=sine"], "at least two priors, 'pair' has 1 (sine)"),
        (["--model=pair", "--data=toy", "--source=flute"], "'pair' has priors for sine, square, not for 'flute'"),
        (["--model=none", "--data=toy"], "at least two priors, 'none' has 0 (none)"),
        (["--model=uneven", "--data=toy"], "'wave' events (64, 1), 'square' over 'wave' events (32, 1)"),
        (["--model=mixed", "--data=toy"], "'sine' is over 'wave' events (64, 1), 'square' over 'log_stft' events"),
        (["--model=songs", "--data=toy"], "sawtooth, square, triangle, pulse, the priors 'bass'"),
        (["--model=slow", "--data=songs"], "priors of 'slow' are at 4000 Hz and songs/test/a/bass.wav at 8000 Hz"),
        (["--model=songs", "--data=songs", "--split=train"], "has no track folders"),
    ],
)
def test_what_cannot_be_tested(
    call: Run, unsound: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
) -> None:
    monkeypatch.chdir(unsound)
    code, out, err = call(*arguments, "--json=r.json")
    assert code == 2 and out == ""
    assert err.startswith("error: ") and complaint in err and len(err.splitlines()) == 1
    assert not (unsound / "r.json").exists()


def test_a_broken_track_is_left_out(call: Run, unsound: Path, tmp_path: Path) -> None:
    """As by bin/evaluate: a line, the table and the record of the others, exit code 1."""
    for track in ("a", "b"):
        shutil.copytree(unsound / "songs" / "test" / "a", tmp_path / "data" / "test" / track)
    (tmp_path / "data" / "test" / "b" / "drums.wav").write_bytes(b"")
    shared = (f"--model={unsound / 'songs'}", "--data=data", "--num_examples=4", "--sigma=0.1", "--num_probes=0")
    code, out, err = call(*shared, "--json=r.json")
    assert code == 1 and out.startswith("songs on data: 4 excerpts a source")
    rule = "left out of the data: a sound file must hold something, got an empty file"
    assert err == f"error: {rule}: data/test/b/drums.wav\n"
    assert json.loads((tmp_path / "r.json").read_text())["num_examples"] == 4


@pytest.mark.slow
def test_every_study_of_flows(call: Run, tmp_path: Path) -> None:
    save(tmp_path / "pair", {source: {"length": 1024} for source in PAIR})
    shared = ("--model=pair", "--data=toy-free", "--num_examples=3", "--num_small=2", "--sigma=0.1")
    studies = ("--study=without_log_det", "--study=peakedness", "--study=single")  # one by its alias
    code, out, _ = call(*shared, *studies, "--json=r.json", "--figures=drawn")
    assert code == 0
    found = json.loads((tmp_path / "r.json").read_text())
    right = found["without_log_det"]["by_weight"][-1]
    for prior, row in right["log_prob"].items():
        assert row == pytest.approx(found["log_prob"][prior], abs=1e-5)
    assert max(right["gibbs_excess"].values()) < 1e-3
    assert {row["sigma"] for row in found["curvature"]["priors"]} == {0.02, 0.1, 0.5}
    assert all("latent" in row["paths"] for row in found["curvature"]["priors"])
    assert len(found["single"]["rows"]) == 8
    drawn = {path.name for path in (tmp_path / "drawn").glob("*.png")}
    assert {"without_log_det.png", "path_latent.png", "curvature.png"} <= drawn
    assert out.splitlines()[-1] in {f"drawn/{name}" for name in drawn}


@pytest.mark.slow
def test_the_quality_of_priors_is_tabled(call: Run, tmp_path: Path) -> None:
    save(tmp_path / "pair", {source: {} for source in PAIR})
    arguments = ("--model=pair", "--model=pair", "--num_examples=8", "--output=results")
    code, out, _ = call(*arguments, main=prior_quality.main)
    assert code == 0 and out.count("| pair | glow | wave |") == out.count("| ideal prior | ideal_toy |") == 1
    first, best = json.loads((tmp_path / "results" / "prior_quality.json").read_text())
    assert best["accuracy"] == 1.0 and best["own"]["0.1"]["sine"] > first["own"]["0.1"]["sine"]
    assert best["denoising"]["mean"]["prior"] < first["denoising"]["mean"]["prior"]
    assert (tmp_path / "results" / "prior_quality.md").read_text() == out
