"""Compositions in model folders: stages by name or with settings, and sources that are added without retraining."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.data import toy
from tfsep.data.oscillators import KINDS
from tfsep.errors import InputError
from tfsep.export import saved_model
from tfsep.models import stages
from tfsep.models.store import load_model
from tfsep.priors import registry
from tfsep.priors.denoiser import ScorePrior
from tfsep.priors.flows.flow import FlowPrior
from tfsep.separation.separator import Separator

SEGMENT = 64
GIBBS = {"kind": "gibbs", "num_levels": 2, "num_restarts": 1}
WARM = {**GIBBS, "largest_sigma": 1.0}
MASKS = {"kind": "amortised", "weights": "posteriors/amortised.safetensors"}
BY_NAME = {"kind": "composition", "stages": ["gibbs", WARM]}
FROM_MASKS = {"kind": "composition", "stages": ["amortised", WARM]}


def write(folder: Path, sources: tuple[str, ...], *posteriors: dict[str, Any]) -> Path:
    """A model folder whose priors are coarse ideal ones, which have no weights."""
    coarse = {"kind": "ideal_toy", "length": SEGMENT, "num_phases": 4, "num_rounds": 0, "sample_rate": 16000}
    description = {
        "format": 1,
        "sources": list(sources),
        "sample_rate": 16000,
        "segment": SEGMENT,
        "gains": [1 / len(sources)] * len(sources),
        "priors": {name: {**coarse, "source": name} for name in sources},
        "posteriors": list(posteriors),
    }
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps(description))
    return folder


def test_a_source_is_added_to_a_composition_of_samplers(tmp_path: Path) -> None:
    pair = write(tmp_path / "pair", ("sine", "square"), MASKS, FROM_MASKS, GIBBS)
    other = write(tmp_path / "other", ("triangle",))
    mixture = np.random.default_rng(0).normal(size=(2, SEGMENT)).astype(np.float32)
    # Beside masks of two sources a composition that starts from them cannot take a third.
    with pytest.raises(InputError, match="no posterior that needs only priors of kind 'composition'; it has gibbs"):
        load_model(pair, "composition", {"triangle": str(other)})
    pair = write(tmp_path / "again", ("sine", "square"), MASKS, BY_NAME, GIBBS)
    model = load_model(pair, "composition", {"triangle": str(other)})
    assert model.sources == ("sine", "square", "triangle") and model.gains == model.posterior.gains
    assert model.gains == pytest.approx([1 / 3] * 3)
    found = model.posterior.sample(mixture, 1, (0, 0)).numpy()
    assert found.shape == (1, 2, 3, SEGMENT)
    np.testing.assert_allclose(found[0].mean(1), mixture, atol=1e-5)


@pytest.mark.slow
def test_a_composition_is_served(tmp_path: Path) -> None:
    folder = write(tmp_path / "pair", ("sine", "square"), GIBBS, BY_NAME)
    separator = Separator.load(str(folder), posterior="composition")
    saved_model.export(separator, tmp_path / "served")
    loaded = tf.saved_model.load(str(tmp_path / "served" / "1")).signatures["serving_default"]
    waves = np.random.default_rng(0).normal(size=(2, 150)).astype(np.float32)
    stems = loaded(waveform=tf.constant(waves))
    assert sorted(stems) == ["sine", "square"]
    np.testing.assert_allclose(stems["sine"] + stems["square"], waves, atol=1e-5)


def test_what_a_composition_needs_follows_from_the_stages_it_keeps() -> None:
    known = {"amortised": MASKS, "gibbs": GIBBS}
    kept: dict[str, Any] = {**FROM_MASKS, "keep": 1}
    assert stages.is_learned(FROM_MASKS, known) and stages.needs_priors(FROM_MASKS, known)
    assert stages.is_learned(kept, known) and not stages.needs_priors(kept, known)
    assert stages.needs_priors({**kept, "choice": "residual"}, known)
    assert not stages.is_learned(BY_NAME, known) and stages.needs_priors(BY_NAME, known)
    assert stages.is_learned(MASKS, known) and stages.needs_priors(GIBBS, known)


def test_a_sampler_with_a_start_is_a_composition(tmp_path: Path) -> None:
    """It has a name of its own, ``--posterior langevin``, and is a composition in everything else."""
    warm = {"kind": "langevin", "start": "gibbs", "num_levels": 3}
    folder = write(tmp_path / "pair", ("sine", "square"), {**warm, "priors": {}}, GIBBS)
    model = load_model(folder, "langevin", steps=5, silence=0.1)
    assert model.posterior.describe() == "gibbs > langevin" and model.posterior.stages[1].num_steps == 5
    assert load_model(folder).posterior.describe() == "gibbs > langevin"
    mixture = np.random.default_rng(0).normal(size=(2, SEGMENT)).astype(np.float32)
    found = model.posterior.sample(mixture, 2, (0, 0)).numpy()
    np.testing.assert_allclose(found.mean(2), np.stack([mixture] * 2), atol=1e-5)
    assert "posterior 'gibbs > langevin'" in repr(Separator(model))


def test_what_a_start_needs_counts(tmp_path: Path) -> None:
    warm = {"kind": "langevin", "start": "amortised"}
    known = {"amortised": MASKS, "gibbs": GIBBS, "langevin": warm}
    assert stages.is_learned(warm, known) and stages.needs_priors(warm, known)
    assert stages.expanded(warm) == {"kind": "composition", "stages": ["amortised", {"kind": "langevin"}]}
    assert stages.expanded({**GIBBS, "start": None}) == GIBBS
    # Behind another stage it starts there instead; as the first it would begin at noise, which is not what it says.
    assert stages.used_stages({"stages": ["gibbs", "langevin"]}, known) == [GIBBS, {"kind": "langevin"}]
    with pytest.raises(InputError, match="first stage starts at none, and 'langevin' starts at 'amortised': name that"):
        stages.used_stages({"stages": ["langevin", "gibbs"]}, known)
    with pytest.raises(InputError, match=r"one of the model's posteriors \(amortised, gibbs, langevin\), got 'masks'"):
        stages.is_learned({**warm, "start": "masks"}, known)
    folder = write(tmp_path / "pair", ("sine", "square"), MASKS, warm, GIBBS)
    other = write(tmp_path / "other", ("triangle",))
    with pytest.raises(InputError, match="no posterior that needs only priors of kind 'langevin'; it has gibbs"):
        load_model(folder, "langevin", {"triangle": str(other)})


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        (["masks"], r"a stage must be one of the model's posteriors \(amortised, gibbs\), got 'masks'"),
        (["composition"], "a stage must be one of the model's posteriors"),
        ([{"kind": "amortised"}], "a stage with its own settings must be a posterior that needs only priors"),
        ([{"num_levels": 2}], "a stage with its own settings must be a posterior that needs only priors"),
        ([3], "a stage with its own settings must be a posterior that needs only priors, got 3"),
        (None, "stages of a composition must be a list of posteriors, got None"),
        ([], "a composition needs at least one stage"),
    ],
)
def test_stages_that_are_none_are_refused(given: Any, rule: str) -> None:
    known = {"amortised": MASKS, "gibbs": GIBBS, "composition": BY_NAME}
    with pytest.raises(InputError, match=rule):
        stages.used_stages({"kind": "composition", "stages": given}, known)


def test_silence_reaches_the_samplers_of_a_posterior() -> None:
    known = {each["kind"]: each for each in (MASKS, GIBBS)}
    assert stages.with_silence(GIBBS, known, 0.1) == {**GIBBS, "silence_probability": 0.1}
    whole = stages.with_silence({**FROM_MASKS, "keep": 2}, known, 0.2)
    assert whole["stages"] == ["amortised", {**WARM, "silence_probability": 0.2}] and whole["keep"] is None
    for entry in (MASKS, {"kind": "composition", "stages": ["amortised"]}):
        with pytest.raises(InputError, match="models silence by its training data"):
            stages.with_silence(entry, known, 0.1)
    with pytest.raises(InputError, match="silence must be a probability from 0 to below 1, got 1"):
        stages.with_silence(GIBBS, known, 1.0)


@pytest.mark.slow
def test_a_source_that_may_be_absent_is_found_absent() -> None:
    """The bundled toy model on mixtures without a square, of which its own settings make something loud."""
    references = np.stack([toy.examples(name, 2, 2048, 16000, 3) for name in KINDS], axis=1) / np.float32(4)
    references[:, KINDS.index("square")] = 0.0
    mixture = references.sum(axis=1)
    levels = []
    for silence in (None, 0.1):
        stems = Separator.load("toy", posterior="gibbs", silence=silence).separate_batch(mixture)[0]
        absent = np.mean(stems[:, KINDS.index("square")] ** 2, axis=-1) / np.mean(mixture**2, axis=-1)
        levels.append(10.0 * np.log10(np.median(absent) + 1e-12))
    assert levels[1] < -60.0 < -20.0 < levels[0], levels


def test_what_finds_sources_anew_is_told_from_its_stages() -> None:
    renewing = {"kind": "particles", "renew_above": 0.1}
    known = {"gibbs": GIBBS, "amortised": MASKS, "particles": renewing}
    assert stages.needs_directions({**renewing, "start": "amortised"}, known)
    assert stages.needs_directions({"kind": "composition", "stages": ["amortised", "particles"]}, known)
    assert not stages.needs_directions({"kind": "composition", "stages": ["amortised", "particles"], "keep": 1}, known)
    assert not stages.needs_directions({"kind": "particles", "renew_above": None}, known)
    assert not stages.needs_directions(GIBBS, known)


def test_kinds_of_priors_with_directions_are_named() -> None:
    """Of those that are classes; kinds that are networks have none."""
    found = {kind for kind, each in registry.CLOSED_FORM_KINDS.items() if each.has_directions}
    assert found == set(stages.WITH_DIRECTIONS)
    assert not FlowPrior.has_directions and not ScorePrior.has_directions
