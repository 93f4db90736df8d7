"""The recipe from isolated sources to a model folder, on models small enough to train here."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

import tfsep
from tfsep.data.toy import ToyData
from tfsep.errors import InputError
from tfsep.models.store import load_model, load_prior
from tfsep.recipes import train as recipe
from tfsep.training.task import FitSettings

RATE, SEGMENT, SEED = 16000, 64, 3
PAIR = ("sine", "square")
GLOW = dict(
    kind="glow", domain="wave", squeeze=4, num_levels=1, num_steps=1, width=4, num_layers=1, sigma_range=(0.01, 8.0)
)
MASKS = dict(kind="amortised", network_settings={"width": 8, "num_blocks": 1})
GIBBS = dict(kind="gibbs", num_levels=2, num_restarts=1)
LANGEVIN = dict(kind="langevin", num_levels=2, num_steps=1)
FIT = FitSettings(
    num_steps=4, batch_size=4, warmup_steps=0, checkpoint_every=2, log_every=2, preview_every=4, deterministic=False
)


class Songs(ToyData):
    """Toy notes that are mixed by a sum of unequal gains, as no bundled data are."""

    @property
    def mixing_gains(self) -> tuple[float, ...]:
        return tuple(0.5 + 0.25 * k for k in range(len(self.sources)))


def train(folder: Path, **changes: Any) -> None:
    """A whole run of two sources, a prior for each and two posteriors, with changes."""
    settings: dict[str, Any] = {
        "data": ToyData(RATE, sources=PAIR),
        "segment": SEGMENT,
        "prior": GLOW,
        "posteriors": (MASKS, GIBBS),
        "prior_fit": FIT,
        "posterior_fit": FIT,
        "settings": {"overlap": 0.5},
        "seed": SEED,
    }
    recipe.train(folder, **{**settings, **changes})


def refusal(folder: Path, **changes: Any) -> str:
    """The one line with which a run is refused, before it has left anything."""
    with pytest.raises(InputError) as refused:
        train(folder / "run", **changes)
    assert "\n" not in str(refused.value)
    assert not (folder / "run").exists()
    return str(refused.value)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def curve(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; the priors were trained first, and the posteriors added by a second call."""
    folder = tmp_path_factory.mktemp("recipe")
    train(folder, posteriors=())
    before = contents(folder / "model")
    assert sorted(before) == ["model.json", "priors/sine.safetensors", "priors/square.safetensors"]
    train(folder)
    after = contents(folder / "model")
    assert all(after[name] == data for name, data in before.items() if name != "model.json")
    return folder


def test_a_run_leaves_a_model_folder(run: Path) -> None:
    description = json.loads((run / "model" / "model.json").read_text())
    assert description["sources"] == list(PAIR)
    assert (description["sample_rate"], description["segment"], description["gains"]) == (RATE, SEGMENT, [0.5, 0.5])
    assert description["settings"] == {"overlap": 0.5}
    assert [entry["kind"] for entry in description["posteriors"]] == ["amortised", "gibbs"]
    assert description["priors"]["sine"]["length"] == SEGMENT
    assert sorted(contents(run / "model")) == [
        "model.json",
        "posteriors/amortised.safetensors",
        "priors/sine.safetensors",
        "priors/square.safetensors",
    ]


def test_each_part_was_trained_in_a_folder_of_its_own(run: Path) -> None:
    for part in (*PAIR, "posterior"):
        losses = [line["loss"] for line in curve(run / part) if "loss" in line]
        assert len(losses) == 2 and np.isfinite(losses).all()
    last = curve(run / "sine")[-1]
    assert set(last) == {"step", "validation/nats_per_dim_wave"}
    last = curve(run / "posterior")[-1]
    assert set(last) == {"step", "validation/si_sdri_sine", "validation/si_sdri_square", "validation/si_sdri"}


@pytest.mark.parametrize("kind", ["amortised", "gibbs"])
def test_the_model_separates(run: Path, kind: str) -> None:
    separator = tfsep.Separator.load(str(run / "model"), posterior=kind)
    assert separator.sources == PAIR and separator.hop == SEGMENT // 2
    mixture = np.random.default_rng(0).normal(size=300).astype(np.float32)
    stems = separator(mixture, sample_rate=RATE)
    assert set(stems) == set(PAIR)
    np.testing.assert_allclose(stems["sine"] + stems["square"], mixture, atol=1e-5)


def test_the_priors_are_their_sources_own(run: Path) -> None:
    events = tf.constant(np.random.default_rng(0).normal(size=(2, SEGMENT, 1)), tf.float32)
    sine, square = (load_prior(run / "model", name).log_prob(events) for name in PAIR)
    assert np.isfinite(sine).all() and np.abs(sine - square).min() > 1e-3


def test_a_finished_run_is_not_trained_again(run: Path) -> None:
    before = contents(run)
    (run / "model" / "model.json").unlink()
    train(run)
    after = contents(run)
    assert {name for name in after if after[name] != before.get(name)} == set()


def test_a_run_of_another_seed_is_refused(run: Path) -> None:
    before = contents(run)
    with pytest.raises(InputError, match="seed"):
        train(run, seed=SEED + 1)
    assert contents(run) == before


def test_a_run_that_starts_over_ends_at_the_same_weights(run: Path, tmp_path: Path) -> None:
    """And a model of some of the sources alone: one toy source is its own mean."""
    again = shutil.copytree(run, tmp_path / "again")
    train(again, posteriors=(GIBBS,), sources=["square"], resume=False)
    assert [line["step"] for line in curve(again / "square")] == [2, 4, 4]
    weights = "priors/square.safetensors"
    assert contents(again / "model")[weights] == contents(run / "model")[weights]
    model = load_model(again / "model")
    assert model.sources == ("square",) and model.gains == (1.0,) and model.posterior.kind == "gibbs"


def test_fewer_toy_sources_are_mixed_by_their_mean_and_others_keep_their_gains() -> None:
    assert recipe.mixing_gains(ToyData(RATE), ("triangle", "sine")) == (0.5, 0.5)
    assert recipe.mixing_gains(ToyData(RATE), ToyData(RATE).sources) == (0.25,) * 4
    assert recipe.mixing_gains(Songs(RATE), ("triangle", "sine")) == (1.25, 0.5)
    assert recipe.mixing_gains(Songs(RATE), Songs(RATE).sources) == (0.5, 0.75, 1.0, 1.25)


def test_a_learned_posterior_separates_all_sources_of_the_data(tmp_path: Path) -> None:
    short = FitSettings(num_steps=1, batch_size=2, deterministic=False)
    fits = {"prior_fit": short, "posterior_fit": short}
    train(tmp_path, data=Songs(RATE), sources=["sine"], posteriors=(MASKS,), half=True, **fits)
    model = load_model(tmp_path / "model")
    assert model.sources == ("sine", "sawtooth", "square", "triangle") and model.gains == (0.5, 0.75, 1.0, 1.25)
    assert model.posterior.sample(np.ones((1, SEGMENT), np.float32), 1, (0, 0)).shape == (1, 1, 4, SEGMENT)
    assert load_prior(tmp_path / "model", "sine").event_shape == (SEGMENT, 1)
    with pytest.raises(InputError, match="has priors for sine, not for 'square'"):
        load_prior(tmp_path / "model", "square")
    stored = load_file(tmp_path / "model" / "posteriors" / "amortised.safetensors")
    assert {array.dtype for array in stored.values()} == {np.dtype(np.float16)}


@pytest.mark.parametrize("data", [ToyData(RATE, sources=PAIR), Songs(RATE, sources=PAIR)])
def test_what_is_shown_of_a_posterior_while_it_trains(data: ToyData) -> None:
    task = recipe.posterior_task(MASKS, data, SEGMENT, FIT, SEED, num_validation=6)
    assert task.preview and task.validate
    model = task.build()
    shown = task.preview(model)
    assert list(shown) == ["mixture", *PAIR]
    assert all(wave.shape == (1, SEGMENT) for wave in shown.values())
    np.testing.assert_allclose(shown["sine"] + shown["square"], shown["mixture"], atol=1e-5)
    scores = task.validate(model)
    assert scores["si_sdri"] == pytest.approx(np.mean([scores["si_sdri_sine"], scores["si_sdri_square"]]), abs=1e-6)
    assert next(iter(task.dataset(7))).shape == (4, 2, SEGMENT)


def test_a_denoiser_trained_among_other_sounds_says_so(tmp_path: Path) -> None:
    score = dict(kind="score", domain="wave", width=4, num_blocks=1, local_width=0, sigma_range=(0.01, 8.0))
    given = {"prior": score, "background": ToyData(RATE), "prior_fit": replace(FIT, num_steps=1)}
    rule = refusal(tmp_path, posteriors=[LANGEVIN], **given)
    assert "posterior 'langevin' follows scores" in rule and "background" in rule
    train(tmp_path / "run", posteriors=[GIBBS], **given)
    model = tmp_path / "run" / "model"
    assert not load_prior(model, "sine").has_score and load_model(model).posterior.kind == "gibbs"
    description = json.loads((model / "model.json").read_text())
    assert description["priors"]["sine"].pop("background") is True
    (model / "model.json").write_text(json.dumps(description))
    assert load_prior(model, "sine").has_score  # of a folder from before the setting was there


def test_nothing_to_train_is_refused(tmp_path: Path) -> None:
    expected = "train needs a prior or a learned posterior, got neither"
    assert refusal(tmp_path, prior=None, posteriors=(GIBBS,)) == expected
    assert refusal(tmp_path, prior=None, posteriors=()) == expected


@pytest.mark.parametrize(
    ("sources", "given"), [(("sine", "flute"), "sine, flute"), (("sine", "sine"), "sine, sine"), ((), "none")]
)
def test_sources_that_the_data_do_not_have_are_refused(tmp_path: Path, sources: tuple[str, ...], given: str) -> None:
    expected = f"train.sources must be different ones of sine, square, got {given}"
    assert refusal(tmp_path, sources=sources) == expected


def test_validation_data_of_another_kind_are_refused(tmp_path: Path) -> None:
    expected = "train.validation must have the sources and the sample rate of train.data"
    assert refusal(tmp_path, validation=ToyData(RATE, sources=PAIR[::-1])) == expected
    assert refusal(tmp_path, validation=ToyData(2 * RATE, sources=PAIR)) == expected


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"prior": dict(kind="oracle", domain="wave")}, "the prior must be one of .*, got 'oracle'"),
        ({"prior": {**GLOW, "widht": 4}}, "widht"),
        ({"prior": {**GLOW, "squeeze": 48}}, "prior 'glow' over 'wave' events"),
        ({"prior": dict(kind="ideal_toy", domain="wave", num_phases=1)}, "prior 'ideal_toy' has nothing to train"),
        ({"prior": {**GLOW, "length": 64, "event_shape": (64, 1)}}, "either an event_shape or a length"),
        ({"posteriors": (MASKS, {**GIBBS, "num_levles": 3})}, "num_levles"),
        (
            {"posteriors": (MASKS, {**GIBBS, "largest_sigma": 9.0})},
            "must lie in the 0.01..8 that prior 'glow' supports",
        ),
        (
            {"posteriors": ({**MASKS, "network": "frames"},)},
            "the network must be one of bands, frame, temporal, trunk, unet, got 'frames'",
        ),
        ({"posteriors": (MASKS, {"kind": "oracle"})}, "the posterior must be one of .*, got 'oracle'"),
        ({"posteriors": (GIBBS, {**LANGEVIN, "start": "amortised"})}, r"model's posteriors \(gibbs\), got 'amortised'"),
        ({"posteriors": (MASKS, {**LANGEVIN, "start": "amortised", "num_stepz": 1})}, "num_stepz"),
        ({"prior": None}, "posterior 'gibbs' needs a prior for each source, and this model has none"),
        (
            {"prior": {"kind": "template", "num_templates": 4}, "prior_denoising": 0.3},
            "got prior 'template', which is learned in one pass",
        ),
        ({"prior_denoising": -0.3}, "train.prior_denoising must be at least 0"),
    ],
)
def test_parts_described_wrongly_are_refused_before_anything_is_trained(
    tmp_path: Path, changes: dict[str, Any], rule: str
) -> None:
    assert re.search(rule, refusal(tmp_path, **changes))


def test_a_spectral_prior_says_how_long_its_excerpts_are(tmp_path: Path) -> None:
    shape = {"domain": "log_stft", "event_shape": (16, 32, 1), "squeeze": 2}
    message = refusal(tmp_path, prior={**GLOW, **shape}, posteriors=())
    assert message == "a prior over 'log_stft' needs prior.length, the samples of an excerpt, to be trained"


def test_a_sampler_that_starts_at_another_posterior_is_written_as_such(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    open_choice = {**GIBBS, "start": "langevin", "choice": "validation"}
    train(tmp_path / "run", posteriors=({**LANGEVIN, "start": "amortised"}, MASKS), num_validation=2)
    model = load_model(tmp_path / "run" / "model")
    assert model.posterior.describe() == "amortised > langevin"
    train(tmp_path / "run", posteriors=(open_choice, LANGEVIN), num_validation=2)
    model = load_model(tmp_path / "run" / "model")
    assert model.posterior.describe() == "langevin > gibbs" and model.posterior.stages[1].choice != "validation"


def test_gibbs_updates_choose_among_their_restarts_by_what_wins_on_validation_mixtures(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(run, tmp_path / "run")
    open_choice = dict(kind="gibbs", num_levels=2, num_restarts=3, choice="validation")
    train(tmp_path / "run", posteriors=(open_choice,), num_validation=2)
    said = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("gibbs: restarts by "))
    chosen = json.loads((tmp_path / "run" / "model" / "model.json").read_text())["posteriors"][0]["choice"]
    assert chosen in ("residual", "density") and said.endswith(f"on 2 validation mixtures; keeps {chosen}")
    assert load_model(str(tmp_path / "run" / "model")).posterior.choice == chosen
