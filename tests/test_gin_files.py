"""Every gin file of the repository is read strictly; every experiment builds at its own sizes and takes one step.

The published settings in gin/paper need a GPU: they are built at their own shapes, with networks of
a size for tests.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfsep import config, priors
from tfsep.audio import files
from tfsep.bundled import bundled_folder
from tfsep.models.store import load_model, load_prior
from tfsep.recipes import train
from tfsep.training.task import FitSettings, Task

FOLDER = bundled_folder("gin")
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


PAPER = [path for path in FILES if is_experiment(path) and path.parent.name == "paper"]
EXPERIMENTS = [path for path in FILES if is_experiment(path) and path not in PAPER]
every_experiment = pytest.mark.parametrize("path", EXPERIMENTS, ids=name_of)
LIKE_GLOW = ("ablations/flowavenet_wave.gin", "ablations/nice_wave.gin", "ablations/waveglow_wave.gin")
# Their parts are those of other experiments, or take as long; they are left to the whole suite.
SLOW = (
    *LIKE_GLOW,
    "ablations/glow_ordered.gin",
    "ablations/lifting_conditionals.gin",
    "ablations/lifting_sharp.gin",
    "ablations/musdb18_songs.gin",
    "ablations/nice_ordered.gin",
    "ablations/realnvp_ordered.gin",
    "ablations/retrieval_wave.gin",
    "ablations/songs_bands.gin",
    "ablations/songs_supervised.gin",
    "ablations/songs_temporal.gin",
    "ablations/songs_trunk.gin",
    "ablations/stems_background.gin",
    "ablations/toy_both.gin",
    "ablations/toy_elbo_four.gin",
    "ablations/toy_flow_both.gin",
    "ablations/toy_flow_pairs.gin",
    "ablations/toy_free_masks.gin",
    "ablations/toy_langevin.gin",
    "ablations/toy_mean_field.gin",
    "ablations/toy_mean_field_exchanged.gin",
    "ablations/toy_refined.gin",
    "ablations/toy_simulated.gin",
    "denoiser_stems.gin",
    "parts/songs_denoisers.gin",
    "parts/stems_prior.gin",
    "parts/wavetable_free.gin",
    "toy_elbo.gin",
    "toy_free.gin",
)
SMALL = ("prior.num_steps = 4", "prior.width = 4", "prior.num_layers = 1")
# Their networks are large; what they are made of is tried at a size for tests.
LARGE = ("ablations/musdb18_songs.gin", "ablations/songs_supervised.gin", "songs.gin")
# Variants of the last, with other networks.
VARIANTS = tuple(f"ablations/songs_{name}.gin" for name in ("bands", "temporal", "trunk"))
# It sets what every kind of flow has.
FOR_ANY_PRIOR = ("parts/wave_flow.gin",)
NARROW = ("amortised.network_settings = {'widths': (8, 16), 'low_bins': 0}", "train.segment = 16384")


def some_slow(paths: Iterable[Path], slow: Iterable[str]) -> list[Any]:
    """Files as parameters, those named in ``slow`` marked so."""
    return [pytest.param(path, marks=pytest.mark.slow) if name_of(path) in slow else path for path in paths]


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
    names = {path.name for path in EXPERIMENTS}
    flows = {f"{kind}_wave" for kind in ("flowavenet", "glow", "nice", "realnvp", "waveglow")}
    flows |= {"glow_bins", "glow_mel", "glow_stft", "realnvp_bins", "realnvp_stft"}
    assert {"toy.gin", "songs.gin"} | {f"{name}.gin" for name in flows} <= names
    assert not any(path.parent.name == "data" for path in EXPERIMENTS)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_is_read_strictly_and_says_what_it_is(path: Path) -> None:
    config.parse([str(path)], ["train.prior = @glow()"] if name_of(path) in FOR_ANY_PRIOR else [])
    assert config.bindings()
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(r"# [A-Z].{10,}\.", first)


@pytest.mark.parametrize("path", [path for path in FILES if path not in EXPERIMENTS + PAPER], ids=name_of)
def test_a_part_is_included_by_an_experiment_or_is_data(path: Path) -> None:
    includes = "\n".join(each.read_text(encoding="utf-8") for each in FILES)
    standing_alone = path.parent.name == "data" or re.search(
        r"(?m)^(fine_tune|match_scores|refine)\.model =", full_text(path)
    )
    assert standing_alone or f"include '{name_of(path)}'" in includes


def described_prior() -> dict[str, Any]:
    """Return the arguments of the prior that the configuration in force names."""
    reference = config.bindings()["train.prior"]
    found = config.call(reference.removeprefix("@").removesuffix("()"))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", LIKE_GLOW)
def test_a_flow_of_the_study_is_built_at_its_own_shape(name: str) -> None:
    config.parse([name], SMALL)
    prior = priors.build(**{"length": 2048, **described_prior()})
    assert (
        f"{prior.kind}_wave.gin" == Path(name).name
        and prior.event_shape == (2048, 1)
        and prior.sigma_range == (0.01, 8.0)
    )


@pytest.mark.parametrize(
    "path",
    some_slow(PAPER, ("paper/flowavenet_wave_4.gin", "paper/flowavenet_wave_clean.gin", "paper/glow_mel_16.gin")),
    ids=name_of,
)
def test_a_published_setting_is_built_at_its_own_shapes(path: Path) -> None:
    """All levels, splits and front ends as they stand; two steps a level and narrow networks in place of their own."""
    config.parse([str(path)])
    bound = config.bindings()
    stated = {name.removeprefix(f"{described_prior()['kind']}."): value for name, value in bound.items()}
    assert int(stated["num_steps"]) >= 6 and int(stated["width"]) >= 32
    config.parse([str(path)], ["prior.num_steps = 2", *SMALL[1:]])
    arguments = {"length": int(stated["train.segment"]), **described_prior()}
    prior = priors.build(**arguments)
    assert arguments["length"] <= 48000 and stated["toy.sample_rate"] == "14700"
    assert prior.event_shape == {"wave": (16384, 1), "log_mel": (240, 265, 1)}[prior.domain]
    assert prior.sigma_range == (None if path.stem.endswith("_clean") else (0.01, 0.359))
    levels = sum(type(layer).__name__ == "SqueezeLayer" for layer in prior._flatten_layers())
    assert levels == 2 * int(stated["num_levels"])


def test_nothing_in_the_folder_hides_a_package() -> None:
    assert not list(FOLDER.rglob("__init__.py"))


def test_the_top_has_the_recipes_to_start_from() -> None:
    top = [path.name for path in FOLDER.glob("*.gin")]
    assert {"glow_stft.gin", "songs.gin", "toy.gin"} <= set(top) and len(top) <= 12
    assert {path.parent.name for path in FILES} == {FOLDER.name, "parts", "data", "ablations", "paper"}


def test_the_table_of_the_folder_names_every_file_once_with_its_steps() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `([\w/]+\.gin)` \|(.*)\|$", text, flags=re.MULTILINE)
    assert sorted(name for name, _ in found) == sorted(map(name_of, FILES))
    rows = dict(found)
    for path in FILES:
        if name_of(path) not in FOR_ANY_PRIOR:
            config.parse([str(path)])
            steps = [value for name, value in config.bindings().items() if name.endswith("fit.num_steps")]
            assert all(f"{int(value):,} steps" in rows[name_of(path)] for value in steps), name_of(path)


def configure(path: Path, stems: Path) -> list[str]:
    """Read an experiment, shortened to one step and one source; returns the sources that get a prior."""
    config.parse([str(path)])
    bound = config.bindings()
    toy = ast.literal_eval(bound.get("toy.sources", "['sine']"))[0]
    source = {"@toy()": toy, "@pooled()": "background"}.get(bound["train.data"], "drums")
    params = [f"{scope}/fit.{name} = {value}" for scope in ("prior", "posterior") for name, value in SHORT.items()]
    params += [f"{name}.roots = ['{stems}']" for name in ("stems", "aligned_stems", "musdb")]
    params += [f"train.sources = ['{source}']", "train.num_validation = 2", "train.num_examples = 2"]
    params += [*(SMALL if "train.prior" in bound else ()), *NARROW] if name_of(path) in LARGE else []
    params += (
        [*SMALL, "amortised.network_settings = {'width': 8, 'num_blocks': 1}"] if name_of(path) in VARIANTS else []
    )
    if "train.posterior_objective" in bound or "@composition()" in bound.get("train.posteriors", ""):
        # These use the priors of all sources, so there must be one source alone.
        params.append(f"toy.sources = ['{source}']")
    if "posterior/objective.exchanges" in bound:
        params.append("posterior/objective.exchanges = ()")
    if "train.posterior_start" in bound:
        params.append("train.posterior_start = None")
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


@pytest.mark.parametrize("path", some_slow(EXPERIMENTS, SLOW), ids=name_of)
def test_an_experiment_is_built_and_takes_a_step(
    path: Path, stems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_priors = configure(path, stems)
    monkeypatch.setattr(train, "fit", bare_step)
    # What is fitted to finished parts is built and not run: it takes longer than everything else here.
    for name in ("choose_stages", "calibrate"):
        monkeypatch.setattr(train, name, lambda entry, *_: entry)
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
