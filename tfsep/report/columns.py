"""Level curves and waveform outlines in a fixed number of columns, whatever the length of a sound."""

from __future__ import annotations

import numpy as np

SILENCE_DB = -200.0


def decibels(power: np.ndarray | float) -> np.ndarray:
    """Convert mean squares to levels in dB of full scale, at least -200."""
    return 10.0 * np.log10(np.maximum(np.asarray(power, np.float64), 10.0 ** (SILENCE_DB / 10.0)))


class Columns:
    """The division of a sound into columns.

    Args:
        frames: Samples of the sound, at least 1.
        most: Columns wanted; a shorter sound has one for each sample.
    """

    def __init__(self, frames: int, most: int) -> None:
        self.count = min(frames, most)
        self.edges = np.arange(self.count + 1, dtype=np.int64) * frames // self.count

    def of(self, start: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns that samples start..start + length - 1 touch, and the offset at which each begins."""
        first = int(np.searchsorted(self.edges, start, side="right")) - 1
        last = int(np.searchsorted(self.edges, start + length, side="left"))
        return np.arange(first, last), np.maximum(self.edges[first:last] - start, 0)


class LevelCurve:
    """The mean square of a sound in each column, over time and channels."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._energy = np.zeros(columns.count)
        self._channels = 1
        self.peak = 0.0

    def update(self, start: int, block: np.ndarray) -> None:
        """Add a block (channels, time) that begins at sample ``start``."""
        self._channels = len(block)
        touched, begins = self._columns.of(start, block.shape[1])
        energy = np.sum(np.square(block, dtype=np.float64), axis=0)
        self._energy[touched] += np.add.reduceat(energy, begins)
        self.peak = max(self.peak, float(np.max(np.abs(block), initial=0.0)))

    @property
    def power(self) -> np.ndarray:
        """Return the mean square in each column."""
        return self._energy / (np.diff(self._columns.edges) * self._channels)

    @property
    def total(self) -> float:
        """Return the mean square of the whole sound."""
        return float(self._energy.sum() / ((self._columns.edges[-1]) * self._channels))


class Outline:
    """The lowest and the highest sample of each column, over all channels."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.lowest = np.zeros(columns.count)
        self.highest = np.zeros(columns.count)

    def update(self, start: int, block: np.ndarray) -> None:
        """Add a block (channels, time) that begins at sample ``start`` and ends with the columns at the latest."""
        touched, begins = self._columns.of(start, block.shape[1])
        lowest, highest = block.min(axis=0), block.max(axis=0)
        self.lowest[touched] = np.minimum(self.lowest[touched], np.minimum.reduceat(lowest, begins))
        self.highest[touched] = np.maximum(self.highest[touched], np.maximum.reduceat(highest, begins))
