"""Paired sources: they are of one position of one track, and a missing stem is silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfsep.audio import files
from tfsep.baselines import supervised
from tfsep.baselines.supervised import AlignedStems
from tfsep.data import pipeline
from tfsep.data.stems import StemsData
from tfsep.data.toy import ToyData
from tfsep.errors import InputError

RATE, LENGTH = 8000, 400
NAMES = ("drums", "bass")


def write(root: Path, track: str, **stems: np.ndarray) -> None:
    for name, wave in stems.items():
        with files.Writer(root / "train" / track / f"{name}.wav", RATE, 1) as writer:
            writer.write(wave[np.newaxis].astype(np.float32))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two tracks with ramps that tell positions, one of them without a bass, and a stray bass before both."""
    ramp = np.linspace(0.1, 0.9, 4000)
    write(tmp_path, "a", bass=0.5 * ramp)
    write(tmp_path, "b", drums=ramp, bass=-ramp)
    write(tmp_path, "c", drums=ramp)
    return tmp_path


def test_sources_of_a_track_are_drawn_at_one_position(root: Path) -> None:
    data = AlignedStems([str(root)], sources=NAMES, sample_rate=RATE, gain_db=3.0, speed=1.1)
    excerpts = data.draw_together(60, LENGTH, (3, 5)).numpy()
    assert excerpts.shape == (60, 2, LENGTH)
    drums, bass = excerpts[:, 0], excerpts[:, 1]
    audible = np.abs(excerpts).max(-1) > 0
    assert {tuple(row) for row in audible.tolist()} == {(False, True), (True, True), (True, False)}
    together = audible.all(-1)
    # In track b the bass is the negated drums, at every sample of an excerpt.
    np.testing.assert_allclose(bass[together], -drums[together], atol=1e-4)
    assert len(np.unique(np.round(np.abs(drums[together][:, 0]), 5))) > 5
    np.testing.assert_array_equal(excerpts, data.draw_together(60, LENGTH, (3, 5)))


def test_isolated_excerpts_are_those_of_plain_stems(root: Path) -> None:
    settings = {"sources": NAMES, "sample_rate": RATE}
    plain, aligned = StemsData([str(root)], **settings), AlignedStems([str(root)], **settings)
    np.testing.assert_array_equal(plain.draw("bass", 5, LENGTH, (0, 1)), aligned.draw("bass", 5, LENGTH, (0, 1)))


def test_pairs_follow_the_step(root: Path) -> None:
    data = AlignedStems([str(root)], sources=NAMES, sample_rate=RATE)
    steps = iter(supervised.pairs(data, LENGTH, 4, seed=2))
    first, second = next(steps), next(steps)
    np.testing.assert_array_equal(second, next(iter(supervised.pairs(data, LENGTH, 4, seed=2, first_step=1))))
    np.testing.assert_array_equal(first, data.draw_together(4, LENGTH, (2, 0)))


def test_toy_pairs_have_the_distribution_of_unpaired_ones() -> None:
    data = ToyData(16000, sources=("sine", "square"))
    expected = next(iter(pipeline.remixes(data, 32, 3, seed=1, first_step=4)))
    np.testing.assert_array_equal(next(iter(supervised.pairs(data, 32, 3, seed=1, first_step=4))), expected)


def test_data_without_pairs_are_refused(root: Path) -> None:
    with pytest.raises(InputError, match="paired training needs aligned_stems or toy data"):
        supervised.pairs(StemsData([str(root)], sources=NAMES, sample_rate=RATE), LENGTH, 4, seed=2)
    data = AlignedStems([str(root)], sources=NAMES, sample_rate=RATE)
    with pytest.raises(InputError, match="aligned excerpts need a track of 0.63 s, the longest is shorter"):
        data.draw_together(2, 5000, (0, 0))
