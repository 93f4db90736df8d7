"""The heat equation on densities that obey it to the last digits, and on some that do not."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

from tfsep import priors
from tfsep.audio import front_end as front_ends
from tfsep.bijectors.reversible.gradient import MODES
from tfsep.evaluation.excerpts import toy_excerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like, scorers_of
from tfsep.evaluation.prior_set import PriorSet
from tfsep.models import store
from tfsep.prior_test import heat_equation
from tfsep.priors.base import Prior, per_example_sigma

LENGTH, RATE = 64, 16000
GLOW = {
    "kind": "glow", "length": 16, "squeeze": 4, "num_levels": 2, "num_steps": 2, "width": 8, "num_layers": 1,
    "condition_width": 8, "sigma_range": (0.1, 0.4),
}  # fmt: skip


def all_directions(events: np.ndarray) -> np.ndarray:
    """Signs that are orthogonal to each other: over all of them the mean of v^T H v is the trace itself."""
    size = events[0].size
    rows = scipy.linalg.hadamard(size).astype(np.float64)
    return np.broadcast_to(rows.reshape(size, 1, *events.shape[1:]), (size, *events.shape))


def noised(source: str, length: int, sigma: float, num: int = 4) -> np.ndarray:
    """Make noised held-out events (num, length, 1)."""
    events = toy_excerpts((source,), RATE, length, 0, free=False).excerpts(source, num)[..., np.newaxis]
    return events.astype(np.float64) + sigma * noise_like(events, 0, "noise")


class Growing(Prior):
    """N(0, (s^2 + rate sigma^2) I) with s = 0.6: a noised density for the rate 1 only."""

    kind, smallest_sigma, largest_sigma, tf_dtype = "growing", 0.01, 10.0, tf.float64

    def __init__(self, rate: float, event_shape: tuple[int, ...] = (LENGTH, 1), has_log_prob: bool = True) -> None:
        self.rate, self.event_shape, self.has_log_prob = rate, event_shape, has_log_prob
        self.front_end, self.domain = front_ends.build("wave"), "wave"

    def variance(self, sigma: Any) -> Any:
        return 0.36 + self.rate * sigma**2

    def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
        variance = self.variance(per_example_sigma(sigma, x))
        return -0.5 * (tf.reduce_sum(x**2, [1, 2]) / variance + self.dimensions * tf.math.log(math.tau * variance))

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        raise AssertionError("the heat equation is about the log-density")

    sample = score


def test_a_gaussian_obeys_it_at_every_event() -> None:
    spectrum = np.geomspace(3.0, 1e-3, LENGTH // 2 + 1)
    prior = priors.build("gaussian", length=LENGTH, spectrum=list(spectrum), mean=0.2, dtype="float64")
    power = np.concatenate([spectrum, spectrum[-2:0:-1]])
    for sigma in (0.02, 0.5):
        events = noised("sawtooth", LENGTH, sigma)
        found = heat_equation.sides(PriorScorer("x", prior), events, sigma, all_directions(events))
        energy = np.abs(np.fft.fft(events[..., 0] - 0.2, norm="ortho")) ** 2
        expected = 0.5 * sigma**2 * np.mean(energy / (power + sigma**2) ** 2 - 1.0 / (power + sigma**2), axis=1)
        np.testing.assert_allclose(found.left, expected, rtol=1e-10)
        np.testing.assert_allclose(found.right, expected, atol=1e-10)
        assert found.relative < 1e-9


def test_random_probes_err_by_what_they_say() -> None:
    spectrum = list(np.geomspace(3.0, 1e-3, LENGTH // 2 + 1))
    scorer = PriorScorer("x", priors.build("gaussian", length=LENGTH, spectrum=spectrum, dtype="float64"))
    events = noised("sawtooth", LENGTH, 0.1, 64)
    found = heat_equation.sides(scorer, events, 0.1, heat_equation.signs(events, 0, "probes", 16))
    errors = (found.left - found.right) / found.error
    assert abs(np.mean(errors)) < 0.4 and 0.8 < np.std(errors) < 1.3
    assert found.relative == pytest.approx(found.relative_error, rel=0.2)
    few = heat_equation.sides(scorer, events, 0.1, heat_equation.signs(events, 0, "probes", 4))
    assert few.relative_error == pytest.approx(2.0 * found.relative_error, rel=0.2)


@pytest.mark.parametrize(("rate", "relative"), [(0.0, 1.0), (0.5, 1.0 / 3.0), (1.0, 0.0), (3.0, 0.5)])
def test_a_variance_that_grows_at_another_rate_shows(rate: float, relative: float) -> None:
    """Left is the rate times right, so that the residual is |rate - 1| / (rate + 1)."""
    prior, sigma = Growing(rate), 0.5
    events = noised("square", LENGTH, sigma)
    found = heat_equation.sides(PriorScorer("x", prior), events, sigma, heat_equation.signs(events, 0, "probes", 2))
    variance = prior.variance(sigma)
    right = 0.5 * sigma**2 * (np.mean(events**2, axis=(1, 2)) / variance**2 - 1.0 / variance)
    np.testing.assert_allclose(found.right, right, rtol=1e-8)
    np.testing.assert_allclose(found.left, rate * right, rtol=1e-10, atol=1e-15)
    assert found.relative == pytest.approx(relative, abs=1e-7)


@pytest.mark.parametrize("sigma", [0.05, 0.2, 0.5])
def test_the_ideal_prior_obeys_it_at_every_event(sigma: float) -> None:
    prior = priors.build("ideal_toy", source="sawtooth", length=LENGTH, num_phases=16, num_rounds=1, dtype="float64")
    events = noised("sawtooth", LENGTH, sigma)
    found = heat_equation.sides(PriorScorer("sawtooth", prior), events, sigma, all_directions(events))
    np.testing.assert_allclose(found.left, found.right, atol=2e-4)
    assert found.relative < 2e-3


@pytest.mark.parametrize("sigma", [0.02, 0.5])
def test_the_bundled_wavetable_obeys_it_in_single_precision(sigma: float) -> None:
    events = noised("sawtooth", 2048, sigma)
    scorer = PriorScorer("sawtooth", store.load_prior("toy", "sawtooth"))
    found = heat_equation.sides(scorer, events, sigma, heat_equation.signs(events, 0, "probes", 16))
    assert abs(np.mean(found.left) - np.mean(found.right)) < 2e-4
    assert found.relative < 0.01 < np.abs(found.left).max()


def scrambled_glow(**changes: Any) -> Any:
    keras.utils.set_random_seed(5)
    prior: Any = priors.build(**{**GLOW, **changes})
    rng = np.random.default_rng(5)
    for weight in prior.trainable_variables:
        weight.assign_add(0.1 * rng.normal(size=weight.shape))
    return prior


def test_the_right_side_of_a_flow_is_its_own_laplacian_and_not_its_left() -> None:
    prior, sigma = scrambled_glow(dtype="float64"), 0.3
    events = noised("sine", 16, sigma)
    found = heat_equation.sides(PriorScorer("x", prior), events, sigma, all_directions(events))
    x = tf.constant(events)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            log_prob = prior.log_prob(x, sigma)
        gradient = inner.gradient(log_prob, x)
    hessian = outer.batch_jacobian(gradient, x).numpy().reshape(4, 16, 16)
    laplacian = np.trace(hessian, axis1=1, axis2=2)
    expected = sigma**2 / 32 * (laplacian + np.sum(gradient.numpy() ** 2, axis=(1, 2)))
    np.testing.assert_allclose(found.right, expected, rtol=2e-3, atol=1e-4)
    step = 1e-4
    higher, lower = (prior.log_prob(x, sigma * math.exp(sign * step)).numpy() for sign in (1.0, -1.0))
    np.testing.assert_allclose(found.left, (higher - lower) / (4.0 * step * 16), rtol=1e-5, atol=1e-8)
    assert found.relative > 0.1


@pytest.mark.slow
def test_flows_that_recompute_are_measured_alike() -> None:
    events, found = noised("sine", 16, 0.3), {}
    probes = heat_equation.signs(events, 0, "probes", 4)
    prior = scrambled_glow()
    for mode in MODES:
        prior.set_recompute(mode)
        found[mode] = heat_equation.sides(PriorScorer("x", prior), events, 0.3, probes)
    assert len(found) == 4
    for mode in MODES[1:]:
        np.testing.assert_allclose(found[mode].left, found["none"].left, atol=1e-5)
        np.testing.assert_allclose(found[mode].right, found["none"].right, atol=1e-4)


def test_the_study_covers_each_prior_over_its_range(data: Any, kinds: Any, gaussians: PriorSet) -> None:
    powers = [prior.power.numpy() for prior in gaussians.priors.values()]
    narrow = kinds["noisy"](powers[1])
    narrow.smallest_sigma, narrow.largest_sigma = 0.03, 0.08
    mixed = {"sine": kinds["noisy"](powers[0]), "square": narrow}
    tested = PriorSet("mixed", mixed, RATE, LENGTH)
    means, residuals = heat_equation.study(tested, scorers_of(mixed), data, 3, 32)
    assert [row[0] for row in means["sine"]] == list(heat_equation.SIGMAS)
    assert [row[0] for row in means["square"]] == [pytest.approx(math.sqrt(0.03 * 0.08))]
    assert residuals["num_events"] == 3 and residuals["num_probes"] == 32 and residuals["left_out"] == []
    for source, rows in residuals["relative"].items():
        for (sigma, left, right), (same, relative, error) in zip(means[source], rows, strict=True):
            assert sigma == same and relative < 2.0 * error < 0.4
            assert left == pytest.approx(right, abs=2e-3)
    events = gaussians.events(data.excerpts("sine", 3))
    shown = events + np.float32(0.1) * noise_like(events, data.seed, "heat/sine")
    scale, (_, left, _) = 0.5 * 0.01, means["sine"][1]
    energy = np.abs(np.fft.fft(shown[..., 0], norm="ortho")) ** 2
    variance = powers[0] + 0.01
    assert left == pytest.approx(scale * np.mean(energy / variance**2 - 1.0 / variance), rel=1e-3)


def test_priors_without_a_density_or_noise_levels_are_left_out(data: Any, kinds: Any, gaussians: PriorSet) -> None:
    powers = [prior.power.numpy() for prior in gaussians.priors.values()]
    others = {"sine": kinds["noisy"](powers[0], has_log_prob=False), "square": kinds["clean"](powers[1])}
    means, residuals = heat_equation.study(PriorSet("x", others, RATE, LENGTH), scorers_of(others), data, 2, 2)
    assert means == {} and residuals["relative"] == {} and residuals["left_out"] == ["sine", "square"]
