"""Diffusion sampling: one step against numpy, the constraint in both coordinates, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfsep import mixing, posteriors, priors
from tfsep.errors import InputError
from tfsep.posteriors.diffusion import Diffusion
from tfsep.posteriors.noise_schedule import karras

GAINS = (0.7, 0.4)
VARIANCES = np.array([2.0, 0.5])
MIXTURE = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
START = np.random.default_rng(1).normal(size=(3, 2, 5)).astype(np.float32)


def pair() -> list[Any]:
    return [priors.build("gaussian", length=5, variances=variance) for variance in VARIANCES]


def slope(sources: np.ndarray, sigma: float, constraint: str) -> np.ndarray:
    """sigma times minus the score, as the constraint lets it move."""
    move = sigma * sources / (VARIANCES[:, np.newaxis] + sigma**2)
    if constraint == "projection":
        return np.asarray(mixing.project_tangent(move, GAINS))
    first = move[:, :1] - GAINS[0] / GAINS[1] * move[:, 1:]
    return np.concatenate([first, -GAINS[0] / GAINS[1] * first], axis=1)


@pytest.mark.parametrize("constraint", ["projection", "last_source"])
@pytest.mark.parametrize("order", ["euler", "heun"])
def test_a_step_is_its_formula(order: str, constraint: str) -> None:
    sampler = posteriors.build(
        "diffusion", pair(), gains=GAINS, largest_sigma=2.0, smallest_sigma=0.8, num_levels=2, order=order,
        constraint=constraint,
    )  # fmt: skip
    assert isinstance(sampler, Diffusion)
    begin = np.asarray(mixing.project(MIXTURE, START, GAINS))
    first = slope(begin, 2.0, constraint)
    ended = begin - 1.2 * first
    if order == "heun":
        ended = begin - 0.6 * (first + slope(ended, 0.8, constraint))
    expected = ended * (VARIANCES / (VARIANCES + 0.64))[:, np.newaxis]
    seed = np.array([0, 0], np.int32)
    moved = sampler.run(MIXTURE, begin, sampler.sigmas, seed, np.array([0, 2], np.int32))
    np.testing.assert_allclose(sampler.finish(moved, sampler.sigmas[-1]), expected, atol=1e-5)


def test_churn_and_correction_keep_to_the_mixture() -> None:
    settings: dict[str, Any] = {"churn": 20.0, "num_corrections": 2, "constraint": "last_source", "num_levels": 5}
    sampler = posteriors.build("diffusion", pair(), gains=GAINS, **settings)
    drawn = sampler.sample(MIXTURE, 3, (0, 0)).numpy()
    assert drawn.shape == (3, 3, 2, 5) and np.isfinite(drawn).all() and np.abs(drawn[0] - drawn[1]).min() > 1e-5
    np.testing.assert_allclose(mixing.mix(drawn, GAINS), np.stack([MIXTURE] * 3), atol=1e-5)


def test_the_roots_of_the_schedule_fall_in_equal_steps() -> None:
    sigmas = karras(8.0, 0.02, 9, 7.0)
    assert sigmas.dtype == np.float32 and sigmas[0] == 8.0
    np.testing.assert_allclose(sigmas[-1], 0.02, rtol=1e-5)
    np.testing.assert_allclose(np.diff(sigmas ** (1 / 7), 2), 0.0, atol=1e-5)
    np.testing.assert_allclose(karras(8.0, 2.0, 3, 1.0), [8.0, 5.0, 2.0])


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"order": "third"}, "order must be one of euler, heun, got 'third'"),
        ({"constraint": "soft"}, "constraint must be one of projection, last_source, got 'soft'"),
        ({"churn": -1.0}, "churn and num_corrections must be at least 0, got -1 and 0"),
        ({"num_corrections": -2}, "churn and num_corrections must be at least 0, got 0 and -2"),
        ({"correction_step": 2.5}, "the corrector is stable only while .* got 2.5"),
        ({"correction_step": 0.5, "constraint": "last_source", "gains": (1.0, 0.5)}, "lies in 0..2, got 2.5"),
        ({"rho": 0.0}, "rho must be above 0, got 0"),
        ({"num_levels": 0}, "at least one level, got .* 0 levels"),
        ({"num_chains": 0}, "num_chains must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        posteriors.build("diffusion", pair(), **settings)
