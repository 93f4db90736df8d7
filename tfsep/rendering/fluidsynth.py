"""Synthesise notes by the ``fluidsynth`` program and a General MIDI soundfont (SF2 or SF3).

Reverb and chorus of the synthesiser are off; effects.py adds effects. A part that takes longer than
its time limit ends with an error.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np

from tfsep.audio import files
from tfsep.errors import InputError, JobError
from tfsep.locks import temporary_folder
from tfsep.rendering.notes import Part, midi_bytes

DEBIAN_FONTS = "fluid-soundfont-gm, timgm6mb-soundfont"
_GAIN = "0.4"
_ON_DEMAND = ("-o", "synth.dynamic-sample-loading=1")
_LEAST_SECONDS, _SECONDS_PER_SECOND = 60.0, 4.0


def program() -> str:
    """Return the path of fluidsynth.

    Raises:
        JobError: if it is not installed.
    """
    found = shutil.which("fluidsynth")
    if found is None:
        raise JobError("rendering needs the program fluidsynth, which is not installed (Debian: fluidsynth)")
    return found


def check_soundfont(path: str | Path) -> Path:
    """Return a path, checked to be that of a soundfont.

    Raises:
        InputError: for a missing file, or one without the head of a soundfont.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"--soundfont must be an SF2 or SF3 file, found none at {file} (Debian: {DEBIAN_FONTS})")
    with file.open("rb") as content:
        head = content.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise InputError(f"--soundfont must be an SF2 or SF3 file, got something else: {file} (Debian: {DEBIAN_FONTS})")
    return file


def synthesise(
    part: Part, tempo: float, seconds: float, soundfont: Path, sample_rate: int, time_limit: float | None = None
) -> np.ndarray:
    """Synthesise a part.

    Args:
        part: the notes.
        tempo: beats per minute.
        seconds: of sound; longer notes are cut off.
        soundfont: SF2 or SF3 file.
        sample_rate: Hz.
        time_limit: seconds after which fluidsynth is stopped; None: one minute plus four times the
            length of the sound.

    Returns:
        (2, round(seconds sample_rate)) float32.

    Raises:
        JobError: without fluidsynth, or if it fails or does not end.
    """
    limit = _LEAST_SECONDS + _SECONDS_PER_SECOND * seconds if time_limit is None else time_limit
    with temporary_folder() as folder:
        notes, target = folder / "part.mid", folder / "part.wav"
        notes.write_bytes(midi_bytes(part, tempo, seconds))
        command = [program(), "-n", "-i", "-q", "-R", "0", "-C", "0", *_ON_DEMAND, "-g", _GAIN, "-r", str(sample_rate)]
        command += ["-T", "wav", "-O", "float", "-F", str(target), str(soundfont.absolute()), str(notes)]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit, check=False)
        except subprocess.TimeoutExpired as error:
            raise JobError(f"fluidsynth did not end within {limit:g} s with {soundfont.name}") from error
        if done.returncode or not target.is_file():
            lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise JobError(f"fluidsynth failed with {soundfont.name}: {lines[-1].strip()}")
        sound, _ = files.read(target)
    length = round(seconds * sample_rate)
    return np.pad(sound[:, :length], ((0, 0), (0, max(length - sound.shape[1], 0))))
