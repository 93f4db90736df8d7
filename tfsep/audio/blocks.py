"""Streams of sound that come block by block: a part of one, and several side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from tfsep.errors import JobError


def cut(blocks: Iterable[np.ndarray], start: int, frames: int) -> Iterator[np.ndarray]:
    """The part of a stream of blocks (channels, time) that begins at sample `start` and is `frames` long.

    A stream that ends earlier gives what it has.
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
    """Read several streams in step, whatever the length of their own blocks.

    Args:
        streams: blocks (channels, time) by name.
        frames: samples wanted of each; what a stream has beyond is not looked at.
        block_frames: samples of a block that is handed out, at least 1.

    Yields:
        {name: (channels, block_frames)}; the last blocks are shorter where the length asks for it.

    Raises:
        JobError: a stream ends before `frames` samples.
        ValueError: blocks of fewer than one sample.
    """
    if block_frames < 1:
        raise ValueError(f"block_frames must be at least 1, got {block_frames}")
    iterators = {name: iter(blocks) for name, blocks in streams.items()}
    held: dict[str, np.ndarray] = {}
    for start in range(0, frames, block_frames):
        wanted = min(block_frames, frames - start)
        together = {}
        for name, iterator in iterators.items():
            pieces = [held[name]] if name in held else []
            count = sum(piece.shape[1] for piece in pieces)
            while count < wanted:
                piece = next(iterator, None)
                if piece is None:
                    raise JobError(f"{frames} samples are needed of {name}, got {start + count}")
                pieces.append(piece)
                count += piece.shape[1]
            joined = pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=1)
            together[name], held[name] = joined[:, :wanted], joined[:, wanted:]
        yield together
