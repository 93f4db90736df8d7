"""What every posterior that samples with priors asks of them, and what is built under which name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfsep import posteriors, priors
from tfsep.errors import InputError
from tfsep.posteriors.base import denoise_each, residual_energy, wave_priors
from tfsep.posteriors.kinds import LEARNED, SPECTRAL
from tfsep.priors.base import Prior

Priors = Callable[..., list[Prior]]
SAMPLERS = sorted(set(posteriors.KINDS) - {*LEARNED, *SPECTRAL, "composition"})


@pytest.mark.parametrize("kind", SAMPLERS)
@pytest.mark.parametrize("none", [None, []])
def test_a_sampler_without_priors_is_refused(kind: str, none: list[Prior] | None) -> None:
    with pytest.raises(InputError, match=f"posterior '{kind}' needs a prior for each source, and this model has none"):
        posteriors.build(kind, none)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_prior_over_another_domain_is_refused(kind: str) -> None:
    front_end = {"frame_length": 32, "frame_step": 8, "frame_multiple": 4}
    small = {"squeeze": 2, "num_levels": 1, "num_steps": 1, "width": 4, "num_layers": 1}
    spectral = priors.build("glow", domain="log_stft", length=64, front_end=front_end, **small)
    with pytest.raises(InputError, match=f"posterior '{kind}' needs priors over 'wave', got 'glow' over 'log_stft'"):
        posteriors.build(kind, [spectral, spectral])


@pytest.mark.parametrize("kind", SAMPLERS)
def test_priors_over_different_lengths_are_refused(kind: str, coin_priors: Priors) -> None:
    with pytest.raises(InputError, match=r"priors must share one event shape, got \(9, 1\), \(8, 1\)"):
        posteriors.build(kind, [*coin_priors([1.0], 8), *coin_priors([1.0], 9)])


def test_one_prior_with_too_narrow_a_range_is_enough_to_refuse(coin_priors: Priors) -> None:
    mixed = [*coin_priors([1.0], 8), *coin_priors([1.0], 8, smallest_sigma=0.5, largest_sigma=2.0)]
    assert wave_priors("any", mixed, [0.5, 2.0]) == mixed
    with pytest.raises(InputError, match="noise levels of 'any' must lie in the 0.5..2 .* got 0.1..1"):
        wave_priors("any", mixed, [1.0, 0.1])


@pytest.mark.parametrize("kind", ["langevin", "diffusion", "gibbs"])
def test_only_what_needs_no_score_takes_a_denoiser_trained_among_other_sounds(kind: str) -> None:
    small = {"length": 16, "width": 4, "num_blocks": 1, "local_width": 0, "sigma_range": (0.01, 8.0)}
    noise, sounds = priors.build("score", **small), priors.build("score", background=True, **small)
    assert noise.describe().endswith("score only") and sounds.describe().endswith("denoiser only")
    posteriors.build(kind, [noise, noise])
    if kind == "gibbs":
        posteriors.build(kind, [noise, sounds])
        posteriors.build(kind, [noise, sounds], update="jacobi")
        return
    with pytest.raises(InputError, match=f"posterior '{kind}' follows scores of .* among other sounds .background."):
        posteriors.build(kind, [noise, sounds])


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="the posterior must be one of amortised, .*, got 'gibs'"):
        posteriors.build("gibs")


def test_each_source_is_denoised_by_its_own_prior(coin_priors: Priors) -> None:
    coins = coin_priors((1.0, 0.5), 3)
    sources = tf.constant([[[2.0, 2, 2], [-2, -2, -2]], [[-3, -3, -3], [1, 2, 3]]])
    found = denoise_each(coins, sources, tf.constant(0.1))
    expected = np.array([[[1.0] * 3, [-0.5] * 3], [[-1.0] * 3, [0.5] * 3]])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_residual_energy_is_the_mean_square_left_over() -> None:
    rng = np.random.default_rng(0)
    mixture, sources = rng.normal(size=(3, 7)), rng.normal(size=(2, 5, 3, 2, 7))
    expected = np.mean((mixture - 0.3 * sources[..., 0, :] - 0.9 * sources[..., 1, :]) ** 2, axis=-1)
    np.testing.assert_allclose(residual_energy(mixture, sources, (0.3, 0.9)), expected)
