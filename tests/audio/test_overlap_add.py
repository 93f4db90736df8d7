"""Split and join segments: weights that sum to one, at the edges too."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise
from tfsep.audio.overlap_add import SHAPES, join, num_segments, split, windows

HOPS = [100, 99, 75, 70, 50, 33, 25, 10, 1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("hop", HOPS)
def test_weights_sum_to_one(shape: str, hop: int) -> None:
    weights = windows(100, hop, shape)
    assert weights.shape == (100,) and np.all(weights > 0)
    total = np.zeros(100 + 300 * hop)
    for index in range(301):
        total[index * hop : index * hop + 100] += weights
    np.testing.assert_allclose(total[100:-100], 1.0, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("time", [1, 99, 100, 101, 777])
def test_joining_undoes_splitting(shape: str, hop: int, time: int) -> None:
    x = noise(2, 3, time)
    segments = split(x, 100, hop)
    assert segments.shape == (2, 3, num_segments(time, 100, hop), 100)
    y = join(segments, hop, time, shape)
    assert y.shape == x.shape
    np.testing.assert_allclose(y, x, atol=2e-6)


def test_the_weights_at_the_edges_sum_to_one() -> None:
    """Constant segments join to the same constant everywhere, the first and last sample included."""
    for hop in HOPS:
        np.testing.assert_allclose(join(np.ones((7, 100), np.float32), hop, 6 * hop + 100), 1.0, atol=1e-6)


def test_equal_hop_concatenates() -> None:
    segments = noise(2, 5, 64)
    np.testing.assert_array_equal(join(segments, 64, 320), segments.reshape(2, 320))
    np.testing.assert_array_equal(windows(64, 64, "hann"), np.ones(64))


def test_segments_are_slices_and_the_last_ends_with_the_signal() -> None:
    segments = split(np.arange(1.0, 12.0, dtype=np.float32), 6, 4).numpy()
    np.testing.assert_array_equal(segments, [[1, 2, 3, 4, 5, 6], [5, 6, 7, 8, 9, 10], [6, 7, 8, 9, 10, 11]])
    np.testing.assert_array_equal(split(np.array([1.0, 2.0], np.float32), 6, 4), [[1, 2, 0, 0, 0, 0]])


@pytest.mark.parametrize("hop", [6, 4])
def test_what_the_last_segment_repeats_is_left_out(hop: int) -> None:
    segments = split(np.arange(1.0, 12.0, dtype=np.float32), 6, hop).numpy()
    repeated = (len(segments) - 1) * hop + 6 - 11
    segments[-1, :repeated] = 100.0
    np.testing.assert_allclose(join(segments, hop, 11), np.arange(1.0, 12.0), atol=1e-6)


def test_every_segment_holds_a_sample() -> None:
    for time in range(1, 400):
        count = num_segments(time, 100, 30)
        assert (count - 1) * 30 + 100 >= time
        assert count == 1 or (count - 2) * 30 + 100 < time


def test_a_crossfade_is_straight() -> None:
    x = join(np.stack([np.zeros(8), np.ones(8)]).astype(np.float32), 4, 12).numpy()
    np.testing.assert_allclose(x, [0, 0, 0, 0, 1 / 8, 3 / 8, 5 / 8, 7 / 8, 1, 1, 1, 1], atol=1e-7)


@pytest.mark.parametrize("hop", [64, 48, 32, 20])
def test_it_compiles_and_differentiates_under_xla(hop: int) -> None:
    x = noise(2, 500)

    @tf.function(jit_compile=True)
    def value_and_gradient(signal: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(signal)
            joined = join(split(signal, 64, hop), hop, 500)
            value = tf.reduce_sum(joined * x)
        return joined, tape.gradient(value, signal)

    joined, gradient = value_and_gradient(tf.constant(x))
    np.testing.assert_allclose(joined, x, atol=2e-6)
    np.testing.assert_allclose(gradient, x, atol=4e-6)


@pytest.mark.parametrize("hop", [64, 48])
def test_one_trace_serves_all_lengths(hop: int) -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, None])])
    def both_ways(signal: tf.Tensor) -> tf.Tensor:
        return join(split(signal, 64, hop), hop, tf.shape(signal)[-1])

    for time in (1, 64, 65, 1000):
        x = noise(3, time)
        np.testing.assert_allclose(both_ways(x), x, atol=1e-6)
    assert both_ways.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("segment", "hop", "message"),
    [
        (0, 1, "segment must be at least 1 sample, got 0"),
        (64, 0, r"hop must lie in 1..segment = 1..64, got 0"),
        (64, 65, "got 65"),
    ],
)
def test_bad_settings_are_refused(segment: int, hop: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        windows(segment, hop)
    with pytest.raises(ValueError, match=message):
        split(noise(100), segment, hop)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 sample, got 0"):
        split(np.zeros((2, 0), np.float32), 64, 32)
    with pytest.raises(ValueError, match=r"length must lie in 129..160 for 4 segments, got 161"):
        join(noise(4, 64), 32, 161)
    with pytest.raises(ValueError, match="shape must be one of trapezoid, hann, got 'box'"):
        join(noise(4, 64), 32, 160, "box")
    with pytest.raises(ValueError, match=r"hop must lie in 1..segment = 1..64, got 65"):
        join(noise(4, 64), 65, 160)
