"""The bundled models as a newcomer meets them: found by name, small, described, and better than the mixture."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tfsep.audio import files
from tfsep.models import request, store
from tfsep.separation.separator import Separator

REPOSITORY = Path(__file__).resolve().parents[2]
MODELS = ("songs", "toy", "toy-flow", "toy-free")
CARD_WORDS = ("licence", "trained", "bin/train", "limits", "si-sdri")


def _evaluate(tmp_path: Path, *arguments: str) -> dict:
    record = tmp_path / "record.json"
    command = [sys.executable, "bin/evaluate", *arguments, f"--json={record}"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(record.read_text())


def test_the_bundled_models_are_listed() -> None:
    assert set(MODELS) <= set(store.model_names())


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_small_and_has_a_card(name: str) -> None:
    folder = REPOSITORY / "models" / name
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert max(sizes) < 10e6 and sum(sizes) < 20e6
    card = (folder / "card.md").read_text(encoding="utf-8").lower()
    assert [word for word in CARD_WORDS if word not in card] == []


@pytest.mark.parametrize("name", MODELS)
def test_every_source_has_a_trained_prior(name: str) -> None:
    for source in store.describe(name)["sources"]:
        prior = store.load_prior(name, source)
        event = prior.sample(2, (0, 0))
        assert np.isfinite(prior.log_prob(event)).all()


def test_the_default_of_toy_flow_has_the_stages_of_its_gin_file() -> None:
    entry = store.describe("toy-flow")["posteriors"][0]
    masks, *samplers = entry["stages"]
    assert (entry["kind"], masks, entry["keep"]) == ("composition", "amortised", 3)
    text = (REPOSITORY / "gin" / "toy_flow.gin").read_text(encoding="utf-8")
    for scope, kind, found in zip(("warm", "search"), ("gibbs", "particles"), samplers, strict=True):
        bound = re.findall(rf"^{scope}/{kind}\.(\w+) = (.+)$", text, flags=re.MULTILINE)
        assert found == {"kind": kind, **{name: ast.literal_eval(value) for name, value in bound}}


def test_the_default_of_toy_has_the_settings_of_its_gin_file() -> None:
    text = (REPOSITORY / "gin" / "toy.gin").read_text(encoding="utf-8")
    bound = re.findall(r"^particles\.(\w+) = (.+)$", text, flags=re.MULTILINE)
    expected = {"kind": "particles", **{name: ast.literal_eval(value) for name, value in bound}}
    assert store.describe("toy")["posteriors"][0] == expected


def test_with_other_priors_the_default_of_toy_is_one_that_they_serve() -> None:
    """Denoisers have no parameters of a note, which finding sources anew needs."""
    others = dict.fromkeys(store.describe("toy")["sources"], "toy-score")
    assert request.select("toy").posterior["stages"][1]["kind"] == "particles"
    assert request.select("toy", priors=dict.fromkeys(others, "toy")).posterior["stages"][1]["kind"] == "particles"
    assert request.select("toy", priors=others).posterior["stages"][1]["kind"] == "gibbs"


def test_the_toy_model_beats_the_mixture_for_every_source(tmp_path: Path) -> None:
    record = _evaluate(tmp_path, "--model=toy", "--data=toy", "--num_mixtures=8", "--seed=5")
    gained = {name: row["si_sdri"] for name, row in record["sources"].items()}
    assert min(gained.values()) > 20.0, gained
    assert record["mean_si_sdri"] > 80.0 and record["fraction_above_10db"] == 1.0


def test_flow_priors_separate_from_masks(tmp_path: Path) -> None:
    record = _evaluate(tmp_path, "--model=toy-flow", "--data=toy", "--num_mixtures=8", "--seed=5")
    gained = {name: row["si_sdri"] for name, row in record["sources"].items()}
    assert min(gained.values()) > 15.0, gained
    assert record["mean_si_sdri"] > 20.0 and record["fraction_above_10db"] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("absent", [[], ["--without=sawtooth,square"]], ids=["four sources", "sine and triangle"])
def test_flow_priors_separate_from_noise(tmp_path: Path, absent: list[str]) -> None:
    command = ["--model=toy-flow", "--posterior=particles", "--data=toy", "--num_mixtures=8", "--seed=5"]
    record = _evaluate(tmp_path, *command, *absent)
    assert record["mean_si_sdri"] > 15.0 and record["fraction_above_10db"] > 0.7


@pytest.mark.slow
def test_the_free_toy_model_beats_the_mixture_for_every_source(tmp_path: Path) -> None:
    record = _evaluate(tmp_path, "--model=toy-free", "--data=toy-free", "--num_mixtures=16", "--seed=5")
    assert min(row["si_sdri"] for row in record["sources"].values()) > 5.0
    assert record["mean_si_sdri"] > 12.0 and record["fraction_above_10db"] > 0.6


@pytest.mark.smoke
def test_the_songs_model_beats_the_mixture_on_the_bundled_song(tmp_path: Path) -> None:
    record = _evaluate(tmp_path, "--model=songs", "--data=examples")
    gained = {name: row["si_sdri"] for name, row in record["sources"].items()}
    assert min(gained.values()) > 0.0, gained
    assert abs(record["baselines"]["mixture"]["mean_si_sdri"]) < 1e-6


@pytest.mark.slow
def test_which_posteriors_of_the_songs_model_use_its_priors(tmp_path: Path) -> None:
    """Its card and the README say so: with all weights of the priors set to zero, stems are the same or are not."""
    (song,) = (REPOSITORY / "examples" / "test").glob("*/mixture.flac")
    mixture, rate = files.read(song)
    mixture = mixture[:, : 2 * rate]
    zeroed = tmp_path / "zeroed"
    shutil.copytree(REPOSITORY / "models" / "songs", zeroed)
    weights = sorted((zeroed / "priors").glob("*.safetensors"))
    assert len(weights) == 9
    for file in weights:
        with safe_open(file, "np") as header:
            metadata = header.metadata()
        save_file({name: np.zeros_like(value) for name, value in load_file(file).items()}, file, metadata)
    for posterior, uses_priors in ((None, False), ("full", False), ("gibbs", True)):
        stems, without = (
            Separator.load(model, posterior=posterior)(mixture, sample_rate=rate) for model in ("songs", zeroed)
        )
        changed = [name for name, stem in stems.items() if not np.array_equal(stem, without[name])]
        assert changed == (list(stems) if uses_priors else []), posterior


def test_the_songs_model_beats_the_mixture_on_held_out_rendered_songs(tmp_path: Path, shared_data: Path) -> None:
    record = _evaluate(tmp_path, "--model=songs", f"--data={shared_data / 'rendered'}")
    gained = {name: row["si_sdri"] for name, row in record["sources"].items()}
    assert min(gained.values()) > 0.0, gained
