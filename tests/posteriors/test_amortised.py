"""The amortised posterior: masks that split the mixture exactly, at every level of sound."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise_tensor
from tfsep import mixing, posteriors
from tfsep.errors import InputError
from tfsep.models import weights
from tfsep.posteriors.amortised import Amortised
from tfsep.training.pair_objectives import simulated_pairs

SEGMENT = 256
KINDS: dict[str, dict[str, Any]] = {
    "frame": {"network_settings": {"width": 16, "num_blocks": 2}},
    "temporal": {
        "network": "temporal",
        "network_settings": {"width": 16, "num_blocks": 3, "dilation_cycle": 2},
        "plane": "short_time",
        "plane_settings": {"frame_length": 64, "frame_step": 16},
    },
    "unet": {
        "network": "unet",
        "network_settings": {"widths": (8, 16), "patch": 2, "low_length": 128, "low_bins": 8, "low_bands": 4},
        "plane": "short_time",
        "plane_settings": {"frame_length": 64, "frame_step": 16},
        "rumble_period": 40,
    },
    "bands": {
        "network": "bands",
        "network_settings": {"num_bands": 6, "width": 8, "num_blocks": 2},
        "plane": "short_time",
        "plane_settings": {"frame_length": 64, "frame_step": 16},
    },
    "trunk": {
        "network": "trunk",
        "network_settings": {"width": 16, "num_blocks": 2},
        "plane": "short_time",
        "plane_settings": {"frame_length": 64, "frame_step": 16},
    },
}
UNET: dict[str, Any] = KINDS["unet"]["network_settings"]
MEAN, OTHER = None, (1.0, 0.5, -0.25)


def build(kind: str = "frame", gains: tuple[float, ...] | None = MEAN, seed: int = 0) -> Amortised:
    """A posterior of three sources whose weights are not the gentle initial ones."""
    keras.utils.set_random_seed(seed)
    posterior = posteriors.build("amortised", num_sources=3, segment=SEGMENT, gains=gains, **KINDS[kind])
    assert isinstance(posterior, Amortised)
    for weight in posterior.trainable_variables:
        weight.assign_add(keras.random.normal(weight.shape, stddev=0.05))
    return posterior


make = functools.cache(build)


every_kind = pytest.mark.parametrize("kind", KINDS)
every_gain = pytest.mark.parametrize("gains", [MEAN, OTHER])


@every_kind
def test_means_sum_to_the_mixture(kind: str) -> None:
    mixture = noise_tensor(4, SEGMENT)
    means, spread = make(kind)(mixture)
    assert means.shape == spread.shape == (4, 3, SEGMENT)
    np.testing.assert_allclose(tf.reduce_sum(means, axis=1), mixture, atol=1e-5)
    # They are three different parts.
    assert min(np.std(means[:, 0] - means[:, k]) for k in (1, 2)) > 0.02


@every_kind
@every_gain
def test_samples_explain_the_mixture(kind: str, gains: tuple[float, ...] | None) -> None:
    mixture = noise_tensor(4, SEGMENT)
    posterior = make(kind, gains)
    for num_samples in (1, 5):
        sources = posterior.sample(mixture, num_samples, (0, 0))
        assert sources.shape == (num_samples, 4, 3, SEGMENT) and sources.dtype == tf.float32
        explained = mixing.mix(sources, posterior.gains)
        np.testing.assert_allclose(explained, np.broadcast_to(mixture, explained.shape), atol=1e-5)


@every_gain
def test_the_point_estimate_is_the_mean_before_gains(gains: tuple[float, ...] | None) -> None:
    posterior = make(gains=gains)
    mixture = noise_tensor(2, SEGMENT)
    means, _ = posterior(mixture)
    column = np.array(posterior.gains)[:, np.newaxis]
    np.testing.assert_allclose(posterior.sample(mixture, 1, (0, 0))[0], means / column, atol=2e-5)


def test_draws_have_the_spread_that_the_projection_leaves() -> None:
    posterior = make()
    mixture = noise_tensor(1, SEGMENT)
    means, spread = (value.numpy()[0] for value in posterior(mixture))
    drawn = posterior.sample(mixture, 4000, (0, 0)).numpy()[:, 0] / 3
    standard_error = np.exp(spread).max(0) / np.sqrt(4000)
    assert (np.abs(drawn.mean(0) - means) < 6 * standard_error).all()
    # For the mean of three a projected draw keeps 2/3 of each source's noise and a third of the others'.
    variance = np.exp(2 * spread)
    expected = variance * (4 / 9) + (variance.sum(0) - variance) / 9
    np.testing.assert_allclose(drawn.var(0) / expected, 1.0, atol=0.15)


@pytest.mark.parametrize("num_samples", [2, 3, 8])
def test_the_mean_of_draws_is_the_answer_itself(num_samples: int) -> None:
    posterior, mixture = make(), noise_tensor(2, SEGMENT)
    drawn = posterior.sample(mixture, num_samples, (0, 0)).numpy()
    np.testing.assert_allclose(drawn.mean(0), posterior.sample(mixture, 1, (0, 0))[0], atol=2e-5)
    # Each is as far from the estimate as one draw alone would be.
    alone = np.std(posterior.sample(mixture, 2000, (5, 5)).numpy(), axis=0)
    assert np.sqrt(np.mean(drawn.std(0) ** 2)) == pytest.approx(np.sqrt(np.mean(alone**2)), rel=0.15)


@every_kind
def test_the_seed_decides_the_draws(kind: str) -> None:
    posterior, mixture = make(kind), noise_tensor(2, SEGMENT)
    first = posterior.sample(mixture, 2, (1, 2)).numpy()
    np.testing.assert_array_equal(first, posterior.sample(mixture, 2, tf.constant([1, 2])))
    assert np.abs(first[0] - first[1]).max() > 1e-3
    assert np.abs(first - posterior.sample(mixture, 2, (1, 3))).max() > 1e-3
    inside = tf.function(lambda wave, seed: posterior.sample(wave, 2, seed))
    np.testing.assert_allclose(inside(mixture, tf.constant([1, 2])), first, atol=1e-5)


@every_kind
@pytest.mark.parametrize("scale", [1e-3, 0.1, 30.0])
def test_the_answer_scales_with_the_mixture(kind: str, scale: float) -> None:
    posterior, mixture = make(kind), noise_tensor(2, SEGMENT)
    means, spread = posterior(mixture)
    scaled_means, scaled_spread = posterior(scale * mixture)
    np.testing.assert_allclose(scaled_means / scale, means, atol=1e-4)
    np.testing.assert_allclose(scaled_spread, spread + np.log(scale), atol=1e-3)


@every_kind
def test_segments_of_a_batch_do_not_touch_each_other(kind: str) -> None:
    posterior, mixture = make(kind), noise_tensor(3, SEGMENT)
    louder = tf.concat([mixture[:1], 100.0 * mixture[1:]], axis=0)
    np.testing.assert_allclose(posterior(mixture)[0][0], posterior(louder)[0][0], atol=1e-5)


@every_kind
@every_gain
def test_silence_gives_silence(kind: str, gains: tuple[float, ...] | None) -> None:
    posterior = make(kind, gains)
    mixture = tf.zeros((2, SEGMENT))
    means, spread = posterior(mixture)
    np.testing.assert_array_equal(means, np.zeros((2, 3, SEGMENT)))
    assert np.isfinite(spread).all()
    np.testing.assert_array_equal(posterior.sample(mixture, 1, (0, 0)), np.zeros((1, 2, 3, SEGMENT)))
    drawn = posterior.sample(mixture, 4, (0, 0)).numpy()
    assert np.isfinite(drawn).all() and np.abs(drawn).max() < 0.01
    with tf.GradientTape() as tape:
        loss, _ = simulated_pairs(posterior, tf.zeros((2, 3, SEGMENT)), tf.constant([0, 0]))
    gradients = tape.gradient(loss, [weight.value for weight in posterior.trainable_variables])
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@every_kind
def test_training_watches_exactly_the_trainable_variables(kind: str) -> None:
    posterior = make(kind)
    with tf.GradientTape() as tape:
        loss, _ = simulated_pairs(posterior, noise_tensor(4, 3, SEGMENT), tf.constant([0, 0]))
    owned = {id(weight.value) for weight in posterior.trainable_variables}
    assert {id(weight) for weight in tape.watched_variables()} == owned
    assert len(posterior.trainable_variables) == len(posterior.weights) > 0
    gradients = tape.gradient(loss, [weight.value for weight in posterior.trainable_variables])
    assert all(gradient is not None and np.abs(gradient).max() > 0 for gradient in gradients)


@every_kind
@pytest.mark.parametrize("half", [False, True])
def test_weights_come_back_from_a_file(kind: str, half: bool, tmp_path: Path) -> None:
    posterior, other, mixture = make(kind), build(kind, seed=1), noise_tensor(2, SEGMENT)
    before = posterior.sample(mixture, 1, (0, 0)).numpy()
    assert np.abs(before - other.sample(mixture, 1, (0, 0))).max() > 0.05
    weights.save(posterior, tmp_path / "posterior.safetensors", half)
    weights.load(other, tmp_path / "posterior.safetensors")
    np.testing.assert_allclose(other.sample(mixture, 1, (0, 0)), before, atol=0.02 if half else 1e-6)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        (
            {"network": "transformer"},
            "the network must be one of bands, frame, temporal, trunk, unet, got 'transformer'",
        ),
        ({"plane": "wavelet"}, "the plane must be one of short_time, whole_segment, got 'wavelet'"),
        ({"plane_settings": {"hop": 4}}, "plane 'whole_segment': .*unexpected keyword argument 'hop'"),
        ({"network_settings": {"depth": 4}}, "posterior 'amortised': .*depth"),
        ({"network_settings": {"dilation_cycle": 4}}, "posterior 'amortised': .*dilation_cycle"),
        ({"network_settings": {"width": 0}}, "posterior 'amortised': .*positive integer.*0"),
        ({"plane": "short_time", "plane_settings": {"frame_length": 64, "frame_step": 64}}, "frame_step must lie in"),
        ({"rumble_period": 1}, "rumble_period must be at least 2 samples or None, got 1"),
        ({"network": "unet", "network_settings": UNET}, "low_bins must be 0 on a plane without short frames"),
        ({**KINDS["unet"], "network_settings": {**UNET, "low_length": 100}}, "low_length must be .*32, got 100"),
        ({**KINDS["unet"], "network_settings": {**UNET, "low_bins": 72}}, "low_bins must lie in 1..65"),
        ({"precision": "bf16"}, "posterior 'amortised': .*bf16"),
        ({"widht": 4}, "posterior 'amortised' has no parameter 'widht'"),
        ({"gains": (1.0, 1.0)}, "posterior 'amortised': one gain for each of the 3 sources is needed, got 2"),
        ({"segment": 0}, "segment must be at least 2 samples and floor above 0, got 0 and 0.001"),
        ({"floor": 0.0}, "segment must be at least 2 samples and floor above 0, got 256 and 0"),
        ({"num_sources": 0}, "posterior 'amortised': a mixture needs at least one source, got 0"),
    ],
)
def test_what_it_cannot_be_built_from_is_refused(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule) as refused:
        posteriors.build("amortised", **{"num_sources": 3, "segment": SEGMENT, **settings})
    assert "\n" not in str(refused.value)


def test_a_missing_setting_is_named() -> None:
    with pytest.raises(InputError, match="posterior 'amortised': .*missing.*'num_sources' and 'segment'"):
        posteriors.build("amortised")


def test_rumble_changes_neither_masks_nor_level() -> None:
    posterior = make("unet")
    mixture = noise_tensor(3, SEGMENT)
    time = np.arange(SEGMENT)
    audible = mixture - tf.reduce_mean(mixture, axis=1, keepdims=True)
    offset = tf.constant(2.0 + 0.0 * time, tf.float32)
    plain, _ = posterior(audible)
    moved, _ = posterior(audible + offset)
    np.testing.assert_allclose(moved - plain, np.full(plain.shape, 2.0 / 3.0), atol=2e-4)
    np.testing.assert_allclose(tf.reduce_sum(moved, axis=1), audible + offset, atol=1e-4)
