"""A row of a batch has the draws that it has alone, whatever its neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.known_priors import CoinPrior
from tests.posteriors.test_spectral import LENGTH, flows
from tests.posteriors.test_spectral import SHORT as SHORT_SPECTRAL
from tfsep import posteriors, priors
from tfsep.posteriors.composition import Composition
from tfsep.priors.base import Prior

__all__ = ["flows"]

TIME = 64
SEEDS = np.array([[7, 0], [8, 3], [9, -1]], np.int32)
NOTES: dict[str, Any] = {"length": TIME, "sample_rate": 16000, "num_phases": 16, "num_refined": 2, "num_rounds": 1}


def gaussians() -> list[Prior]:
    return [priors.build("gaussian", length=TIME, variances=1.0 / (1 + k)) for k in range(2)]


SHORT: dict[str, tuple[str, dict[str, Any]]] = {
    "gibbs": ("gibbs", {"num_levels": 4}),
    "gibbs from noise, by density": ("gibbs", {"num_levels": 3, "choice": "density", "update": "jacobi"}),
    "langevin": ("langevin", {"num_levels": 4}),
    "langevin, adjusted": ("langevin", {"num_levels": 2, "metropolis": True, "delta": 1e-5}),
    "particles": ("particles", {"num_levels": 4, "block_levels": 2, "polish_levels": 1, "num_particles": 4}),
    "stochastic_gibbs": ("stochastic_gibbs", {"num_levels": 4}),
    "diffusion": ("diffusion", {"num_levels": 4, "churn": 2.0, "num_corrections": 1}),
    "latent": ("latent", {"num_levels": 2, "num_steps": 3, "update": "sample"}),
}


def decibels(found: Any, expected: Any) -> float:
    error = np.sum((np.asarray(found, np.float64) - np.asarray(expected)) ** 2)
    return float(10 * np.log10(np.sum(np.asarray(expected, np.float64) ** 2) / max(error, 1e-300)))


def check(posterior: Any, num_samples: int, start: Any = None, time: int = TIME) -> None:
    """Compare each row of a batch of three with the row alone, and rows of one mixture with each other."""
    rng = np.random.default_rng(0)
    mixture = rng.normal(size=(3, time)).astype(np.float32)
    signature = [tf.TensorSpec([None, time]), tf.TensorSpec([None, 2], tf.int32), tf.TensorSpec([None, 2, time])]
    draw = tf.function(
        lambda *given: posterior.sample(given[0], num_samples, *given[1:]),
        input_signature=signature[: 2 if start is None else 3],
        autograph=False,
    )
    rest = () if start is None else (start,)
    whole = draw(tf.constant(mixture), tf.constant(SEEDS), *(tf.constant(each) for each in rest)).numpy()
    assert np.isfinite(whole).all()
    for row in range(3):
        part = slice(row, row + 1)
        given = (mixture[part], SEEDS[part], *(each[part] for each in rest))
        assert decibels(draw(*map(tf.constant, given)).numpy()[:, 0], whole[:, row]) >= 100.0
    # Turned around and one row twice: where a row stands does not matter, what seed it has does.
    turned = np.array([2, 0, 0])
    given = (mixture[turned], SEEDS[[2, 0, 1]], *(each[turned] for each in rest))
    moved = draw(*map(tf.constant, given)).numpy()
    assert decibels(moved[:, 0], whole[:, 2]) >= 100.0 and decibels(moved[:, 1], whole[:, 0]) >= 100.0
    if num_samples > 1:
        assert decibels(moved[:, 2], whole[:, 0]) < 60.0
        assert decibels(whole[1], whole[0]) < 60.0


@pytest.mark.parametrize("name", SHORT)
def test_samplers(name: str) -> None:
    kind, settings = SHORT[name]
    check(posteriors.build(kind, gaussians(), **settings), 1 if name == "langevin" else 2)


def test_samplers_with_a_start() -> None:
    start = np.random.default_rng(1).normal(size=(3, 2, TIME)).astype(np.float32)
    settings = {**SHORT["particles"][1], "finished_residual": 0.05, "start_sigma": 2.0}
    check(posteriors.build("particles", gaussians(), **settings), 1, start)
    check(posteriors.build("langevin", gaussians(), num_levels=4), 2, start)


@pytest.mark.parametrize("kind", ["ideal_toy", "wavetable"])
def test_exact_draws_of_notes(kind: str) -> None:
    extra = {"source": "sine"} if kind == "ideal_toy" else {"num_pitches": 8, "table_size": 32}
    notes = [priors.build(kind, **NOTES, **extra) for _ in range(2)]
    check(posteriors.build("stochastic_gibbs", notes, num_levels=2), 2)


def test_draws_of_silence_and_of_coins() -> None:
    check(posteriors.build("stochastic_gibbs", [CoinPrior(TIME, 0.5)] * 2, num_levels=3), 2)
    check(posteriors.build("stochastic_gibbs", gaussians(), num_levels=3, silence_probability=0.3), 2)


@pytest.mark.parametrize("kind", SHORT_SPECTRAL)
def test_posteriors_over_magnitudes(flows: list[Any], kind: str) -> None:
    check(posteriors.build(kind, flows, **SHORT_SPECTRAL[kind]), 2, time=LENGTH)


@pytest.mark.parametrize("family", ["gaussian", "flow"])
def test_amortised_draws(family: str) -> None:
    settings: dict[str, Any] = {"network_settings": {"width": 4, "num_blocks": 1}}
    if family == "flow":
        sizes = {"block": 4, "num_couplings": 2, "width": 4, "num_layers": 1}
        settings |= {"family": family, "family_settings": sizes}
    posterior: Any = posteriors.build("amortised", num_sources=2, segment=TIME, gains=(1.0, 1.0), **settings)
    for number, weight in enumerate(posterior.trainable_variables):
        weight.assign_add(0.3 * tf.random.stateless_normal(weight.shape, (number, 0)))
    check(posterior, 3)


def test_a_composition() -> None:
    both = Composition(
        [posteriors.build("gibbs", gaussians(), num_levels=2), posteriors.build("langevin", gaussians())]
    )
    check(both, 2)


def test_two_integers_give_each_row_its_own_numbers() -> None:
    sampler = posteriors.build("langevin", gaussians(), num_levels=3)
    drawn = sampler.sample(np.ones((2, TIME), np.float32), 2, (0, 0)).numpy()
    assert decibels(drawn[:, 0], drawn[:, 1]) < 60.0
