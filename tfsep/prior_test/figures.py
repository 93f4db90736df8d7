"""The pictures of a prior test, from its record alone: PNG files, and the same in TensorBoard with the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from tfsep.errors import JobError
from tfsep.evaluation import figures
from tfsep.evaluation.figures import Curve, Figure
from tfsep.prior_test.record import CrossLikelihood, CurvatureStudy, Record
from tfsep.prior_test.tables import noise_level

_SHOWN = 4


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
                tf.summary.image(f"prior_test/{name}", figures.pixels(figure)[tf.newaxis])
                paths.append(folder / f"{name}.png")
        events.close()
    except (OSError, tf.errors.OpError) as error:
        raise JobError(f"{folder} cannot be written: {getattr(error, 'strerror', None) or error}") from error
    return paths


def pictures(record: Record) -> dict[str, Figure]:
    """Draw what the record holds: {name: figure}."""
    found = {}
    if record["log_prob"]:
        found["cross_likelihood"] = figures.matrices(
            {noise_level(row["sigma"]): row["log_prob"] for row in _some(record["by_sigma"])},
            "nats per dimension, below the best of each column",
        )
        found["histograms"] = figures.histograms(record["histograms"], "log-density in nats per dimension")
        found["accuracy"] = figures.curves(_accuracies(record), "sigma", "accuracy")
    if "without_log_det" in record:
        matrices = {
            f"log-determinant x {each['weight']:g}: accuracy {each['accuracy']:.2f}": each["log_prob"]
            for each in record["without_log_det"]["by_weight"]
        }
        found["without_log_det"] = figures.matrices(matrices, "value per dimension, below the best of each column")
    if "curvature" in record:
        study = record["curvature"]
        for path in ("line", "latent", "delay", "cents", "decibels"):
            panels = _paths(study, path)
            if panels:
                found[f"path_{path}"] = figures.curves(panels, path, "nats per dimension")
        means = {
            name: Curve([point[0] for point in points], [point[1] for point in points], dashed=name == "ideal")
            for name, points in study["mean_curvature"].items()
        }
        found["curvature"] = figures.curves({"largest curvature": means}, "sigma", "|eigenvalue| sigma^2", True)
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
