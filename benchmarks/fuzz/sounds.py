"""Hostile sound files: whole ones of every format, changed at random."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

RATE, SECONDS = 8000, 2.0
#: Suffix and options of ffmpeg.
ENCODED = {
    "m4a": ["-movflags", "+faststart"],
    "aac": [],
    "mka": ["-c:a", "libvorbis"],
    "webm": ["-c:a", "libopus"],
    "wma": [],
    "tta": [],
    "wv": [],
    "mp2": [],
    "ac3": [],
    "mkv": ["-c:a", "pcm_s16le"],
}
PLAIN = {
    "wav": {},
    "float.wav": {"subtype": "FLOAT"},
    "rf64": {},
    "w64": {},
    "aiff": {},
    "au": {},
    "caf": {},
    "flac": {},
    "ogg": {"subtype": "VORBIS"},
    "opus.ogg": {"subtype": "OPUS"},
    "mp3": {},
}
#: Streams that announce no length: a cut between two of their frames leaves a whole file.
WITHOUT_LENGTH = ("aac", "mp2", "ac3")


@dataclass(frozen=True)
class Case:
    """A file to be read.

    Attributes:
        path: of the file.
        what: how it was made.
        seconds: of sound that it must have if it is read without a word; None where that is open.
    """

    path: Path
    what: str
    seconds: float | None


def originals(folder: Path) -> dict[str, bytes]:
    """Write a whole file of each format that this machine encodes, and return their bytes by suffix."""
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (round(SECONDS * RATE), 2))
    found = {}
    for name, properties in PLAIN.items():
        path = folder / f"a.{name}"
        soundfile.write(path, noise, RATE, **properties)
        found[name] = path.read_bytes()
    program = shutil.which("ffmpeg")
    for name, options in ENCODED.items() if program else ():
        path = folder / f"a.{name}"
        command = [str(program), "-v", "error", "-y", "-i", str(folder / "a.wav"), "-ar", "48000", *options, str(path)]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            found[name] = path.read_bytes()
    return found


Change = Callable[[bytes, np.random.Generator], bytes]


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    """Return the first part, at least a twentieth shorter."""
    return content[: int(rng.uniform(0.0, 0.95) * len(content))]


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    """Change single bytes, mostly in the header."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        reach = min(len(changed), 200) if rng.random() < 0.7 else len(changed)
        changed[int(rng.integers(reach))] = int(rng.integers(256))
    return bytes(changed)


def noise_within(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace a stretch by noise."""
    start = int(rng.integers(len(content)))
    length = int(rng.integers(1, 1 + len(content) // 4))
    return content[:start] + rng.bytes(min(length, len(content) - start)) + content[start + length :]


def wrong_number(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace a field of four bytes in the header by a number at a limit."""
    at = int(rng.integers(min(len(content), 120)))
    numbers = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 0x10000, int(rng.integers(2**32)))
    order = "<I" if rng.random() < 0.5 else ">I"
    return content[:at] + struct.pack(order, numbers[int(rng.integers(len(numbers)))]) + content[at + 4 :]


def without_part(content: bytes, rng: np.random.Generator) -> bytes:
    """Leave out a stretch."""
    start = int(rng.integers(len(content)))
    return content[:start] + content[start + int(rng.integers(1, 1 + len(content) // 2)) :]


def twice(content: bytes, rng: np.random.Generator) -> bytes:
    """Repeat the file, or a part of it."""
    start = int(rng.integers(len(content))) if rng.random() < 0.5 else 0
    return content + content[start:]


def zeros_within(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace a stretch by zeros."""
    start = int(rng.integers(len(content)))
    length = min(int(rng.integers(1, 1 + len(content) // 3)), len(content) - start)
    return content[:start] + bytes(length) + content[start + length :]


def noise_alone(content: bytes, rng: np.random.Generator) -> bytes:
    """Keep the first bytes, and let noise follow."""
    return content[: int(rng.integers(0, 64))] + rng.bytes(int(rng.integers(0, 5000)))


CHANGES: dict[str, Change] = {
    change.__name__: change
    for change in (cut, flip, noise_within, wrong_number, without_part, twice, zeros_within, noise_alone)
}


def make_case(files: dict[str, bytes], folder: Path, number: int, seed: int) -> Case:
    """Write case ``number`` to ``folder``, from the seed and its number alone."""
    rng = np.random.default_rng([seed, number])
    name = list(files)[int(rng.integers(len(files)))]
    change = list(CHANGES)[int(rng.integers(len(CHANGES)))]
    suffix = name.rpartition(".")[2]
    if rng.random() < 0.05:
        suffix = ("wav", "flac", "m4a", "mp3", "txt", "raw")[int(rng.integers(6))]
    path = folder / f"case.{suffix}"
    path.write_bytes(CHANGES[change](files[name], rng))
    checked = change == "cut" and name not in WITHOUT_LENGTH
    return Case(path, f"case {number} of seed {seed}: {change} of {name} as .{suffix}", SECONDS if checked else None)
