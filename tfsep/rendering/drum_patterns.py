"""Metres, drum patterns and fills for composed songs, on a grid of sixteenth notes.

A metre is a tuple of the lengths of its pulses in sixteenths: 4/4 is (4, 4, 4, 4), 6/8 is (6, 6),
7/8 is (4, 4, 6). Patterns are drawn once for each section and repeated, with ghost strokes, a fill
at the end of each phrase and a crash after it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfsep.rendering.notes import Note

METRES = {"4/4": (4, 4, 4, 4), "3/4": (4, 4, 4), "6/8": (6, 6), "7/8": (4, 4, 6), "5/4": (6, 6, 4, 4)}
METRE_CHANCES = (0.62, 0.14, 0.14, 0.05, 0.05)
STYLES = ("rock", "four on the floor", "half", "broken", "brushes")
PHRASE = 4
SIXTEENTH = 0.25
_KICK, _STICK, _SNARE, _CLAP, _CLOSED, _PEDAL, _OPEN = 36, 37, 38, 39, 42, 44, 46
_CRASH, _RIDE, _TAMBOURINE, _SHAKER = 49, 51, 54, 70
_TOMS = (50, 48, 45, 43, 41)


def pulse_starts(metre: tuple[int, ...]) -> np.ndarray:
    """Return the sixteenths at which the pulses of a bar begin, (pulse,)."""
    return np.concatenate([[0], np.cumsum(metre)[:-1]])


class DrumPattern:
    """A random drum pattern of one bar in one of the styles."""

    def __init__(self, metre: tuple[int, ...], rng: np.random.Generator) -> None:
        """Draw the chance of a stroke for each drum and sixteenth."""
        self.style = str(rng.choice(STYLES))
        self.length = sum(metre)
        pulses = pulse_starts(metre)
        self.chances: dict[int, np.ndarray] = {}
        self._strike(_KICK, self._kicks(pulses, rng))
        back = pulses[1::2] if self.style != "half" else pulses[len(pulses) // 2 : len(pulses) // 2 + 1]
        snare = int(rng.choice((_SNARE, _SNARE, _SNARE, _CLAP, _STICK)))
        self._strike(snare, back)
        self._strike(_SNARE, rng.choice(self.length, rng.integers(0, 4), replace=False), 0.25)
        step = int(rng.choice((1, 2, 2, 2, 4)))
        time_keeper = int(rng.choice((_CLOSED, _CLOSED, _CLOSED, _RIDE, _SHAKER, _TAMBOURINE)))
        self._strike(time_keeper, np.arange(0, self.length, step), 0.95)
        if rng.uniform() < 0.4:
            self._strike(int(rng.choice((_OPEN, _PEDAL))), pulses + np.minimum(metre, 4) // 2, 0.8)

    def _kicks(self, pulses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the sixteenths of the bass drum."""
        if self.style == "four on the floor":
            return pulses
        extra = rng.choice(self.length, rng.integers(0, 3 if self.style != "broken" else 5), replace=False)
        return np.unique(np.concatenate([pulses[:1], pulses[2::2], extra]))

    def _strike(self, drum: int, sixteenths: np.ndarray, chance: float = 1.0) -> None:
        """Set the chance of strokes of a drum at some sixteenths."""
        chances = self.chances.setdefault(drum, np.zeros(self.length))
        chances[np.asarray(sixteenths, int) % self.length] = chance

    def bar(self, start: float, number: int, rng: np.random.Generator) -> Iterator[Note]:
        """Yield the strokes of one bar: ``start`` in beats, ``number`` within a phrase of four bars."""
        fill = self.length - int(rng.choice((4, 4, 8))) if number == PHRASE - 1 and rng.uniform() < 0.7 else self.length
        soft = 25 if self.style == "brushes" else 0
        for drum, chances in self.chances.items():
            for step in np.flatnonzero(rng.uniform(size=self.length) < chances):
                if step < fill:
                    accent = 18 if step == 0 else 0
                    force = 60 if chances[step] < 0.5 else 92
                    yield Note(start + step * SIXTEENTH, 0.2, drum, force + accent - soft)
        for filled in range(max(fill, 0), self.length):
            if rng.uniform() < 0.8:
                struck = int(rng.choice((_SNARE, *_TOMS)))
                yield Note(start + filled * SIXTEENTH, 0.2, struck, int(rng.integers(70, 115)) - soft)
        if number == 0 and rng.uniform() < 0.6:
            yield Note(start, 0.5, _CRASH, 100 - soft)
