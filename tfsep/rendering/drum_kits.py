"""Drum kits as folders of recorded strokes: one sub-folder a kit, one sound file a stroke.

The name of a file says which General MIDI drum it is (``Kick-1.wav``, ``hh_open.flac``). A drum
that a kit lacks is replaced by its nearest relative, such as a closed hi-hat for a shaker. Of
several files of a drum one is drawn for each song. The level of a stroke follows its velocity.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tfsep.audio.suffixes import sound_files
from tfsep.data.packed import read_recording
from tfsep.errors import InputError
from tfsep.rendering.notes import Part

STROKE_SECONDS = 4.0
_LOUDNESS = 1.5
_HAT = r"hi.?hat|\bhat|hh"
NAMES = {
    "kick": r"kick|\bbd|bass.?drum|bombo",
    "snare": r"snare|\bsn|\bsd",
    "stick": r"stick|rim",
    "clap": r"clap|snap",
    "open hat": rf"({_HAT}).*op|op.*({_HAT})",
    "pedal hat": rf"({_HAT}).*(foot|ped)|(foot|ped).*({_HAT})",
    "hat": _HAT,
    "crash": r"crash|china|splash|cymbal",
    "ride": r"ride",
    "tom": r"tom|conga|bongo|timb|djembe",
    "shaker": r"shak|mara|cabasa|tamb",
    "bell": r"bell|agogo|wood|block|triang",
}
#: Numbers of General MIDI drums, and the drums of a kit that play them, the preferred one first.
PLAYED_BY: dict[tuple[int, ...], tuple[str, ...]] = {
    (35, 36): ("kick",),
    (38, 40): ("snare",),
    (37,): ("stick", "snare"),
    (39,): ("clap", "snare"),
    (46,): ("open hat", "hat"),
    (44,): ("pedal hat", "hat"),
    (42,): ("hat",),
    (49, 52, 55, 57): ("crash", "ride", "open hat", "hat"),
    (51, 53, 59): ("ride", "hat"),
    (41, 43, 45, 47, 48, 50, *range(60, 69)): ("tom", "snare"),
    (54, 69, 70, 82): ("shaker", "hat"),
    (56, 67, 68, 75, 76, 77, 80, 81): ("bell", "stick", "hat"),
}
_NEEDED = ("kick", "snare", "hat")


def strokes(kit: Path) -> dict[str, list[Path]]:
    """Return the sound files of a kit by drum, in alphabetical order; the first pattern that fits a name counts."""
    found: dict[str, list[Path]] = {}
    for path in sound_files(kit, deep=True):
        name = path.stem.lower().replace("_", " ")
        drum = next((drum for drum, pattern in NAMES.items() if re.search(pattern, name)), None)
        if drum is not None:
            found.setdefault(drum, []).append(path)
    return found


def drum_kits(folder: str | Path) -> list[Path]:
    """Return the kits of a folder that have a kick, a snare and a hi-hat, in alphabetical order.

    Raises:
        InputError: if there are none.
    """
    root = Path(folder)
    kits = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    complete = [kit for kit in kits if all(drum in strokes(kit) for drum in _NEEDED)]
    if not complete:
        raise InputError(
            f"--kits must hold a folder for each kit, with files named after kick, snare and hat, found none in {root}"
            " (Debian: hydrogen-drumkits)"
        )
    return complete


def struck(part: Part, tempo: float, seconds: float, kit: Mapping[str, np.ndarray], sample_rate: int) -> np.ndarray:
    """Play a part of drums on a kit.

    Args:
        part: the notes; drums outside General MIDI's are left out.
        tempo: beats per minute.
        seconds: of sound; longer notes are cut off.
        kit: a stroke (2, time) for each of its drums.
        sample_rate: Hz.

    Returns:
        (2, round(seconds sample_rate)) float32.
    """
    length = round(seconds * sample_rate)
    sound = np.zeros((2, length), np.float32)
    drums = {
        number: next((kit[drum] for drum in players if drum in kit), None)
        for numbers, players in PLAYED_BY.items()
        for number in numbers
    }
    for note in part.notes:
        start = round(note.start * 60.0 / tempo * sample_rate)
        stroke = drums.get(note.pitch)
        if stroke is None or not 0 <= start < length:
            continue
        stroke = stroke[:, : length - start]
        sound[:, start : start + stroke.shape[1]] += (note.velocity / 127.0) ** _LOUDNESS * stroke
    return sound


def drawn_strokes(kit: Path, sample_rate: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw a stroke (2, time) with a peak of 1 for each drum of a kit, out of the files of that drum."""
    found = {}
    for drum, paths in strokes(kit).items():
        path = paths[int(rng.integers(len(paths)))]
        wave = read_recording(path, sample_rate, "one")[:, : round(STROKE_SECONDS * sample_rate)]
        found[drum] = wave / max(float(np.abs(wave).max()), 1e-6)
    return found
