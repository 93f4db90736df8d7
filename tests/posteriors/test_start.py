"""A warm start: annealing begins near the sources given, at a level below the highest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tfsep import mixing, posteriors, priors
from tfsep.errors import InputError
from tfsep.posteriors.kinds import LEARNED, SPECTRAL
from tfsep.posteriors.noise_schedule import geometric, warm

Priors = Callable[..., list[Any]]
SAMPLERS = sorted(set(posteriors.KINDS) - {*LEARNED, *SPECTRAL, "composition"})


def test_the_warm_schedule_is_the_start_and_what_lies_below() -> None:
    sigmas = geometric(8.0, 0.5, 5)
    np.testing.assert_allclose(warm(sigmas, None), [2, 1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(warm(sigmas, 3.0), [3, 2, 1, 0.5], rtol=1e-6)
    np.testing.assert_array_equal(warm(sigmas, 8.0), sigmas)
    np.testing.assert_array_equal(warm(sigmas, 0.5), sigmas[-1:])
    for outside in (9.0, 0.4, float("nan")):
        with pytest.raises(InputError, match="start_sigma must lie in the schedule's 0.5..8, got"):
            warm(sigmas, outside)


@pytest.mark.parametrize("kind", sorted({*SAMPLERS} - {"latent", "particles"}))
def test_a_start_is_kept_where_a_cold_one_is_lost(coin_priors: Priors, kind: str) -> None:
    """Two equal coins that fall apart cancel: only the start can say which one is up."""
    coins = coin_priors((1.0, 1.0), 8)
    truth = np.repeat(np.array([[[1.0], [-1.0]], [[-1.0], [1.0]]] * 4, np.float32), 8, axis=2)
    mixture = truth.mean(1)
    sampler = posteriors.build(kind, coins, start_sigma=0.2)
    found = sampler.sample(mixture, 2, (0, 0), start=truth).numpy()
    assert found.shape == (2, 8, 2, 8)
    np.testing.assert_allclose(found, np.stack([truth] * 2), atol=0.2)
    np.testing.assert_allclose(mixing.mix(found), np.stack([mixture] * 2), atol=1e-5)
    assert np.abs(sampler.sample(mixture, 2, (0, 0)).numpy() - truth).max() > 1.0


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_start_of_another_shape_is_refused(kind: str) -> None:
    sampler = posteriors.build(kind, [priors.build("gaussian", length=8, variances=1.0)] * 2)
    with pytest.raises(InputError, match=rf"the start of '{kind}' must be .* = \(3, 2, 8\), got \(3, 8\)"):
        sampler.sample(np.zeros((3, 8), np.float32), 1, (0, 0), start=np.zeros((3, 8), np.float32))


def test_latents_begin_at_those_of_the_start() -> None:
    pair = [priors.build("gaussian", length=8, variances=variance) for variance in (1.0, 2.0)]
    truth = np.random.default_rng(0).normal(size=(3, 2, 8)).astype(np.float32)
    schedule = {"largest_gamma": 0.01, "smallest_gamma": 0.01, "num_levels": 1, "num_steps": 1, "step_size": 0.001}
    found = posteriors.build("latent", pair, **schedule).sample(truth.mean(1), 1, (0, 0), start=truth)
    np.testing.assert_allclose(found[0], truth, atol=0.06)


def test_an_amortised_posterior_takes_no_start() -> None:
    settings = {"network_settings": {"width": 4, "num_blocks": 1}}
    amortised = posteriors.build("amortised", num_sources=2, segment=8, **settings)
    with pytest.raises(InputError, match="'amortised' estimates in one pass and accepts no start"):
        amortised.sample(np.zeros((1, 8), np.float32), 1, (0, 0), start=np.zeros((1, 2, 8), np.float32))
