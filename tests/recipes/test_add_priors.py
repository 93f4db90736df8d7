"""A second set of priors for a trained model: what is written, what is chosen, how it is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfsep
from tfsep import posteriors, priors
from tfsep.data.toy import ToyData
from tfsep.errors import InputError
from tfsep.evaluation import prior_set
from tfsep.models import store
from tfsep.models.store import load_model, save_model
from tfsep.recipes.add_priors import refine

SEGMENT, RATE, NAMES = 64, 16000, ("sine", "square")
MASKS = {"kind": "amortised", "network_settings": {"width": 8, "num_blocks": 1}}
GLOW = {"kind": "glow", "length": SEGMENT, "squeeze": 4, "num_levels": 1, "num_steps": 1, "width": 4, "num_layers": 1}
COARSE = {"kind": "ideal_toy", "length": SEGMENT, "num_phases": 8, "num_rounds": 1, "sample_rate": RATE}
SCORE = {"kind": "score", "length": SEGMENT, "width": 8, "num_blocks": 1, "sigma_range": (0.01, 2.0)}
GIBBS = {"kind": "gibbs", "num_levels": 2, "num_restarts": 1, "largest_sigma": 1.0}
SHARP = {**GIBBS, "num_levels": 8, "smallest_sigma": 0.05, "num_restarts": 2}
WARM = {"kind": "composition", "stages": ["amortised", SHARP]}


def data(rate: int = RATE) -> ToyData:
    return ToyData(sources=NAMES, sample_rate=rate)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``masks`` with flows and a learned posterior, ``sharp`` and ``learned`` with priors over the same waves."""
    folder = tmp_path_factory.mktemp("refining")
    keras.utils.set_random_seed(0)
    flows = {name: (GLOW, priors.build(**GLOW, sigma_range=(0.01, 1.0))) for name in NAMES}
    flows = {name: ({**GLOW, "sigma_range": (0.01, 1.0)}, prior) for name, (_, prior) in flows.items()}
    masks = posteriors.build(**MASKS, num_sources=2, segment=SEGMENT)
    save_model(folder / "masks", NAMES, RATE, SEGMENT, (0.5, 0.5), flows, [(MASKS, masks)], {"overlap": 0.5})
    sharp = {name: ({**COARSE, "source": name}, priors.build(**COARSE, source=name)) for name in NAMES}
    save_model(folder / "sharp", NAMES, RATE, SEGMENT, (0.5, 0.5), sharp, [(GIBBS, None)])
    scores = {name: (SCORE, priors.build(**SCORE)) for name in NAMES}
    save_model(folder / "learned", NAMES, RATE, SEGMENT, (0.5, 0.5), scores)
    return folder


def refined(folders: Path, tmp_path: Path, second: str, **settings: Any) -> Path:
    arguments = {"posteriors": [WARM, GIBBS], "data": data(), "num_validation": 6, **settings}
    refine(tmp_path / "run", str(folders / "masks"), str(folders / second), **arguments)
    return tmp_path / "run" / "model"


@pytest.mark.slow
def test_a_refined_model_has_both_sets_and_keeps_what_wins(folders: Path, tmp_path: Path) -> None:
    folder = refined(folders, tmp_path, "sharp")
    description = store.describe(folder)
    assert list(description["priors"]) == [*NAMES, "sine_denoiser", "square_denoiser"]
    assert [entry["kind"] for entry in description["posteriors"]] == ["amortised", "composition", "gibbs"]
    composition = description["posteriors"][1]
    # Masks without training give the mixture's halves, which the ideal priors separate.
    assert (
        composition["keep"] == 2 and composition["validation_si_sdri"][1] > composition["validation_si_sdri"][0] + 1.0
    )
    assert load_model(folder).posterior.kind == "amortised"
    assert load_model(folder, "full").posterior.kind == "composition"
    assert prior_set.load(str(folder)).sources == NAMES
    waves = np.random.default_rng(0).normal(size=(2, SEGMENT)).astype(np.float32)
    found = load_model(folder, "gibbs").posterior.sample(waves, 1, (0, 0)).numpy()
    expected = load_model(folders / "sharp").posterior.sample(waves, 1, (0, 0)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    stems = tfsep.Separator.load(str(folder), posterior="full", without=[])(waves[0], RATE)
    np.testing.assert_allclose(sum(stems.values()), waves[0], atol=1e-5)


def test_weights_of_the_second_set_are_copied(folders: Path, tmp_path: Path) -> None:
    folder = refined(folders, tmp_path, "learned", name="score", posteriors=[GIBBS])
    copied = store.load_prior(folder, "square_score")
    whole = store.load_prior(folders / "learned", "square")
    for one, other in zip(copied.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert json.loads((folders / "masks" / "model.json").read_text())["priors"].keys() == set(NAMES)


def test_an_added_source_joins_the_second_set(folders: Path, tmp_path: Path) -> None:
    folder = refined(folders, tmp_path, "sharp")
    other = {"triangle": ({**COARSE, "source": "triangle"}, priors.build(**COARSE, source="triangle"))}
    save_model(tmp_path / "other", ("triangle",), RATE, SEGMENT, (1.0,), other)
    model = load_model(folder, priors={"triangle": str(tmp_path / "other")})
    assert model.posterior.kind == "gibbs" and model.sources == (*NAMES, "triangle")


def test_a_model_is_not_written_over_itself(folders: Path, tmp_path: Path) -> None:
    folder = refined(folders, tmp_path, "sharp", posteriors=[GIBBS])
    with pytest.raises(InputError, match="refine.model would be written over itself"):
        refine(tmp_path / "run", str(folder), str(folders / "sharp"), [GIBBS], data())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"priors": "one"}, "refine.priors must have a prior for each of sine, square at 16000 Hz, .* has sine at"),
        ({"name": "../x"}, "refine.name must be fit for the name of a file, got '../x'"),
        ({"data": data(12000)}, "refine.data must have the sources sine, square at 16000 Hz"),
        ({"posteriors": [MASKS]}, "refine.posteriors must need priors, and 'amortised' is learned from mixtures"),
    ],
)
def test_what_does_not_fit_is_refused(folders: Path, tmp_path: Path, changes: dict[str, Any], complaint: str) -> None:
    if "priors" in changes:
        sharp = {"sine": ({**COARSE, "source": "sine"}, priors.build(**COARSE, source="sine"))}
        save_model(tmp_path / "one", ("sine",), RATE, SEGMENT, (1.0,), sharp)
        changes = {"priors": str(tmp_path / "one")}
    arguments = {"priors": str(folders / "sharp"), "posteriors": [GIBBS], "data": data(), **changes}
    with pytest.raises(InputError, match=complaint):
        refine(tmp_path / "run", str(folders / "masks"), **arguments)
    assert not (tmp_path / "run").exists()
