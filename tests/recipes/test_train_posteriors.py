"""How learned posteriors are trained and fitted within a recipe: what the data carry, what is chosen and stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfsep
from tfsep import priors
from tfsep.data.toy import ToyData
from tfsep.errors import InputError
from tfsep.models.store import load_model
from tfsep.recipes import train as recipe
from tfsep.recipes import train_posteriors
from tfsep.training.posterior_objectives import ObjectiveSettings
from tfsep.training.task import FitSettings

RATE, SEGMENT, PAIR = 16000, 64, ("sine", "square")
GLOW = dict(
    kind="glow", domain="wave", squeeze=4, num_levels=1, num_steps=1, width=4, num_layers=1, sigma_range=(0.01, 8.0)
)
MASKS = dict(kind="amortised", network_settings={"width": 8, "num_blocks": 1})
WARM = dict(kind="gibbs", num_levels=2, num_restarts=1)
COMPOSITION = dict(kind="composition", stages=["amortised", WARM])
FIT = FitSettings(num_steps=10, batch_size=4, deterministic=False)
ELBO = ObjectiveSettings(kind="elbo")


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Train nothing: `fit` builds the model and notes the task."""
    tasks: list[Any] = []

    def fit(task: Any, *_: Any) -> Any:
        tasks.append(task)
        return task.build()

    monkeypatch.setattr(recipe, "fit", fit)
    return tasks


def train(folder: Path, **changes: Any) -> None:
    settings: dict[str, Any] = {"data": ToyData(RATE, sources=PAIR), "segment": SEGMENT, "num_validation": 4}
    recipe.train(folder, **{**settings, "prior_fit": FIT, "posterior_fit": FIT, **changes})


def test_the_bound_is_told_how_far_the_training_is() -> None:
    glow = [priors.build(**{**GLOW, "length": SEGMENT}) for _ in PAIR]
    data = ToyData(RATE, sources=PAIR)
    task = train_posteriors.posterior_task(MASKS, data, SEGMENT, FIT, 0, None, 2, ELBO, glow)
    plain = train_posteriors.posterior_task(MASKS, data, SEGMENT, FIT, 0, None, 2)
    later = iter(task.dataset(3))
    for step in (3, 4):
        sources, progress = next(later)
        np.testing.assert_allclose(progress, np.full(4, step / 10), rtol=1e-6)
        np.testing.assert_array_equal(sources, next(iter(plain.dataset(step))))
    loss, metrics = task.objective(task.build(), (sources, progress), tf.constant([0, 0]))
    assert np.isfinite(float(loss)) and {"elbo_per_dim", "prior_sigma"} <= set(metrics)


@pytest.mark.slow
def test_a_recipe_trains_by_the_bound_and_keeps_what_wins(
    untrained: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An untrained glow ruins its start, so the composition keeps the masks alone and says so."""
    train(tmp_path, prior=GLOW, posteriors=(MASKS, COMPOSITION), posterior_objective=ELBO)
    assert [task.name for task in untrained] == [*PAIR, "posterior"]
    said = capsys.readouterr().err
    assert "90 % intervals cover: sine" in said and "validation mixtures; keeps amortised" in said
    masks, composition = json.loads((tmp_path / "model" / "model.json").read_text())["posteriors"]
    assert len(masks["temperature"]) == 2 and min(masks["temperature"]) > 0
    assert len(composition["validation_si_sdri"]) == 2 and composition["stages"][0] == "amortised"
    assert composition["keep"] == 1 + int(np.argmax(composition["validation_si_sdri"]))
    mixture = np.random.default_rng(0).normal(size=(3, SEGMENT)).astype(np.float32)
    for keep in (1, 2):
        composition["keep"] = keep
        description = json.loads((tmp_path / "model" / "model.json").read_text())
        description["posteriors"] = [masks, composition]
        (tmp_path / "model" / "model.json").write_text(json.dumps(description))
        separator = tfsep.Separator.load(str(tmp_path / "model"), posterior="composition")
        stems = separator.separate_batch(mixture)[0]
        np.testing.assert_allclose(stems.sum(1), mixture, atol=1e-5)
        if keep == 1:
            start = tfsep.Separator.load(str(tmp_path / "model"), posterior="amortised").separate_batch(mixture)[0]
            np.testing.assert_array_equal(stems, start)
    assert len(separator.model.posterior.stages) == 2


def test_the_supervised_baseline_is_a_model_like_any_other(untrained: list[Any], tmp_path: Path) -> None:
    train(tmp_path, posteriors=(MASKS,), paired=True)
    batch = next(iter(untrained[0].dataset(2)))
    unpaired = train_posteriors.posterior_task(MASKS, ToyData(RATE, sources=PAIR), SEGMENT, FIT, 0)
    np.testing.assert_array_equal(batch, next(iter(unpaired.dataset(2))))
    assert load_model(tmp_path / "model").sources == PAIR


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"posterior_objective": ELBO}, "objective.kind 'elbo' needs a prior for each of sine, square"),
        ({"prior": GLOW, "sources": ["sine"], "posterior_objective": ELBO}, "needs a prior for each of sine, square"),
        ({"posteriors": (COMPOSITION,), "prior": GLOW}, r"one of the model's posteriors \(none\), got 'amortised'"),
        ({"posteriors": (MASKS, {**COMPOSITION, "stages": "amortised"})}, "stages of a composition must be a list"),
        ({"posteriors": (MASKS, {**COMPOSITION, "stages": [MASKS]})}, "must be a posterior that needs only priors"),
        ({"posteriors": (MASKS, COMPOSITION)}, "posterior 'gibbs' needs a prior for each source"),
        ({"posteriors": (MASKS, {**COMPOSITION, "stages": []})}, "a composition needs at least one stage"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is(
    untrained: list[Any], tmp_path: Path, changes: dict[str, Any], rule: str
) -> None:
    with pytest.raises(InputError, match=rule) as refused:
        train(tmp_path, **{"posteriors": (MASKS,), **changes})
    assert "\n" not in str(refused.value)
    assert untrained == []


def test_a_posterior_may_start_where_another_training_ended(untrained: list[Any], tmp_path: Path) -> None:
    train(tmp_path / "first", posteriors=[MASKS])
    first = load_model(tmp_path / "first" / "model").posterior
    train(tmp_path / "second", posteriors=[MASKS], posterior_start=str(tmp_path / "first" / "model"))
    again, fresh = untrained[1].build(), untrained[0].build()
    differs = False
    for one, other, new in zip(first.weights, again.weights, fresh.weights, strict=True):
        np.testing.assert_array_equal(one, other)
        differs = differs or bool(np.abs(one - new).max() > 0.0)
    assert differs


def test_masks_may_be_the_start_of_a_posterior_with_more_stages(untrained: list[Any], tmp_path: Path) -> None:
    train(tmp_path / "first", posteriors=[MASKS])
    refined = {**MASKS, "refine": {"block": 16, "width": 8, "num_layers": 2}}
    train(tmp_path / "second", posteriors=[refined], posterior_start=str(tmp_path / "first" / "model"))
    first, more = load_model(tmp_path / "first" / "model").posterior, untrained[1].build()
    assert len(more.weights) > len(first.weights)
    mixture = tf.random.stateless_normal((2, first.segment), (1, 2))
    np.testing.assert_allclose(first(mixture)[0], more(mixture)[0], atol=1e-5)


def test_a_start_of_fewer_sources_is_refused(untrained: list[Any], tmp_path: Path) -> None:
    train(tmp_path / "first", posteriors=[MASKS])
    more = ToyData(sources=("sine", "square", "triangle"))
    with pytest.raises(InputError, match="cannot initialise a posterior of 3 sources: it has 2"):
        train(tmp_path / "second", posteriors=[MASKS], data=more, posterior_start=str(tmp_path / "first" / "model"))


def test_a_start_of_another_make_is_refused(untrained: list[Any], tmp_path: Path) -> None:
    train(tmp_path / "first", posteriors=[MASKS])
    wide = dict(kind="amortised", network_settings={"width": 9, "num_blocks": 1})
    with pytest.raises(InputError, match="first"):
        train(tmp_path / "second", posteriors=[wide], posterior_start=str(tmp_path / "first" / "model"))
    train(tmp_path / "third", prior=GLOW, posteriors=[WARM])
    with pytest.raises(InputError, match="no learned posterior of kind 'amortised' to start from"):
        train(tmp_path / "fourth", posteriors=[MASKS], posterior_start=str(tmp_path / "third" / "model"))
