"""Speech analysed and sung: pitches and times of the tune, silence elsewhere, and what is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from tfsep.audio import files
from tfsep.errors import InputError, JobError
from tfsep.rendering import render, singing, speech
from tfsep.rendering.notes import Note
from tfsep.rendering.render import RenderSettings

pytestmark = pytest.mark.programs

RATE = 22050
TEMPO = 60.0
needs_world = pytest.mark.skipif(
    importlib.util.find_spec("pyworld") is None,
    reason="needs pyworld (pip install 'tfsep[singing]')",
)


def spoken(seconds: float = 4.0, pitch: float = 140.0) -> np.ndarray:
    """Four voiced syllables a second, of two vowels in turn, with a short hiss before each."""
    time = np.arange(round(seconds * RATE)) / RATE
    buzz = signal.sawtooth(2 * np.pi * pitch * time)
    rng = np.random.default_rng(0)
    vowels = []
    for formants in ((700.0, 1200.0), (300.0, 2300.0)):
        sound = buzz
        for formant in formants:
            pole = np.exp(-np.pi * 90.0 / RATE + 2j * np.pi * formant / RATE)
            sound = signal.lfilter([1.0], np.real(np.poly([pole, pole.conjugate()])), sound)
        vowels.append(sound / np.std(sound))
    which = (time * 4).astype(int) % 2
    hiss = (time * 4) % 1 < 0.15
    sound = np.where(hiss, 0.3 * rng.standard_normal(len(time)), np.where(which, vowels[1], vowels[0]))
    return sound.astype(np.float32)


def singer(folder: Path, name: str = "anna") -> Path:
    (folder / name).mkdir(parents=True)
    with files.Writer(folder / name / "take.wav", RATE, 1, "16", "wav") as writer:
        writer.write(0.1 * spoken()[np.newaxis])
    return folder / name


def pitch_of(sound: np.ndarray) -> float:
    """Hz: the lag of the largest autocorrelation between 80 and 700 Hz."""
    both = np.correlate(sound, sound, "full")[len(sound) - 1 :]
    lags = np.arange(RATE // 700, RATE // 80)
    return float(RATE / lags[np.argmax(both[lags])])


@needs_world
def test_a_tune_is_sung_at_its_pitches_and_rests_are_silent() -> None:
    notes = (Note(0.5, 1.0, 48, 100), Note(1.5, 1.0, 55, 100), Note(3.5, 1.0, 52, 100))
    sound = singing.sing(speech.analyse(spoken()), notes, TEMPO, 5.0, RATE, np.random.default_rng(3))
    assert sound.shape == (2, 5 * RATE) and sound.dtype == np.float32
    np.testing.assert_array_equal(sound[0], sound[1])
    sung = [pitch_of(sound[0, round(start * RATE) : round((start + 0.3) * RATE)]) for start in (1.0, 2.0, 4.0)]
    steps = 12 * np.log2(np.array(sung) / 440.0) + 69
    moved = steps - np.array([48, 55, 52])
    np.testing.assert_allclose(moved, np.round(moved[0] / 12) * 12, atol=0.8)
    loud = np.std(sound[0, round(0.7 * RATE) : round(2.2 * RATE)])
    for start, stop in ((0.0, 0.45), (2.65, 3.4), (4.65, 5.0)):
        assert np.std(sound[0, round(start * RATE) : round(stop * RATE)]) < 1e-3 * loud


@needs_world
def test_what_is_sung_depends_on_the_seed_alone_and_differs_between_seeds() -> None:
    known, notes = speech.analyse(spoken()), (Note(0.0, 1.0, 50, 90),)
    first, again, other = (singing.sing(known, notes, TEMPO, 1.5, RATE, np.random.default_rng(s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1 * np.abs(first).max()


@needs_world
def test_speech_has_its_pitch_and_no_pauses(tmp_path: Path) -> None:
    pause = np.zeros(RATE, np.float32)
    known = speech.analyse(np.concatenate([spoken(), pause, spoken(2.0)]))
    assert known.median_pitch == pytest.approx(140.0, rel=0.02)
    assert 5.5 < len(known.pitch) * speech.FRAME_SECONDS < 6.3
    assert all(np.isfinite(part).all() for part in (known.pitch, known.envelope, known.aperiodicity))
    recorded = speech.recorded_speech(singer(tmp_path), np.random.default_rng(0))
    assert recorded.median_pitch == pytest.approx(140.0, rel=0.02)


@needs_world
def test_speech_without_a_voice_is_refused(tmp_path: Path) -> None:
    folder = singer(tmp_path)
    with files.Writer(folder / "take.wav", RATE, 1, "16", "wav") as writer:
        writer.write(0.01 * np.random.default_rng(0).standard_normal((1, RATE)).astype(np.float32))
    with pytest.raises(JobError, match="voiced"):
        speech.recorded_speech(folder, np.random.default_rng(0))


def test_notes_are_sung_one_at_a_time_and_split_by_rests() -> None:
    notes = [Note(0.0, 2.0, 60, 90), Note(1.0, 0.5, 64, 90), Note(1.0, 0.5, 67, 90), Note(4.0, 9.0, 62, 90)]
    found = list(singing.phrases(notes, TEMPO, 6.0))
    assert [[(first, end, note.pitch) for first, end, note in phrase] for phrase in found] == [
        [(0, 200, 60), (200, 300, 67)],
        [(800, 1200, 62)],
    ]


@pytest.mark.parametrize(("length", "stretch"), [(40, 1.0), (100, 2.0), (30, 3.0)])
def test_a_note_is_stretched_where_the_speech_is_voiced(length: int, stretch: float) -> None:
    pitch = np.where(np.arange(200) % 20 < 8, 0.0, 120.0)
    known = speech.Speech(pitch, np.ones((200, 3)), np.zeros((200, 3)), np.ones(200))
    positions, used = singing.stretched(known, 20, length, stretch)
    assert len(positions) == length and used == max(round(length / stretch), 6)
    assert positions[0] == 20.0 and np.all(np.diff(positions) >= 0) and positions[-1] < 20 + used
    if stretch > 1.0:
        on_consonant = np.mean(pitch[np.floor(positions).astype(int)] == 0.0)
        assert on_consonant < 0.8 * np.mean(pitch[20 : 20 + used] == 0.0) + 1e-9


def test_with_voices_the_lead_is_sung_or_one_more_of_the_others(tmp_path: Path) -> None:
    voice = singer(tmp_path)
    font = tmp_path / "font.sf2"
    settings = RenderSettings((font,), tmp_path / "out", voices=(voice,))
    players = [render._player("lead", settings, np.random.default_rng(seed)) for seed in range(200)]
    sung = [player for player in players if player.kind == render.SPEECH]
    assert 140 < len(sung) < 180 and {player.origin for player in sung} == {voice}
    assert {player.group for player in sung} == {"lead"}
    assert {player.group for player in players if player.kind != render.SPEECH} == {"other"}
    assert render._player("bass", settings, np.random.default_rng(0)).origin == font


def test_folders_without_singers_or_recordings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one folder of speech for each singer"):
        speech.singers(tmp_path)
    voice = singer(tmp_path)
    assert speech.singers(tmp_path) == [voice]
    (tmp_path / "mute").mkdir()
    with pytest.raises(InputError, match="without sound files: .*mute"):
        speech.singers(tmp_path)
