"""Every gin file of the repository is read strictly; every experiment builds at its own sizes and takes one step."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfsep import config
from tfsep.audio import files
from tfsep.separation.model_folder import load_model, load_prior

FOLDER = Path(__file__).resolve().parents[1] / "gin"
FILES = sorted(FOLDER.rglob("*.gin"))
STEMS = ("drums", "bass", "other", "vocals")
SHORT = {"num_steps": 1, "batch_size": 2, "preview_every": 0, "jit_compile": False, "deterministic": False}


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


def is_experiment(path: Path) -> bool:
    """Whether a file says what to train on what, itself or by its includes; the others are parts to include."""
    text = path.read_text(encoding="utf-8")
    included = [FOLDER / name for name in re.findall(r"^include '(.+)'$", text, flags=re.MULTILINE)]
    every = text + "".join(each.read_text(encoding="utf-8") for each in included)
    return "train.data" in every and bool({"train.prior", "train.posteriors"} & set(re.findall(r"train\.\w+", every)))


EXPERIMENTS = [path for path in FILES if is_experiment(path)]


@pytest.fixture(autouse=True)
def gin() -> Iterator[None]:
    """Know the table of names, and leave no configuration behind."""
    config.register()
    yield
    config.parse([])


@pytest.fixture(scope="module")
def stems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of one track with four seconds of noise for each source."""
    root = tmp_path_factory.mktemp("stems")
    for seed, source in enumerate(STEMS):
        noise = 0.1 * np.random.default_rng(seed).normal(size=(1, 4 * 22050)).astype(np.float32)
        with files.Writer(root / "train" / "track" / f"{source}.wav", 22050, 1) as writer:
            writer.write(noise)
    return root


def test_experiments_are_found() -> None:
    names = {name_of(path) for path in EXPERIMENTS}
    assert {"toy.gin", "songs.gin", "glow_wave.gin", "glow_stft.gin", "realnvp_wave.gin", "realnvp_stft.gin"} <= names
    assert not any(name.startswith("data/") for name in names)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_read_strictly_and_says_what_it_is(path: Path) -> None:
    config.parse([str(path)])
    assert config.bindings()
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(r"# [A-Z].{10,}\.", first)


@pytest.mark.parametrize("path", [path for path in FILES if path not in EXPERIMENTS], ids=name_of)
def test_a_part_is_included_by_an_experiment_or_is_data(path: Path) -> None:
    includes = "\n".join(each.read_text(encoding="utf-8") for each in FILES)
    assert f"include '{name_of(path)}'" in includes or path.parent.name == "data"


def test_nothing_in_the_folder_hides_a_package() -> None:
    assert not list(FOLDER.rglob("__init__.py"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name_of)
def test_an_experiment_takes_a_step(path: Path, stems: Path, tmp_path: Path) -> None:
    config.parse([str(path)])
    on_stems = config.bindings()["train.data"] == "@stems()"
    source = "drums" if on_stems else "sine"
    params = [f"{scope}/fit.{name} = {value}" for scope in ("prior", "posterior") for name, value in SHORT.items()]
    params += [f"train.sources = ['{source}']", f"stems.roots = ['{stems}']"]
    config.parse([str(path)], params)
    config.call("train", save_dir=tmp_path, seed=0)
    description = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))
    prior = load_prior(tmp_path / "model", source)
    assert np.isfinite(prior.score(prior.sample(1, (0, 0), 0.5), 0.5)).all()
    lines = [json.loads(line) for line in (tmp_path / source / "curve.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 1 and np.isfinite(lines[-1]["loss"])
    kinds = [entry["kind"] for entry in description["posteriors"]]
    if "amortised" in kinds:
        model = load_model(tmp_path / "model")
        answer = model.posterior.sample(tf.ones((1, model.segment)), 1, (0, 0))
        assert answer.shape == (1, 1, len(model.sources), model.segment) and np.isfinite(answer).all()


def test_experiments_run_on_other_data(tmp_path: Path) -> None:
    """The second file's settings win over the first's."""
    config.parse(["glow_wave.gin", "data/toy_free.gin"])
    assert config.bindings()["toy.free"] == "True"
    config.parse(["glow_wave.gin", "data/stems.gin"])
    assert config.bindings()["train.data"] == "@stems()"
