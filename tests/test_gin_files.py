"""Every gin file of the repository is read strictly; every experiment builds at its own sizes and takes one step."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfsep import config
from tfsep.audio import files
from tfsep.experiments import recipe
from tfsep.separation.model_folder import load_model, load_prior
from tfsep.training.task import FitSettings, Task

FOLDER = Path(__file__).resolve().parents[1] / "gin"
FILES = sorted(FOLDER.rglob("*.gin"))
STEMS = ("drums", "bass", "other", "vocals")
SHORT = {"num_steps": 1, "batch_size": 2, "preview_every": 0, "jit_compile": False, "deterministic": False}


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


def full_text(path: Path) -> str:
    """A file's text with those that it includes."""
    text = path.read_text(encoding="utf-8")
    included = re.findall(r"^include '(.+)'$", text, flags=re.MULTILINE)
    return text + "".join(full_text(FOLDER / name) for name in included)


def is_experiment(path: Path) -> bool:
    """Whether a file says what to train on what; the others are parts of such files."""
    text = full_text(path)
    return "train.data =" in text and ("train.prior =" in text or "train.posteriors =" in text)


EXPERIMENTS = [path for path in FILES if is_experiment(path)]
every_experiment = pytest.mark.parametrize("path", EXPERIMENTS, ids=name_of)


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


def configure(path: Path, stems: Path) -> list[str]:
    """Read an experiment, cut short to one step and one source; returns the sources that get a prior."""
    config.parse([str(path)])
    bound = config.bindings()
    source = "drums" if "stems()" in bound["train.data"] else "sine"
    params = [f"{scope}/fit.{name} = {value}" for scope in ("prior", "posterior") for name, value in SHORT.items()]
    params += [f"{name}.roots = ['{stems}']" for name in ("stems", "aligned_stems")]
    params += [f"train.sources = ['{source}']", "train.num_validation = 2", "train.num_examples = 2"]
    if "train.posterior_objective" in bound or "@composition/posterior()" in bound.get("train.posteriors", ""):
        # These use the priors of all sources, so there must be one source alone.
        params.append(f"toy.sources = ['{source}']")
    config.parse([str(path)], params)
    return [source] if "train.prior" in bound else []


def bare_step(task: Task, save_dir: Path, settings: FitSettings, seed: int, resume: bool) -> keras.Model:
    """What `fit` does with a task in its first step, without the graphs, which take most of a short training's time."""
    keras.utils.set_random_seed(seed)
    model, batch, pair = task.build(), next(iter(task.dataset(0))), tf.constant([seed, 0])
    assert tf.nest.flatten(batch)[0].shape[0] == settings.batch_size == SHORT["batch_size"]
    if task.initialise is not None:
        task.initialise(model, batch, pair)
    variables = [variable.value for variable in model.trainable_variables]
    with tf.GradientTape() as tape:
        loss, metrics = task.objective(model, batch, pair)
    gradients = tape.gradient(loss, variables)
    assert all(gradient is not None and np.isfinite(gradient).all() for gradient in gradients)
    assert np.isfinite([float(loss), *map(float, metrics.values())]).all()
    for variable, gradient in zip(variables, gradients, strict=True):
        variable.assign_sub(1e-4 * gradient)
    return model


def check_model(folder: Path, with_priors: list[str]) -> None:
    """Load the learned posterior of a model folder, where there is one, and ask it."""
    description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert list(description["priors"]) == with_priors
    if any(entry["kind"] == "amortised" for entry in description["posteriors"]):
        model = load_model(folder, posterior="amortised")
        answer = model.posterior.sample(tf.ones((1, model.segment)), 1, (0, 0))
        assert answer.shape == (1, 1, len(model.sources), model.segment) and np.isfinite(answer).all()


@every_experiment
def test_an_experiment_is_built_and_takes_a_step(
    path: Path, stems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_priors = configure(path, stems)
    monkeypatch.setattr(recipe, "fit", bare_step)
    # A composition is built, and its stages are not run: tracing them takes longer than everything else here.
    monkeypatch.setattr(recipe, "selected", lambda entry, *_: entry)
    config.call("train", save_dir=tmp_path, seed=0)
    check_model(tmp_path / "model", with_priors)


@pytest.mark.slow
@every_experiment
def test_an_experiment_is_trained_by_the_loop(path: Path, stems: Path, tmp_path: Path) -> None:
    with_priors = configure(path, stems)
    config.call("train", save_dir=tmp_path, seed=0)
    check_model(tmp_path / "model", with_priors)
    for source in with_priors:
        assert load_prior(tmp_path / "model", source).event_shape
    for part in with_priors or ["posterior"]:
        if (tmp_path / part / "learned.json").is_file():
            continue
        lines = [json.loads(line) for line in (tmp_path / part / "curve.jsonl").read_text().splitlines()]
        assert lines[-1]["step"] == 1 and np.isfinite(lines[-1]["loss"])


def test_experiments_run_on_other_data(tmp_path: Path) -> None:
    """The second file's settings win over the first's."""
    config.parse(["glow_wave.gin", "data/toy_free.gin"])
    assert config.bindings()["toy.free"] == "True"
    config.parse(["glow_wave.gin", "data/stems.gin"])
    assert config.bindings()["train.data"] == "@stems()"
