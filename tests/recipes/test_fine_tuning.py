"""Fine-tuning from one model folder into another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfsep import priors
from tfsep.data.toy import ToyData
from tfsep.errors import InputError
from tfsep.models.store import describe, load_prior, save_model
from tfsep.recipes.fine_tuning import fine_tune
from tfsep.training.task import FitSettings

PAIR = ("sine", "square")
GLOW: dict[str, Any] = {
    "kind": "glow", "domain": "wave", "length": 16, "squeeze": 4, "num_levels": 1, "num_steps": 1, "width": 4,
    "num_layers": 1, "sigma_range": (0.01, 1.0),
}  # fmt: skip
FIT = FitSettings(num_steps=2, batch_size=4, warmup_steps=0, checkpoint_every=2, preview_every=2, deterministic=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two untrained flows, and a third prior that has nothing to train."""
    folder = tmp_path_factory.mktemp("models")
    made = {source: (GLOW, priors.build(**GLOW)) for source in PAIR}
    save_model(folder / "flows", PAIR, 16000, 16, (0.5, 0.5), made)
    ideal = {source: ({"kind": "ideal_toy", "length": 16, "source": source, "num_phases": 2}, None) for source in PAIR}
    save_model(folder / "ideal", PAIR, 16000, 16, (0.5, 0.5), ideal)  # type: ignore[arg-type]
    return folder


@pytest.mark.slow
def test_priors_come_out_changed_and_alone(model: Path, tmp_path: Path) -> None:
    fine_tune(tmp_path, str(model / "flows"), ToyData(16000, sources=PAIR), FIT, weight=2.0)
    description = describe(tmp_path / "model")
    assert description["sources"] == list(PAIR) and description["gains"] == [0.5, 0.5]
    assert description["posteriors"] == [] and description["priors"]["sine"]["kind"] == "glow"
    for source in PAIR:
        before, after = (load_prior(folder, source).get_weights() for folder in (model / "flows", tmp_path / "model"))
        assert any(not np.array_equal(old, new) for old, new in zip(before, after, strict=True))
        assert all(np.isfinite(new).all() for new in after)
    curve = (tmp_path / "contrastive" / "curve.jsonl").read_text()
    assert "cross_entropy" in curve and "accuracy" in curve


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("ideal", ToyData(16000, sources=PAIR), "densities for all sources; .*ideal' has none for: sine, square"),
        ("flows", ToyData(16000), "must have the sources sine, square at 16000 Hz, got sine, sawtooth"),
        ("flows", ToyData(22050, sources=PAIR), "at 16000 Hz, got sine, square at 22050 Hz"),
    ],
)
def test_what_cannot_be_fine_tuned(model: Path, tmp_path: Path, name: str, data: ToyData, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        fine_tune(tmp_path / "run", str(model / name), data, FIT)
    assert not (tmp_path / "run").exists()
