"""The built-in synthesiser and drum machine: pitch, envelope, filter, and songs that need no soundfont."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tfsep.audio import files
from tfsep.cli import render as command
from tfsep.rendering import drum_kits, drum_machine, render, subtractive
from tfsep.rendering.notes import Note, Part
from tfsep.rendering.render import RenderSettings

pytestmark = pytest.mark.programs

RATE = 22050
PLAIN = subtractive.Patch(
    oscillators=(("saw", 0, 0.0, 1.0, 0.0),),
    noise=0.0,
    modulation=(0.0, 1.0),
    vibrato=(0.0, 1.0),
    envelope=(0.01, 0.2, 0.1, 0.5),
    corner=8.0,
    sweep=0.0,
    fall=0.1,
    resonance=0.7,
    pump=0.0,
)


def play(patch: subtractive.Patch, *notes: Note, seconds: float = 2.0) -> np.ndarray:
    return subtractive.play(Part("bass", 0, notes), 60.0, seconds, patch, RATE, np.random.default_rng(0))


def spectrum(sound: np.ndarray) -> np.ndarray:
    """Magnitudes of one second, a bin a Hz."""
    return np.abs(np.fft.rfft(sound[:RATE] * np.hanning(RATE)))


@pytest.mark.parametrize("shape", subtractive.SHAPES)
def test_oscillators_have_their_amplitude_no_offset_and_little_aliasing(shape: str) -> None:
    step = np.full(RATE, 1000.0 / RATE)
    wave = subtractive.oscillator(shape, np.cumsum(step) % 1.0, step)
    assert np.abs(wave).max() < 1.2 and abs(wave.mean()) < 0.01
    found = spectrum(wave)
    assert np.argmax(found) == 1000
    between = found[1400:1600].max(), found[300:700].max()
    assert max(between) < 0.03 * found[1000]


@pytest.mark.parametrize("shape", ["saw", "pulse"])
def test_smoothed_jumps_alias_less_than_plain_ones(shape: str) -> None:
    step = np.full(RATE, 1234.0 / RATE)
    phase = np.cumsum(step) % 1.0
    plain = 2.0 * phase - 1.0 if shape == "saw" else np.where(phase < 0.5, 1.0, -1.0)
    harmonics = np.arange(1234, RATE // 2, 1234)
    off = np.ones(RATE // 2 + 1, bool)
    off[(harmonics[:, np.newaxis] + np.arange(-4, 5)).ravel()] = False
    energies = [np.sum(spectrum(wave)[off] ** 2) for wave in (subtractive.oscillator(shape, phase, step), plain)]
    assert energies[0] < 0.2 * energies[1]


def test_a_note_has_its_pitch_time_and_envelope() -> None:
    sound = play(PLAIN, Note(0.5, 1.0, 69, 127))
    assert sound.shape == (2, 2 * RATE) and sound.dtype == np.float32
    np.testing.assert_array_equal(sound[0], sound[1])
    assert not sound[:, : RATE // 2].any() and not sound[:, round(1.61 * RATE) :].any()
    peak = int(np.argmax(spectrum(sound[0, RATE // 2 :])))
    assert abs(peak - 440) <= 1
    level = [np.abs(sound[0, round(place * RATE) :][:600]).max() for place in (0.52, 1.4)]
    assert level[1] == pytest.approx(0.5 * level[0], rel=0.15)


def test_the_filter_takes_what_lies_above_its_corner() -> None:
    white = np.random.default_rng(0).standard_normal((1, 4 * RATE))
    corner = np.full(-(-4 * RATE // 128), 1000.0)
    power = np.abs(np.fft.rfft(subtractive.swept(white, corner, 0.7, RATE)[0])) ** 2
    low, at, high = (power[4 * a : 4 * b].mean() for a, b in ((100, 400), (950, 1050), (4000, 5000)))
    assert at / low == pytest.approx(0.5, rel=0.2) and high / low < 0.01


@pytest.mark.parametrize("group", ["bass", "other", "lead"])
def test_random_patches_sound_differ_and_stay_finite(group: str) -> None:
    rng = np.random.default_rng(1)
    patches = [subtractive.random_patch(group, rng) for _ in range(30)]
    assert len(set(patches)) == 30
    for patch in patches:
        sound = play(patch, Note(0.0, 0.8, 40, 100), Note(0.8, 0.5, 88, 60), seconds=1.5)
        assert np.isfinite(sound).all() and 1e-3 < np.abs(sound).max() < 30.0, patch


def test_the_drum_machine_has_every_drum_of_a_kit() -> None:
    strokes = drum_machine.random_strokes(RATE, np.random.default_rng(0))
    assert set(strokes) == set(drum_kits.NAMES)
    for drum, stroke in strokes.items():
        assert stroke.shape[0] == 2 and np.isfinite(stroke).all() and np.abs(stroke).max() == pytest.approx(1.0), drum
    centre = {drum: centroid(strokes[drum]) for drum in ("kick", "snare", "hat")}
    assert centre["kick"] < 400.0 < centre["snare"] < centre["hat"]


def centroid(stroke: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(stroke[0], RATE)) ** 2
    return float(np.sum(power * np.arange(len(power))) / power.sum())


def test_a_share_of_the_parts_is_synthesised(tmp_path: Path) -> None:
    settings = RenderSettings((tmp_path / "font.sf2",), tmp_path, synthesised=0.5)
    rng = np.random.default_rng(0)
    kinds = [render._player(group, settings, rng).kind for group in render.GROUPS for _ in range(100)]
    assert 160 < kinds.count(render.SYNTHESISER) < 240 and set(kinds) == {render.SYNTHESISER, render.SOUNDFONT}
    without = replace(settings, synthesised=0.0)
    assert all(render._player("bass", without, rng).kind == render.SOUNDFONT for _ in range(20))


def test_songs_without_a_soundfont(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    argv = ["--output", str(tmp_path), "--songs=2", "--seconds=6", "--sample_rate=22050", "--jobs=1"]
    assert command.main([*argv, "--synthesised=1"]) == 0
    folders = sorted((tmp_path / "train").iterdir())
    assert len(folders) == 2
    for folder in folders:
        about = json.loads((folder / "song.json").read_text())
        assert about["synthesised"] == 1.0
        assert {part["synthesiser"] for part in about["parts"]} == {"built-in"}
        for source in ("drums", "bass", "other", "vocals"):
            sound, rate = files.read(folder / f"{source}.flac")
            assert rate == 22050 and sound.shape == (2, 6 * 22050) and np.abs(sound).max() > 0.01
    before = (folders[0] / "bass.flac").read_bytes()
    (folders[0] / "song.json").unlink()
    assert command.main([*argv, "--synthesised=1"]) == 0
    assert (folders[0] / "bass.flac").read_bytes() == before


@pytest.mark.parametrize(
    ("share", "rule"), [("1.5", "a share from 0 to 1, got 1.5"), ("0.9", "--soundfont must be given at least once")]
)
def test_what_cannot_be_rendered_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], share: str, rule: str
) -> None:
    assert command.main(["--output", str(tmp_path), f"--synthesised={share}"]) == 2
    assert rule in capsys.readouterr().err
