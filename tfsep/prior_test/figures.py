"""The pictures of a prior test, from its record alone: PNG files, and the same in TensorBoard with the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import tensorflow as tf
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tensorboard.plugins.hparams import api as hparams

from tfsep.errors import JobError
from tfsep.prior_test.record import CrossLikelihood, CurvatureStudy, Histogram, Means, Record
from tfsep.prior_test.tables import noise_level

matplotlib.use("Agg")

_SHOWN = 4


@dataclass(frozen=True)
class Curve:
    """Values over positions; dashed for what others are compared with."""

    at: Sequence[float]
    values: Sequence[float]
    dashed: bool = False


def write(record: Record, folder: str | Path) -> list[Path]:
    """Draw a record of :func:`tfsep.prior_test.run.run` into a folder; returns the PNG files.

    Raises:
        JobError: if the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        events = tf.summary.create_file_writer(str(folder))
        with events.as_default(step=0):
            hparams.hparams(_settings(record))
            for name, share in (("accuracy", record.get("accuracy")), ("mean_auroc", record.get("mean_auroc"))):
                if share is not None:
                    tf.summary.scalar(f"prior_test/{name}", share)
            for name, figure in pictures(record).items():
                figure.savefig(folder / f"{name}.png", dpi=80)
                tf.summary.image(f"prior_test/{name}", pixels(figure)[tf.newaxis])
                paths.append(folder / f"{name}.png")
        events.close()
    except (OSError, tf.errors.OpError) as error:
        raise JobError(f"{folder} cannot be written: {getattr(error, 'strerror', None) or error}") from error
    return paths


def pictures(record: Record) -> dict[str, Figure]:
    """Draw what the record holds: {name: figure}."""
    found = {}
    if record["log_prob"]:
        found["cross_likelihood"] = matrices(
            {noise_level(row["sigma"]): row["log_prob"] for row in _some(record["by_sigma"])},
            "nats per dimension, below the best of each column",
        )
        found["histograms"] = histograms(record["histograms"], "log-density in nats per dimension")
        found["accuracy"] = curves(_accuracies(record), "sigma", "accuracy")
    if record.get("heat_residual"):
        found["heat_equation"] = curves(_sides(record), "sigma", "nats per dimension, times sigma^2")
    if "without_log_det" in record:
        by_weight = {
            f"log-determinant x {each['weight']:g}: accuracy {each['accuracy']:.2f}": each["log_prob"]
            for each in record["without_log_det"]["by_weight"]
        }
        found["without_log_det"] = matrices(by_weight, "value per dimension, below the best of each column")
    if "curvature" in record:
        study = record["curvature"]
        for path in ("line", "latent", "delay", "cents", "decibels"):
            panels = _paths(study, path)
            if panels:
                found[f"path_{path}"] = curves(panels, path, "nats per dimension")
        means = {
            name: Curve([point[0] for point in points], [point[1] for point in points], dashed=name == "ideal")
            for name, points in study["mean_curvature"].items()
        }
        found["curvature"] = curves({"largest curvature": means}, "sigma", "|eigenvalue| sigma^2", True)
    return found


def _some(rows: Sequence[CrossLikelihood]) -> Sequence[CrossLikelihood]:
    """Thin noise levels out evenly until they fit a picture."""
    return rows[:: -(-len(rows) // _SHOWN)]


def _accuracies(record: Record) -> dict[str, dict[str, Curve]]:
    """Give accuracy against noise level, of all sources and of each; "no noise" has no place on the axis."""
    rows = [(row["sigma"], row) for row in record["by_sigma"] if row["sigma"] is not None]
    sigmas = [sigma for sigma, _ in rows]
    found = {"all": Curve(sigmas, [row["accuracy"] for _, row in rows])}
    for source in record["log_prob"]:
        found[source] = Curve(sigmas, [row["accuracy_per_source"][source] for _, row in rows])
    return {"argmax accuracy": found}


def _sides(record: Record) -> dict[str, dict[str, Curve]]:
    """Give both sides of the heat equation against noise level, a panel for each prior; they meet where it holds."""
    found = {}
    for prior, rows in record["heat_residual"].items():
        sigmas, left, right = ([row[column] for row in rows] for column in range(3))
        found[f"prior of {prior}"] = {
            "change with the noise": Curve(sigmas, left),
            "asked by its shape": Curve(sigmas, right, dashed=True),
        }
    return found


def _paths(study: CurvatureStudy, path: str) -> dict[str, dict[str, Curve]]:
    """Give {source: {noise level: curve}}, the ideal prior's dashed, each less the greatest of its values."""
    found: dict[str, dict[str, Curve]] = {}
    for ideal, rows in ((False, study["priors"]), (True, study.get("ideal", []))):
        for row in rows:
            values = row.get("paths", {}).get(path)
            if values is not None:
                name = noise_level(row["sigma"]) + (", ideal" if ideal else "")
                top = max(values["nats"])
                curve = Curve(values["at"], [nats - top for nats in values["nats"]], dashed=ideal)
                found.setdefault(row["source"], {})[name] = curve
    return found


def _settings(record: Record) -> Mapping[str, str | float]:
    """Collect what distinguishes this test from others."""
    return {
        "model": record["model"],
        "data": record["data"],
        "domain": record["domain"],
        "seed": record["seed"],
        "num_examples": record["num_examples"],
        "kinds": ", ".join(dict.fromkeys(record["kinds"].values())),
        "level": record["level"] or "as it is",
    }


def matrices(tables: Mapping[str, Means], label: str) -> Figure:
    """Draw cross-likelihoods side by side, {title: {prior: {source: mean}}}: the numbers, coloured down each column.

    The colour is how far a prior lies below the best one of the column; the numbers are the means
    themselves.
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


def histograms(pairs: Mapping[str, Histogram], label: str) -> Figure:
    """Draw one panel of histograms for each prior."""
    figure = Figure(figsize=(3.4 * len(pairs), 2.8), layout="constrained")
    for axes, (prior, found) in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs.items(), strict=True):
        for source, counts in found["counts"].items():
            own = source == prior
            axes.stairs(counts, found["edges"], label=source, fill=own, alpha=0.5 if own else 1.0)
        axes.set(title=f"prior of {prior}", xlabel=label, yticks=[])
        axes.legend(fontsize=7)
    return figure


def curves(panels: Mapping[str, Mapping[str, Curve]], across: str, up: str, logarithmic: bool = False) -> Figure:
    """Draw one panel of curves for each title: {title: {name: curve}}; ``logarithmic`` is the vertical axis."""
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
    """Render a figure as an RGB picture: (height, width, 3) uint8."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
