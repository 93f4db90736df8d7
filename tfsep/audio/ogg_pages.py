"""The pages of an Ogg file: whether the file is whole.

An Ogg (RFC 3533) is a sequence of pages, each with a header of 27 bytes, the lengths of its
segments, and a checksum. A stream begins with a page that is marked as its first and ends with one
that is marked as its last; its pages are numbered. Decoders accept what they are given, and a file
without its second half is a shorter song to them. So the pages are checked here.
"""

from __future__ import annotations

import mmap
import zlib
from pathlib import Path

from tfsep.errors import JobError

_HEADER = 27
_FIRST, _LAST = 2, 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def verify(path: Path) -> None:
    """Check that an Ogg is one whole file.

    Args:
        path: A file of any kind; others than Ogg pass.

    Raises:
        JobError: if it breaks off, lacks pages, has broken ones, or is several files in one.
        OSError: if it cannot be read.
    """
    if path.stat().st_size < _HEADER:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:4] == b"OggS":
            fault = _fault(content)
            if fault:
                raise JobError(f"{fault}: {path}")


def _fault(content: mmap.mmap) -> str:
    """Return what is wrong with the pages of an Ogg; nothing if they are whole."""
    numbers: dict[bytes, int] = {}
    open_streams: set[bytes] = set()
    position, begun, size = 0, False, len(content)
    while position < size:
        if content[position : position + 4] != b"OggS":
            following = content.find(b"OggS", position)
            if following < 0 and not open_streams:
                return ""
            if following < 0:
                return "truncated file: the last page of its Ogg stream is missing"
            return f"broken file: {following - position} bytes at {position} are no page of Ogg"
        length = _HEADER + content[position + 26] if position + _HEADER <= size else _HEADER
        length += sum(content[position + _HEADER : position + length])
        page = content[position : position + length]
        if len(page) < length:
            return "truncated file: the last page of its Ogg stream is not whole"
        if _checksum(page[:22] + bytes(4) + page[26:]) != int.from_bytes(page[22:26], "little"):
            return f"broken file: the page of Ogg at byte {position} has a wrong checksum"
        flags, serial, number = page[5], page[14:18], int.from_bytes(page[18:22], "little")
        if flags & _FIRST:
            if begun:
                return "several Ogg files in one are not read, split them"
            open_streams.add(serial)
        else:
            begun = True
        if not flags & _FIRST and number != numbers.get(serial, -1) + 1:
            return f"broken file: pages of Ogg are missing before byte {position}"
        numbers[serial] = number
        if flags & _LAST:
            open_streams.discard(serial)
        position += length
    return "truncated file: the last page of its Ogg stream is missing" if open_streams else ""


def _checksum(page: bytes) -> int:
    """Return the checksum of a page whose own is 0: that of zlib with all bits the other way round."""
    value = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2)
