"""Streams of blocks: parts of them, and several in step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tfsep.audio.blocks import side_by_side, trim
from tfsep.errors import JobError

SOUND = np.arange(40, dtype=np.float32).reshape(2, 20)


def pieces(*lengths: int) -> Iterator[np.ndarray]:
    ends = np.cumsum((0, *lengths))
    return (SOUND[:, first:last] for first, last in zip(ends[:-1], ends[1:], strict=True))


@pytest.mark.parametrize(("start", "frames"), [(0, 20), (0, 3), (7, 6), (5, 10), (19, 1), (12, 100)])
def test_a_part_does_not_depend_on_the_blocks(start: int, frames: int) -> None:
    for lengths in ((20,), (5, 5, 5, 5), (1, 6, 13)):
        part = np.concatenate(list(trim(pieces(*lengths), start, frames)), axis=1)
        np.testing.assert_array_equal(part, SOUND[:, start : start + frames])


def test_a_part_reads_no_further_than_its_end() -> None:
    blocks = pieces(5, 5, 5, 5)
    list(trim(blocks, 2, 3))
    assert next(blocks)[0, 0] == 5.0


def test_streams_in_step() -> None:
    together = list(side_by_side({"a": pieces(3, 17), "b": pieces(20)}, 18, 7))
    assert [block["a"].shape[1] for block in together] == [7, 7, 4]
    for name in ("a", "b"):
        np.testing.assert_array_equal(np.concatenate([block[name] for block in together], axis=1), SOUND[:, :18])


def test_a_stream_that_ends_early_is_named() -> None:
    with pytest.raises(JobError, match="20 samples are needed of b, got 12"):
        list(side_by_side({"a": pieces(20), "b": pieces(5, 7)}, 20, 8))
    with pytest.raises(ValueError, match="block_frames must be at least 1, got 0"):
        list(side_by_side({}, 20, 0))
