"""Streams of sound that come block by block: a part of one stream, and several read in step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from tfsep.errors import JobError


def trim(blocks: Iterable[np.ndarray], start: int, frames: int) -> Iterator[np.ndarray]:
    """Yield the part of a stream of blocks (channels, time) that begins at sample ``start``.

    Args:
        blocks: (channels, time) each, of any length.
        start: First sample wanted, at least 0.
        frames: Samples wanted; a stream that ends earlier gives what it has.
    """
    position = 0
    for block in blocks:
        first, last = max(0, start - position), min(block.shape[1], start + frames - position)
        position += block.shape[1]
        if first < last:
            yield block[:, first:last]
        if position >= start + frames:
            return


def side_by_side(
    streams: Mapping[str, Iterable[np.ndarray]], frames: int, block_frames: int
) -> Iterator[dict[str, np.ndarray]]:
    """Yield blocks of several streams in step, whatever the length of their own blocks.

    Args:
        streams: Blocks (channels, time) by name.
        frames: Samples wanted of each; what a stream has beyond is ignored.
        block_frames: Samples of a block that is yielded, at least 1.

    Yields:
        {name: (channels, block_frames)}; the last blocks are shorter where the length asks for it.

    Raises:
        JobError: if a stream ends before ``frames`` samples.
        ValueError: for blocks of fewer than one sample.
    """
    if block_frames < 1:
        raise ValueError(f"block_frames must be at least 1, got {block_frames}")
    iterators = {name: iter(blocks) for name, blocks in streams.items()}
    waiting: dict[str, np.ndarray] = {}
    for start in range(0, frames, block_frames):
        wanted = min(block_frames, frames - start)
        together = {}
        for name, iterator in iterators.items():
            pieces = [waiting[name]] if name in waiting else []
            count = sum(piece.shape[1] for piece in pieces)
            while count < wanted:
                piece = next(iterator, None)
                if piece is None:
                    raise JobError(f"{frames} samples are needed of {name}, got {start + count}")
                pieces.append(piece)
                count += piece.shape[1]
            joined = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)
            together[name], waiting[name] = joined[:, :wanted], joined[:, wanted:]
        yield together
