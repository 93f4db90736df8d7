"""The built-in composer: random songs of four groups (drums, bass, other, lead).

A song has a metre, a tempo, a key, a scale and two sections, each of them a progression of four
chords with a drum pattern, a bass pattern, one to three accompaniments and a melody made of a motif
that is repeated with changes. In each block of eight bars a part may rest, so that sources also
occur alone and are silent at times. Timing and velocity deviate by a few milliseconds and a few
steps, and some songs are swung.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tfsep.rendering.drum_patterns import METRE_CHANCES, METRES, PHRASE, SIXTEENTH, DrumPattern, pulse_starts
from tfsep.rendering.notes import Note, Part, Song

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "harmonic": (0, 2, 3, 5, 7, 8, 11),
}
PROGRESSIONS = (
    (0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 3), (0, 3, 0, 4), (5, 3, 0, 4), (1, 4, 0, 0), (0, 6, 5, 4), (0, 2, 3, 4),
    (0, 0, 3, 4), (3, 4, 2, 5), (0, 6, 3, 0), (0, 1, 3, 4),
)  # fmt: skip
BASS_PATTERNS = ("pulse", "eighths", "octaves", "fifths", "walking", "sparse")
ACCOMPANIMENTS = ("sustained", "pulse", "offbeat", "arpeggio", "stabs")
_BLOCK_BARS = 8


class _Composer:
    """The random choices of one song, and the notes that follow from them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.metre = METRES[str(rng.choice(list(METRES), p=METRE_CHANCES))]
        self.steps = sum(self.metre)
        self.beats = self.steps * SIXTEENTH
        self.key = int(rng.integers(0, 12))
        self.scale = SCALES[str(rng.choice(list(SCALES)))]
        self.progressions = [PROGRESSIONS[k] for k in rng.choice(len(PROGRESSIONS), 2, replace=False)]

    def section(self, bar: int) -> int:
        """Return the section of a bar, 0 or 1; sections change every eight bars, as A A B A."""
        return int(bar // _BLOCK_BARS % 4 == 2)

    def pitch(self, degree: int, lowest: int) -> int:
        """Return the lowest pitch of a scale degree (may exceed one octave) from about ``lowest`` on."""
        octave, step = divmod(degree, len(self.scale))
        root = lowest + (self.key - lowest) % 12
        return root + 12 * octave + self.scale[step]

    def chord(self, bar: int) -> tuple[int, ...]:
        """Return the scale degrees of a bar's triad."""
        root = self.progressions[self.section(bar)][bar % PHRASE]
        return root, root + 2, root + 4

    def drums(self, bars: int) -> Iterator[Note]:
        """Yield the strokes of the drums."""
        patterns = [DrumPattern(self.metre, self.rng) for _ in range(2)]
        for bar in range(bars):
            yield from patterns[self.section(bar)].bar(bar * self.beats, bar % PHRASE, self.rng)

    def bass(self, bars: int) -> Iterator[Note]:
        """Yield the notes of the bass."""
        patterns = self.rng.choice(BASS_PATTERNS, 2)
        lowest = int(self.rng.integers(28, 36))
        for bar in range(bars):
            for step, length, interval in self._bass_bar(str(patterns[self.section(bar)])):
                degree = self.chord(bar)[0] % len(self.scale)
                pitch = self.pitch(degree + interval, lowest)
                yield Note(bar * self.beats + step * SIXTEENTH, length, pitch - 12 * (pitch > 55), 95)

    def _bass_bar(self, pattern: str) -> Iterator[tuple[int, float, int]]:
        """Yield (sixteenth, beats, scale steps above the root) of one bar."""
        pulses = [(int(start), size) for start, size in zip(pulse_starts(self.metre), self.metre, strict=True)]
        if pattern == "sparse":
            yield 0, self.beats * 0.9, 0
        elif pattern in ("eighths", "octaves"):
            for count, step in enumerate(range(0, self.steps, 2)):
                yield step, 0.42, 7 * (count % 2) if pattern == "octaves" else 0
        else:
            for count, (step, size) in enumerate(pulses):
                walk = count if pattern == "walking" else 4 * (count % 2) if pattern == "fifths" else 0
                yield step, 0.9 * size * SIXTEENTH, walk
                if pattern == "pulse" and self.rng.uniform() < 0.3:
                    yield step + size - 1, 0.2, int(self.rng.choice((0, 4, 7)))

    def accompaniment(self, bars: int) -> Iterator[Note]:
        """Yield the notes of one accompaniment."""
        patterns = self.rng.choice(ACCOMPANIMENTS, 2)
        lowest, force = int(self.rng.integers(45, 62)), int(self.rng.integers(65, 95))
        seventh = self.rng.uniform() < 0.3
        for bar in range(bars):
            root = self.chord(bar)
            degrees = (*root, root[0] + 6) if seventh else root
            pitches = [self.pitch(degree, lowest) for degree in degrees]
            start = bar * self.beats
            pattern = str(patterns[self.section(bar)])
            if pattern == "arpeggio":
                for count, step in enumerate(range(0, self.steps, 2)):
                    yield Note(start + step * SIXTEENTH, 0.6, pitches[count % len(pitches)], force)
                continue
            for step, length in self._strums(pattern):
                yield from (Note(start + step * SIXTEENTH, length, pitch, force) for pitch in pitches)

    def _strums(self, pattern: str) -> list[tuple[int, float]]:
        """Return (sixteenth, beats) of each strum of the whole chord."""
        if pattern == "sustained":
            return [(0, self.beats * 0.97)]
        starts = [(int(step), size) for step, size in zip(pulse_starts(self.metre), self.metre, strict=True)]
        if pattern == "pulse":
            return [(step, 0.85 * size * SIXTEENTH) for step, size in starts]
        if pattern == "offbeat":
            return [(step + size // 2, 0.4) for step, size in starts]
        places = np.flatnonzero(self.rng.uniform(size=self.steps) < 0.2)
        return [(int(step), 0.3) for step in places]

    def lead(self, bars: int) -> Iterator[Note]:
        """Yield a melody: two motifs of two bars (rhythm and contour), moved to each chord, with changes and rests."""
        lowest = int(self.rng.integers(55, 68))
        motifs = [self._motif() for _ in range(2)]
        for bar in range(0, bars, 2):
            if self.rng.uniform() < 0.12:
                continue
            root = self.chord(bar)[0]
            for step, length, degree in motifs[self.section(bar)]:
                change = int(self.rng.integers(-2, 3)) if self.rng.uniform() < 0.15 else 0
                pitch = self.pitch(root % len(self.scale) + degree + change, lowest)
                pitch -= 12 * (pitch > lowest + 22)
                yield Note(bar * self.beats + step * SIXTEENTH, length, pitch, int(self.rng.integers(80, 112)))

    def _motif(self) -> list[tuple[int, float, int]]:
        """Return (sixteenth, beats, scale steps above the chord's root), one note at a time over two bars."""
        step, degree = int(self.rng.choice((0, 0, 2, 4))), int(self.rng.choice((0, 2, 4)))
        found = []
        while step < 2 * self.steps - 1:
            size = int(self.rng.choice((1, 2, 2, 2, 4, 4, 6, 8)))
            if self.rng.uniform() > 0.15:
                found.append((step, 0.93 * size * SIXTEENTH, degree))
            degree = int(np.clip(degree + self.rng.choice((-3, -2, -1, -1, 0, 1, 1, 2, 3)), -3, 9))
            step += size
        return found


def humanised(
    notes: Iterator[Note], block: float, swing: float, rest: float, rng: np.random.Generator
) -> tuple[Note, ...]:
    """Vary timing and velocity a little, swing, and leave out the notes of blocks in which the part rests.

    Args:
        notes: on the grid.
        block: beats of a block that is played or rested as a whole.
        swing: part of a sixteenth by which every second eighth comes late, 0..0.7.
        rest: chance of a rest in each block but the first.
        rng: of all deviations and rests.
    """
    resting: dict[int, bool] = {0: False}
    found = []
    for note in notes:
        number = int(note.start // block)
        if number not in resting:
            resting[number] = bool(rng.uniform() < rest)
        if not resting[number]:
            late = swing * SIXTEENTH * (round(note.start / SIXTEENTH) % 4 == 2) + float(rng.normal(0.0, 0.012))
            force = int(np.clip(note.velocity + rng.integers(-8, 9), 1, 127))
            found.append(replace(note, start=max(note.start + late, 0.0), velocity=force))
    return tuple(found)


def compose(name: str, seconds: float, rng: np.random.Generator) -> Song:
    """Compose a song of at least ``seconds``; programs are left at 0."""
    composer = _Composer(rng)
    tempo = float(np.exp(rng.uniform(np.log(70.0), np.log(170.0))))
    bars = int(np.ceil(seconds * tempo / 60.0 / composer.beats))
    swing = float(rng.uniform(0.3, 0.7)) if rng.uniform() < 0.3 else 0.0
    voices = [("drums", composer.drums, 0.1), ("bass", composer.bass, 0.1), ("lead", composer.lead, 0.2)]
    voices += [("other", composer.accompaniment, 0.2)] * int(rng.integers(1, 4))
    block = _BLOCK_BARS * composer.beats
    parts = [Part(group, 0, humanised(play(bars), block, swing, rest, rng)) for group, play, rest in voices]
    return Song(name, tempo, tuple(parts))
