"""musdb18 from a .stem.mp4 that the test encodes, and musdb18-hq from a tiny tree of its layout."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tfsep.audio import files
from tfsep.audio.suffixes import find_stem
from tfsep.data import musdb
from tfsep.data.musdb import MusdbData, musdb_folders
from tfsep.errors import InputError, JobError

pytestmark = pytest.mark.programs

RATE = 44100
NAMES = ("mixture", "drums", "bass", "other", "vocals")
TRAINING = "Band - Song"
VALIDATION = "Meaxic - Take A Step"
encodes = pytest.mark.skipif(
    not (shutil.which("ffmpeg") and shutil.which("ffprobe")), reason="needs ffmpeg and ffprobe (Debian: ffmpeg)"
)


def tones(time: int = RATE) -> np.ndarray:
    """Stereo tones, one a stream and one side twice as loud: (stream, channel, time); the mixture is twice the sum."""
    pitch = np.array([300.0, 100.0, 500.0, 900.0])
    wave = 0.05 * np.sin(2 * np.pi * pitch[:, np.newaxis] * np.arange(time) / RATE)
    sources = np.stack([2 * wave, wave], axis=1)
    return np.concatenate([2 * sources.sum(axis=0, keepdims=True), sources]).astype(np.float32)


def write_hq(root: Path, subset: str, track: str) -> None:
    for name, sound in zip(NAMES, tones(), strict=True):
        with files.Writer(root / subset / track / f"{name}.wav", RATE, 2) as writer:
            writer.write(sound)


def write_encoded(path: Path) -> None:
    import stempeg

    path.parent.mkdir(parents=True, exist_ok=True)
    stempeg.write_stems(str(path), tones().transpose(0, 2, 1), sample_rate=RATE, writer=stempeg.StreamsWriter())


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a musdb18 of one track for each split."""
    root = tmp_path_factory.mktemp("musdb18")
    write_encoded(root / "train" / f"{TRAINING}.stem.mp4")
    for path in (root / "train" / f"{VALIDATION}.stem.mp4", root / "test" / "Other - Song.stem.mp4"):
        path.parent.mkdir(exist_ok=True)
        shutil.copy(root / "train" / f"{TRAINING}.stem.mp4", path)
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Write a musdb18-hq of one track for each split."""
    for subset, track in (("train", TRAINING), ("train", VALIDATION), ("test", "Other - Song")):
        write_hq(tmp_path / "hq", subset, track)
    return tmp_path / "hq"


def names(tracks: list[Path]) -> list[str]:
    return [track.name for track in tracks]


def test_hq_is_read_in_place_in_the_packages_splits(tree: Path) -> None:
    assert musdb.is_musdb(tree)
    assert musdb_folders(tree, "train") == [tree / "train" / TRAINING]
    assert musdb_folders(tree, "valid") == [tree / "train" / VALIDATION]
    assert musdb_folders(tree, "test") == [tree / "test" / "Other - Song"]


def test_other_folders_are_none_of_musdb(tmp_path: Path) -> None:
    write_hq(tmp_path, "train", TRAINING)
    write_hq(tmp_path, "valid", VALIDATION)
    assert not musdb.is_musdb(tmp_path)
    assert not musdb.is_musdb(tmp_path / "nowhere")


def test_hq_sources_are_drawn_at_any_rate(tree: Path) -> None:
    data = MusdbData([str(tree)], sample_rate=22050, polarity=False)
    excerpt = data.draw("bass", 3, 4410, (0, 0)).numpy()
    spectrum = np.abs(np.fft.rfft(excerpt))
    assert (spectrum.argmax(axis=1) == 100 * 4410 / 22050).all()
    assert data.sources == ("drums", "bass", "other", "vocals") and data.mixing_gains == (1.0,) * 4


def test_splits_are_the_packages(tree: Path) -> None:
    with pytest.raises(InputError, match="split of musdb must be one of train, valid, test, got 'dev'"):
        musdb_folders(tree, "dev")
    with pytest.raises(InputError, match="has no track of the split 'test'"):
        musdb_folders(tree / "train", "test")


@encodes
def test_the_package_agrees_on_the_splits(tree: Path) -> None:
    import musdb as package

    for split in ("train", "valid"):
        expected = package.DB(str(tree), subsets="train", split=split, is_wav=True)
        assert names(musdb_folders(tree, split)) == [track.name for track in expected.tracks]


@encodes
def test_an_encoded_track_becomes_a_folder_of_stems(encoded: Path, tmp_path: Path) -> None:
    assert musdb.is_musdb(encoded)
    assert names(musdb_folders(encoded, "valid", tmp_path)) == [VALIDATION]
    (track,) = musdb_folders(encoded, "train", tmp_path)
    assert track == tmp_path / "train" / TRAINING
    for name, expected in zip(NAMES, tones(), strict=True):
        found, rate = files.read(find_stem(track, name), start=10000, frames=20000)
        assert rate == RATE and found.shape == (2, 20000)
        np.testing.assert_allclose(found, expected[:, 10000:30000], atol=0.02)
        assert np.std(found[0]) == pytest.approx(2 * np.std(found[1]), rel=0.05)


@encodes
def test_a_track_is_decoded_once_and_again_when_it_has_changed(encoded: Path, tmp_path: Path) -> None:
    path = tmp_path / "song.stem.mp4"
    shutil.copy(encoded / "train" / f"{TRAINING}.stem.mp4", path)
    track = musdb.decoded(path, tmp_path / "cache")
    written = (track / "bass.flac").stat().st_ino
    assert musdb.decoded(path, tmp_path / "cache") == track
    assert (track / "bass.flac").stat().st_ino == written
    os.utime(path, ns=(1, 1))
    musdb.decoded(path, tmp_path / "cache")
    assert (track / "bass.flac").stat().st_ino != written


@encodes
def test_encoded_sources_are_drawn(encoded: Path, tmp_path: Path) -> None:
    data = MusdbData([str(encoded)], "test", sample_rate=RATE, cache=str(tmp_path / "cache"), channels="one")
    spectrum = np.abs(np.fft.rfft(data.draw("vocals", 2, 4410, (0, 0)).numpy()))
    assert (spectrum.argmax(axis=1) == 90).all()
    assert [path.name for path in (tmp_path / "cache").glob("*/*")] == ["test"]


@encodes
def test_what_is_no_stem_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.stem.mp4").write_text("no film")
    with pytest.raises(JobError, match="a.stem.mp4 cannot be decoded as a .stem.mp4 of musdb"):
        musdb_folders(tmp_path, "train", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_absent_programs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.stem.mp4").write_bytes(b"")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError, match=r"need ffmpeg and ffprobe, which is not installed \(Debian: ffmpeg\)"):
        musdb_folders(tmp_path, "train", tmp_path / "cache")


def test_the_cache_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, other = musdb.default_cache(tmp_path / "a" / "musdb18"), musdb.default_cache(tmp_path / "b" / "musdb18")
    assert one != other and one.parent == other.parent == tmp_path / "tfsep"


@encodes
def test_a_genuine_track_is_decoded(shared_data: Path, tmp_path: Path) -> None:
    (track,) = musdb_folders(shared_data / "musdb_sample", "train", tmp_path)
    sounds = {name: files.read(find_stem(track, name))[0] for name in NAMES}
    residual = sounds["mixture"] - sum(sounds[name] for name in NAMES[1:])
    assert sounds["mixture"].shape[1] > 6 * RATE
    assert np.std(residual) < 0.1 * np.std(sounds["mixture"])


@encodes
def test_a_truncated_track_is_left_out_and_said(
    encoded: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The index of the file stands in front, and half of its sound is missing."""
    for name, share in (("A", 1.0), ("B", 0.6)):
        path = tmp_path / "musdb" / "test" / f"{name}.stem.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        source = encoded / "train" / f"{TRAINING}.stem.mp4"
        command = ["ffmpeg", "-v", "error", "-i", source, "-map", "0", "-c", "copy", "-movflags", "+faststart", path]
        subprocess.run(command, check=True)
        os.truncate(path, int(share * path.stat().st_size))
    assert names(musdb_folders(tmp_path / "musdb", "test", tmp_path / "cache")) == ["A"]
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "B.stem.mp4" in record.getMessage()
    (tmp_path / "musdb" / "test" / "A.stem.mp4").unlink()
    with pytest.raises(JobError, match="B.stem.mp4"):
        musdb_folders(tmp_path / "musdb", "test", tmp_path / "cache")
