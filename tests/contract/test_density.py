"""A flow prior is a density: invertible, with the right log-determinant, normalised, in the units it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.contract.conftest import ROUNDING
from tfsep import priors
from tfsep.data import toy

Events = Callable[..., np.ndarray]

# Variants of two dimensions, of every kind whose structure allows it.
# Densities over two dimensions. A lifting flow needs more: it would pass one channel to its Glow, which refuses that.
PLANES: dict[str, dict[str, Any]] = {
    "glow_wave": {"length": None, "event_shape": (2, 1), "squeeze": 2, "num_levels": 1},
    "realnvp_wave": {"length": None, "event_shape": (2, 1), "squeeze": 1, "num_levels": 1},
    "realnvp_log_stft": {"length": None, "event_shape": (1, 2, 1), "squeeze": 1, "num_levels": 1},
    "realnvp_log_mel": {"length": None, "event_shape": (1, 2, 1), "squeeze": 1, "num_levels": 1},
    "nice_log_mel": {"length": None, "event_shape": (1, 2, 1), "squeeze": (1, 2)},
    "flowavenet_wave": {"length": None, "event_shape": (2, 1), "num_levels": 1},
    "nice_wave": {"length": None, "event_shape": (2, 1), "squeeze": 1},
    "nice_log_stft": {"length": None, "event_shape": (1, 2, 1), "squeeze": (1, 2)},
    "waveglow_wave": {"length": None, "event_shape": (2, 1), "squeeze": 2, "num_steps": 2, "early_channels": 0},
    "ideal_toy_wave": {"length": 2, "num_phases": 32, "num_rounds": 1},
    "gaussian_spectrum": {"length": 2, "spectrum": [0.5, 2.0]},
    "gaussian_variances": {"length": 2},
    "template_wave": {"length": 2},
    # All cells are divided; where only some are, which ones depends on the event, and so do the summed waves.
    "wavetable_continuous": {"length": 2, "num_refined": 64, "num_rounds": 1},
    "wavetable_grid": {"length": 2, "num_refined": 48},
}
# How far the sources whose noised densities are known reach; those are smooth on the scale of their noise.
REACHES = {"ideal_toy_wave": 1.0, "template_wave": 4.0, "wavetable_continuous": 3.0, "wavetable_grid": 3.0}


def jacobian(flow: Any, x: np.ndarray, sigma: float) -> np.ndarray:
    """d encode / d x of one event, (D, D): each of D copies of the event gives one row."""
    copies = tf.constant(np.repeat(x[np.newaxis], x.size, axis=0))
    with tf.GradientTape() as tape:
        tape.watch(copies)
        trace = tf.linalg.trace(tf.reshape(flow.encode(copies, sigma)[0], (x.size, x.size)))
    return tf.reshape(tape.gradient(trace, copies), (x.size, x.size)).numpy()


def test_decoding_undoes_encoding(core_case: Any, core: Any, noise_events: Events) -> None:
    x, sigma = noise_events(core, 64).astype(np.float32), np.geomspace(0.01, 8.0, 64)
    z, _ = core.encode(x, sigma)
    assert z.shape == x.shape and z.dtype == tf.float32
    assert np.abs(core.decode(z, sigma) - x).max() < 1e-5 * ROUNDING.get(core_case.name, 1.0)


def test_encoding_undoes_decoding(flow64: Any, noise_events: Events) -> None:
    z, sigma = noise_events(flow64, 16), np.geomspace(0.01, 8.0, 16)
    np.testing.assert_allclose(flow64.encode(flow64.decode(z, sigma), sigma)[0], z, atol=1e-9)


def test_the_log_determinant_is_that_of_the_jacobian(core64: Any, noise_events: Events) -> None:
    x, sigmas = noise_events(core64, 2), np.array([0.05, 2.0])
    matrices = [jacobian(core64, event, sigma) for event, sigma in zip(x, sigmas, strict=True)]
    np.testing.assert_allclose(core64.encode(x, sigmas)[1], np.linalg.slogdet(matrices)[1], atol=1e-8)


def test_log_prob_is_that_of_the_tfp_distribution(flow64: Any, noise_events: Events) -> None:
    x, sigma = noise_events(flow64, 3), np.array([0.02, 0.5, 4.0])
    distribution = flow64.distribution(tf.constant(sigma))
    assert tuple(distribution.batch_shape) == (3,) and tuple(distribution.event_shape) == flow64.event_shape
    np.testing.assert_allclose(flow64.log_prob(x, sigma), distribution.log_prob(x), rtol=1e-12)
    drawn = distribution.sample(seed=(1, 2))
    np.testing.assert_allclose(flow64.log_prob(tf.identity(drawn), sigma), distribution.log_prob(drawn), rtol=1e-9)


def test_sampling_decodes_the_normal_latents_of_its_seed(flow64: Any) -> None:
    drawn = flow64.sample(8, (3, 4), 0.3)
    assert drawn.shape == (8, *flow64.event_shape)
    latents = tf.random.stateless_normal(drawn.shape, (3, 4), dtype=tf.float64, alg="philox")
    np.testing.assert_allclose(flow64.encode(drawn, 0.3)[0], latents, atol=1e-9)
    assert np.abs(drawn - flow64.sample(8, (3, 5), 0.3)).max() > 0.1


def test_an_event_does_not_depend_on_its_batch(prior64: Any, noise_events: Events, answers: Any) -> None:
    x, method = noise_events(prior64, 4), answers(prior64)[0]
    alone = tf.concat([method(x[i : i + 1], 0.3) for i in range(4)], 0)
    np.testing.assert_allclose(method(x, 0.3), alone, rtol=1e-10)


@pytest.mark.parametrize("name", sorted(PLANES))
@pytest.mark.parametrize("sigma", [0.3, pytest.param(1.5, marks=pytest.mark.slow)])
def test_a_density_over_the_plane_integrates_to_one(name: str, sigma: float, case_named: Callable[[str], Any]) -> None:
    prior = case_named(name).scrambled(dtype="float64", **PLANES[name])
    assert prior.dimensions == 2
    reach, width = 8.0 * np.sqrt(1.0 + sigma**2), 0.1
    if name in REACHES:
        reach, width = REACHES[name] + 6.0 * sigma, 0.5 * sigma
    axis = np.arange(-reach, reach, width)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, *prior.event_shape)
    density = tf.function(lambda x: tf.reduce_sum(tf.exp(prior.log_prob(x, sigma))), autograph=False)
    total = sum(float(density(tf.constant(part))) for part in np.array_split(grid, -(-len(grid) // 4000)))
    assert abs(total * width**2 - 1.0) < 1e-3


@pytest.mark.parametrize("factor", [0.01, 3.0])
def test_a_change_of_units_moves_a_clean_density_by_its_jacobian(
    clean_case: Any, noise_events: Events, factor: float
) -> None:
    flow = clean_case.scrambled(dtype="float64", sigma_range=None)
    x = noise_events(flow, 4)
    before = flow.log_prob(x)
    flow.data_std.assign(factor * flow.data_std.numpy())
    np.testing.assert_allclose(flow.log_prob(factor * x), before - flow.dimensions * np.log(factor), rtol=1e-10)


def test_a_change_of_units_moves_a_noised_density_by_its_jacobian(clean_case: Any, noise_events: Events) -> None:
    """At a given sigma the first layer divides by sqrt(data_std^2 + sigma^2); make that twice as large."""
    flow = clean_case.scrambled(dtype="float64")
    x, sigma = noise_events(flow, 4), 0.5
    before, std = flow.log_prob(x, sigma), flow.data_std.numpy()
    flow.data_std.assign(np.sqrt(4.0 * (std**2 + sigma**2) - sigma**2))
    np.testing.assert_allclose(flow.log_prob(2.0 * x, sigma), before - flow.dimensions * np.log(2.0), rtol=1e-10)


@pytest.mark.parametrize("name", ["ideal_toy_wave", "template_wave", "wavetable_continuous", "wavetable_grid"])
def test_a_change_of_units_of_sound_and_noise_is_its_jacobian(
    name: str, case_named: Callable[[str], Any], noise_events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Densities without a first layer: the waves they know, their residual and the noise, all three times as loud."""
    prior, factor = case_named(name).scrambled(dtype="float64"), 3.0
    x, sigma = noise_events(prior, 4), np.array([0.05, 0.3, 1.0, 4.0])
    before = prior.log_prob(x, sigma)
    if name == "ideal_toy_wave":
        monkeypatch.setattr(toy, "AMPLITUDES", tuple(factor * each for each in toy.AMPLITUDES))
    else:
        for weight in (prior.recordings if name == "template_wave" else prior.table, prior.residual):
            weight.assign(factor * weight.numpy())
    expected = before - prior.dimensions * np.log(factor)
    np.testing.assert_allclose(prior.log_prob(factor * x, factor * sigma), expected, rtol=1e-8)


def test_rates_per_dimension_are_shares_of_the_log_density(density64: Any, noise_events: Events) -> None:
    x = noise_events(density64, 4)
    nats = density64.log_prob(x, 0.3) / np.prod(density64.event_shape)
    np.testing.assert_allclose(density64.nats_per_dim(x, 0.3), nats, rtol=1e-12)
    np.testing.assert_allclose(density64.bits_per_dim(x, 0.3), -nats / np.log(2.0), rtol=1e-12)


def test_every_registered_kind_is_under_contract(cases: dict[str, dict[str, Any]]) -> None:
    assert {settings["kind"] for settings in cases.values()} == set(priors.KINDS)


def test_a_prior_describes_what_its_numbers_belong_to(prior: Any) -> None:
    """Kind, domain, shape and noise levels stand wherever it is printed."""
    for words in (repr(prior), str(prior)):
        for part in (prior.kind, prior.domain, str(prior.event_shape), f"noise {prior.smallest_sigma:g} to"):
            assert part in words


def test_a_prior_without_density_says_so(prior: Any, noise_events: Events) -> None:
    x = noise_events(prior, 2)
    if prior.has_log_prob:
        assert prior.log_prob(x, 0.3).shape == (2,)
    else:
        with pytest.raises(Exception, match="score"):
            prior.log_prob(x, 0.3)
