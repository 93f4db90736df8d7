"""Songs of any length in flat memory: blocks in, aligned blocks of stems out, disk to disk.

The path of a block: soxr to the model's rate, segments, the posterior, crossfade, soxr back to the file's rate, and
there the exact projection onto the mixture, which has waited in a queue meanwhile. Two channels may be heard as mid and
side, and filtered together (stereo.py), between the two resamplers. So the stems sum to the mixture at
the file's own rate; what lies above the model's band goes to the stems that are heard just below (high_band.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tfsep.audio.resample import StreamResampler
from tfsep.separation import consistency, high_band, stereo
from tfsep.separation.segment_stream import Plan, Program, SegmentStream
from tfsep.separation.settings import EACH


class _Queue:
    """Samples (..., time) that wait for their counterparts."""

    def __init__(self, leading: tuple[int, ...]) -> None:
        self._held = np.zeros((*leading, 0), np.float32)

    def put(self, block: np.ndarray) -> None:
        self._held = np.concatenate([self._held, block], axis=-1)

    def take(self, length: int) -> np.ndarray:
        taken, self._held = self._held[..., :length], self._held[..., length:]
        return taken

    def __len__(self) -> int:
        return int(self._held.shape[-1])


def separate_blocks(
    program: Program, plan: Plan, blocks: Iterable[np.ndarray], sample_rate: int, channels: int, scale: Any = 1.0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Separate a stream at the rate of its file.

    Args:
        program: see :class:`SegmentStream`.
        plan: how the model is run.
        blocks: (channels, time) float32 blocks of any lengths.
        sample_rate: of the blocks, Hz.
        channels: of the blocks.
        scale: the model hears the blocks times this factor, one for all or (channels, 1), and its answer is divided
            by it.

    Yields:
        The mixture (channels, time) and its stems (num_samples, source, channels, time), float32: block after block,
        together exactly what came in. Summed over sources, the stems are the mixture.
    """
    leading = (*plan.stems_shape, channels)
    to_model = StreamResampler(sample_rate, plan.sample_rate, channels)
    segments = SegmentStream(program, plan, channels)
    to_file = StreamResampler(plan.sample_rate, sample_rate, math.prod(leading))
    mixture, stems = _Queue((channels,)), _Queue(leading)
    meter = None
    if high_band.reaches(plan.sample_rate, sample_rate):
        meter = high_band.HighBandShares(leading, plan.gains, plan.sample_rate, sample_rate)
    shares = _Queue(leading)
    turning = channels == 2 and plan.stereo != EACH

    def advance(block: np.ndarray, last: bool) -> None:
        heard = to_model.push(np.float32(scale) * block, last)
        separated = segments.push(stereo.turned(heard, 0) if turning else heard, last) / np.float32(scale)
        separated = stereo.turned(separated, 2) if turning else separated
        restored = to_file.push(separated.reshape(math.prod(leading), -1), last).reshape(*leading, -1)
        if last:
            missing = len(mixture) - len(stems) - restored.shape[-1]
            restored = np.concatenate([restored, np.zeros((*leading, max(0, missing)), np.float32)], axis=-1)
        stems.put(restored)
        if meter is not None:
            shares.put(meter.push(restored, last).astype(np.float32))

    def take(length: int) -> tuple[np.ndarray, np.ndarray]:
        known = shares.take(length) if meter is not None else None
        return _consistent(mixture.take(length), stems.take(length), plan.gains, known)

    for block in blocks:
        mixture.put(block)
        advance(block, last=False)
        ready = min(len(mixture), len(stems if meter is None else shares))
        if ready:
            yield take(ready)
    advance(np.zeros((channels, 0), np.float32), last=True)
    if len(mixture):
        yield take(len(mixture))


def _consistent(
    mixture: np.ndarray, stems: np.ndarray, gains: tuple[float, ...], shares: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Share what is left over of a block, in float64, where rounding is far below what float32 stems can hold.

    Without shares (num_samples, source, channels, time) the stems are projected.
    """
    stems = stems[..., : mixture.shape[-1]].astype(np.float64)
    if shares is None:
        projected = consistency.project_stems(mixture, np.moveaxis(stems, 1, 2), gains)
        return mixture, np.moveaxis(np.asarray(projected), 2, 1).astype(np.float32)
    left = mixture - stems.sum(axis=high_band.SOURCE_AXIS)
    weights = shares / shares.sum(axis=high_band.SOURCE_AXIS, keepdims=True, dtype=np.float64)
    return mixture, (stems + weights * left[:, np.newaxis]).astype(np.float32)
