"""Songs with stems: effects, levels, the synthesiser and its failures, and a folder that stems.py reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tfsep.audio import files
from tfsep.errors import InputError, JobError
from tfsep.rendering import effects, fluidsynth, render
from tfsep.rendering.notes import Note, Part
from tfsep.rendering.render import RenderSettings, render_song
from tfsep.rendering.song_folder import write_song

RATE = 22050
FONT = Path("TimGM6mb.sf2")
pytestmark = pytest.mark.programs


def noise(seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((2, RATE)).astype(np.float32)


def fake_program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Replace fluidsynth by a shell script."""
    (folder / "fluidsynth").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "fluidsynth").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def play(soundfont: Path = FONT, time_limit: float | None = None) -> np.ndarray:
    part = Part("bass", 33, (Note(0.0, 1.0, 45, 100),))
    return fluidsynth.synthesise(part, 60.0, 2.0, soundfont, RATE, time_limit)


def test_filters_leave_one_side_of_their_frequency() -> None:
    power = {}
    for kind in ("lowpass", "highpass"):
        spectrum = np.abs(np.fft.rfft(effects.filtered(noise(), kind, 1000.0, RATE)[0])) ** 2
        power[kind] = spectrum[4000:].mean() / spectrum[50:250].mean()
    assert power["lowpass"] < 0.01 and power["highpass"] > 50


def test_drive_is_soft_and_keeps_small_sounds() -> None:
    sound = np.linspace(-1, 1, 101)[np.newaxis]
    found = effects.driven(sound, 3.0)
    assert np.abs(found).max() < 0.34 and found[0, 51] == pytest.approx(sound[0, 51], rel=0.01)


def test_reverberation_decays_by_sixty_decibels() -> None:
    click = np.zeros((2, RATE), np.float32)
    click[:, 0] = 1.0
    found = effects.reverberated(click, 0.5, 1.0, RATE, np.random.default_rng(0))
    early, late = np.std(found[:, 100:1100]), np.std(found[:, RATE // 2 - 1000 : RATE // 2])
    assert 20 * np.log10(late / early) == pytest.approx(-57.0, abs=4.0)
    assert np.abs(found[:, RATE // 2 + 100 :]).max() < 1e-3
    assert abs(np.corrcoef(found[0, 100:2000], found[1, 100:2000])[0, 1]) < 0.2


def test_bass_and_lead_stay_in_the_middle() -> None:
    same = np.broadcast_to(noise()[:1], (2, RATE))
    np.testing.assert_allclose(effects.panned(same, -0.4)[1], 0.6 * same[0], rtol=1e-6)
    np.testing.assert_array_equal(effects.panned(same, 0.0), same)


@pytest.mark.parametrize("seed", range(5))
def test_levels_are_random_and_the_sum_is_not_clipped(seed: int) -> None:
    stems = {group: noise(k) for k, group in enumerate(render.GROUPS)}
    found = render.balanced(stems, np.random.default_rng(seed))
    assert max(np.abs(sound).max() for sound in (*found.values(), sum(found.values()))) == pytest.approx(0.9, rel=1e-5)
    change = 20 * np.log10(np.std(found["lead"]) / np.std(found["drums"]))
    assert -11 <= change <= 9


def test_what_is_no_soundfont_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"found none at .*x.sf2 \(Debian: fluid-soundfont-gm, timgm6mb-soundfont\)"):
        fluidsynth.check_soundfont(tmp_path / "x.sf2")
    (tmp_path / "x.sf2").write_bytes(b"RIFF....WAVE")
    with pytest.raises(InputError, match="must be an SF2 or SF3 file, got something else"):
        fluidsynth.check_soundfont(tmp_path / "x.sf2")


def test_an_absent_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError, match=r"program fluidsynth, which is not installed \(Debian: fluidsynth\)"):
        fluidsynth.program()


def test_a_synthesiser_that_hangs_or_fails_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_program(tmp_path, monkeypatch, "exec sleep 60")
    with pytest.raises(JobError, match="fluidsynth did not end within 0.2 s with TimGM6mb.sf2"):
        play(time_limit=0.2)
    fake_program(tmp_path, monkeypatch, "echo no such font >&2; exit 3")
    with pytest.raises(JobError, match="fluidsynth failed with TimGM6mb.sf2: no such font"):
        play()


def test_a_note_sounds_at_its_pitch_for_its_length(soundfont: Path) -> None:
    sound = play(soundfont)
    assert sound.shape == (2, 2 * RATE)
    spectrum = np.abs(np.fft.rfft(sound[0, :RATE]))
    assert min(abs(spectrum.argmax() - 110 * k) for k in (1, 2, 3)) <= 2
    assert np.std(sound[:, -RATE // 4 :]) < 0.1 * np.std(sound[:, :RATE])


def test_a_song_is_stems_that_depend_on_the_seed_alone(soundfont: Path, tmp_path: Path) -> None:
    settings = [
        RenderSettings((soundfont,), tmp_path / name, seconds=3.0, seed=5, sample_rate=RATE, channels=1)
        for name in ("one", "again")
    ]
    tracks = [render_song(each, 2) for each in settings]
    assert tracks[0] == tmp_path / "one" / "train" / "invented 5-00002"
    names = sorted(path.name for path in tracks[0].iterdir())
    assert names == ["bass.flac", "drums.flac", "other.flac", "song.json", "vocals.flac"]
    for name in names:
        assert (tracks[0] / name).read_bytes() == (tracks[1] / name).read_bytes()
    stems = [files.read(tracks[0] / name)[0] for name in names if name != "song.json"]
    assert all(stem.shape == (1, 3 * RATE) for stem in stems)
    assert 0.3 < np.abs(sum(stems)).max() <= 0.91
    assert json.loads((tracks[0] / "song.json").read_text())["parts"][0]["soundfont"] == soundfont.name
    written = (tracks[0] / "bass.flac").stat().st_ino
    render_song(settings[0], 2)
    assert (tracks[0] / "bass.flac").stat().st_ino == written


def test_stems_of_an_earlier_song_are_deleted(tmp_path: Path) -> None:
    sound = np.zeros((2, 100), np.float32)
    folder = tmp_path / "train" / "song"
    write_song(folder, {"make": 1}, lambda: {"drums": sound, "vocals": sound}, RATE, 2)
    write_song(folder, {"make": 2}, lambda: {"drums": sound}, RATE, 1)
    assert sorted(path.name for path in folder.iterdir()) == ["drums.flac", "song.json"]

    def never() -> dict[str, np.ndarray]:
        raise AssertionError("it lies there already")

    assert write_song(folder, {"make": 2}, never, RATE, 1) == folder
