"""Read MIDI files as songs: a part is one channel of one track, grouped into drums, bass, lead and other.

Drums are channel 10. Bass is a part that is called so, has one of General MIDI's basses (programs
32..39) or lies below C3 on average. The lead is the part called melody, lead, voice, vocal or sing,
or else the highest one that mostly plays one note at a time. All other parts are other.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np

from tfsep.errors import InputError, JobError
from tfsep.rendering.notes import DRUM_CHANNEL, Note, Part, Song

SUFFIXES = (".mid", ".midi")
_LEAD_WORDS = ("melody", "lead", "voice", "vocal", "sing")
_BASSES = range(32, 40)
_LOW = 48.0


class _Message(Protocol):
    """A message of mido; a note or program has its own attributes."""

    type: str
    time: int
    channel: int
    note: int
    velocity: int
    program: int


class _Track(Protocol):
    """A track of mido."""

    name: str

    def __iter__(self) -> Iterator[_Message]: ...


@dataclass
class _Voice:
    """The notes of one channel of one track."""

    name: str
    program: int = 0
    notes: list[Note] = field(default_factory=list)

    @property
    def height(self) -> float:
        """Return the mean pitch."""
        return float(np.mean([note.pitch for note in self.notes]))

    def is_single(self) -> bool:
        """Return whether fewer than a tenth of the notes begin while another one sounds."""
        notes = sorted(self.notes, key=lambda note: note.start)
        pairs = zip(notes, notes[1:], strict=False)
        overlapping = sum(after.start < note.start + 0.8 * note.length for note, after in pairs)
        return overlapping < 0.1 * len(notes)


def midi_paths(folder: str | Path) -> list[Path]:
    """Return the MIDI files of a folder, at any depth, in alphabetical order.

    Raises:
        InputError: if it has none.
    """
    found = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise InputError(f"--midi must be builtin or a folder of .mid files, got {str(folder)!r}")
    return found


def package() -> ModuleType:
    """Import the package mido.

    Raises:
        JobError: if it is not installed.
    """
    try:
        return importlib.import_module("mido")
    except ImportError as error:
        raise JobError("MIDI files need the package mido, not installed (pip install 'tfsep[render]')") from error


def read_song(path: Path) -> Song:
    """Read a MIDI file at its first tempo.

    Raises:
        JobError: without mido, or for a file that is broken, without notes or timed in seconds.
    """
    mido = package()
    try:
        file = mido.MidiFile(str(path), clip=True)
    except (OSError, EOFError, ValueError, KeyError, IndexError) as error:
        raise JobError(f"{path} is no MIDI file ({type(error).__name__})") from error
    if file.ticks_per_beat <= 0:
        raise JobError(f"{path} is timed in seconds, a MIDI file must be timed in beats")
    tempos = [message.tempo for track in file.tracks for message in track if message.type == "set_tempo"]
    voices: dict[tuple[int, int], _Voice] = {}
    for number, track in enumerate(file.tracks):
        _read_track(track, number, file.ticks_per_beat, voices)
    voices = {key: voice for key, voice in voices.items() if voice.notes}
    if not voices:
        raise JobError(f"{path} has no notes")
    parts = [Part(group, voice.program, tuple(voice.notes)) for group, voice in _grouped(voices)]
    return Song(path.stem, 60e6 / tempos[0] if tempos and tempos[0] else 120.0, tuple(parts))


def _read_track(track: _Track, number: int, ticks: int, voices: dict[tuple[int, int], _Voice]) -> None:
    """Add the notes of a track to the voices, by (track, channel); times in beats."""
    now = 0
    sounding: dict[tuple[int, int], list[tuple[float, int]]] = defaultdict(list)
    for message in track:
        now += message.time
        beat = now / ticks
        if message.type == "program_change":
            voices.setdefault((number, message.channel), _Voice(track.name)).program = message.program
        elif message.type == "note_on" and message.velocity > 0:
            sounding[message.channel, message.note].append((beat, message.velocity))
        elif message.type in ("note_on", "note_off") and sounding[message.channel, message.note]:
            start, velocity = sounding[message.channel, message.note].pop(0)
            voice = voices.setdefault((number, message.channel), _Voice(track.name))
            voice.notes.append(Note(start, beat - start, message.note, velocity))


def _grouped(voices: dict[tuple[int, int], _Voice]) -> list[tuple[str, _Voice]]:
    """Return each voice with its group."""
    groups: dict[tuple[int, int], str] = {}
    for key, voice in voices.items():
        low = voice.program in _BASSES or "bass" in voice.name.lower() or voice.height < _LOW
        groups[key] = "drums" if key[1] == DRUM_CHANNEL else "bass" if low else "other"
    others = [key for key, group in groups.items() if group == "other"]
    named = [key for key in others if any(word in voices[key].name.lower() for word in _LEAD_WORDS)]
    single = named or [key for key in others if voices[key].is_single()]
    if single:
        groups[max(single, key=lambda key: voices[key].height)] = "lead"
    return [(groups[key], voice) for key, voice in voices.items()]


def excerpt(song: Song, seconds: float, rng: np.random.Generator) -> Song:
    """Draw an excerpt of ``seconds`` of a song, transposed by up to 4 semitones and up to 15 % off in tempo.

    Notes that began before the excerpt are left out. Drums are not transposed.
    """
    tempo = song.tempo * float(rng.uniform(0.85, 1.15))
    beats = seconds * tempo / 60.0
    end = max(note.start + note.length for part in song.parts for note in part.notes)
    first = min(note.start for part in song.parts for note in part.notes)
    begin = first + float(rng.uniform()) * max(end - first - beats, 0.0)
    steps = int(rng.integers(-4, 5))
    parts = []
    for part in song.parts:
        shift = 0 if part.group == "drums" else steps
        kept = (note for note in part.notes if begin <= note.start < begin + beats)
        moved = (replace(note, start=note.start - begin, pitch=min(max(note.pitch + shift, 0), 127)) for note in kept)
        parts.append(replace(part, notes=tuple(moved)))
    return Song(song.name, tempo, tuple(part for part in parts if part.notes))
