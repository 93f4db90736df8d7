"""The frames of a raw DTS stream, which has no length of its own.

A core frame begins with the word 7FFE8001 and has its size in its header, an extension substream
with 64582025 (ETSI TS 102 114, 5.3 and 7.4). Between them there is nothing; ffmpeg passes over
bytes that are no frame, and over a frame that is cut, without an error.
"""

from __future__ import annotations

import os
from pathlib import Path

from tfsep.errors import JobError

_CORE, _EXTENSION = bytes.fromhex("7ffe8001"), bytes.fromhex("64582025")
_HEADER = 10


def verify(path: Path) -> None:
    """Refuse a raw DTS stream that is damaged or cut; other files, and DTS of 14 bits, pass.

    Raises:
        JobError: naming the byte at which a frame should begin, or beyond which one ends.
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        size, position = os.fstat(file.fileno()).st_size, 0
        if file.read(4) != _CORE:
            return
        while position < size:
            file.seek(position)
            length = _frame_length(file.read(_HEADER))
            if length is None:
                raise JobError(f"broken file: no frame of DTS begins at byte {position}: {path}")
            position += length
    if position > size:
        raise JobError(f"truncated file: its last frame of DTS ends {position - size} bytes beyond its end: {path}")


def _frame_length(header: bytes) -> int | None:
    """Return the bytes of the frame that begins here; None where none does."""
    bits = int.from_bytes(header.ljust(_HEADER, b"\0"), "big")
    if header.startswith(_CORE):
        # 32 bits of the word, 1 + 5 + 1 + 7, and then 14 bits of the size less one.
        return (bits >> (80 - 60) & 0x3FFF) + 1
    if header.startswith(_EXTENSION):
        # 32 bits of the word, 8 + 2, the kind of the header, 8 or 12 bits of its size, 16 or 20 of the whole.
        long = bits >> (80 - 43) & 1
        return (bits >> (80 - 75) & 0xFFFFF) + 1 if long else (bits >> (80 - 67) & 0xFFFF) + 1
    return None
