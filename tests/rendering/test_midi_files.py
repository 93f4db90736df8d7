"""MIDI files as parts: which part is the bass, which the lead, and which excerpt is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tfsep.errors import InputError, JobError
from tfsep.rendering.midi_files import excerpt, midi_paths, read_song
from tfsep.rendering.notes import Note, Part, Song

pytestmark = pytest.mark.programs

mido = pytest.importorskip("mido", reason="needs mido (pip install 'tfsep[render]')")


def write(path: Path, tracks: dict[str, list[tuple[int, int, float, float, int]]], tempo: float = 100.0) -> Path:
    """Tracks of (channel, program, start, length, pitch), times in beats."""
    file = mido.MidiFile(ticks_per_beat=96)
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo))]))
    for name, notes in tracks.items():
        timed = [(0.0, 0, mido.Message("program_change", channel=notes[0][0], program=notes[0][1]))]
        for channel, _, start, length, pitch in notes:
            timed.append((start, 2, mido.Message("note_on", channel=channel, note=pitch, velocity=70)))
            timed.append((start + length, 1, mido.Message("note_on", channel=channel, note=pitch, velocity=0)))
        track, now = mido.MidiTrack([mido.MetaMessage("track_name", name=name)]), 0
        for beat, _, message in sorted(timed, key=lambda each: each[:2]):
            track.append(message.copy(time=round(beat * 96) - now))
            now = round(beat * 96)
        file.tracks.append(track)
    file.save(str(path))
    return path


def line(channel: int, program: int, pitch: int, chord: bool = False) -> list[tuple[int, int, float, float, int]]:
    """Eight notes in a row, or eight triads."""
    pitches = (pitch, pitch + 4, pitch + 7) if chord else (pitch,)
    return [(channel, program, float(beat), 0.9, each) for beat in range(8) for each in pitches]


def test_parts_are_grouped_by_channel_height_and_texture(tmp_path: Path) -> None:
    tracks = {"a": line(9, 0, 36), "b": line(0, 0, 36), "c": line(1, 0, 60, True)}
    tracks |= {"d": line(2, 40, 80), "e": line(3, 1, 70)}
    song = read_song(write(tmp_path / "song.mid", tracks))
    assert [part.group for part in song.parts] == ["drums", "bass", "other", "lead", "other"]
    assert song.name == "song" and song.tempo == pytest.approx(100.0, abs=0.01)
    assert song.parts[3].program == 40 and song.parts[3].notes[1] == Note(1.0, pytest.approx(0.9, abs=0.01), 80, 70)


def test_names_and_programs_decide_before_height(tmp_path: Path) -> None:
    tracks = {"Vocals": line(0, 0, 60), "flute": line(1, 73, 90), "x": line(2, 33, 60), "Basso": line(3, 0, 60)}
    song = read_song(write(tmp_path / "song.mid", tracks))
    assert [part.group for part in song.parts] == ["lead", "other", "bass", "bass"]


def test_what_is_no_song_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.mid").write_bytes(b"MThd no more")
    with pytest.raises(JobError, match="broken.mid is no MIDI file"):
        read_song(tmp_path / "broken.mid")
    mido.MidiFile().save(str(tmp_path / "empty.mid"))
    with pytest.raises(JobError, match="empty.mid has no notes"):
        read_song(tmp_path / "empty.mid")


def test_files_are_found_at_any_depth(tmp_path: Path) -> None:
    for name in ("b.MID", "a/c.midi", "a/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in midi_paths(tmp_path)] == ["c.midi", "b.MID"]
    with pytest.raises(InputError, match="--midi must be builtin or a folder of .mid files"):
        midi_paths(tmp_path / "nowhere")


def test_an_excerpt_is_transposed_but_for_its_drums() -> None:
    notes = tuple(Note(float(beat), 1.0, 60, 80) for beat in range(4, 200))
    song = Song("x", 120.0, (Part("drums", 0, notes), Part("lead", 0, notes)))
    found = [excerpt(song, 10.0, np.random.default_rng(seed)) for seed in range(30)]
    for each in found:
        assert {note.pitch for note in each.parts[0].notes} == {60}
        assert 102 <= each.tempo <= 138
        starts = [note.start for note in each.parts[1].notes]
        assert min(starts) < 1.0 and max(starts) < 10.0 * each.tempo / 60
    assert {each.parts[1].notes[0].pitch for each in found} == set(range(56, 65))
