"""The folder of a song that a command made: its stems and ``song.json``, which says how, and so whether it is the one.

A folder whose description is just what is asked for is kept as it is. In another the description goes first, then the
stems of the earlier make, and comes last, so that a folder which has one is whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfsep.audio import files
from tfsep.audio.atomic import replacing

DESCRIPTION = "song.json"


def kept_or_made(
    folder: Path,
    about: Mapping[str, Any],
    make: Callable[[], Mapping[str, np.ndarray]],
    sample_rate: int,
    channels: int,
) -> Path:
    """Write a song's stems as 16-bit FLAC, unless they lie there already; returns the folder.

    Args:
        folder: of the song.
        about: how it is made, plain data.
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
        heard = sound if channels == 2 else sound.mean(axis=0, keepdims=True)
        with files.Writer(folder / f"{source}.flac", sample_rate, channels, "16", "flac") as writer:
            writer.write(heard)
    with replacing(description) as temporary:
        temporary.write_text(described, encoding="utf-8")
    return folder
