"""A spectrogram of fixed size, computed block by block: columns of time, rows of pitch.

Frames of about 46 ms under a Hann window; a column shows the largest power of the frames in it, a
row that of the bins between its edges, which lie evenly on the mel scale. Powers are the mean over
channels, so that sound of opposite phase does not vanish; a sine of amplitude A shows A^2 / 2.
"""

from __future__ import annotations

import numpy as np

_FRAME_SECONDS = 0.046


class Spectrum:
    """The spectrogram of one sound.

    Args:
        frames: samples of the sound, at least 1.
        sample_rate: Hz.
        columns: wanted; a short sound has fewer.
        rows: rows of pitch, from 0 Hz to half the rate.
    """

    def __init__(self, frames: int, sample_rate: int, columns: int = 800, rows: int = 128) -> None:
        self._length = 1 << max(4, round(np.log2(_FRAME_SECONDS * sample_rate)))
        self._step = int(np.clip(frames // columns, self._length // 8, self._length // 2))
        self._num_frames = -(-frames // self._step)
        window = np.hanning(self._length + 1)[:-1]
        self._window = (window * np.sqrt(2.0) / window.sum()).astype(np.float32)
        mel = np.linspace(0.0, 2595.0 * np.log10(1.0 + sample_rate / 1400.0), rows + 1)[:-1]
        hertz = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
        self._bins = np.floor(hertz * self._length / sample_rate).astype(int)
        self.power = np.zeros((min(self._num_frames, columns), rows), np.float32)
        self._waiting = np.zeros((1, self._length // 2), np.float32)
        self._done = 0

    def update(self, block: np.ndarray) -> None:
        """Add the next block (channels, time)."""
        if len(self._waiting) != len(block):
            self._waiting = np.repeat(self._waiting[:1], len(block), axis=0)
        self._waiting = np.concatenate([self._waiting, block], axis=1)
        self._transform()

    def finish(self) -> np.ndarray:
        """Add the frames that reach beyond the end; return powers (column, row)."""
        missing = (self._num_frames - self._done - 1) * self._step + self._length - self._waiting.shape[1]
        self._waiting = np.pad(self._waiting, ((0, 0), (0, max(0, missing))))
        self._transform()
        return self.power

    def _transform(self) -> None:
        """Turn every complete frame of the waiting samples into power."""
        ready = min((self._waiting.shape[1] - self._length) // self._step + 1, self._num_frames - self._done)
        if ready < 1:
            return
        frames = np.lib.stride_tricks.sliding_window_view(self._waiting, self._length, axis=1)
        frames = frames[:, : ready * self._step : self._step]
        power = np.mean(np.abs(np.fft.rfft(frames * self._window)) ** 2, axis=0)
        rows = np.maximum.reduceat(power, self._bins, axis=1).astype(np.float32)
        columns = (self._done + np.arange(ready)) * len(self.power) // self._num_frames
        np.maximum.at(self.power, columns, rows)
        self._waiting = self._waiting[:, ready * self._step :]
        self._done += ready
