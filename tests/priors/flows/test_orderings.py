"""Two orderings of a flow's halves: both conditionals are densities, and a score takes each half where it is last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import priors
from tfsep.audio.front_end import WaveFrontEnd
from tfsep.bijectors.halves import merge_halves, split_halves
from tfsep.errors import InputError
from tfsep.models import weights
from tfsep.priors.base import evaluate_priors
from tfsep.priors.flows.flow_layers import FlowLayer, MultiscaleLayer, SequenceLayer, SqueezeLayer
from tfsep.priors.flows.orderings import OrderedFlow, Orderings

WAVE = {"length": 16, "squeeze": 4, "condition_width": 8, "sigma_range": (0.01, 8.0), "dtype": "float64"}
PLANE = {**WAVE, "domain": "log_stft", "length": None, "event_shape": (4, 8, 1), "squeeze": (1, 4)}
NETWORK = {"width": 8, "num_layers": 1, "ordered": True}
GAUSSIAN = {"conditional": "gaussian", "predictor_width": 8}
TRUNK = {"trunk": {"width": 8, "num_layers": 1}, "num_levels": 1, "num_steps": 1, "width": 8, "num_blocks": 1}
CASES: dict[str, dict[str, Any]] = {
    "glow": {"kind": "glow", **WAVE, **NETWORK, "num_levels": 1, "num_steps": 2},
    "glow over a plane": {"kind": "glow", **PLANE, **NETWORK, "num_levels": 1, "num_steps": 2},
    "glow with a Gaussian": {"kind": "glow", **PLANE, **NETWORK, **GAUSSIAN, "num_levels": 1, "num_steps": 2},
    "lifting": {"kind": "lifting", **WAVE, **TRUNK, "local_width": 4, "local_layers": 1, "local_block": 4},
    "lifting over a plane": {"kind": "lifting", **PLANE, **TRUNK},
    "nice": {"kind": "nice", **WAVE, **NETWORK, "num_steps": 4},
    "realnvp": {"kind": "realnvp", **WAVE, **NETWORK, "num_levels": 1, "num_steps": 4},
    "realnvp with a Gaussian": {"kind": "realnvp", **WAVE, **NETWORK, **GAUSSIAN, "num_levels": 1, "num_steps": 2},
}
SIGMAS = np.array([0.05, 0.3, 2.0])


def scrambled(case: str, **changes: Any) -> Any:
    flow: Any = priors.build(**{**CASES[case], "score_of": "conditionals", **changes})
    rng = np.random.default_rng(0)
    for weight in flow.trainable_variables:
        weight.assign_add(0.2 * rng.normal(size=weight.shape))
    return flow


@pytest.fixture(scope="module", params=CASES)
def flow(request: pytest.FixtureRequest) -> Any:
    return scrambled(request.param)


def events_of(flow: Any, seed: int = 1) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=(3, *flow.event_shape)))


def gradient(function: Any, x: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x)


def test_each_half_has_the_score_of_its_own_conditional(flow: Any) -> None:
    """Of log p(x) in the odd half alone, in which log p(even) is constant, and of log p(even | odd) in the even one."""
    x = events_of(flow)
    even, odd = split_halves(x, flow.halving)
    of_odd = gradient(lambda half: flow.log_prob(merge_halves(even, half, flow.halving), SIGMAS), odd)
    of_even = gradient(lambda half: flow.training_terms(merge_halves(half, odd, flow.halving), SIGMAS)[1], even)
    found_even, found_odd = split_halves(flow.score(x, SIGMAS), flow.halving)
    np.testing.assert_allclose(found_odd, of_odd, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found_even, of_even, rtol=1e-8, atol=1e-10)


def test_the_density_is_that_of_the_odd_half_given_the_even_one_times_one_of_the_even_half(flow: Any) -> None:
    x = events_of(flow)
    even, odd = split_halves(x, flow.halving)
    rest = []
    for half in (odd, 0.5 - 2.0 * odd):
        whole = merge_halves(even, half, flow.halving)
        rest.append(flow.log_prob(whole, SIGMAS) - flow.conditional_log_prob(whole, SIGMAS))
    np.testing.assert_allclose(*rest, rtol=1e-9)
    change = flow.conditional_log_prob(whole, SIGMAS) - flow.conditional_log_prob(x, SIGMAS)
    assert np.abs(change).min() > 0.1


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_conditional_is_normal_latents_and_the_jacobian_of_their_half(flow: Any, mirrored: bool) -> None:
    x = events_of(flow)[:1]
    sigma = tf.constant([0.3], tf.float64)
    even, odd = split_halves(x, flow.halving)
    layers = flow.mirrored.layers if mirrored else flow.flow.layers[: flow.num_last]
    steps = [flow._scale(sigma), *(layer.step(flow._condition(sigma)) for layer in layers)]

    def latents(half: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        y = merge_halves(half, odd, flow.halving) if mirrored else merge_halves(even, half, flow.halving)
        for step in steps:
            y = step.inverse_and_log_det(y)[0]
        found = split_halves(y, flow.halving)
        return found if mirrored else found[::-1]

    half = even if mirrored else odd
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(half)
        mapped, given = latents(half)
        flat = tf.unstack(tf.reshape(mapped, [-1]))
    jacobian = np.stack([tf.reshape(tape.gradient(entry, half), [-1]) for entry in flat])
    assert tape.gradient(given, half) is None or not np.any(tape.gradient(given, half))
    normal = -0.5 * np.sum(np.square(flat) + np.log(2.0 * np.pi))
    expected = normal + np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(flow.conditional_log_prob(x, sigma, mirrored)[0], expected, rtol=1e-8)


class Linear(tf.keras.layers.Layer):
    """Shift rho times the given half, and a constant log-scale."""

    def __init__(self, rho: float) -> None:
        super().__init__(dtype="float64")
        self.rho = rho

    def call(self, given: tf.Tensor, condition: None = None) -> tf.Tensor:
        return tf.concat([self.rho * given, 0.5 * np.log(1.0 - self.rho**2) * tf.ones_like(given)], axis=-1)


class Reversed(FlowLayer):
    """The layers of ordering A on events that are read backwards, which exchanges their halves."""

    def __init__(self, layers: list[FlowLayer]) -> None:
        super().__init__(2, dtype="float64")
        self.inner = SequenceLayer(layers, 2, dtype="float64")

    def step(self, condition: Any) -> Any:
        inner = self.inner.step(condition)

        class Step:
            def inverse_and_log_det(self, y: tf.Tensor) -> Any:
                latents, log_det = inner.inverse_and_log_det(tf.reverse(y, [1]))
                return tf.reverse(latents, [1]), log_det

        return Step()


def test_both_scores_agree_where_both_orderings_describe_one_gaussian() -> None:
    """Pairs of samples with correlation rho: odd given even is N(rho even, 1 - rho^2), and even given odd likewise."""
    rho = 0.8

    def last() -> list[FlowLayer]:
        level = MultiscaleLayer(
            SequenceLayer([], 2, dtype="float64"), 1, 1, lambda *_: Linear(rho), None, dtype="float64"
        )
        ends = [SqueezeLayer((2,), reverse, dtype="float64") for reverse in (False, True)]
        return [ends[0], level, ends[1]]

    orderings = Orderings((2,), last(), [Reversed(last())], [])
    flow = OrderedFlow("pairs", WaveFrontEnd(), (8, 1), orderings, None, 8, "float64")
    x = np.random.default_rng(0).normal(size=(3, 8, 1))
    precision = np.linalg.inv(np.kron(np.eye(4), [[1.0, rho], [rho, 1.0]]))
    expected = -np.einsum("ij,bjc->bic", precision, x)
    for score_of in ("conditionals", "gradient"):
        flow.score_of = score_of
        np.testing.assert_allclose(flow.score(x), expected, rtol=1e-10, atol=1e-12)


def test_both_scores_agree_at_first_and_differ_in_general() -> None:
    """Untrained, a lifting flow is a white Gaussian."""
    flow: Any = priors.build(**CASES["lifting"], score_of="conditionals")
    x = events_of(flow)
    flow.initialise(x, 0.1)
    variance = flow.data_std.numpy() ** 2 + SIGMAS.reshape(3, 1, 1) ** 2
    np.testing.assert_allclose(flow.score(x, SIGMAS), -x / variance, rtol=1e-10)
    trained = scrambled("lifting")
    conditionals = trained.score(x, SIGMAS)
    trained.score_of = "gradient"
    np.testing.assert_allclose(trained.score(x, SIGMAS), gradient(lambda y: trained.log_prob(y, SIGMAS), x), rtol=1e-10)
    assert np.abs(trained.score(x, SIGMAS) - conditionals).max() > 0.01


def test_the_density_is_that_of_the_same_flow_without_the_second_ordering() -> None:
    """The mirrored layers are beside the density, and a lifting flow has its usual one."""
    usual, flow = priors.build(**CASES["lifting"]), scrambled("lifting")
    for layer, other in zip(usual.flow.layers[1:2], flow.flow.layers[1:2], strict=True):
        layer.network.set_weights(other.network.get_weights())
    usual.flow.layers[1].inner.set_weights(flow.flow.layers[4].inner.get_weights())
    usual.embedding.set_weights(flow.embedding.get_weights())
    x = events_of(flow)
    np.testing.assert_allclose(usual.log_prob(x, SIGMAS), flow.log_prob(x, SIGMAS), rtol=1e-10)


def test_the_denoiser_is_tweedies_and_says_of_what(flow: Any) -> None:
    x, column = events_of(flow), SIGMAS.reshape((3,) + (1,) * len(flow.event_shape))
    np.testing.assert_allclose(flow.denoise(x, SIGMAS), x + column**2 * flow.score(x, SIGMAS), rtol=1e-10)
    assert flow.describe().endswith(", score of conditionals (pseudo-likelihood)")


def test_initialisation_whitens_both_orderings() -> None:
    """Each channel, which two samples of a half share here, gets the scale of its own."""
    flow: Any = priors.build(**CASES["realnvp"], score_of="conditionals")
    spreads = np.tile(np.linspace(0.2, 2.0, 8), 2)
    x = np.random.default_rng(0).normal(size=(512, 16, 1)) * spreads[:, np.newaxis]
    flow.initialise(x, 0.1)
    for mirrored in (False, True):
        entropy = -flow.conditional_log_prob(x, 0.1, mirrored).numpy().mean() / 8
        spread = spreads[0 if mirrored else 1 :: 2]
        assert entropy == pytest.approx(np.mean(np.log(spread)) + 0.5 * np.log(2.0 * np.pi * np.e), abs=0.05)


def test_all_weights_are_kept(tmp_path: Path) -> None:
    flow, other = scrambled("realnvp"), priors.build(**CASES["realnvp"], score_of="conditionals")
    weights.save(flow, tmp_path / "flow.safetensors")
    weights.load(other, tmp_path / "flow.safetensors")
    x = events_of(flow)
    np.testing.assert_allclose(other.score(x, SIGMAS), flow.score(x, SIGMAS), rtol=1e-6)
    assert len(flow.checkpointed.weights) == len(flow.weights)
    mirrored = {id(weight) for weight in flow.mirrored.weights}
    assert mirrored and mirrored <= {id(weight) for weight in flow.weights}


@pytest.mark.parametrize("case", [pytest.param("lifting", marks=pytest.mark.slow), "realnvp"])
@pytest.mark.slow
def test_stacked_flows_give_each_its_own_score(case: str) -> None:
    flows = [scrambled(case, dtype="float32") for _ in range(2)]
    for weight in flows[1].trainable_variables:
        weight.assign(1.1 * weight)
    x = [tf.cast(events_of(flow, seed), tf.float32) for seed, flow in enumerate(flows)]
    expected = [flow.score(each, 0.3) for flow, each in zip(flows, x, strict=True)]
    found = tf.function(lambda: evaluate_priors(flows, "score", x, 0.3, stacked=True))()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "settings", "complaint"),
    [
        ("flowavenet", {}, "score_of of flowavenet must be 'gradient', got 'conditionals': its couplings change both"),
        ("waveglow", {}, "score_of of waveglow must .* 1x1 convolutions mix .*; lifting and spectral_realnvp have"),
        ("glow", {}, "score_of of glow must be 'gradient', .* unless ordered=True"),
        ("realnvp", {}, "score_of of realnvp must be 'gradient', .* unless ordered=True"),
        ("nice", {"score_of": "density"}, "score_of must be one of gradient, conditionals, got 'density'"),
        ("nice", {"ordered": True, "event_shape": (16, 2), "length": None}, "events of one channel, got .16, 2."),
        ("realnvp", {"ordered": True, "squeeze": 16}, "must divide the event shape"),
    ],
)
def test_what_has_no_conditionals_says_why(kind: str, settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        priors.build(kind, **{"length": 16, "score_of": "conditionals", **settings})
    assert "\n" not in str(caught.value)


def test_terms_of_training_and_the_denoiser_come_out_of_one_pass(flow: Any) -> None:
    x = events_of(flow)
    expected = (*flow.training_terms(x, SIGMAS), flow.denoise(x, SIGMAS))
    for found, value in zip(flow.denoising_terms(x, SIGMAS), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-8, atol=1e-10)


@pytest.fixture(scope="module", params=["glow with a Gaussian", "realnvp with a Gaussian"])
def gaussian(request: pytest.FixtureRequest) -> Any:
    """A flow whose conditionals are Gaussians above the noise, with random weights."""
    flow = scrambled(request.param)
    flow.data_std.assign(0.7)
    flow.data_mean.assign(np.random.default_rng(5).normal(size=flow.event_shape))
    return flow


def test_the_variance_of_a_gaussian_conditional_is_that_of_noise_and_source(gaussian: Any) -> None:
    """Both from two evaluations: log p is quadratic in the half, with the mean and the variance of each feature."""
    x = events_of(gaussian)
    even, odd = split_halves(x, gaussian.halving)

    def score(half: tf.Tensor) -> tf.Tensor:
        return split_halves(gaussian.score(merge_halves(even, half, gaussian.halving), SIGMAS), gaussian.halving)[1]

    precision = (score(odd) - score(odd + 1.0)).numpy()
    level = np.reshape(SIGMAS, [-1] + [1] * (precision.ndim - 1)) ** 2
    assert precision.min() > 0.0 and (1.0 / precision - level).min() > 0.0
    assert np.ptp(1.0 / precision - level) > 0.01
    np.testing.assert_allclose(score(odd + 3.0), score(odd) - 3.0 * precision, rtol=1e-7, atol=1e-9)


def test_a_gaussian_conditional_starts_at_the_wiener_filter_of_the_initial_batch() -> None:
    flow: Any = priors.build(**{**CASES["glow with a Gaussian"], "score_of": "conditionals"})
    rng, sigma = np.random.default_rng(2), np.full(4000, 0.5)
    mean = rng.normal(size=flow.event_shape)
    clean = mean + 0.3 * rng.normal(size=(4000, *flow.event_shape))
    noisy = tf.constant(clean + 0.5 * rng.normal(size=clean.shape))
    flow.initialise(noisy, sigma)
    assert float(tf.convert_to_tensor(flow.data_std)) == pytest.approx(0.3, rel=0.05)
    np.testing.assert_allclose(flow.data_mean, mean, atol=0.05)
    wiener = mean + 0.3**2 / (0.3**2 + 0.5**2) * (noisy - mean)
    np.testing.assert_allclose(flow.denoise(noisy, sigma), wiener, atol=0.1)


def test_a_gaussian_conditional_needs_noise_and_a_known_name() -> None:
    case = {**CASES["glow with a Gaussian"], "score_of": "conditionals"}
    with pytest.raises(InputError, match="needs a sigma_range, got None"):
        priors.build(**{**case, "sigma_range": None})
    with pytest.raises(InputError, match="one of couplings, gaussian, got 'normal'"):
        priors.build(**{**case, "conditional": "normal"})
    with pytest.raises(InputError, match="one of couplings, gaussian, got 'normal'"):
        priors.build(**{**case, "conditional": "normal", "ordered": False, "score_of": "gradient"})
    with pytest.raises(InputError, match="predictor_width is for conditional = 'gaussian', got 8"):
        priors.build(**{**case, "conditional": "couplings"})
    with pytest.raises(InputError, match="precision must be None over waves"):
        priors.build(**{**CASES["realnvp with a Gaussian"], "dtype": "float32", "precision": "bfloat16"})
    with pytest.raises(InputError, match="needs ordered=True"):
        priors.build(**{**case, "ordered": False, "score_of": "gradient"})


def test_a_floored_flow_is_stored_and_loaded(gaussian: Any, tmp_path: Path) -> None:
    weights.save(gaussian, tmp_path / "flow.safetensors")
    copy: Any = priors.build(**{**CASES[_case_of(gaussian)], "score_of": "conditionals"})
    weights.load(copy, tmp_path / "flow.safetensors")
    x = events_of(gaussian)
    np.testing.assert_allclose(copy.log_prob(x, SIGMAS), gaussian.log_prob(x, SIGMAS), rtol=1e-9)
    np.testing.assert_allclose(copy.score(x, SIGMAS), gaussian.score(x, SIGMAS), rtol=1e-6)


def _case_of(flow: Any) -> str:
    return f"{flow.kind} with a Gaussian"
