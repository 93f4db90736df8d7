"""Compositions: each stage starts at the estimate before it, a prefix is kept, and a choice needs no truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import mixing, posteriors
from tfsep.errors import InputError
from tfsep.posteriors.base import Posterior
from tfsep.posteriors.composition import Composition
from tfsep.posteriors.kinds import kept

Priors = Callable[..., list[Any]]


class Add(Posterior):
    """Adds a number to its start, the same to both sources with opposite signs; ``seen`` are the starts and seeds."""

    def __init__(self, number: float, gains: tuple[float, ...] = (0.5, 0.5), segment: int = 4) -> None:
        self.kind, self.number, self.gains, self.segment, self.num_sources = f"add{number:g}", number, gains, segment, 2
        self.seen: list[tuple[Any, Any]] = []

    def sample(self, mixture: Any, num_samples: int, seed: Any, start: Any = None) -> tf.Tensor:
        self.seen.append((start, tuple(np.asarray(seed))))
        sources = tf.stack([mixture, mixture], axis=1) if start is None else start
        moved = sources + self.number * tf.constant([[1.0], [-1.0]])
        return tf.stack([moved] * num_samples)


def mixture(num: int = 3) -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).normal(size=(num, 4)), tf.float32)


def test_each_stage_starts_where_the_one_before_it_ended() -> None:
    stages = [Add(1.0), Add(0.5), Add(0.25)]
    composition = Composition(stages)
    estimates = composition.estimates_of_stages(mixture(), (0, 0))
    expected = np.stack([mixture() + 1.0, mixture() - 1.0], axis=1)
    np.testing.assert_allclose(estimates[0], expected)
    np.testing.assert_array_equal(stages[1].seen[0][0], estimates[0])
    np.testing.assert_array_equal(stages[2].seen[0][0], estimates[1])
    assert stages[0].seen[0][0] is None and len({seen[1] for stage in stages for seen in stage.seen}) == 3
    np.testing.assert_array_equal(composition.sample(mixture(), 1, (0, 0))[0], estimates[2])


def test_draws_are_those_of_the_last_stage_from_the_same_start() -> None:
    stages = [Add(1.0), Add(0.5)]
    composition = Composition(stages)
    single = composition.sample(mixture(), 1, (0, 0))
    several = composition.sample(mixture(), 5, (0, 0))
    assert several.shape == (5, 3, 2, 4)
    np.testing.assert_array_equal(several[3], single[0])
    np.testing.assert_array_equal(stages[1].seen[0][0], stages[1].seen[1][0])


def test_a_start_is_given_to_the_first_stage() -> None:
    start = tf.zeros((3, 2, 4))
    found = Composition([Add(1.0), Add(0.5)]).sample(mixture(), 1, (0, 0), start=start)
    np.testing.assert_allclose(found[0, :, 0], np.full((3, 4), 1.5))


def test_a_prefix_is_kept() -> None:
    composition = Composition([Add(1.0), Add(0.5), Add(0.25)], keep=2)
    assert [stage.kind for stage in composition.stages] == ["add1", "add0.5"]
    assert kept(3, None) == 3 and kept(3, 1) == 1


@pytest.mark.parametrize("choice", ["density", "residual"])
def test_each_mixture_takes_the_estimate_of_highest_density_or_smallest_residual(
    coin_priors: Priors, choice: str
) -> None:
    """Coins of +-1: sources of (1, -1) are possible, (1.5, -1.5) are not, and the second mixture is the other way."""

    class Flat(type(coin_priors([1.0], 4)[0])):  # type: ignore[misc]
        has_log_prob = True

        def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
            return -tf.reduce_sum((tf.abs(x) - 1.0) ** 2, axis=[1, 2])

    flat = [Flat(4, 1.0), Flat(4, 1.0)]
    start = tf.constant([[[0.0] * 4, [0.0] * 4], [[-0.5] * 4, [0.5] * 4]])
    composition = Composition([Add(1.0), Add(0.5)], choice=choice, choice_sigma=0.3, priors=flat)
    quiet = tf.zeros((2, 4))
    found = composition.sample(quiet, 1, (0, 0), start=start)[0]
    estimates = composition.estimates_of_stages(quiet, (0, 0), start)
    if choice == "density":
        np.testing.assert_array_equal(found[0], estimates[0][0])
        np.testing.assert_array_equal(found[1], estimates[1][1])
    criteria = np.stack([composition.criterion(quiet, estimate) for estimate in estimates])
    np.testing.assert_array_equal(found, [estimates[best][k] for k, best in enumerate(criteria.argmax(0))])


def test_an_estimate_that_is_not_finite_is_not_chosen(coin_priors: Priors) -> None:
    composition = Composition(
        [Add(1.0), Add(float("nan"))], choice="residual", choice_sigma=0.3, priors=coin_priors((1.0, 1.0), 4)
    )
    found = composition.sample(mixture(), 1, (0, 0))
    assert np.isfinite(found).all()


def test_described_stages_are_built_and_a_warm_sampler_corrects_its_start(coin_priors: Priors) -> None:
    coins = coin_priors((1.0, 1.0), 8)
    truth = np.repeat(np.array([[[1.0], [-1.0]], [[-1.0], [1.0]]], np.float32), 8, axis=2)

    class Rough(Add):
        def sample(self, mixture: Any, num_samples: int, seed: Any, start: Any = None) -> tf.Tensor:
            return tf.stack([tf.constant(0.7 * truth)] * num_samples)

    gibbs = {"kind": "gibbs", "num_levels": 3, "num_restarts": 1, "start_sigma": 0.3}
    composition = posteriors.build("composition", coins, gains=(0.5, 0.5), stages=[Rough(0.0, segment=8), gibbs])
    assert composition.kind == "composition" and composition.gains == (0.5, 0.5) and composition.segment == 8
    inside = tf.function(lambda wave: composition.sample(wave, 1, (0, 0)))
    found = inside(tf.constant(truth.mean(1)))
    np.testing.assert_allclose(found[0], truth, atol=0.1)
    np.testing.assert_allclose(mixing.mix(found[0]), truth.mean(1), atol=1e-5)


def test_stages_that_are_not_used_are_not_built(coin_priors: Priors) -> None:
    broken = {"kind": "oracle"}
    composition = posteriors.build(
        "composition", None, stages=[Add(1.0), broken], keep=1, validation_si_sdri=[3.0, 1.0]
    )
    assert len(composition.stages) == 1 and composition.validation_si_sdri == (3.0, 1.0)
    with pytest.raises(InputError, match="got 'oracle'"):
        posteriors.build("composition", None, stages=[Add(1.0), broken])


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"stages": []}, "a composition needs at least one stage"),
        ({"keep": 3}, "keep must lie in 1..2, the number of stages, got 3"),
        ({"keep": 0}, "keep must lie in 1..2, the number of stages, got 0"),
        ({"stages": [Add(1.0), Add(0.5, gains=(1.0, 1.0))]}, "stages must share sources, segment and gains: 'add0.5'"),
        ({"stages": [Add(1.0), Add(0.5, segment=5)]}, "'add0.5' has 2 sources of 5 samples, 'add1' has 2 of 4"),
        ({"choice": "best"}, "choice must be one of last, density, residual, got 'best'"),
        ({"choice": "residual"}, "posterior 'composition by residual' needs a prior for each source"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule) as refused:
        Composition(**{"stages": [Add(1.0), Add(0.5)], **settings})
    assert "\n" not in str(refused.value)


def test_a_choice_by_density_needs_densities(coin_priors: Priors) -> None:
    with pytest.raises(InputError, match="needs priors with a density, got 'coin'; use 'residual'"):
        Composition([Add(1.0)], choice="density", priors=coin_priors((1.0, 1.0), 4))
