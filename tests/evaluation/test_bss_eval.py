"""BSS Eval over several tracks: medians, silent sources, and the lines of bin/evaluate."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np
import pytest

from tfsep.errors import InputError
from tfsep.evaluation import separation
from tfsep.evaluation.mixtures import Batch
from tfsep.evaluation.separation import BssEvalTable, EvaluationSettings
from tfsep.metrics.bss_eval import bss_eval

pytestmark = pytest.mark.programs

RATE = 8000
needs_museval = pytest.mark.skipif(
    importlib.util.find_spec("museval") is None, reason="needs museval (pip install 'tfsep[eval]')"
)


def song(seed: int, channels: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """References (channel, source, time) and estimates with a tenth of each other in them."""
    references = np.random.default_rng(seed).standard_normal((channels, 2, 3 * RATE)).astype(np.float32)
    return references, references + 0.1 * (seed + 1) * references[:, ::-1]


@needs_museval
@pytest.mark.slow
def test_a_song_is_measured_with_its_channels_together_and_tracks_by_their_median() -> None:
    table, single = BssEvalTable(), []
    for seed in range(3):
        references, estimates = song(seed)
        table.add(estimates, Batch(references.sum(axis=1), references, RATE, song=True))
        single.append(bss_eval(np.moveaxis(estimates, 0, 1), np.moveaxis(references, 0, 1), RATE)["sdr"])
    found = table.record(("a", "b"))
    np.testing.assert_allclose(list(found["model"]["sdr"].values()), np.median(single, axis=0))
    assert found["model"]["sdr"]["a"] > 10.0 > 5.0 > found["mixture"]["sdr"]["a"]
    text = separation.bss_eval_text(found)
    assert text.splitlines()[0].startswith("BSS Eval SDR, median of tracks (of the mixture): a ")


@needs_museval
def test_mixtures_of_one_channel_are_tracks_of_their_own_and_silence_has_no_metric() -> None:
    references, estimates = song(0)
    references[:, 1] = 0.0
    table = BssEvalTable()
    table.add(estimates, Batch(references.sum(axis=1), references, RATE, song=False))
    found = table.record(("a", "b"))
    assert found["model"]["sdr"]["b"] is None and found["model"]["sdr"]["a"] is not None
    assert "b - (-)" in separation.bss_eval_text(found)


@needs_museval
def test_evaluate_records_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    references, estimates = song(1)
    batch = Batch(references.sum(axis=1), references, RATE, song=True)
    monkeypatch.setattr(separation, "separate", lambda *_: estimates)

    class Named:
        name, sources = "named", ("a", "b")

    separate: Callable[..., dict] = separation.evaluate
    record = separate(Named(), EvaluationSettings("songs", bss_eval=True), [batch])
    assert set(record["bss_eval"]) == {"model", "mixture"}
    assert "BSS Eval SIR" in separation.as_text(record)
    assert "bss_eval" not in separate(Named(), EvaluationSettings("songs"), [batch])


def test_without_museval_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separation.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="needs the package museval"):
        BssEvalTable()
