"""Folders of isolated sounds: what is found, how loud it is, and excerpts longer than a sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tfsep.audio import files
from tfsep.data.pipeline import remixes
from tfsep.data.sounds import SoundsData, sound_paths
from tfsep.errors import InputError

RATE = 8000


def write(path: Path, sound: np.ndarray, format: str = "wav") -> None:
    with files.Writer(path, RATE, len(np.atleast_2d(sound)), format=format) as writer:
        writer.write(np.atleast_2d(np.asarray(sound, np.float32)))


def data(root: Path, **settings: Any) -> SoundsData:
    return SoundsData([str(root)], **{"sources": ("kick", "flute"), "sample_rate": RATE, **settings})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write a stroke of 500 samples and two takes of 3,000, at several depths and in several formats."""
    write(tmp_path / "kick" / "one.wav", np.full(500, 0.5))
    write(tmp_path / "flute" / "a" / "deep" / "take.flac", np.full(3000, 0.01), "flac")
    write(tmp_path / "flute" / "b" / "LOUD.WAV", np.full(3000, 0.9))
    (tmp_path / "flute" / "notes.txt").write_text("no sound")
    (tmp_path / "flute" / ".hidden").mkdir()
    write(tmp_path / "flute" / ".hidden" / "take.wav", np.full(3000, 0.9))
    return tmp_path


def test_sounds_are_found_at_any_depth(root: Path) -> None:
    assert [path.name for path in sound_paths(root, "flute")] == ["take.flac", "LOUD.WAV"]
    assert sound_paths(root, "drums") == []


def test_every_sound_is_brought_to_one_level(root: Path) -> None:
    excerpt = np.abs(data(root).draw("flute", 60, 100, (0, 0)).numpy())
    np.testing.assert_allclose(excerpt, 0.05, rtol=1e-3)


def test_a_peak_stays_within_full_scale(tmp_path: Path) -> None:
    click = np.zeros(3000)
    click[1500] = 0.5
    write(tmp_path / "kick" / "click.wav", click)
    excerpt = np.abs(data(tmp_path, sources=("kick",)).draw("kick", 4, 3000, (0, 0)).numpy())
    np.testing.assert_allclose(excerpt.max(axis=1), 1.0, rtol=1e-3)


def test_a_short_sound_lies_in_an_excerpt_whole(root: Path) -> None:
    excerpt = data(root).draw("kick", 200, 2000, (0, 0)).numpy()
    assert (np.count_nonzero(excerpt, axis=1) == 500).all()
    first = np.argmax(excerpt != 0, axis=1)
    assert first.min() < 150 and first.max() > 1350


def test_an_offset_truncates_sounds(root: Path) -> None:
    excerpt = data(root, offset=0.05).draw("kick", 200, 600, (0, 0)).numpy()
    assert np.count_nonzero(excerpt, axis=1).min() < 400


def test_sounds_are_remixed(root: Path) -> None:
    batches = [next(iter(remixes(data(root), 700, 4, seed=3, first_step=step))).numpy() for step in (0, 1, 1)]
    assert batches[0].shape == (4, 2, 700)
    np.testing.assert_array_equal(batches[1], batches[2])
    assert np.abs(batches[0] - batches[1]).max() > 0.01


def test_words_exclude_sounds(root: Path) -> None:
    with pytest.raises(InputError, match="no sound of 'flute' under .* is audible"):
        data(root, exclude=["deep", "LOUD"])


def test_what_holds_no_sounds_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match=r"holds <source>/\*\*/\*.wav, but .*/kick has none of kick, flute"):
        data(root / "kick")
    write(root / "drum" / "silent.wav", np.zeros(50))
    with pytest.raises(InputError, match="no sound of 'drum' under .* is audible"):
        data(root, sources=("kick", "drum"))
    with pytest.raises(InputError, match="roots of sounds must be a list of names, got 'x'"):
        SoundsData("x")


def test_sounds_that_cannot_be_read_are_left_out_and_said(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """All headers are checked first; a file that is broken further on is left out when it is read."""
    (root / "flute" / "empty.wav").write_bytes(b"")
    (root / "kick" / "gone.flac").symlink_to("nowhere")
    samples = np.full(3000, 0.1, np.float32)
    samples[2000] = np.nan
    soundfile.write(root / "flute" / "broken.wav", samples, RATE, subtype="FLOAT")
    found = data(root)
    assert len(found._packed["flute"].lengths) == 2 and len(found._packed["kick"].lengths) == 1
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 3 and all(line.startswith("left out of the data: ") for line in said)
    assert [word for line in said for word in ("empty", "gone", "broken") if f"{word}." in line] == [
        "gone",
        "empty",
        "broken",
    ]


def test_sounds_of_which_none_can_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "kick").mkdir()
    (tmp_path / "kick" / "empty.wav").write_bytes(b"")
    with pytest.raises(InputError, match="no sound of 'kick' under .* is audible"):
        data(tmp_path, sources=("kick",))
