"""The pictures of a prior test, from its record alone: PNG files, and the same in TensorBoard with the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from tfsep.errors import JobError
from tfsep.evaluation import figures
from tfsep.evaluation.figures import Curve
from tfsep.prior_test.text import level

_SHOWN = 4


def write(record: Mapping[str, Any], folder: str | Path) -> list[Path]:
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
            for name in ("accuracy", "mean_auroc"):
                if record.get(name) is not None:
                    tf.summary.scalar(f"prior_test/{name}", record[name])
            for name, figure in pictures(record).items():
                figure.savefig(folder / f"{name}.png", dpi=80)
                tf.summary.image(f"prior_test/{name}", figures.pixels(figure)[tf.newaxis])
                paths.append(folder / f"{name}.png")
        events.close()
    except (OSError, tf.errors.OpError) as error:
        raise JobError(f"{folder} cannot be written: {getattr(error, 'strerror', None) or error}") from error
    return paths


def pictures(record: Mapping[str, Any]) -> dict[str, Any]:
    """{name: matplotlib figure} of what the record holds."""
    found = {}
    if record["log_prob"]:
        shown = {level(row["sigma"]): row["log_prob"] for row in record["by_sigma"][:: _every(record["by_sigma"])]}
        found["cross_likelihood"] = figures.matrices(shown, "nats per dimension, below the best of each column")
        found["histograms"] = figures.histograms(record["histograms"], "log-density in nats per dimension")
        found["accuracy"] = figures.curves(_accuracies(record), "sigma", "accuracy")
    if "published" in record:
        titles = {f"log-determinant x {each['weight']:g}": each for each in record["published"]["readings"]}
        matrices = {f"{title}: accuracy {each['accuracy']:.2f}": each["log_prob"] for title, each in titles.items()}
        found["published"] = figures.matrices(matrices, "value per dimension, below the best of each column")
    if "peakedness" in record:
        study = record["peakedness"]
        for path in ("line", "latent", "delay", "cents", "decibels"):
            panels = _paths(study, path)
            if panels:
                found[f"peakedness_{path}"] = figures.curves(panels, path, "nats per dimension")
        curvature = {
            name: Curve([point[0] for point in points], [point[1] for point in points], dashed=name == "ideal")
            for name, points in study["curvature"].items()
        }
        found["curvature"] = figures.curves({"largest curvature": curvature}, "sigma", "|eigenvalue| sigma^2", True)
    return found


def _every(rows: Sequence[Any]) -> int:
    """Which noise levels fit a picture: each, or each second."""
    return -(-len(rows) // _SHOWN)


def _accuracies(record: Mapping[str, Any]) -> dict[str, dict[str, Curve]]:
    """Accuracy against noise level, all sources and each; "no noise" has no place on the axis."""
    rows = [row for row in record["by_sigma"] if row["sigma"] is not None]
    sigmas = [row["sigma"] for row in rows]
    found = {"all": Curve(sigmas, [row["accuracy"] for row in rows])}
    for source in record["log_prob"]:
        found[source] = Curve(sigmas, [row["accuracy_per_source"][source] for row in rows])
    return {"argmax accuracy": found}


def _paths(study: Mapping[str, Any], path: str) -> dict[str, dict[str, Curve]]:
    """{source: {noise level: curve}}, the ideal prior's dashed, each less the greatest of its values."""
    found: dict[str, dict[str, Curve]] = {}
    for who in ("priors", "ideal"):
        for row in study.get(who, ()):
            values = row.get("paths", {}).get(path)
            if values is not None:
                name = level(row["sigma"]) + (", ideal" if who == "ideal" else "")
                top = max(values["nats"])
                curve = Curve(values["at"], [nats - top for nats in values["nats"]], dashed=who == "ideal")
                found.setdefault(row["source"], {})[name] = curve
    return found


def _settings(record: Mapping[str, Any]) -> dict[str, str | float]:
    """What distinguishes this test from others."""
    kinds = ", ".join(dict.fromkeys(record["kinds"].values()))
    names = ("model", "data", "domain", "seed", "num_examples")
    return {**{name: record[name] for name in names}, "kinds": kinds, "level": record["level"] or "as it is"}
