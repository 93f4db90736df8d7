"""Files that are followed by another in one, where a decoder would read the first alone and say nothing.

MP4 and its kin are boxes of a size in four bytes and a name in four (ISO/IEC 14496-12, 4.2), of
which "ftyp" begins a file. A TTA file (version 1) is a header of 22 bytes, a table with the size of
each frame and a checksum, the frames, and perhaps a tag (APEv2), whose header says how long it is.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

from tfsep.errors import JobError

_MOST_BOXES = 1_000_000
_TTA_HEADER = struct.Struct("<4sHHHIII")
_TTA_FRAME = (256, 245)  # of a second
_APE_TAG = b"APETAGEX"


def verify(path: Path) -> None:
    """Refuse several MP4 or TTA files in one; other files pass.

    Raises:
        JobError: naming the byte where the second begins.
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        size, start = os.fstat(file.fileno()).st_size, file.read(_TTA_HEADER.size)
        second = None
        if start[4:8] == b"ftyp":
            second = _second_mp4(file, size)
        elif start[:4] == b"TTA1" and len(start) == _TTA_HEADER.size:
            second = _second_tta(file, start)
    if second is not None:
        raise JobError(f"several sound files in one are not read, split them (the second begins at {second}): {path}")


def _second_mp4(file: BinaryIO, size: int) -> int | None:
    position = 0
    for number in range(_MOST_BOXES):
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return None
        if number and header[4:8] == b"ftyp":
            return position
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        # 0 stands for all that follows.
        if length < 8 or position + length >= size:
            return None
        position += length
    return None


def _second_tta(file: BinaryIO, start: bytes) -> int | None:
    rate, samples = _TTA_HEADER.unpack(start)[4:6]
    length = rate * _TTA_FRAME[0] // _TTA_FRAME[1]
    frames = -(-samples // length) if length else 0
    file.seek(_TTA_HEADER.size)
    table = file.read(4 * frames + 4)
    if len(table) < 4 * frames + 4:
        return None
    end = _TTA_HEADER.size + len(table) + sum(struct.unpack(f"<{frames}I", table[:-4]))
    file.seek(end)
    tag = file.read(16)
    if tag.startswith(_APE_TAG):
        end += 32 + int.from_bytes(tag[12:16], "little")
        file.seek(end)
        tag = file.read(4)
    return end if tag.startswith(b"TTA1") else None
