"""A flow's weights: how they start, what data-dependent initialisation gives them, and how many there are."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfsep import priors
from tfsep.priors.flows.flow import clean_variance

SMALL = {"num_levels": 2, "num_steps": 2, "width": 8, "num_layers": 1, "condition_width": 4, "dtype": "float64"}
PLANE = {"domain": "log_stft", "event_shape": (4, 8, 1), "squeeze": 2}
WAVE = {"event_shape": (16, 1), "squeeze": 4}
LEVELLED = ("glow", "realnvp")


def build(kind: str, where: dict[str, Any], **changes: Any) -> Any:
    small = {name: value for name, value in SMALL.items() if kind in LEVELLED or name != "num_levels"}
    return priors.build(kind, **{**small, **where, **changes})


def noise(shape: tuple[int, ...], spread: float = 1.0, centre: float = 0.0) -> np.ndarray:
    return centre + spread * np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("kind", ["glow", "nice", "realnvp"])
@pytest.mark.parametrize("where", [WAVE, PLANE], ids=["wave", "log_stft"])
def test_starts_as_a_standard_normal(kind: str, where: dict[str, Any]) -> None:
    """Couplings are the identity, 1x1 convolutions rotations; without noise the scale is that of unit data."""
    flow = build(kind, where, sigma_range=None)
    x = noise((3, *flow.event_shape))
    expected = -0.5 * (x**2 + np.log(2.0 * np.pi)).reshape(3, -1).sum(1)
    np.testing.assert_allclose(flow.log_prob(x), expected, rtol=1e-10)


@pytest.mark.parametrize("kind", ["glow", "realnvp"])
@pytest.mark.parametrize("where", [WAVE, PLANE], ids=["wave", "log_stft"])
def test_initialisation_whitens_every_channel_of_the_latents(kind: str, where: dict[str, Any]) -> None:
    flow = build(kind, where, sigma_range=None)
    x = noise((64, *flow.event_shape), spread=0.02, centre=5.0)
    flow.initialise(x)
    np.testing.assert_allclose(flow.data_std, x.std(), rtol=1e-6)
    latents = flow.encode(x)[0].numpy()
    assert abs(latents.mean()) < 0.02 and abs(latents.std() - 1.0) < 0.02


def test_it_describes_what_its_numbers_belong_to() -> None:
    """Keras' own words would hide the domain."""
    noisy, clean = build("glow", WAVE), build("nice", PLANE, sigma_range=None)
    about = "glow over wave events (16, 1), 16 dimensions, noise 0.01 to 1, score the gradient"
    assert repr(noisy) == str(noisy) == f"<{about}>"
    assert repr(clean) == "<nice over log_stft events (4, 8, 1), 32 dimensions, clean, score the gradient>"


def test_initialisation_reaches_the_inner_levels() -> None:
    flow = build("glow", WAVE, sigma_range=None)
    flow.initialise(noise((64, 16, 1)) * np.linspace(0.1, 3.0, 16)[:, np.newaxis])
    scales = [weight for weight in flow.trainable_variables if weight.name == "log_scale"]
    assert len(scales) == 4
    assert all(np.abs(scale).max() > 1e-3 for scale in scales)


@pytest.mark.parametrize("data_std", [0.05, 0.6, 3.0])
def test_the_variance_of_the_data_is_found_under_loud_noise(data_std: float) -> None:
    """Noise levels log-uniform in 0.01..8, as in training; the plain difference of variances often has no sign."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(20):
        sigma = np.exp(rng.uniform(np.log(0.01), np.log(8.0), 32))
        x = data_std * rng.normal(size=(32, 512, 1)) + sigma[:, None, None] * rng.normal(size=(32, 512, 1))
        found.append(np.sqrt(clean_variance(tf.constant(x), tf.constant(sigma))))
    np.testing.assert_allclose(found, data_std, rtol=0.25)


def test_the_variance_of_silence_has_a_floor() -> None:
    assert float(clean_variance(tf.zeros((4, 8, 1), tf.float64), tf.zeros(4, tf.float64))) == 1e-6


def test_only_a_flow_under_noise_is_conditioned() -> None:
    """Without noise there is nothing to embed; with it every network has its condition."""
    clean, noisy = build("glow", WAVE, sigma_range=None), build("glow", WAVE)
    assert clean.embedding is None and noisy.embedding is not None
    networks = [layer for layer in noisy._flatten_layers() if hasattr(layer, "conditions")]
    assert len(networks) == 2 * 2 + 1
    assert all(len(network.conditions) == 1 for network in networks)


def test_levels_share_the_work_as_drawn() -> None:
    """Squeeze, steps, split, inner levels, and the shape restored: seen from the data's side."""
    flow = build("realnvp", WAVE, num_steps=4)
    kinds = [type(layer).__name__ for layer in flow.flow.layers]
    assert kinds == ["SqueezeLayer", *["ActNormLayer", "CouplingLayer"] * 4, "MultiscaleLayer", "SqueezeLayer"]
    masks = [(layer.mask.kind, layer.mask.swap) for layer in flow.flow.layers if hasattr(layer, "mask")]
    assert masks == [("checkerboard", False), ("checkerboard", True), ("channel", False), ("channel", True)]
    inner = flow.flow.layers[-2].inner.layers
    assert inner[0].squeeze_factors == (2,) and inner[-1].reverse


def test_a_nice_changes_volume_in_its_last_layer_only() -> None:
    """Whatever the couplings hold, the log-determinant is that of the scales, and the same for every event."""
    flow = build("nice", PLANE, num_steps=4, sigma_range=None)
    masks = [(layer.mask.kind, layer.mask.swap) for layer in flow.flow.layers if hasattr(layer, "mask")]
    assert masks == [("channel", False), ("channel", True), ("half", False), ("half", True)]
    for weight in flow.trainable_variables:
        weight.assign_add(0.3 * np.random.default_rng(1).normal(size=weight.shape))
    scales = flow.flow.layers[-2].log_scale.numpy()
    np.testing.assert_allclose(flow.encode(noise((3, 4, 8, 1)))[1], -scales.sum(), rtol=1e-12)


def test_the_scales_of_a_nice_follow_the_noise_within_their_bound() -> None:
    flow = build("nice", WAVE, bound=0.5)
    change = next(weight for weight in flow.trainable_variables if weight.name == "change")
    before = flow.encode(noise((1, 16, 1)), 0.3)[1]
    change.assign(1e6 * np.ones(change.shape))
    assert 0.0 < np.abs(flow.encode(noise((1, 16, 1)), 0.3)[1] - before) <= 16 * 0.5 + 1e-9


def test_a_flowavenet_couples_even_with_odd_samples_and_splits_now_and_then() -> None:
    flow = priors.build("flowavenet", event_shape=(16, 1), split_every=2, **{**SMALL, "num_levels": 4})
    outer = [type(layer).__name__ for layer in flow.flow.layers]
    steps = ["ActNormLayer", "CouplingLayer"] * 2
    squeezes = ["SqueezeLayer"] * 2
    assert outer == ["SqueezeLayer", *steps, "SqueezeLayer", *steps, "MultiscaleLayer", *squeezes]
    squeeze, first = flow.flow.layers[0], flow.flow.layers[2]
    ramp = tf.reshape(tf.range(16.0, dtype=tf.float64), (1, 16, 1))
    kept, changed = first.mask.split(squeeze.step(None).inverse_and_log_det(ramp)[0])
    np.testing.assert_array_equal(np.ravel(kept), np.arange(0, 16, 2))
    np.testing.assert_array_equal(np.ravel(changed), np.arange(1, 16, 2))


def test_early_outputs_of_a_waveglow_are_latents_at_once() -> None:
    """Two of eight channels are split off every two of five steps; the first of them depend on two steps only."""
    settings = {name: value for name, value in SMALL.items() if name != "num_levels"}
    flow = priors.build("waveglow", event_shape=(16, 1), early_every=2, **{**settings, "num_steps": 5})
    sizes, layers = [], flow.flow.layers
    while layers:
        sizes.append([layer.factors["upper"].shape[0] for layer in layers if hasattr(layer, "factors")])
        inner = [layer.inner for layer in layers if hasattr(layer, "inner")]
        layers = inner[0].layers if inner else []
    assert sizes == [[8, 8], [6, 6], [4]]
    x = noise((1, 16, 1))
    before = tf.reshape(flow.encode(x, 0.3)[0], (2, 8)).numpy()
    inner = next(layer.inner for layer in flow.flow.layers if hasattr(layer, "inner"))
    for weight in inner.trainable_variables:
        weight.assign_add(0.3 * np.random.default_rng(1).normal(size=weight.shape))
    moved = tf.reshape(flow.encode(x, 0.3)[0], (2, 8)).numpy() != before
    np.testing.assert_array_equal(moved.any(0), [True] * 6 + [False] * 2)


def test_an_axis_of_a_plane_may_be_left_unsqueezed() -> None:
    flow = build("glow", PLANE, squeeze=[2, 1])
    factors = [layer.squeeze_factors for layer in flow._flatten_layers() if hasattr(layer, "squeeze_factors")]
    assert set(factors) == {(2, 1)}


def test_every_dimension_of_an_event_reaches_every_latent_part() -> None:
    """With random weights no sample passes a two-level flow unchanged and none is left out."""
    flow = build("realnvp", WAVE, num_steps=4)
    keras.utils.set_random_seed(0)
    for weight in flow.trainable_variables:
        weight.assign_add(0.3 * np.random.default_rng(1).normal(size=weight.shape))
    x = tf.constant(noise((1, 16, 1)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        latents = tf.reshape(flow.encode(x, 0.3)[0], [16])
    reached = np.abs(tf.reshape(tape.jacobian(latents, x, experimental_use_pfor=False), (16, 16))) > 0.0
    assert reached.any(0).all() and reached.any(1).all()
    assert reached.mean() > 0.4


def test_the_same_seed_builds_the_same_rotations() -> None:
    first, second, other = (build("glow", WAVE, seed=seed) for seed in (0, 0, 1))
    rotations = [[w.numpy() for w in flow.weights if w.name == "upper"] for flow in (first, second, other)]
    assert all(np.array_equal(a, b) for a, b in zip(*rotations[:2], strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(rotations[0], rotations[2], strict=True))
