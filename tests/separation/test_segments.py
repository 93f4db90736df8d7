"""Segments, chunks and crossfades must not show in the stems."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfsep.separation import segments as segmenting
from tfsep.separation.separator import Separator

MakeSeparator = Callable[..., Separator]


def wave(batch: int, time: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (batch, time)).astype(np.float32)


@pytest.mark.parametrize("time", [1, 100, 512, 513, 5000])
@pytest.mark.parametrize("hop", [512, 384, 100])
def test_stems_sum_to_the_mixture_at_any_length(make_separator: MakeSeparator, time: int, hop: int) -> None:
    posterior = make_separator(error=0.3).model.posterior
    mixture = wave(2, time)
    stems = segmenting.separate_waveform(posterior, mixture, hop, num_samples=2).numpy()
    assert stems.shape == (2, 2, 2, time)
    np.testing.assert_allclose(stems.sum(axis=2), np.stack([mixture, mixture]), atol=2e-6)


def test_a_known_split_is_found(make_separator: MakeSeparator) -> None:
    posterior = make_separator().model.posterior
    time = np.arange(4000) / 8000
    low, high = 0.5 * np.sin(2 * np.pi * 125 * time), 0.3 * np.sin(2 * np.pi * 3000 * time)
    stems = segmenting.separate_waveform(posterior, np.float32(low + high)[np.newaxis], 384).numpy()[0, 0]
    middle = slice(512, -512)
    np.testing.assert_allclose(stems[0, middle], low[middle], atol=0.02)
    np.testing.assert_allclose(stems[1, middle], high[middle], atol=0.02)


def test_silence_stays_silent_beside_sound(make_separator: MakeSeparator) -> None:
    posterior = make_separator(noise=1.0, error=0.5).model.posterior
    mixture = np.concatenate([np.zeros((1, 3000), np.float32), wave(1, 3000)])
    stems = segmenting.separate_waveform(posterior, mixture, 512).numpy()
    assert not stems[:, 0].any()
    assert stems[:, 1].any() and np.isfinite(stems).all()


def test_one_graph_serves_all_lengths_and_batches(make_separator: MakeSeparator) -> None:
    posterior = make_separator(noise=0.1).model.posterior
    signature = [tf.TensorSpec([None, None], tf.float32)]
    compiled = tf.function(
        lambda mixture: segmenting.separate_waveform(posterior, mixture, 384, seed=(3, 4)), input_signature=signature
    )
    for batch, time in ((1, 1), (3, 700), (2, 6000)):
        mixture = wave(batch, time)
        eager = segmenting.separate_waveform(posterior, mixture, 384, seed=(3, 4))
        np.testing.assert_allclose(compiled(mixture), eager, atol=1e-5)
    assert compiled.experimental_get_tracing_count() == 1


def test_the_seed_decides_and_chunks_differ(make_separator: MakeSeparator) -> None:
    posterior = make_separator(noise=1.0).model.posterior
    mixture = np.tile(wave(1, 512), (1, 16))

    def stems(seed: tuple[int, int]) -> np.ndarray:
        return segmenting.separate_waveform(posterior, mixture, 512, seed=seed).numpy()[0, 0, 0].reshape(16, 512)

    np.testing.assert_array_equal(stems((1, 0)), stems((1, 0)))
    assert np.abs(stems((1, 0)) - stems((2, 0))).max() > 0.1
    assert np.abs(stems((1, 0))[0] - stems((1, 0))[8]).max() > 0.1


@pytest.mark.parametrize(
    ("segments", "most", "size"), [(0.2, 8, 1), (1.0, 8, 1), (3.9, 8, 2), (99.0, 8, 8), (99.0, 256, 64)]
)
def test_as_many_segments_go_together_as_a_budget_holds(segments: float, most: int, size: int) -> None:
    assert segmenting.chunk_within(segments, most) == size


def test_chunk_sizes_are_powers_of_two() -> None:
    assert segmenting.chunk_sizes(8) == (1, 2, 4, 8)
    assert segmenting.chunk_sizes(1) == (1,)
    for wrong in (0, 3, -2):
        with pytest.raises(ValueError, match=f"power of two, got {wrong}"):
            segmenting.chunk_sizes(wrong)


def test_default_hop() -> None:
    assert segmenting.default_hop(1000) == 750
    assert segmenting.default_hop(1000, 0.0) == 1000
    assert segmenting.default_hop(1, 0.9) == 1
    with pytest.raises(ValueError, match=r"0\.\.0\.9 of a segment, got 1\.0"):
        segmenting.default_hop(1000, 1.0)
