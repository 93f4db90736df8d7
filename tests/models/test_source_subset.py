"""Models of which some sources are left out because the mixtures do not have them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfsep import posteriors, priors
from tfsep.errors import InputError
from tfsep.models.store import load_model, save_model

SEGMENT, NAMES = 64, ("sine", "square", "triangle")
MASKS = {"kind": "amortised", "network_settings": {"width": 8, "num_blocks": 1}, "temperature": [0.5, 1.0, 2.0]}
GIBBS = {"kind": "gibbs", "num_levels": 3, "num_restarts": 2}
BOTH = {"kind": "composition", "stages": ["amortised", GIBBS]}
COARSE = {"kind": "ideal_toy", "length": SEGMENT, "num_phases": 4, "num_rounds": 0, "sample_rate": 16000}


def write(folder: Path, gain: float = 1 / 3, **settings: Any) -> Any:
    """Save a model of three sources; returns its learned posterior."""
    entry = {**MASKS, **settings}
    trained = posteriors.build(**entry, num_sources=3, segment=SEGMENT, gains=(gain,) * 3)
    keras.utils.set_random_seed(1)
    for weight in trained.weights:
        weight.assign_add(0.3 * keras.random.normal(weight.shape))
    pairs = {name: ({**COARSE, "source": name}, priors.build(**COARSE, source=name)) for name in NAMES}
    save_model(folder, NAMES, 16000, SEGMENT, (gain,) * 3, pairs, [(entry, trained), (GIBBS, None), (BOTH, None)])
    return trained


def mixture() -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).normal(size=(3, SEGMENT)), tf.float32)


def masks(outputs: list[tf.Tensor]) -> np.ndarray:
    return tf.nn.softmax(tf.stack([output[..., :-1] for output in outputs], 1), axis=1).numpy()


def test_the_masks_that_stay_share_what_went_to_the_others(tmp_path: Path) -> None:
    whole = write(tmp_path / "all")
    model = load_model(tmp_path / "all", without=["square"])
    assert model.sources == ("sine", "triangle") and model.gains == model.posterior.gains == (0.5, 0.5)
    features = tf.math.log(whole.plane.magnitudes(mixture()) + 1e-3)
    every = masks([network(features) for network in whole.networks])
    found = masks([network(features) for network in model.posterior.networks])
    np.testing.assert_allclose(found, every[:, [0, 2]] / every[:, [0, 2]].sum(1, keepdims=True), rtol=1e-4)
    estimate = model.posterior.sample(mixture(), 1, (0, 0)).numpy()
    np.testing.assert_allclose(estimate[0].mean(1), mixture(), atol=1e-5)
    assert model.posterior.temperature == (0.5, 2.0)


@pytest.mark.parametrize("kind", ["gibbs", "composition"])
def test_samplers_lose_the_prior_of_what_is_not_there(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "all")
    model = load_model(tmp_path / "all", kind, without=["sine"])
    assert model.sources == ("square", "triangle")
    found = model.posterior.sample(mixture(), 2, (0, 0)).numpy()
    assert found.shape == (2, 3, 2, SEGMENT)
    np.testing.assert_allclose(found.mean(2), np.stack([mixture()] * 2), atol=1e-5)


def test_flows_of_the_sources_that_stay_keep_their_weights(tmp_path: Path) -> None:
    flow = {"family": "flow", "family_settings": {"block": 4, "num_couplings": 2, "width": 8, "num_layers": 1}}
    whole = write(tmp_path / "all", **flow)
    kept = load_model(tmp_path / "all", without=["sine"]).posterior
    for mine, trained in zip(kept.flows, whole.flows[1:], strict=True):
        for one, other in zip(mine.get_weights(), trained.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_gains_of_a_plain_sum_stay(tmp_path: Path) -> None:
    write(tmp_path / "all", gain=1.0)
    assert load_model(tmp_path / "all", without=["sine"]).gains == (1.0, 1.0)
    assert load_model(tmp_path / "all").sources == NAMES


def test_what_cannot_be_left_out(tmp_path: Path) -> None:
    write(tmp_path / "all")
    folder = str(tmp_path / "all")
    with pytest.raises(InputError, match=r"left out \(sine, square, triangle\), got 'drums'"):
        load_model(folder, without=["sine", "drums"])
    with pytest.raises(InputError, match="two sources at least must stay to be separated, got without sine, square"):
        load_model(folder, without=["sine", "square"])
    with pytest.raises(InputError, match="a prior was given for 'sine', which is to be left out"):
        load_model(folder, priors={"sine": folder}, without=["sine"])
    write(tmp_path / "refined", refine={"block": 4, "width": 8, "num_layers": 1})
    with pytest.raises(InputError, match="no source can be left out of a posterior with a waveform refinement"):
        load_model(tmp_path / "refined", without=["sine"])
