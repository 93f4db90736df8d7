"""Stems: levels, excerpts and augmentation on recordings so simple that each excerpt is known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from tfsep.audio import files
from tfsep.audio.suffixes import find_stem
from tfsep.data import stems
from tfsep.data.packed import read_recording
from tfsep.data.stems import StemsData
from tfsep.errors import InputError

RATE = 8000
LONG = 4000


def write(track: Path, **sounds: np.ndarray) -> Path:
    """Write a track's stems, (time,) or (channels, time), as float32 wav files."""
    track.mkdir(parents=True, exist_ok=True)
    for name, sound in sounds.items():
        channels = np.atleast_2d(np.asarray(sound, np.float32))
        with files.Writer(track / f"{name}.wav", RATE, len(channels)) as writer:
            writer.write(channels)
    return track


def flat(level: float, length: int = LONG) -> np.ndarray:
    return np.full(length, level)


def ramp(length: int = LONG) -> np.ndarray:
    return np.arange(length) / length


def data(root: Path, **settings: Any) -> StemsData:
    chosen = {"sources": ("drums", "bass"), "sample_rate": RATE, **settings}
    return StemsData([str(root)], **chosen)


def levels(found: StemsData, source: str, num: int = 400) -> np.ndarray:
    """Return the level of each draw from flat recordings; each draw must be flat."""
    excerpt = found.draw(source, num, 50, (0, 0)).numpy()
    np.testing.assert_allclose(excerpt, np.broadcast_to(excerpt[:, :1], excerpt.shape), atol=1e-7)
    return np.abs(excerpt[:, 0])


@pytest.fixture
def ramps(tmp_path: Path) -> Path:
    """One track of two rising recordings: a sample tells its position."""
    write(tmp_path / "train" / "one", drums=ramp(), bass=ramp())
    return tmp_path


def positions(found: StemsData, source: str, num: int = 600, length: int = 100, seed: Any = (0, 0)) -> np.ndarray:
    """Return the positions of excerpts of :func:`ramps`, whose sum has an RMS of 2 / sqrt(3), in samples."""
    excerpt = found.draw(source, num, length, seed).numpy().astype(np.float64)
    return np.abs(excerpt[:, 0]) / (0.1 / (2 * np.sqrt(np.mean(ramp() ** 2)))) * LONG


def test_tracks_come_in_alphabetical_order(tmp_path: Path) -> None:
    for name in ("b", "a", "c d"):
        write(tmp_path / "train" / name, drums=flat(0.1))
    (tmp_path / "train" / "notes.txt").write_text("not a track")
    assert [track.name for track in stems.track_folders(tmp_path, "train")] == ["a", "b", "c d"]


def test_a_folder_without_tracks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"<split>/<track>/<source>.wav, but .*valid has no track folders"):
        stems.track_folders(tmp_path, "valid")
    with pytest.raises(InputError, match="no track folders"):
        data(tmp_path)


def test_lossless_files_come_first(tmp_path: Path) -> None:
    assert find_stem(tmp_path, "bass") is None
    for suffix in (".mp3", ".ogg", ".wav", ".flac"):
        (tmp_path / f"bass{suffix}").touch()
        assert find_stem(tmp_path, "bass") == tmp_path / f"bass{suffix}"


def test_a_file_is_mixed_down_and_resampled(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(LONG) / RATE)
    track = write(tmp_path, bass=np.stack([0.6 * tone, 0.2 * tone]))
    found = read_recording(track / "bass.wav", 2 * RATE)
    expected = 0.4 * np.sin(2 * np.pi * 440 * np.arange(2 * LONG) / (2 * RATE))
    assert found.shape == (1, 2 * LONG)
    np.testing.assert_allclose(found[0, 500:-500], expected[500:-500], atol=1e-3)


@pytest.mark.parametrize("loudness", [0.001, 0.1, 1.0])
def test_tracks_are_brought_to_one_level_and_keep_their_balance(tmp_path: Path, loudness: float) -> None:
    write(tmp_path / "train" / "one", drums=loudness * flat(0.3), bass=loudness * flat(0.4))
    found = data(tmp_path)
    np.testing.assert_allclose(levels(found, "drums"), 0.1 * 3 / 7, rtol=1e-4)
    np.testing.assert_allclose(levels(found, "bass"), 0.1 * 4 / 7, rtol=1e-4)


def test_stems_of_different_lengths_are_one_mixture(tmp_path: Path) -> None:
    write(tmp_path / "train" / "one", drums=flat(0.2), bass=flat(0.2, LONG // 4))
    rms = np.sqrt(0.25 * 0.4**2 + 0.75 * 0.2**2)
    np.testing.assert_allclose(levels(data(tmp_path), "bass"), 0.1 * 0.2 / rms, rtol=1e-4)


def test_tracks_are_weighted_by_their_length_and_may_lack_sources(tmp_path: Path) -> None:
    write(tmp_path / "train" / "long", drums=flat(0.5, 3 * LONG))
    write(tmp_path / "train" / "short", drums=flat(0.1), bass=flat(0.1))
    write(tmp_path / "train" / "without", vocals=flat(0.1))
    found = data(tmp_path)
    alone = levels(found, "drums", 2000) > 0.075
    assert alone.mean() == pytest.approx(0.75, abs=0.04)
    np.testing.assert_allclose(levels(found, "bass"), 0.05, rtol=1e-4)


def test_several_roots_are_one_collection_and_words_exclude_tracks(tmp_path: Path) -> None:
    write(tmp_path / "a" / "train" / "Band - First", drums=flat(0.1), bass=flat(0.1))
    write(tmp_path / "b" / "train" / "Band - Second", drums=flat(0.1), bass=flat(0.3))
    roots = [str(tmp_path / "a"), tmp_path / "b"]
    both = StemsData(roots, sources=("drums", "bass"), sample_rate=RATE)
    assert set(np.round(1000 * levels(both, "drums"))) == {50, 25}
    one = StemsData(roots, sources=("drums", "bass"), sample_rate=RATE, exclude=["Second", "Third"])
    assert set(np.round(1000 * levels(one, "drums"))) == {50}
    with pytest.raises(InputError, match="no track under .* has an audible 'drums' stem"):
        StemsData(roots, sources=("drums", "bass"), sample_rate=RATE, exclude=["Band"])


def test_a_root_named_twice_has_twice_the_weight_and_is_kept_once(tmp_path: Path) -> None:
    write(tmp_path / "a" / "train" / "one", drums=flat(0.2), bass=flat(0.1))
    write(tmp_path / "b" / "train" / "two", drums=flat(0.3), bass=flat(0.8))
    roots = [str(tmp_path / name) for name in ("a", "a", "a", "b")]
    found = StemsData(roots, sources=("drums", "bass"), sample_rate=RATE)
    assert found._packed["drums"].samples.shape[0] == 2 * LONG
    assert found._packed["drums"].lengths.tolist() == [LONG] * 4
    drawn = levels(found, "drums")
    loud = np.isclose(drawn, stems.TRACK_RMS * 2.0 / 3.0, rtol=1e-3)
    assert loud.sum() == np.isclose(drawn, drawn[loud][0]).sum() and 0.68 < loud.mean() < 0.82


def test_silent_stems_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "train" / "one", drums=flat(0.1), bass=flat(0.0))
    write(tmp_path / "train" / "two", drums=flat(0.0), bass=flat(0.0))
    with pytest.raises(InputError, match="no track under .* has an audible 'bass' stem"):
        data(tmp_path)
    np.testing.assert_allclose(levels(data(tmp_path, sources=("drums",)), "drums"), 0.1, rtol=1e-4)


def test_excerpts_are_contiguous_and_start_anywhere(ramps: Path) -> None:
    found = data(ramps)
    excerpt = found.draw("drums", 600, 100, (0, 0)).numpy()
    step = 0.1 / (2 * np.sqrt(np.mean(ramp() ** 2))) / LONG
    np.testing.assert_allclose(np.diff(np.abs(excerpt)), step, atol=4e-6)
    first = positions(found, "drums")
    assert -1 < first.min() < 50 and LONG - 150 < first.max() < LONG - 100
    assert np.histogram(first, 4, (0, LONG - 101))[0].min() > 0.15 * 600


def test_both_polarities_are_drawn(ramps: Path) -> None:
    sign = np.sign(data(ramps).draw("bass", 600, 20, (0, 0)).numpy()[:, -1])
    assert abs(sign.mean()) < 0.15


def test_excerpts_of_different_sources_seeds_and_steps_are_at_different_positions(ramps: Path) -> None:
    found = data(ramps)
    columns = [positions(found, "drums", seed=seed) for seed in ((0, 0), (0, 1), (1, 0), (2**32 - 1, 0))]
    columns += [positions(found, "bass"), positions(found, "bass", seed=(1, 0))]
    assert np.abs(np.corrcoef(columns) - np.eye(len(columns))).max() < 0.15


KNOWN = {"drums": (946, 2992, 2426, 3893), "bass": (49, 3125, 3317, 780)}


def test_a_seed_gives_these_positions_on_every_machine(ramps: Path) -> None:
    found = data(ramps)
    np.testing.assert_allclose(positions(found, "drums", 4, seed=(7, 3)), KNOWN["drums"], atol=0.5)
    np.testing.assert_allclose(positions(found, "bass", 4, seed=(7, 3)), KNOWN["bass"], atol=0.5)
    again = data(ramps).draw("bass", 4, 100, (7, 3))
    np.testing.assert_array_equal(again, found.draw("bass", 4, 100, tf.constant([7, 3], tf.int64)))
    np.testing.assert_array_equal(again, tf.function(lambda seed: found.draw("bass", 4, 100, seed))([7, 3]))


def test_gains_change_in_both_directions(tmp_path: Path) -> None:
    write(tmp_path / "train" / "one", drums=flat(0.2), bass=flat(0.2))
    change = 20 * np.log10(levels(data(tmp_path, gain_db=6.0), "drums", 2000) / 0.05)
    assert -6.001 < change.min() < -5.9 and 5.9 < change.max() < 6.001
    assert change.mean() == pytest.approx(0.0, abs=0.3)


def test_speeds_change_in_both_directions_by_interpolation(ramps: Path) -> None:
    excerpt = np.abs(data(ramps, speed=1.5).draw("drums", 2000, 100, (0, 0)).numpy().astype(np.float64))
    step = 0.1 / (2 * np.sqrt(np.mean(ramp() ** 2))) / LONG
    speed = (excerpt[:, -1] - excerpt[:, 0]) / 99 / step
    assert 0.66 < speed.min() < 0.68 and 1.48 < speed.max() < 1.51
    assert np.log(speed).mean() == pytest.approx(0.0, abs=0.02)
    straight = excerpt[:, :1] + np.arange(100) * (speed * step)[:, np.newaxis]
    np.testing.assert_allclose(excerpt, straight, atol=3e-6)


def test_a_tone_that_is_sped_up_sounds_higher(tmp_path: Path) -> None:
    write(tmp_path / "train" / "one", drums=0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE), bass=flat(0.001))
    excerpt = data(tmp_path, speed=1.5).draw("drums", 200, 2000, (0, 0)).numpy()
    hertz = (np.diff(np.sign(excerpt)) != 0).sum(-1) / 2 / (2000 / RATE)
    assert 130 < hertz.min() < 140 and 292 < hertz.max() < 304


def test_recordings_shorter_than_an_excerpt_are_never_drawn(tmp_path: Path) -> None:
    write(tmp_path / "train" / "one", drums=flat(0.1), bass=flat(0.1))
    write(tmp_path / "train" / "tiny", drums=flat(0.1, 50), bass=flat(0.9, 50))
    np.testing.assert_allclose(levels(data(tmp_path), "drums"), 0.05, rtol=1e-4)
    with pytest.raises(InputError, match=r"excerpts of 'bass' need a recording of 0.50 s, the longest is shorter"):
        data(tmp_path).draw("bass", 1, LONG, (0, 0))
    with pytest.raises(InputError, match=r"excerpts of 'bass' need a recording of 0.75 s"):
        data(tmp_path, speed=2.0).draw("bass", 1, 3 * LONG // 4, (0, 0))


def test_the_last_sample_of_the_fastest_excerpt_is_there(tmp_path: Path) -> None:
    """A recording with one possible position only, read at every speed."""
    write(tmp_path / "train" / "one", drums=flat(0.2, 302), bass=flat(0.2, 302))
    excerpt = data(tmp_path, speed=1.5).draw("drums", 300, 200, (0, 0)).numpy()
    np.testing.assert_allclose(np.abs(excerpt), 0.05, rtol=1e-4)


def test_songs_are_the_sum_of_their_stems(ramps: Path) -> None:
    assert data(ramps).mixing_gains == (1.0, 1.0)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"speed": 0.5}, "speed must be at least 1 .* got 0.5 and 0.0"),
        ({"gain_db": -3.0}, "gain_db at least 0, got 1.0 and -3.0"),
        ({"exclude": "Lithium"}, "exclude of stems must be a list of names, got 'Lithium'"),
        ({"sources": "drums"}, "sources of stems must be a list of names, got 'drums'"),
        ({"sources": ()}, r"sources of stems must be a list of names, got \(\)"),
    ],
)
def test_settings_out_of_range_are_refused(ramps: Path, settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        data(ramps, **settings)


def test_a_root_that_is_no_list_is_refused(ramps: Path) -> None:
    with pytest.raises(InputError, match="roots of stems must be a list of names"):
        StemsData(str(ramps))


def test_an_unknown_source_is_refused(ramps: Path) -> None:
    with pytest.raises(InputError, match="source must be one of drums, bass, got 'flute'"):
        data(ramps).draw("flute", 1, 10, (0, 0))


def test_real_stems_are_read(shared_data: Path) -> None:
    root = shared_data / "rendered"
    tracks = [track.name for track in stems.track_folders(root, "test")]
    found = StemsData([root], split="test", sample_rate=22050, exclude=tracks[1:], gain_db=6.0, speed=1.2)
    for source in found.sources:
        excerpt = found.draw(source, 16, 22050, (0, 0)).numpy()
        assert excerpt.shape == (16, 22050) and np.isfinite(excerpt).all()
        assert 0.003 < np.sqrt(np.mean(excerpt**2)) < 0.3, source


def test_only_tracks_named_so_are_read(tmp_path: Path) -> None:
    for name, level in (("An Apple", 1.0), ("A Pear", 3.0), ("An Apple Pie", 1.0)):
        write(tmp_path / "train" / name, drums=flat(0.1), bass=flat(0.1 * level))
    share = {name: 0.1 * level / (1.0 + level) for name, level in (("Apple", 1.0), ("Pear", 3.0))}
    np.testing.assert_allclose(levels(data(tmp_path, only=["Apple"]), "bass"), share["Apple"], rtol=1e-3)
    np.testing.assert_allclose(levels(data(tmp_path, only=["Pear"]), "bass"), share["Pear"], rtol=1e-3)
    assert len(np.unique(np.round(levels(data(tmp_path), "bass"), 4))) == 2
    with pytest.raises(InputError, match="has an audible 'drums' stem"):
        data(tmp_path, only=["Apple"], exclude=["An"])
    with pytest.raises(InputError, match="only of stems must be a list of names, got 'Apple'"):
        data(tmp_path, only="Apple")


@pytest.fixture
def three_tracks(tmp_path: Path) -> Path:
    """Flat tracks that the share of the drums identifies; the last has no bass."""
    for name, drums, bass in (("a", 0.1, 0.3), ("b", 0.2, 0.2), ("c", 0.3, 0.1)):
        write(tmp_path / "train" / name, drums=flat(drums), bass=flat(bass))
    write(tmp_path / "train" / "d", drums=flat(1.0, 3 * LONG))
    return tmp_path


@pytest.mark.parametrize("settings", [{}, {"tries": 2}, {"offset": 0.0005}])
def test_sources_of_one_track_occur_in_their_share_of_mixtures(three_tracks: Path, settings: Any) -> None:
    kept = data(three_tracks, **settings, same_track=1.0)
    drums, bass = (np.abs(kept.draw(source, 600, 50, (0, 0)).numpy()[:, 25]) for source in ("drums", "bass"))
    shared = drums < 0.09
    np.testing.assert_allclose(drums[shared] + bass[shared], 0.1, rtol=1e-3)
    assert shared.mean() == pytest.approx(0.5, abs=0.07)
    np.testing.assert_allclose(np.unique(np.round(bass[~shared], 3)), [0.025, 0.05, 0.075], rtol=1e-6)
    half = data(three_tracks, **settings, same_track=0.5)
    drums, bass = (np.abs(half.draw(source, 2000, 50, (0, 0)).numpy()[:, 25]) for source in ("drums", "bass"))
    met = np.isclose(drums + bass, 0.1, rtol=1e-3)[drums < 0.09].mean()
    assert met == pytest.approx(0.5 + 0.5 / 3, abs=0.06)


def test_sources_of_the_same_track_share_their_speed_but_not_their_position(ramps: Path) -> None:
    kept = data(ramps, same_track=1.0, speed=1.5)
    excerpts = [np.abs(kept.draw(source, 200, 100, (0, 0)).numpy().astype(np.float64)) for source in ("drums", "bass")]
    drums, bass = (np.mean(np.diff(excerpt, axis=1), axis=1) for excerpt in excerpts)
    np.testing.assert_allclose(drums, bass, rtol=1e-2)
    assert drums.max() / drums.min() > 1.8
    assert np.abs(excerpts[0][:, 0] - excerpts[1][:, 0]).mean() > 0.01


def test_a_share_of_the_same_track_is_a_share(ramps: Path) -> None:
    with pytest.raises(InputError, match=r"same_track must be a share from 0 to 1, got 1.5"):
        data(ramps, same_track=1.5)


def test_a_track_with_a_broken_stem_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("1", "2", "3"):
        write(tmp_path / "train" / name, bass=flat(0.1), drums=flat(0.2))
    (tmp_path / "train" / "2" / "drums.wav").write_bytes(b"RIFF")
    found = data(tmp_path, sources=("bass", "drums"))
    assert len(found._packed["bass"].lengths) == len(found._packed["drums"].lengths) == 2
    (record,) = caplog.records
    assert record.levelname == "ERROR" and "left out of the data: " in record.getMessage()
    assert "2/drums.wav" in record.getMessage()


def test_two_files_of_one_source_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    track = write(tmp_path / "train" / "song", drums=flat(0.1), bass=flat(0.1))
    soundfile.write(track / "Drums.WAV", flat(0.3), RATE, subtype="FLOAT", format="WAV")
    found = StemsData([str(tmp_path)] * 2, sources=("drums", "bass"), sample_rate=RATE)
    assert levels(found, "drums")[0] == pytest.approx(levels(found, "bass")[0])
    (record,) = caplog.records
    assert record.levelname == "WARNING" and record.getMessage() == (
        "the track song: there must be one file of 'drums', got Drums.WAV, drums.wav: drums.wav is taken"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unreadable for this user")
def test_a_track_that_cannot_be_opened_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "b"):
        write(tmp_path / "train" / name, drums=flat(0.1), bass=flat(0.1))
    (tmp_path / "train" / "a").chmod(0)
    assert data(tmp_path).draw("drums", 2, 50, (0, 0)).shape == (2, 50)
    assert "left out of the data: the folder" in caplog.text
