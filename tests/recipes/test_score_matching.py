"""Score matching on the gradients of trained flows, from one model folder into another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import priors
from tfsep.cli import train
from tfsep.data.toy import ToyData
from tfsep.errors import InputError
from tfsep.models.store import describe, load_model, load_prior, save_model
from tfsep.recipes.score_matching import match_scores
from tfsep.training.task import FitSettings

PAIR = ("sine", "square")
GLOW: dict[str, Any] = {
    **{"kind": "glow", "domain": "wave", "length": 16, "squeeze": 4, "num_levels": 1, "num_steps": 1, "width": 4},
    **{"num_layers": 1, "sigma_range": (0.1, 1.0)},
}
GIBBS = {"kind": "gibbs", "largest_sigma": 1.0, "num_levels": 3}
FIT = FitSettings(num_steps=30, batch_size=16, warmup_steps=0, checkpoint_every=30, learning_rate=1e-2)


def saved(folder: Path, **changes: Any) -> str:
    entry = {**GLOW, **changes}
    made = {source: (entry, priors.build(**entry)) for source in PAIR}
    for _, prior in made.values():
        # A scale that is wrong: its gradient shrinks towards zero far too much.
        prior.data_std.assign(0.05)  # type: ignore[attr-defined]
    posteriors = [(GIBBS, None)] if changes.get("sigma_range", True) else []
    save_model(folder, PAIR, 16000, 16, (0.5, 0.5), made, posteriors, {"overlap": 0.5})
    return str(folder)


def error(folder: str | Path, source: str) -> float:
    clean = ToyData(16000, sources=PAIR).draw(source, 256, 16, (0, 77))[..., tf.newaxis]
    noise = np.random.default_rng(0).normal(size=clean.shape).astype(np.float32)
    return float(np.sqrt(np.mean((load_prior(folder, source).denoise(clean + 0.3 * noise, 0.3) - clean) ** 2)))


@pytest.mark.slow
def test_gradients_denoise_better_and_samplers_stay(tmp_path: Path) -> None:
    model = saved(tmp_path / "flows")
    match_scores(tmp_path / "run", model, ToyData(16000, sources=PAIR), FIT)
    matched = tmp_path / "run" / "model"
    for source in PAIR:
        assert error(matched, source) < 0.8 * error(model, source)
    assert describe(matched)["settings"] == {"overlap": 0.5}
    assert load_model(matched).posterior.kind == "gibbs"
    assert "log_error_wave" in (tmp_path / "run" / "sine" / "curve.jsonl").read_text()


@pytest.mark.parametrize(
    ("changes", "data", "complaint"),
    [
        ({"sigma_range": None}, {"sources": PAIR}, "noise-conditional flows, its prior of 'sine' is glow .* clean"),
        ({"recompute": "inverse"}, {"sources": PAIR}, "recompute = 'none'; the prior of 'sine' has 'inverse'"),
        ({}, {}, "must have the sources sine, square at 16000 Hz, got sine, sawtooth"),
    ],
)
def test_what_cannot_be_trained_so(
    tmp_path: Path, changes: dict[str, Any], data: dict[str, Any], complaint: str
) -> None:
    model = saved(tmp_path / "flows", **changes)
    with pytest.raises(InputError, match=complaint):
        match_scores(tmp_path / "run", model, ToyData(16000, **data), FIT)
    assert not (tmp_path / "run").exists()


def test_a_gin_file_matches_scores(tmp_path: Path) -> None:
    model = saved(tmp_path / "flows")
    settings = {
        "match_scores.model": repr(model),
        "toy.sources": "('sine', 'square')",
        "matching/fit.num_steps": "2",
        "matching/fit.checkpoint_every": "2",
    }
    given = [f"--gin_param={name}={value}" for name, value in settings.items()]
    code = train.main(["--gin_file=gin/score_matched_wave.gin", f"--save_dir={tmp_path / 'run'}", *given])
    assert code == 0 and describe(tmp_path / "run" / "model")["sources"] == list(PAIR)
