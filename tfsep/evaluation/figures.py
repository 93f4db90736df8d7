"""Pictures: separations as waveforms and spectrograms, and the matrices, histograms and curves of prior tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tfsep.audio.stft import stft

matplotlib.use("Agg")

_RANGE_DB = 70.0


def spectrogram_db(wave: np.ndarray, frame_length: int = 1024, frame_step: int = 256) -> np.ndarray:
    """Magnitudes of a wave (time,) in dB relative to full scale: (bin, frame)."""
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
    for place, (title, signals) in enumerate(columns.items()):
        rate = sample_rates[title]
        loudest = max(float(np.abs(wave).max()) for wave in signals.values())
        top = max(spectrogram_db(wave).max() for wave in signals.values())
        for row, (name, wave) in enumerate(signals.items()):
            seconds = len(wave) / rate
            left, right = grid[row, 2 * place], grid[row, 2 * place + 1]
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
        grid[0, 2 * place].set_title(title, loc="left", fontsize=12)
    figure.savefig(path, dpi=80)


@dataclass(frozen=True)
class Curve:
    """Values over positions; dashed for what others are compared with."""

    at: Sequence[float]
    values: Sequence[float]
    dashed: bool = False


def matrices(tables: Mapping[str, Mapping[str, Mapping[str, float]]], label: str) -> Figure:
    """Cross-likelihoods side by side, {title: {prior: {source: mean}}}: the numbers, coloured down each column.

    The colour is how far a prior lies below the best one of the column; the numbers are the means themselves.
    """
    figure = Figure(figsize=(0.8 + 3.4 * len(tables), 3.6), layout="constrained")
    for axes, (title, table) in zip(figure.subplots(1, len(tables), squeeze=False)[0], tables.items(), strict=True):
        priors, sources = list(table), list(next(iter(table.values())))
        values = np.array([[table[prior][source] for source in sources] for prior in priors])
        image = axes.imshow(values - values.max(axis=0), cmap="viridis", vmin=-2.0, vmax=0.0)
        for (row, column), value in np.ndenumerate(values):
            light = value - values[:, column].max() > -0.5
            colour = "black" if light else "white"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
        axes.set_xticks(range(len(sources)), sources, rotation=30)
        axes.set_yticks(range(len(priors)), priors)
        axes.set(title=title, xlabel="source", ylabel="prior")
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.8)
    bar.set_label(label, fontsize=7)
    return figure


def histograms(pairs: Mapping[str, Mapping[str, Any]], label: str) -> Figure:
    """One panel for each prior: {prior: {"edges": [...], "counts": {source: [...]}}}."""
    figure = Figure(figsize=(3.4 * len(pairs), 2.8), layout="constrained")
    for axes, (prior, found) in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs.items(), strict=True):
        for source, counts in found["counts"].items():
            own = source == prior
            axes.stairs(counts, found["edges"], label=source, fill=own, alpha=0.5 if own else 1.0)
        axes.set(title=f"prior of {prior}", xlabel=label, yticks=[])
        axes.legend(fontsize=7)
    return figure


def curves(panels: Mapping[str, Mapping[str, Curve]], across: str, up: str, logarithmic: bool = False) -> Figure:
    """One panel of curves for each title: {title: {name: curve}}; ``logarithmic`` is the vertical axis."""
    figure = Figure(figsize=(3.6 * len(panels), 3.2), layout="constrained")
    for axes, (title, found) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for name, curve in found.items():
            axes.plot(curve.at, curve.values, label=name, linestyle="--" if curve.dashed else "-", marker=".")
        axes.set(title=title, xlabel=across, ylabel=up, yscale="log" if logarithmic else "linear")
        if across == "sigma":
            axes.set_xscale("log")
        axes.legend(fontsize=7)
    return figure


def pixels(figure: Figure) -> np.ndarray:
    """A figure as an RGB picture: (height, width, 3) uint8."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
