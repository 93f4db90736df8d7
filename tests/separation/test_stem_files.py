"""The files of one track: which there are, what they hold, and that they come together or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfsep.audio import files
from tfsep.errors import InputError, JobError
from tfsep.separation.stem_files import StemFolder, StemFormat, StemLayout

FLOATS = StemFormat()


def block(*shape: int, peak: float = 0.5) -> np.ndarray:
    return np.random.default_rng(0).uniform(-peak, peak, shape).astype(np.float32)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_layout_of_all_sources() -> None:
    layout = StemLayout(("a", "b", "c"))
    stems = block(1, 3, 2, 10)
    split = layout.split(stems.sum(axis=(0, 1)), stems)
    assert tuple(split) == layout.names() == ("a", "b", "c")
    np.testing.assert_array_equal(split["b"], stems[0, 1])


def test_layout_of_two_stems_and_of_one() -> None:
    stems = block(1, 3, 2, 10)
    mixture = stems.sum(axis=(0, 1))
    two = StemLayout(("a", "b", "c"), two_stems="b").split(mixture, stems)
    assert tuple(two) == ("b", "no_b")
    np.testing.assert_allclose(two["no_b"], stems[0, 0] + stems[0, 2], atol=1e-6)
    one = StemLayout(("a", "b", "c"), only="c").split(mixture, stems)
    assert tuple(one) == ("c",)
    np.testing.assert_array_equal(one["c"], stems[0, 2])


def test_layout_of_several_samples() -> None:
    stems = block(2, 2, 1, 10)
    split = StemLayout(("a", "b"), num_samples=2, two_stems="a").split(stems[0].sum(axis=0), stems)
    assert tuple(split) == ("a", "a_sample1", "a_sample2", "no_a", "no_a_sample1", "no_a_sample2")
    np.testing.assert_allclose(split["a"], stems[:, 0].mean(axis=0), atol=1e-7)
    np.testing.assert_array_equal(split["a_sample2"], stems[1, 0])


def test_layout_refuses_an_unknown_source() -> None:
    with pytest.raises(InputError, match="one of a, b, got 'drums'"):
        StemLayout(("a", "b"), two_stems="drums")
    for hostile in ("../up", "/etc/x", "a/b", ".hidden", "", "a\0b"):
        with pytest.raises(InputError, match="plain name"):
            StemLayout((hostile,))
    with pytest.raises(InputError, match="clip_mode must be one of rescale, clamp, none, got 'loud'"):
        StemFormat(clip_mode="loud")


def test_stems_appear_together(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "model" / "ein Stück"
    samples = block(2, 1000, peak=3.0)
    with StemFolder(folder, ("a", "b"), 44100, 2, FLOATS) as stems:
        for start in range(0, 1000, 300):
            stems.write({"a": samples[:, start : start + 300], "b": -samples[:, start : start + 300]})
        assert not folder.exists()
    assert listing(tmp_path / "out") == ["model", "model/ein Stück", "model/ein Stück/a.wav", "model/ein Stück/b.wav"]
    np.testing.assert_array_equal(files.read(stems.paths[0])[0], samples)
    assert stems.peak > 1.0 and not stems.clipped


def test_nothing_stays_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), StemFolder(tmp_path / "out" / "x", ("a",), 8000, 1, FLOATS) as stems:
        stems.write({"a": block(1, 100)})
        raise KeyboardInterrupt
    assert listing(tmp_path) == []


def test_what_is_there_is_kept_unless_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "track"
    folder.mkdir()
    (folder / "a.wav").write_text("mine")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(JobError, match=r"a\.wav is there already"), StemFolder(folder, ("a",), 8000, 1, FLOATS):
        pass
    assert (folder / "a.wav").read_text() == "mine"
    with StemFolder(folder, ("a",), 8000, 1, FLOATS, overwrite=True) as stems:
        stems.write({"a": block(1, 100)})
    assert files.info(folder / "a.wav").frames == 100
    assert listing(tmp_path) == ["track", "track/a.wav", "track/notes.txt"]


@pytest.mark.parametrize("folder_first", [False, True])
def test_a_second_run_overwrites_nothing_of_the_first(tmp_path: Path, folder_first: bool) -> None:
    """Both find the folder free; the one that ends later fails, and leaves the other's stems alone."""
    folder = tmp_path / "track"
    if folder_first:
        folder.mkdir()
    with pytest.raises(JobError, match=r"b\.wav is there already; --overwrite replaces it"):
        with StemFolder(folder, ("a", "b"), 8000, 1, FLOATS) as late:
            late.write({"a": block(1, 100), "b": block(1, 100)})
            with StemFolder(folder, ("b",), 8000, 1, FLOATS) as early:
                early.write({"b": block(1, 300)})
    assert files.info(folder / "b.wav").frames == 300
    assert listing(tmp_path) == ["track", "track/b.wav"]


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    for parent in (tmp_path, tmp_path / "track"):
        (parent / ".partial-abc").mkdir(parents=True)
        (parent / ".partial-abc" / "a.wav").write_text("half")
    with StemFolder(tmp_path / "track", ("a",), 8000, 1, FLOATS) as stems:
        stems.write({"a": block(1, 100)})
    assert listing(tmp_path) == ["track", "track/a.wav"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match="cannot be written"):
        StemFolder(tmp_path / "file" / "model" / "track", ("a",), 8000, 1, FLOATS).__enter__()
    with pytest.raises(JobError, match="channels of mp3"):
        StemFolder(tmp_path / "track", ("a",), 44100, 6, StemFormat("mp3", "16")).__enter__()
    assert listing(tmp_path) == ["file"]


@pytest.mark.parametrize(("name", "bits"), [("wav", "16"), ("flac", "24"), ("ogg", "16")])
def test_rescale_keeps_proportions(tmp_path: Path, name: str, bits: str) -> None:
    time = np.arange(44100) / 44100
    loud, soft = (peak * np.sin(2 * np.pi * 440 * time)[np.newaxis].astype(np.float32) for peak in (2.0, 0.5))
    with StemFolder(tmp_path / "t", ("loud", "soft"), 44100, 1, StemFormat(name, bits)) as stems:
        stems.write({"loud": loud, "soft": soft})
    assert stems.clipped and abs(stems.factor - 0.5) < 1e-3
    assert listing(tmp_path / "t") == [f"loud.{name}", f"soft.{name}"]
    tolerance = 0.06 if name == "ogg" else 1e-4
    np.testing.assert_allclose(files.read(stems.paths[0])[0], 0.5 * loud, atol=tolerance)
    np.testing.assert_allclose(files.read(stems.paths[1])[0], 0.5 * soft, atol=tolerance)


def test_clamp_cuts_and_tells(tmp_path: Path) -> None:
    with StemFolder(tmp_path / "t", ("a",), 8000, 1, StemFormat("wav", "16", "clamp")) as stems:
        stems.write({"a": np.array([[-3.0, 0.25, 3.0]], np.float32)})
    assert stems.clipped and stems.factor == 1.0
    np.testing.assert_allclose(files.read(stems.paths[0])[0], [[-1.0, 0.25, 1.0]], atol=1e-4)


@pytest.mark.parametrize(("name", "keeps"), [("ogg", True), ("flac", False)])
def test_none_leaves_it_to_the_format(tmp_path: Path, name: str, keeps: bool) -> None:
    tone = 1.6 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)[np.newaxis].astype(np.float32)
    peaks = {}
    for mode in ("clamp", "none"):
        with StemFolder(tmp_path / mode, ("a",), 44100, 1, StemFormat(name, "24", mode)) as stems:
            stems.write({"a": tone})
        assert stems.clipped and stems.factor == 1.0
        # The energy of a sine of amplitude A is A^2 / 2, that of the same clipped at 1 is below 1.
        peaks[mode] = float(np.mean(files.read(stems.paths[0])[0] ** 2))
    assert peaks["clamp"] < 1.0
    assert peaks["none"] == pytest.approx(1.28, rel=0.05) if keeps else peaks["none"] == peaks["clamp"]


@pytest.mark.parametrize(("clip_mode", "bits"), [("rescale", "16"), ("none", "16"), ("rescale", "32f")])
def test_stems_in_folders_of_their_own(tmp_path: Path, clip_mode: str, bits: str) -> None:
    def write(track: str, overwrite: bool = False) -> list[Path]:
        wanted = StemFormat("wav", bits, clip_mode)
        folder = tmp_path / "all"
        with StemFolder(folder, ("a", "b"), 8000, 1, wanted, overwrite, lambda stem: f"{stem}/{track}") as stems:
            stems.write({"a": block(1, 10), "b": block(1, 10)})
        return stems.paths

    assert write("x") == [tmp_path / "all" / "a" / "x.wav", tmp_path / "all" / "b" / "x.wav"]
    write("y")
    with pytest.raises(JobError, match="a/y.wav is there already"):
        write("y")
    write("y", overwrite=True)
    assert listing(tmp_path) == ["all", "all/a", "all/a/x.wav", "all/a/y.wav", "all/b", "all/b/x.wav", "all/b/y.wav"]
