"""Pictures of a prior test: one PNG for each part of the record, and the same in TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfsep.errors import JobError
from tfsep.prior_test import figures

PAIR = ("sine", "square")


def matrix(off: float) -> dict[str, dict[str, float]]:
    return {prior: {source: 0.0 if prior == source else off for source in PAIR} for prior in PAIR}


def row(sigma: float | None) -> dict[str, Any]:
    shares = dict.fromkeys(PAIR, 0.5)
    return {"sigma": sigma, "log_prob": matrix(-1.0), "accuracy": 0.5, "accuracy_per_source": shares}


def record() -> dict[str, Any]:
    """Make a record with two noise levels and two studies, as short as it can be."""
    path = {"at": [0.0, 1.0], "nats": [1.0, 2.0]}
    rows = [{"source": "sine", "sigma": 0.1, "curvature": 3.0, "paths": {"line": path, "delay": path}}]
    return {
        "model": "m", "data": "toy", "domain": "wave", "seed": 0, "num_examples": 2, "level": None, "sigma": 0.1,
        "kinds": dict.fromkeys(PAIR, "glow"), "accuracy": 0.5, "mean_auroc": None, **row(0.1),
        "by_sigma": [row(None), row(0.1), row(0.2)],
        "histograms": {p: {"edges": [0.0, 1.0, 2.0], "counts": dict.fromkeys(PAIR, [1, 1])} for p in PAIR},
        "heat_residual": {p: [[0.1, -0.1, 0.2], [0.5, -0.2, -0.2]] for p in PAIR},
        "without_log_det": {"by_weight": [{"weight": w, "accuracy": 0.5, "log_prob": matrix(w)} for w in (0, 1)]},
        "curvature": {"priors": rows, "ideal": rows, "mean_curvature": {"priors": [[0.1, 3.0]], "ideal": [[0.1, 1.0]]}},
    }  # fmt: skip


def test_every_part_is_drawn(tmp_path: Path) -> None:
    paths = figures.write(record(), tmp_path / "new")
    names = {path.stem for path in paths}
    assert names == {
        "cross_likelihood", "histograms", "accuracy", "heat_equation", "without_log_det", "path_line", "path_delay",
        "curvature",
    }  # fmt: skip
    assert all(path.read_bytes()[:4] == b"\x89PNG" and path.stat().st_size > 4000 for path in paths)
    events = EventAccumulator(str(tmp_path / "new"))
    events.Reload()
    assert {f"prior_test/{name}" for name in names | {"accuracy"}} <= set(events.Tags()["tensors"])
    assert any("hparams" in tag for tag in events.summary_metadata)


def test_paths_are_drawn_below_their_top() -> None:
    (panel,) = figures._paths(record()["curvature"], "line").values()
    assert [(name, list(curve.values), curve.dashed) for name, curve in panel.items()] == [
        ("sigma 0.1", [-1.0, 0.0], False),
        ("sigma 0.1, ideal", [-1.0, 0.0], True),
    ]


def test_both_sides_of_the_heat_equation_are_drawn() -> None:
    panel = figures._sides(record())["prior of square"]
    assert [(list(curve.at), list(curve.values), curve.dashed) for curve in panel.values()] == [
        ([0.1, 0.5], [-0.1, -0.2], False),
        ([0.1, 0.5], [0.2, -0.2], True),
    ]


def test_priors_without_density_and_studies_leave_nothing_to_draw(tmp_path: Path) -> None:
    bare = {name: value for name, value in record().items() if name not in ("without_log_det", "curvature")}
    assert figures.write({**bare, "log_prob": {}, "heat_residual": {}}, tmp_path) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JobError, match="file/below cannot be written"):
        figures.write(record(), tmp_path / "file" / "below")
