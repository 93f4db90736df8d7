"""Songs as notes, and their parts as standard MIDI files.

Times are in beats (quarter notes), pitches in MIDI numbers (60 is middle C; on drums, the General
MIDI percussion map), velocities in 1..127. A file holds one part on one channel. No note is shorter
than 24 ticks and every file ends with all-notes-off and all-sound-off, without which a synthesiser
may wait for ever for the end of a sound.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

TICKS = 480
SHORTEST = 24
DRUM_CHANNEL = 9
_ALL_SOUND_OFF, _ALL_NOTES_OFF = 120, 123


@dataclass(frozen=True)
class Note:
    """A note: start and length in beats, pitch in 0..127, velocity in 1..127."""

    start: float
    length: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Part:
    """The notes of one instrument: ``group`` is drums, bass, other or lead; program in 0..127 (of drums: the kit)."""

    group: str
    program: int
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class Song:
    """Parts at one tempo, in beats per minute."""

    name: str
    tempo: float
    parts: tuple[Part, ...]


def midi_bytes(part: Part, tempo: float, seconds: float) -> bytes:
    """Return a type 0 standard MIDI file of the first ``seconds`` of a part."""
    end = round(seconds * tempo / 60.0 * TICKS)
    channel = DRUM_CHANNEL if part.group == "drums" else 0
    events = [(0, 0, bytes([0xC0 | channel, part.program]))]
    for start, stop, note in _in_ticks(part.notes, end):
        events.append((start, 2, bytes([0x90 | channel, note.pitch, note.velocity])))
        events.append((stop, 1, bytes([0x80 | channel, note.pitch, 0])))
    for control in (_ALL_NOTES_OFF, _ALL_SOUND_OFF):
        events.append((end, 3, bytes([0xB0 | channel, control, 0])))
    microseconds = round(60e6 / tempo)
    track = b"\x00\xff\x51\x03" + microseconds.to_bytes(3, "big")
    now = 0
    for tick, _, message in sorted(events):
        track += _variable_length(tick - now) + message
        now = tick
    track += b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS) + b"MTrk" + struct.pack(">I", len(track)) + track


def _in_ticks(notes: Iterable[Note], end: int) -> list[tuple[int, int, Note]]:
    """Return notes with start and stop in ticks, within 0..end; a note ends where the next one of its pitch starts."""
    found: list[tuple[int, int, Note]] = []
    last: dict[int, int] = {}
    for note in sorted(notes, key=lambda note: (note.start, note.pitch)):
        start = max(round(note.start * TICKS), 0)
        stop = min(start + max(round(note.length * TICKS), SHORTEST), end)
        if stop - start < SHORTEST or start < last.get(note.pitch, -SHORTEST) + SHORTEST:
            continue
        last[note.pitch] = start
        found.append((start, stop, note))
    following: dict[int, int] = {}
    for index in range(len(found) - 1, -1, -1):
        start, stop, note = found[index]
        found[index] = (start, min(stop, following.get(note.pitch, end)), note)
        following[note.pitch] = start
    return found


def _variable_length(value: int) -> bytes:
    """Encode a number in groups of seven bits, highest first, all but the last with the top bit set."""
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(0x80 | (value & 0x7F))
    return bytes(reversed(groups))
