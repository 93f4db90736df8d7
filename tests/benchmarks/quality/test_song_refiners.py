"""What is done with the stems of songs: hypotheses, how one is chosen, cuts that overlap, and the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality import song_refiners
from tfsep import priors
from tfsep.errors import InputError
from tfsep.models import store

LENGTH = 5000


@pytest.fixture(scope="module")
def excerpts() -> song_refiners.Excerpts:
    """Two excerpts of two tones, the second of them silent in the second excerpt, and blurred stems."""
    time = np.arange(LENGTH) / 22050.0
    tones = np.stack([0.3 * np.sin(2.0 * np.pi * 220.0 * time), 0.2 * np.sin(2.0 * np.pi * 1500.0 * time)])
    sources = np.stack([tones, tones * [[1.0], [0.0]]]).astype(np.float32)
    mixture = sources.sum(axis=1)
    stems = 0.7 * sources + 0.3 * sources[:, ::-1]
    return song_refiners.Excerpts(mixture, sources, stems, song_refiners.rms(sources) > 1e-3)


def test_hypotheses_sum_to_the_mixture_and_sharpen_the_masks(excerpts: song_refiners.Excerpts) -> None:
    made = song_refiners.hypotheses(excerpts)
    assert made.shape == (len(song_refiners.EXPONENTS), 2, 2, LENGTH)
    np.testing.assert_allclose(made.sum(axis=2), np.stack([excerpts.mixture] * len(made)), atol=1e-4)
    errors = np.mean((made - excerpts.sources)[:, 0] ** 2, axis=(1, 2))
    assert (np.diff(errors) < 0.0).all()


def test_the_truth_chooses_the_sharpest(excerpts: song_refiners.Excerpts) -> None:
    stems = song_refiners.chosen_hypotheses(excerpts, None, 0.0)
    np.testing.assert_array_equal(stems[0], song_refiners.hypotheses(excerpts)[-1, 0])


def test_priors_choose_what_they_find_likeliest(excerpts: song_refiners.Excerpts) -> None:
    """A prior of silence wants the quietest of its stems, and outweighs one that does not care."""
    narrow = priors.build("gaussian", "wave", length=LENGTH, variances=1e-4)
    wide = priors.build("gaussian", "wave", length=LENGTH, variances=100.0)
    made = song_refiners.hypotheses(excerpts)
    stems = song_refiners.chosen_hypotheses(excerpts, [wide, narrow], 1e-3)
    quietest = np.argmin(np.mean(made[:, :, 1] ** 2, axis=-1), axis=0)
    np.testing.assert_array_equal(stems, made[quietest, np.arange(2)])


def test_only_sources_that_sound_are_scored(excerpts: song_refiners.Excerpts) -> None:
    found = song_refiners.gained(excerpts, excerpts.stems, ("low", "high"))
    assert found["per_source"]["high"] > 0.0
    silent = song_refiners.Excerpts(excerpts.mixture, excerpts.sources, excerpts.stems, excerpts.sounds & [True, False])
    assert song_refiners.gained(silent, excerpts.stems, ("low", "high"))["per_source"]["high"] is None


def test_cuts_overlap_to_whole_excerpts(excerpts: song_refiners.Excerpts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Priors of the variances of both tones leave stems that sum to the mixture everywhere."""

    def load_prior(folder: str, source: str) -> Any:
        return priors.build("gaussian", "wave", length=1024, variances={"low": 0.05, "high": 0.02}[source])

    monkeypatch.setattr(store, "load_prior", load_prior)
    rows = song_refiners.with_flows(["runs/some/model"], ("low", "high"), seed=0)
    assert list(rows) == [f"Jacobi updates by some from sigma {sigma:g}" for sigma in (0.02, 0.1)]
    for refine in rows.values():
        stems = refine(excerpts)
        assert stems.shape == excerpts.stems.shape
        np.testing.assert_allclose(stems.sum(axis=1), excerpts.mixture, atol=1e-3)


def test_the_table_has_the_best_first() -> None:
    record = {"songs": "here", "priors": "-", "excerpts": 2, "median": 1.0, "per_source": {"bass": None}}
    record |= {"cpu_seconds": 0.5}
    text = song_refiners.table([{**record, "row": "worse", "mean": 1.0}, {**record, "row": "better", "mean": 2.0}])
    assert text.index("better") < text.index("worse") and "bass -" in text
    assert song_refiners.folder_name("runs/mine/model") == "mine" == song_refiners.folder_name("data/mine")


def test_no_excerpts_and_silent_songs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert song_refiners.main([f"--songs={tmp_path}", "--num_excerpts=0"]) == 2
    assert "--num_excerpts must be at least 1, got 0" in capsys.readouterr().err
    with pytest.raises(InputError, match="has no track folders"):
        song_refiners.excerpts_of("songs", [str(tmp_path)], priors.build("gaussian", length=64, variances=1.0), 1, 0)
