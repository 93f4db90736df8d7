"""Separations as pictures: waveforms and spectrograms side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from tfsep.audio.stft import stft

matplotlib.use("Agg")

_RANGE_DB = 70.0


def spectrogram_db(wave: np.ndarray, frame_length: int = 1024, frame_step: int = 256) -> np.ndarray:
    """Compute magnitudes of a wave (time,) in dB relative to full scale: (bin, frame)."""
    spectrum = stft(tf.constant(wave[np.newaxis], tf.float32), frame_length, frame_step)[0]
    return 20.0 * np.log10(np.abs(spectrum.numpy()).T * (4.0 / frame_length) + 1e-9)


def separation_picture(
    columns: Mapping[str, Mapping[str, np.ndarray]], sample_rates: Mapping[str, int], path: str | Path
) -> None:
    """Draw separations side by side: one pair of columns (waveform, spectrogram) each, one row per signal.

    Args:
        columns: {title: {name: wave (time,)}}, the mixture first.
        sample_rates: {title: Hz}.
        path: of the PNG.
    """
    rows = max(len(signals) for signals in columns.values())
    figure = Figure(figsize=(7.0 * len(columns), 1.5 * rows), layout="constrained")
    grid = figure.subplots(rows, 2 * len(columns), squeeze=False, width_ratios=[2, 3] * len(columns))
    for index, (title, signals) in enumerate(columns.items()):
        rate = sample_rates[title]
        loudest = max(float(np.abs(wave).max()) for wave in signals.values())
        top = max(spectrogram_db(wave).max() for wave in signals.values())
        for row, (name, wave) in enumerate(signals.items()):
            seconds = len(wave) / rate
            left, right = grid[row, 2 * index], grid[row, 2 * index + 1]
            left.plot(np.arange(len(wave)) / rate, wave, linewidth=0.4, color="black" if row == 0 else f"C{row}")
            left.set(ylim=(-1.05 * loudest, 1.05 * loudest), xlim=(0.0, seconds), yticks=[])
            left.set_ylabel(name, fontsize=11)
            extent = (0.0, seconds, 0.0, rate / 2000.0)
            levels = {"vmin": top - _RANGE_DB, "vmax": top, "cmap": "magma"}
            right.imshow(spectrogram_db(wave), origin="lower", aspect="auto", extent=extent, **levels)
            right.set_ylabel("kHz")
            last = row == len(signals) - 1
            for axes in (left, right):
                axes.tick_params(labelbottom=last, labelsize=8)
                axes.set_xlabel("s" if last else "")
        grid[0, 2 * index].set_title(title, loc="left", fontsize=12)
    figure.savefig(path, dpi=80)
