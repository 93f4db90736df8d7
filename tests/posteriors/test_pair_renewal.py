"""Two sources found anew, one beside the other: sounds that share a part, of which sweeps alone find neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.known_priors import CoinPrior, WavePrior
from tfsep import mixing, posteriors, priors
from tfsep.axes import FloatArray
from tfsep.data import oscillators, toy
from tfsep.errors import InputError
from tfsep.metrics.si_sdr import si_sdr
from tfsep.posteriors.pair_renewal import PairRenewal
from tfsep.posteriors.particles import Particles
from tfsep.posteriors.shared_graphs import SharedGraphs

LENGTH, SIGMA = 6, 0.1
SWEEPS: dict[str, Any] = {
    **{"largest_sigma": 0.2, "start_sigma": 0.2, "smallest_sigma": 0.05, "num_levels": 4, "block_levels": 2},
    **{"num_particles": 1, "reassign": False, "polish_levels": 0, "kick": 0.0},
}


class ShapesPrior(WavePrior):
    """A multiple of one of some shapes: the one that fits best, as far as other waves do not span it."""

    kind = "shapes"
    has_log_prob = has_directions = True

    def __init__(self, shapes: list[list[float]], num_directions: int = 1) -> None:
        super().__init__(LENGTH)
        self.shapes, self.num_directions = tf.constant(shapes, tf.float32), num_directions

    def _fitted(self, y: tf.Tensor, beside: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Of y (batch, time) beside orthonormal waves (batch, direction, time): the shape that fits, its multiple."""
        seen = y - tf.einsum("brt,br->bt", beside, tf.einsum("brt,bt->br", beside, y))
        parts = self.shapes - tf.einsum("brt,brk->bkt", beside, tf.einsum("brt,kt->brk", beside, self.shapes))
        energy = tf.maximum(tf.reduce_sum(parts**2, -1), 1e-9)
        inner = tf.einsum("bkt,bt->bk", parts, seen)
        best = tf.argmax(inner**2 / energy, axis=-1)
        level = tf.gather(inner / energy, best, batch_dims=1)
        return tf.gather(self.shapes, best), level[:, tf.newaxis] * tf.gather(self.shapes, best)

    def denoise(self, x: Any, sigma: Any) -> tf.Tensor:
        nothing = tf.zeros([x.shape[0] or tf.shape(x)[0], 1, LENGTH])
        return self._fitted(x[..., 0], nothing)[1][..., tf.newaxis]

    def directions(self, y: Any, sigma: Any) -> tf.Tensor:
        nothing = tf.zeros([y.shape[0] or tf.shape(y)[0], 1, LENGTH])
        shape = self._fitted(y[..., 0], nothing)[0]
        return tf.stack([shape] + [tf.zeros_like(shape)] * (self.num_directions - 1), axis=1)[..., tf.newaxis]

    def denoise_beside(self, y: Any, sigma: Any, beside: Any) -> tf.Tensor:
        length = tf.maximum(tf.norm(beside[..., 0], axis=-1, keepdims=True), 1e-9)
        return self._fitted(y[..., 0], beside[..., 0] / length)[1][..., tf.newaxis]

    def score(self, x: Any, sigma: Any = None) -> tf.Tensor:
        return (self.denoise(x, sigma) - x) / sigma**2

    def log_prob(self, x: Any, sigma: Any = None) -> tf.Tensor:
        return -tf.reduce_sum((x - self.denoise(x, sigma)) ** 2, [1, 2]) / sigma**2


@pytest.fixture
def shapes() -> list[ShapesPrior]:
    """The second source's shapes are nearly the first's; the third's are others."""
    one, two, three, four, five, six = np.eye(LENGTH).tolist()

    def near(shape: list[float], other: list[float]) -> list[float]:
        return (np.array(shape) + 0.3 * np.array(other)).tolist()

    return [
        ShapesPrior([one, three]),
        ShapesPrior([near(one, two), near(three, four)], num_directions=2),
        ShapesPrior([five, six]),
    ]


def shared_part(gains: tuple[float, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sources that share a part: mixture (1, time), the truth, and a start at which the second has all of it."""
    one, two, three, _, five, _ = np.eye(LENGTH)
    truth = np.stack([0.9 * one, 0.8 * (one + 0.3 * two), 0.7 * five])[np.newaxis]
    start = np.stack([0.05 * three, 1.6 * (one + 0.3 * two), 0.7 * five])[np.newaxis]
    mixture = np.einsum("k,bkt->bt", gains, truth)
    return mixture.astype(np.float32), truth.astype(np.float32), start.astype(np.float32)


def renewed(
    each: list[Any], mixture: FloatArray, start: FloatArray, gains: tuple[float, ...], above: float = 1e-3
) -> FloatArray:
    """The estimates (batch, source, time) with pairs found anew."""
    renewal = PairRenewal("particles", each, gains, above, tf.identity)
    found: FloatArray = renewal(SharedGraphs(each), tf.constant(mixture), tf.constant(start), SIGMA).numpy()
    return found


@pytest.mark.parametrize("gains", [(1 / 3, 1 / 3, 1 / 3), (1.0, -0.4, 0.5)])
def test_sources_that_share_a_part_are_found_at_once(shapes: list[ShapesPrior], gains: tuple[float, ...]) -> None:
    mixture, truth, start = shared_part(gains)
    np.testing.assert_allclose(renewed(shapes, mixture, start, gains), truth, atol=1e-5)


def test_estimates_that_leave_little_stay_as_they_are(shapes: list[ShapesPrior]) -> None:
    """Two mixtures, of which the first is explained up to a part of its energy below the bound."""
    gains = (1 / 3, 1 / 3, 1 / 3)
    mixture, truth, start = shared_part(gains)
    both = np.concatenate([0.99 * truth, start])
    found = renewed(shapes, np.concatenate([mixture, mixture]), both, gains)
    np.testing.assert_array_equal(found[0], both[0])
    np.testing.assert_allclose(found[1], truth[0], atol=1e-5)


def test_an_estimate_better_than_every_pair_found_anew_is_kept(shapes: list[ShapesPrior]) -> None:
    """Sources that no shapes give explain the mixture but for a thousandth."""
    noise = np.random.default_rng(0).normal(size=(1, 3, LENGTH)).astype(np.float32)
    mixture = (noise.mean(axis=1) + 1e-3).astype(np.float32)
    np.testing.assert_array_equal(renewed(shapes, mixture, noise, (1 / 3, 1 / 3, 1 / 3), above=0.0), noise)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_particles_renew_what_sweeps_alone_leave(shapes: list[ShapesPrior], jit_compile: bool) -> None:
    mixture, truth, start = shared_part((1 / 3, 1 / 3, 1 / 3))
    found = [
        posteriors.build("particles", shapes, **SWEEPS, renew_above=above, jit_compile=jit_compile)
        .sample(mixture, 1, (0, 0), start=start)[0]
        .numpy()
        for above in (1e-4, None)
    ]
    for each in found:
        np.testing.assert_allclose(mixing.mix(each), mixture, atol=1e-5)
    np.testing.assert_allclose(found[0], truth, atol=1e-3)
    assert np.abs(found[1] - truth).max() > 0.1


def test_nothing_is_renewed_after_the_last_level(shapes: list[ShapesPrior]) -> None:
    """One block: its end is the end, and no sweep would mend the other sources."""
    mixture, truth, start = shared_part((1 / 3, 1 / 3, 1 / 3))
    found = posteriors.build("particles", shapes, **{**SWEEPS, "block_levels": 4}, renew_above=1e-4)
    assert np.abs(found.sample(mixture, 1, (0, 0), start=start)[0] - truth).max() > 0.1


def test_means_are_held_to_the_largest_amplitude(shapes: list[ShapesPrior]) -> None:
    mixture, _, start = shared_part((1 / 3, 1 / 3, 1 / 3))
    sampler = posteriors.build("particles", shapes, **SWEEPS, renew_above=1e-3, largest_amplitude=0.3)
    assert isinstance(sampler, Particles) and sampler.renewal is not None
    found = sampler.renewal.best(SharedGraphs(shapes), tf.constant(mixture), tf.constant(0.0 * start), SIGMA)
    assert np.abs(found).max() == pytest.approx(0.3)


def test_a_sine_and_a_triangle_in_unison_are_found() -> None:
    """A quarter of a period apart; at the start the triangle has the fundamental, the sine the third partial."""
    length, rate, pitches = 256, 16000, (440.0, 1320.0)
    each: list[Any] = []
    for kind in ("sine", "triangle"):
        prior: Any = priors.build(
            "wavetable", length=length, sample_rate=rate, num_pitches=2, table_size=1024, num_refined=2, num_rounds=2
        )
        prior.table.assign(oscillators.naive(kind, tf.range(1024, dtype=tf.float64) / 1024))
        prior.frequency.assign(pitches)
        prior.amplitude.assign([0.9, 0.06])
        prior.residual.assign(0.003)
        each.append(prior)

    def wave(kind: str, pitch: float, phase: float, level: float) -> tf.Tensor:
        return toy.render(kind, tf.constant([pitch]), tf.constant([phase]), tf.constant([level]), length, rate)

    truth = np.stack([wave("sine", 440.0, 0.1, 0.95), wave("triangle", 440.0, 0.35, 0.85)], axis=1)
    start = np.stack([wave("sine", 1320.0, 0.3, 0.9), wave("triangle", 440.0, 0.22, 0.95)], axis=1)
    truth, start = truth.astype(np.float32), start.astype(np.float32)
    found = renewed(each, truth.mean(axis=1), start, (0.5, 0.5))
    assert si_sdr(found, truth).min() > 15.0 > 10.0 > si_sdr(start, truth).max()


def test_priors_without_directions_are_refused(coin_priors: Callable[..., list[CoinPrior]]) -> None:
    each = [priors.build("gaussian", length=6, variances=1.0)] * 2
    with pytest.raises(InputError, match=r"renew_above\) under priors with directions, .* got 'gaussian'; set renew"):
        posteriors.build("particles", each, renew_above=0.01)
    with pytest.raises(InputError, match="prior 'coin' has no parameters along which a sound changes"):
        coin_priors((1.0,), 4)[0].directions(tf.zeros([1, 4, 1]), 0.1)
    with pytest.raises(InputError, match="prior 'coin' cannot be denoised beside other waves"):
        coin_priors((1.0,), 4)[0].denoise_beside(tf.zeros([1, 4, 1]), 0.1, tf.zeros([1, 1, 4, 1]))
