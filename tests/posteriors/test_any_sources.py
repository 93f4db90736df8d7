"""What all samplers share: any number of sources, any gains, seeds, graphs; and what the newer ones refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import mixing, posteriors, priors
from tfsep.errors import InputError
from tfsep.posteriors.kinds import LEARNED, SPECTRAL
from tfsep.posteriors.stochastic_gibbs import noise_factors

SAMPLERS = sorted(set(posteriors.KINDS) - {*LEARNED, *SPECTRAL, "composition"})
SHORT: dict[str, dict[str, Any]] = {
    "latent": {"num_levels": 2, "num_steps": 3},
    "langevin": {"num_levels": 2, "num_steps": 3, "metropolis": True, "delta": 1e-5},
    "particles": {"num_levels": 3, "block_levels": 2, "polish_levels": 1, "num_particles": 3},
}


def gaussians(num_sources: int) -> list[Any]:
    return [priors.build("gaussian", length=6, variances=1.0 / (1 + k)) for k in range(num_sources)]


@pytest.mark.parametrize("num_sources", [2, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", SAMPLERS)
def test_any_number_of_sources_and_any_gains_are_taken(kind: str, num_sources: int) -> None:
    """In a graph, too; and one prior more is one source more, nothing else."""
    rng = np.random.default_rng(0)
    gains = tuple(rng.uniform(0.3, 1.0, num_sources) * np.where(rng.uniform(size=num_sources) < 0.5, -1, 1))
    mixture = rng.normal(size=(3, 6)).astype(np.float32)
    settings = SHORT.get(kind, {"num_levels": 3})
    if kind == "particles" and num_sources > 6:
        settings = {**settings, "reassign": False}
    sampler = posteriors.build(kind, gaussians(num_sources), gains=gains, **settings)
    drawn = tf.function(lambda wave, seed: sampler.sample(wave, 2, seed))(tf.constant(mixture), tf.constant([1, 2]))
    assert drawn.shape == (2, 3, num_sources, 6) and np.isfinite(drawn).all()
    np.testing.assert_allclose(mixing.mix(drawn, gains), np.stack([mixture] * 2), atol=1e-4)
    if num_sources == 2:
        np.testing.assert_allclose(sampler.sample(mixture, 2, (1, 2)), drawn, atol=1e-4)
        assert np.abs(sampler.sample(mixture, 2, (1, 3)) - drawn).max() > 1e-4


class Served(tf.Module):
    """A sampler for a server, cold and warm."""

    def __init__(self, sampler: Any) -> None:
        super().__init__()
        waves, sources = tf.TensorSpec([None, 6], tf.float32), tf.TensorSpec([None, 2, 6], tf.float32)
        seed = tf.TensorSpec([2], tf.int32)
        self.cold = tf.function(lambda wave, seed: sampler.sample(wave, 2, seed), input_signature=[waves, seed])
        self.warm = tf.function(
            lambda wave, start, seed: sampler.sample(wave, 2, seed, start=start), input_signature=[waves, sources, seed]
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", SAMPLERS)
def test_an_exported_sampler_gives_the_same_numbers(kind: str, tmp_path: Path) -> None:
    sampler = posteriors.build(kind, gaussians(2), **SHORT.get(kind, {"num_levels": 3}))
    served = Served(sampler)
    tf.saved_model.save(served, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    rng, seed = np.random.default_rng(0), tf.constant([1, 2])
    for num in (1, 3):
        mixture, start = (tf.constant(rng.normal(size=(num, *shape)), tf.float32) for shape in ((6,), (2, 6)))
        np.testing.assert_allclose(loaded.cold(mixture, seed), sampler.sample(mixture, 2, seed), atol=1e-4)
        warm = sampler.sample(mixture, 2, seed, start=start)
        np.testing.assert_allclose(loaded.warm(mixture, start, seed), warm, atol=1e-4)


def test_quiet_sources_see_more_noise() -> None:
    np.testing.assert_allclose(noise_factors((0.25, -0.25, 0.25)), 1.0)
    np.testing.assert_allclose(noise_factors((1.0, 7.0)), [5.0, 5.0 / 7.0])


@pytest.mark.parametrize(
    ("kind", "settings", "rule"),
    [
        ("stochastic_gibbs", {"num_sweeps": 0}, "num_sweeps must be at least 1, got 0"),
        ("stochastic_gibbs", {"smallest_sigma": 0.011, "gains": (1.0, 7.0)}, "0.01..inf .*supports, got 0.007"),
        ("latent", {"update": "guess"}, "update must be one of optimise, sample, got 'guess'"),
        ("latent", {"num_steps": 0}, "num_steps must be at least 1 and step_size in 0..2, got 0 and 0.05"),
        ("latent", {"step_size": 2.0}, "num_steps must be at least 1 and step_size in 0..2, got 50 and 2"),
        ("latent", {"silence_probability": 0.1}, "'latent' moves latents, which prior 'gaussian' does not have"),
    ],
)
def test_settings_out_of_range_are_refused(kind: str, settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        posteriors.build(kind, gaussians(2), **settings)


def test_priors_that_cannot_draw_are_refused() -> None:
    small = {"squeeze": 2, "num_levels": 1, "num_steps": 1, "width": 4, "num_layers": 1, "sigma_range": (0.01, 9.0)}
    flows = [priors.build("glow", length=8, **small)] * 2
    with pytest.raises(InputError, match="'stochastic_gibbs' draws clean events, which prior 'glow' cannot"):
        posteriors.build("stochastic_gibbs", flows)


@pytest.mark.slow
@pytest.mark.parametrize("update", ["optimise", "sample"])
def test_latents_of_a_flow_come_to_explain_the_mixture(update: str) -> None:
    """Before the projection that ends every run."""
    small = {"squeeze": 2, "num_levels": 1, "num_steps": 2, "width": 4, "num_layers": 1, "condition_width": 4}
    flows = [priors.build("glow", length=8, **small) for _ in range(2)]
    mixture = np.sin(np.arange(16, dtype=np.float32)).reshape(2, 8)
    schedule = {"largest_gamma": 0.5, "smallest_gamma": 0.1, "num_levels": 2, "num_steps": 60, "step_size": 0.1}
    sampler = posteriors.build("latent", flows, update=update, **schedule)
    ends = sampler.chains(mixture, 1, (0, 0))[0]  # type: ignore[attr-defined]
    left = np.sqrt(np.mean(mixing.residual(mixture, ends) ** 2))
    assert left < 0.2 and np.sqrt(np.mean(mixture**2)) > 0.6
