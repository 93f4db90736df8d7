"""Encode the sound of a page: the first seconds of every signal as MP3 in base64, which every browser decodes.

MP3 has nine sample rates and at most two channels: other rates are raised to the next one (48 kHz
at most), and more than two channels become their mean. All signals of a page are encoded alike, so
that they stay synchronous.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import numpy as np

from tfsep.audio import files
from tfsep.audio.formats import MP3_RATES
from tfsep.audio.resample import StreamResampler


def playable_rate(sample_rate: int) -> int:
    """Return the rate in Hz at which a page plays sound of a rate: the same or the next higher one of MP3."""
    return next((rate for rate in MP3_RATES if rate >= sample_rate), MP3_RATES[-1])


class Excerpts:
    """Encode several signals in step: a context manager, after whose clean exit :meth:`encoded` returns them.

    Args:
        folder: An existing one, for temporary files.
        names: Of the signals.
        sample_rate: In Hz.
        channels: Of each signal.
    """

    def __init__(self, folder: Path, names: Iterable[str], sample_rate: int, channels: int) -> None:
        self._channels = channels if channels <= 2 else 1
        rate = playable_rate(sample_rate)
        self._paths = {name: folder / f"{number}.mp3" for number, name in enumerate(names)}
        self._writers = {
            name: files.Writer(path, rate, self._channels, format="mp3") for name, path in self._paths.items()
        }
        self._resamplers = {name: StreamResampler(sample_rate, rate, self._channels) for name in self._paths}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Excerpts:
        with contextlib.ExitStack() as stack:
            for writer in self._writers.values():
                stack.enter_context(writer)
            stack.push(self._flush)
            self._open = stack.pop_all()
        return self

    def write(self, blocks: dict[str, np.ndarray]) -> None:
        """Append a block (channels, time) to each signal."""
        for name, block in blocks.items():
            mixed = block if len(block) == self._channels else block.mean(axis=0, keepdims=True)
            self._writers[name].write(self._resamplers[name].push(mixed))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def _flush(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the last samples of the resamplers, unless there was an error, before the writers close."""
        if kind is None:
            nothing = np.zeros((self._channels, 0), np.float32)
            for name, writer in self._writers.items():
                writer.write(self._resamplers[name].push(nothing, last=True))

    def encoded(self, name: str) -> str:
        """Return the MP3 of one signal in base64."""
        return base64.b64encode(self._paths[name].read_bytes()).decode("ascii")
