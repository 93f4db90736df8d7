"""Truncated WAV and AIFF files: bytes of sound that the header announces against bytes in the file.

libsndfile shortens a truncated file without an error, so the announced size is read here. A RIFF
file is a header of 12 bytes and then chunks: a name of four letters, a size in four bytes, and as
many bytes (one more if odd); an AIFF file the same with its bytes the other way round. RF64 keeps
sizes beyond 4 GiB in a chunk "ds64" (EBU Tech 3306). Programs that write to a pipe cannot know the
size and leave one of a few marks instead; those announce nothing.
"""

from __future__ import annotations

import os
from typing import BinaryIO, Literal

OPEN_ENDED = (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0)
MAX_CHUNKS = 10000


def missing_bytes(path: str | os.PathLike[str]) -> int:
    """Return how many bytes of its sound a WAV or AIFF file lacks.

    Args:
        path: A file of any kind.

    Returns:
        Bytes that the chunk of samples announces beyond the end of the file; 0 for a whole file,
        for one whose header announces no size, and for one of another kind.

    Raises:
        OSError: if the file cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(12)
        if start[8:] == b"WAVE" and start[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
            return _missing(file, size, "big" if start[:4] == b"RIFX" else "little", b"data")
        if start[8:] in (b"AIFF", b"AIFC") and start[:4] == b"FORM":
            return _missing(file, size, "big", b"SSND")
        return 0


def _missing(file: BinaryIO, size: int, order: Literal["little", "big"], sound: bytes) -> int:
    """Return the missing bytes of the chunk called ``sound``, one of those that follow the first 12 bytes."""
    long_size = None
    for _ in range(MAX_CHUNKS):
        header = file.read(8)
        if len(header) < 8:
            return 0
        name, length = header[:4], int.from_bytes(header[4:], order)
        position = file.tell()
        if name == b"ds64":
            sizes = file.read(16)
            long_size = int.from_bytes(sizes[8:], "little") if len(sizes) == 16 else None
        if name == sound:
            if length == 0xFFFFFFFF and long_size:
                length = long_size
            elif length in OPEN_ENDED:
                return 0
            return max(0, position + length - size)
        file.seek(position + length + length % 2)
    return 0
