"""A stream of segments gives what the whole waveform gives, however it arrives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfsep.errors import JobError
from tfsep.runtime.stateless_random import fold
from tfsep.separation import segments as segmenting
from tfsep.separation.separator import Separator
from tfsep.separation.stream import Plan, Program, SegmentStream

MakeSeparator = Callable[..., Separator]


def plan_of(separator: Separator, hop: int, num_samples: int = 1) -> Plan:
    return Plan(8000, separator.segment, hop, separator.gains, num_samples, separator.chunk_size(num_samples))


def program_of(separator: Separator, num_samples: int = 1, seed: int = 0) -> Program:
    def program(segments: np.ndarray, places: np.ndarray) -> np.ndarray:
        seeds = fold(tf.tile([[seed, 0]], [len(segments), 1]), tf.constant(places[:, 1]))
        return segmenting.separate_chunk(separator.model.posterior, segments, num_samples, seeds).numpy()

    return program


def streamed(stream: SegmentStream, waveform: np.ndarray, block: int) -> np.ndarray:
    pieces = [stream.push(waveform[:, start : start + block]) for start in range(0, waveform.shape[1], block)]
    return np.concatenate([*pieces, stream.push(waveform[:, :0], last=True)], axis=-1)


@pytest.mark.parametrize("block", [37, 512, 1000, 100000])
@pytest.mark.parametrize(("channels", "hop", "time"), [(1, 384, 6000), (3, 384, 6001), (2, 512, 512), (6, 200, 1)])
def test_stream_equals_the_graph(make_separator: MakeSeparator, block: int, channels: int, hop: int, time: int) -> None:
    separator = make_separator(noise=0.3)
    waveform = np.random.default_rng(1).uniform(-0.5, 0.5, (channels, time)).astype(np.float32)
    stream = SegmentStream(program_of(separator, 2, seed=5), plan_of(separator, hop, 2), channels)
    stems = np.moveaxis(streamed(stream, waveform, block), 1, 2)
    whole = segmenting.separate_waveform(separator.model.posterior, waveform, hop, num_samples=2, seed=(5, 0)).numpy()
    assert stems.shape == whole.shape
    share = np.array(separator.gains) ** 2 / np.sum(np.array(separator.gains) ** 2)
    projected = stems + share[:, None] * (waveform[:, None] - stems.sum(axis=2, keepdims=False)[:, :, None])
    np.testing.assert_allclose(projected, whole, atol=2e-6)


def test_memory_does_not_grow(make_separator: MakeSeparator) -> None:
    separator = make_separator()
    stream = SegmentStream(program_of(separator), plan_of(separator, 384), channels=2)
    block = np.ones((2, 700), np.float32)
    sizes = []
    for _ in range(100):
        stream.push(block)
        sizes.append(stream._waiting.size + 512 * (len(stream._rows) + 2 * len(stream._results)) + stream._sum.size)
    assert max(sizes) < 2 * max(sizes[:10])


def test_segments_are_full(make_separator: MakeSeparator) -> None:
    """No segment of a waveform that is longer than one holds zeros that the waveform has not."""
    separator, seen = make_separator(), []
    program = program_of(separator)

    def watched(segments: np.ndarray, places: np.ndarray) -> np.ndarray:
        seen.extend(row for row in segments if row.any())
        return program(segments, places)

    stream = SegmentStream(watched, plan_of(separator, 384), channels=1)
    stream.push(np.ones((1, 1300), np.float32), last=True)
    assert len(seen) == 4 and all((row == 1.0).all() for row in seen)


def test_an_empty_stream_ends_empty(make_separator: MakeSeparator) -> None:
    separator = make_separator()
    stream = SegmentStream(program_of(separator), plan_of(separator, 384), channels=2)
    assert stream.push(np.zeros((2, 0), np.float32), last=True).shape == (1, 2, 2, 0)


def test_a_model_that_breaks_down_is_an_error(make_separator: MakeSeparator) -> None:
    separator = make_separator(error=np.inf)
    stream = SegmentStream(program_of(separator), plan_of(separator, 384), channels=1)
    with pytest.raises(JobError, match="must be finite"):
        stream.push(np.ones((1, 5000), np.float32), last=True)
