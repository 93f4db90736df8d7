"""Isolated excerpts: held out, audible, at one loudness, of toys and of folders."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tfsep.audio import files
from tfsep.data import toy
from tfsep.errors import InputError
from tfsep.evaluation import excerpts
from tfsep.evaluation.excerpts import IsolatedExcerpts

LENGTH, RATE = 64, 16000
PAIR = ("sine", "square")


@pytest.fixture(scope="module")
def data() -> IsolatedExcerpts:
    return excerpts.toy_excerpts(PAIR, RATE, LENGTH, 3, free=False)


def test_excerpts_are_held_out_and_do_not_depend_on_their_number(data: IsolatedExcerpts) -> None:
    held_out = data.excerpts("sine", 70)
    assert held_out.shape == (70, LENGTH) and len(np.unique(held_out[:, 7])) > 60
    np.testing.assert_array_equal(held_out[:5], data.excerpts("sine", 5))
    training = data.excerpts("sine", 64, "training")
    np.testing.assert_array_equal(training, toy.ToyData(RATE, sources=PAIR).draw("sine", 64, LENGTH, (3, 0)))
    assert not (training[:, np.newaxis] == held_out).all(-1).any()
    loud = replace(data, level=0.2).excerpts("square", 4)
    np.testing.assert_allclose(excerpts.rms(loud), 0.2, rtol=1e-5)
    assert data.mean_level(64) == pytest.approx(np.sqrt((0.5 + 1.0) / 2) * 0.9, rel=0.1)


def test_a_shifted_excerpt_is_higher_by_half_a_semitone(data: IsolatedExcerpts) -> None:
    longer = replace(data, length=8000)
    plain, shifted = longer.excerpts("sine", 3), next(longer.shifted("sine", 3, 50.0))
    assert shifted.shape == plain.shape
    for before, after in zip(plain, shifted, strict=True):
        peaks = [np.abs(np.fft.rfft(wave * np.hanning(8000), 2**18)).argmax() for wave in (before, after)]
        assert peaks[1] / peaks[0] == pytest.approx(2 ** (50 / 1200), rel=1e-3)


def test_a_track_of_a_split_is_held_out_from_it(tmp_path: Path) -> None:
    for track, level in (("one", 0.1), ("two", 0.2)):
        with files.Writer(tmp_path / "train" / track / "bass.wav", 8000, 1) as writer:
            writer.write(np.full((1, 8000), level, np.float32) * np.where(np.arange(8000) < 4000, 1.0, 0.1 + level))
    splits = {"split": "train", "training_split": "train"}
    whole = excerpts.folder_excerpts(tmp_path, ("bass",), 8000, 100, 1, **splits)
    assert whole.training is whole.held_out
    data = excerpts.folder_excerpts(tmp_path, ("bass",), 8000, 100, 1, **splits, tracks=("two",))
    for split, level in ((excerpts.HELD_OUT, 0.3), (excerpts.TRAINING, 0.2)):
        found = np.abs(data.excerpts("bass", 64, split)).min()
        assert found == pytest.approx(0.1 * level / np.sqrt((1 + level**2) / 2), rel=1e-2)


def test_excerpts_of_a_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, track in (("test", "a"), ("train", "b")):
        for name in ("bass", "drums"):
            sound = rng.normal(size=(1, 24000)).astype(np.float32) * 0.1
            sound[:, 8000:] *= name == "drums"
            with files.Writer(tmp_path / split / track / f"{name}.wav", 8000, 1) as writer:
                writer.write(sound)
    data = excerpts.folder_excerpts(tmp_path, ("bass", "drums"), 8000, 500, 1)
    assert data.name == tmp_path.name and data.excerpts("bass", 66).shape == (66, 500)
    assert np.all(excerpts.rms(data.excerpts("bass", 66)) > excerpts.AUDIBLE)
    assert not np.array_equal(data.excerpts("drums", 2), data.excerpts("drums", 2, "training"))
    with pytest.raises(InputError, match="priors are at 16000 Hz and .* at 8000 Hz"):
        excerpts.folder_excerpts(tmp_path, ("bass",), 16000, 500, 1)
    alone = excerpts.folder_excerpts(tmp_path, ("bass", "drums"), 8000, 500, 1, tracks=("a",))
    np.testing.assert_array_equal(alone.excerpts("bass", 4), data.excerpts("bass", 4))
    np.testing.assert_array_equal(alone.excerpts("bass", 4, "training"), data.excerpts("bass", 4, "training"))
    with pytest.raises(InputError, match="has an audible 'bass' stem"):
        excerpts.folder_excerpts(tmp_path, ("bass",), 8000, 500, 1, tracks=("b",))
    faster = excerpts.folder_excerpts(tmp_path, ("bass",), 16000, 500, 1, resampled=True)
    assert faster.excerpts("bass", 2).shape == (2, 500)
    quiet = tmp_path / "test" / "a" / "bass.wav"
    with files.Writer(quiet, 8000, 1) as writer:
        writer.write(np.concatenate([np.full((1, 20), 0.3), np.zeros((1, 23980))], axis=1).astype(np.float32))
    with pytest.raises(InputError, match="has fewer than 64 excerpts of 'bass' with an RMS above 0.001"):
        excerpts.folder_excerpts(tmp_path, ("bass", "drums"), 8000, 500, 1).excerpts("bass", 64)


def test_a_broken_track_is_left_out_of_both_splits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split in ("test", "train"):
        for track in ("a", "b"):
            with files.Writer(tmp_path / split / track / "bass.wav", 8000, 1) as writer:
                writer.write(np.full((1, 2000), 0.1 if track == "a" else 0.2, np.float32))
        os.truncate(tmp_path / split / "b" / "bass.wav", 3000)
    data = excerpts.folder_excerpts(tmp_path, ("bass",), 8000, 100, 1)
    assert data.excerpts("bass", 3).shape == (3, 100)
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    for record, split in zip(caplog.records, ("test", "train"), strict=True):
        assert "left out of the data: truncated file" in record.getMessage()
        assert f"{tmp_path}/{split}/b/bass.wav" in record.getMessage()
