"""Write the training curve as a file of JSON lines, and TensorBoard events.

TensorBoard receives scalars, audio, spectrogram pictures, histograms of weights and gradients, and
the configuration as text. Everything here runs outside the training graph. Gradient histograms show
AdamW's first moment, the running mean of about the last ten gradients, which needs no further
backward pass.
"""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfsep.atomic import write_text
from tfsep.training.trainer import Trainer

MAX_WAVEFORMS = 4
_FRAME = 512
_LOG = logging.getLogger(__name__)


class Curve:
    """A training curve: a JSON object a line, complete up to the newest checkpoint even after a kill."""

    def __init__(self, file: Path, step: int) -> None:
        """Open the curve of a training at ``step`` and drop the lines of later steps."""
        self._file = file
        self.rewind(step)

    def rewind(self, step: int) -> None:
        """Drop the lines of later steps, and a line cut short by a kill; warn where others cannot be read."""
        if not self._file.is_file():
            return
        lines, unreadable = read_curve(self._file)
        if unreadable:
            _LOG.warning("%s: %d lines cannot be read and are dropped", self._file, unreadable)
        write_text(self._file, "".join(json.dumps(line) + "\n" for line in lines if line["step"] <= step))

    def append(self, step: int, values: dict[str, float]) -> None:
        """Append one line; values that are not finite become null."""
        plain = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, **plain}) + "\n")


def read_curve(file: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the lines of a training curve that can be read, each with its ``step``, and how many cannot.

    A last line without an end is one that a kill cut short: it is neither.
    """
    found: list[dict[str, Any]] = []
    unreadable = 0
    *whole, _ = file.read_bytes().split(b"\n")
    for line in whole:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            values = None
        if isinstance(values, dict) and isinstance(values.get("step"), int):
            found.append(values)
        else:
            unreadable += 1
    return found, unreadable


def last_loss(file: Path) -> float:
    """Return the last mean loss of a training curve; NaN where that was not finite, 0 where there is none."""
    lines = read_curve(file)[0] if file.is_file() else []
    found = [line["loss"] for line in lines if "loss" in line]
    return math.nan if found and found[-1] is None else float(found[-1]) if found else 0.0


class Board:
    """A task's event file, created when something is first written."""

    def __init__(self, folder: Path, sample_rate: int) -> None:
        """Keep the folder of the event files and the rate of the waveforms in Hz."""
        self._folder = folder
        self._sample_rate = sample_rate
        self._writer: tf.summary.SummaryWriter | None = None

    def config(self, file: Path, step: int) -> None:
        """Write a gin configuration as text, if the file is there."""
        if file.is_file():
            indented = "".join(f"    {line}\n" for line in file.read_text(encoding="utf-8").splitlines())
            with self._open().as_default():
                tf.summary.text("config", indented, step=step)

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Write one number per name."""
        with self._open().as_default():
            for name, value in values.items():
                tf.summary.scalar(name, value, step=step)

    def histograms(self, trainer: Trainer, step: int) -> None:
        """Write the distributions of weights and of running mean gradients."""
        weights, moments = trainer.model.trainable_variables, trainer.mean_gradients()
        with self._open().as_default():
            for weight, moment in zip(weights, moments, strict=True):
                tf.summary.histogram(f"weights/{weight.path}", tf.convert_to_tensor(weight.value), step=step)
                tf.summary.histogram(f"gradients/{weight.path}", moment, step=step)

    def waveforms(self, previews: dict[str, NDArray[np.floating]], step: int) -> None:
        """Write the first few waveforms (num, time) of each name, in -1..1, as audio and spectrograms."""
        with self._open().as_default():
            for name, batch in previews.items():
                shown = np.asarray(batch, dtype=np.float32)[:MAX_WAVEFORMS]
                sound = np.clip(np.nan_to_num(shown), -1.0, 1.0)[..., np.newaxis]
                tf.summary.audio(name, sound, self._sample_rate, step=step, max_outputs=MAX_WAVEFORMS)
                picture = spectrogram_picture(shown, self._sample_rate)
                tf.summary.image(f"spectrogram/{name}", picture[np.newaxis], step=step)
        self._open().flush()

    def close(self) -> None:
        """End the event file."""
        if self._writer is not None:
            self._writer.close()

    def _open(self) -> tf.summary.SummaryWriter:
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._folder))
        return self._writer


def spectrogram_picture(waveforms: NDArray[np.float32], sample_rate: int) -> NDArray[np.uint8]:
    """Draw magnitude spectrograms (Hann, 512 samples, 80 dB range) side by side.

    Args:
        waveforms: (num, time), finite or not.
        sample_rate: in Hz.

    Returns:
        An RGB picture (height, width, 3).
    """
    num = waveforms.shape[0]
    figure = Figure(figsize=(3.0 * num, 2.4), dpi=80, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    for axes, waveform in zip(figure.subplots(1, num, squeeze=False)[0], waveforms, strict=True):
        padded = np.pad(np.nan_to_num(waveform), (0, max(0, _FRAME - waveform.size)))
        frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[:: _FRAME // 4]
        magnitude = np.abs(np.fft.rfft(frames * np.hanning(_FRAME), axis=-1)).T
        decibels = 20.0 * np.log10(np.maximum(magnitude, 1e-7))
        top = float(decibels.max())
        extent = (0.0, waveform.size / sample_rate, 0.0, sample_rate / 2000.0)
        axes.imshow(decibels, origin="lower", aspect="auto", vmin=top - 80.0, vmax=top, extent=extent)
        axes.set_xlabel("s")
        axes.set_ylabel("kHz")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
