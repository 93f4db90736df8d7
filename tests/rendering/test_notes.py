"""The bytes of a part as MIDI, and what the built-in composer writes."""

from __future__ import annotations

import numpy as np
import pytest

from tfsep.rendering.composer import compose, humanised
from tfsep.rendering.drum_patterns import METRES, DrumPattern
from tfsep.rendering.notes import SHORTEST, Note, Part, midi_bytes

GROUPS = ("drums", "bass", "lead", "other")


def number(track: bytes, offset: int) -> tuple[int, int]:
    """Read a variable-length number; return it and the offset after it."""
    value = 0
    while True:
        value = value << 7 | track[offset] & 0x7F
        offset += 1
        if not track[offset - 1] & 0x80:
            return value, offset


def events(content: bytes) -> list[tuple[int, bytes]]:
    """(tick, message) of a type 0 file without running status, read independently of the writer."""
    assert content[:14] == b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x01\xe0" and content[14:18] == b"MTrk"
    track = content[22:]
    assert int.from_bytes(content[18:22], "big") == len(track)
    found, offset, now = [], 0, 0
    while offset < len(track):
        delay, offset = number(track, offset)
        now += delay
        size = 3 + track[offset + 2] if track[offset] == 0xFF else 2 if track[offset] & 0xF0 == 0xC0 else 3
        found.append((now, track[offset : offset + size]))
        offset += size
    return found


def test_a_part_is_one_channel_of_notes() -> None:
    part = Part("bass", 33, (Note(1.0, 0.5, 40, 90), Note(0.0, 0.5, 36, 80)))
    assert events(midi_bytes(part, 120.0, 2.0)) == [
        (0, b"\xff\x51\x03\x07\xa1\x20"),
        (0, b"\xc0\x21"),
        (0, b"\x90\x24\x50"),
        (240, b"\x80\x24\x00"),
        (480, b"\x90\x28\x5a"),
        (720, b"\x80\x28\x00"),
        (1920, b"\xb0\x78\x00"),
        (1920, b"\xb0\x7b\x00"),
        (1920, b"\xff\x2f\x00"),
    ]


def test_drums_play_on_their_own_channel() -> None:
    messages = [message for _, message in events(midi_bytes(Part("drums", 8, (Note(0, 1, 36, 80),)), 90.0, 1.0))]
    assert messages[1] == b"\xc9\x08" and messages[2] == b"\x99\x24\x50" and messages[-2] == b"\xb9\x7b\x00"


@pytest.mark.parametrize("length", [0.0, -1.0, 1e-6, 50.0])
def test_no_note_is_too_short_and_none_outlasts_the_end(length: float) -> None:
    notes = tuple(Note(start, length, 60, 80) for start in (-0.5, 0.0, 0.001, 1.0, 1.99, 2.5))
    found = events(midi_bytes(Part("lead", 0, notes), 60.0, 2.0))
    starts = [tick for tick, message in found if message[0] == 0x90]
    stops = [tick for tick, message in found if message[0] == 0x80]
    assert len(starts) == len(stops) == 2
    assert all(stop - start >= SHORTEST for start, stop in zip(starts, stops, strict=True))
    assert max(tick for tick, _ in found) == 960


def test_a_pitch_struck_again_ends_first() -> None:
    part = Part("lead", 0, (Note(0.0, 3.0, 60, 80), Note(1.0, 1.0, 60, 80)))
    found = [(tick, message[0]) for tick, message in events(midi_bytes(part, 60.0, 4.0)) if message[0] in (0x80, 0x90)]
    assert found == [(0, 0x90), (480, 0x80), (480, 0x90), (960, 0x80)]


def test_a_composition_is_that_of_its_seed() -> None:
    one, again, other = (compose("x", 20.0, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert one == again and one != other


def test_compositions_have_all_groups_and_differ() -> None:
    songs = [compose("x", 30.0, np.random.default_rng(seed)) for seed in range(30)]
    tempos = [song.tempo for song in songs]
    assert min(tempos) >= 70 and max(tempos) <= 170 and np.std(tempos) > 15
    for song in songs:
        assert {part.group for part in song.parts} == set(GROUPS)
        for part in song.parts:
            assert all(0 <= note.pitch <= 127 and 1 <= note.velocity <= 127 for note in part.notes)
            last = max(note.start for note in part.notes) * 60 / song.tempo
            assert part.group == "lead" or last > 8.0
        heights = {part.group: np.mean([note.pitch for note in part.notes]) for part in song.parts}
        assert heights["bass"] < heights["lead"] and 26 <= heights["bass"] <= 56
    assert len({len(part.notes) for song in songs for part in song.parts}) > 60


@pytest.mark.parametrize("metre", METRES)
def test_drum_patterns_fill_the_bar_of_their_metre(metre: str) -> None:
    steps = sum(METRES[metre])
    for seed in range(5):
        rng = np.random.default_rng(seed)
        pattern = DrumPattern(METRES[metre], rng)
        notes = [note for place in range(4) for note in pattern.bar(10.0, place, rng)]
        assert all(10.0 <= note.start < 10.0 + steps / 4 for note in notes)
        assert any(note.pitch == 36 and note.start == 10.0 for note in notes)


def test_parts_rest_for_whole_blocks_but_not_in_the_first() -> None:
    notes = (Note(float(beat), 0.5, 60, 80) for beat in range(400))
    found = np.array([note.start for note in humanised(notes, 10.0, 0.0, 0.5, np.random.default_rng(0))])
    counts = np.histogram(found + 0.1, 40, (0, 400))[0]
    assert counts[0] == 10 and set(counts) == {0, 10} and 8 < np.sum(counts == 0) < 32
