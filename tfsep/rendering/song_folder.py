"""Write the folder of a rendered song: its stems, and ``song.json``, which says how it was made.

A folder with the same description is kept as it is. In another one the description is deleted
first, then the earlier stems; the new description is written last, so that a folder with a
description is complete.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from tfsep.atomic import write_text
from tfsep.audio import files

DESCRIPTION = "song.json"


def write_song(
    folder: Path,
    about: Mapping[str, object],
    make: Callable[[], Mapping[str, np.ndarray]],
    sample_rate: int,
    channels: int,
) -> Path:
    """Write the stems of a song as 16-bit FLAC, unless the same song is there already, and return the folder.

    Args:
        folder: of the song.
        about: how it is made, as JSON.
        make: makes the stems (2, time) by source.
        sample_rate: Hz.
        channels: 2, or 1 for their mean.

    Raises:
        JobError: if the folder cannot be written.
    """
    description, described = folder / DESCRIPTION, json.dumps(about, indent=1) + "\n"
    if description.is_file() and description.read_text(encoding="utf-8") == described:
        return folder
    for earlier in (description, *folder.glob("*.flac")) if folder.is_dir() else ():
        earlier.unlink(missing_ok=True)
    for source, sound in make().items():
        mixed = sound if channels == 2 else sound.mean(axis=0, keepdims=True)
        with files.Writer(folder / f"{source}.flac", sample_rate, channels, "16", "flac") as writer:
            writer.write(mixed)
    write_text(description, described)
    return folder
