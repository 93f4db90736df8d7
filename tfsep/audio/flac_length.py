"""The true length of a FLAC file.

The header of a FLAC (RFC 9639) announces its samples, or 0 where they were written to a pipe. Each
frame begins with 14 bits of synchronisation and its number, guarded by a checksum of 8 bits, and
ends with one of 16 bits over all its bytes. So the last frame of a whole file is the one whose
checksum is right at the end of the file, and its number tells how many samples there are. Where the
header announces another number, the file is read with the right one in its place.
"""

from __future__ import annotations

import io
import mmap
from dataclasses import dataclass
from pathlib import Path

from tfsep.audio.spliced import spliced
from tfsep.errors import JobError

_TAIL = 1 << 22
_ID3V1 = 128
_STREAMS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
_BLOCKS = (0, 192, 576, 1152, 2304, 4608, 0, 0, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


@dataclass(frozen=True)
class _Frame:
    """A frame: its number (or that of its first sample), its samples, and whether sizes of blocks vary."""

    number: int
    samples: int
    variable: bool


def verified(path: Path) -> io.BufferedReader | None:
    """Check the length that a FLAC announces against its last frame.

    Args:
        path: A file of any kind.

    Returns:
        None where libsndfile reads the file as it is, else the file with its true length.

    Raises:
        JobError: if it is truncated, of unknown length and without a whole last frame, or several
            files in one.
        OSError: if it cannot be read.
    """
    if path.stat().st_size < 42:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = _behind_id3(content)
        if content[start : start + 8] not in _STREAMS:
            return None
        if any(content.find(mark, start + 8) >= 0 for mark in _STREAMS):
            raise JobError(f"several FLAC files in one are not read, split them: {path}")
        largest = int.from_bytes(content[start + 10 : start + 12], "big")
        announced = int.from_bytes(content[start + 21 : start + 26], "big") & 0xFFFFFFFFF
        last = _last_frame(content, start + 42)
        size = len(content)
        field = content[start + 21]
    found = None if last is None else last.samples + last.number * (1 if last.variable else largest)
    if found is None and not announced:
        raise JobError(f"truncated file: a FLAC of unknown length must end with a whole frame: {path}")
    if found is None or found == announced:
        return None
    if found < announced:
        raise JobError(f"truncated file: its header announces {announced} samples, got {found}: {path}")
    length = bytes([field & 0xF0 | found >> 32]) + (found & 0xFFFFFFFF).to_bytes(4, "big")
    return spliced(path, [(start, start + 21), length, (start + 26, size)])


def _behind_id3(content: mmap.mmap) -> int:
    """Return where the file begins behind its ID3 tags."""
    position = 0
    while content[position : position + 3] == b"ID3":
        sizes = content[position + 6 : position + 10]
        position += 10 + sum((byte & 127) << shift for byte, shift in zip(sizes, (21, 14, 7, 0), strict=False))
    return position


def _last_frame(content: mmap.mmap, first: int) -> _Frame | None:
    """Return the frame that ends with the file, before an ID3 tag of 128 bytes; None if there is none."""
    size = len(content)
    end = size - _ID3V1 if content[max(0, size - _ID3V1) :][:3] == b"TAG" else size
    low = max(first, end - _TAIL)
    tail = content[low:end]
    position = len(tail)
    while (position := tail.rfind(b"\xff", 0, position)) >= 0:
        if tail[position + 1 : position + 2] in (b"\xf8", b"\xf9"):
            frame = _frame(tail[position : position + 16])
            if frame is not None and _checksum(tail[position:], 16) == 0:
                return frame
    return None


def _frame(header: bytes) -> _Frame | None:
    """Parse the header of a frame; None where its checksum is wrong."""
    if len(header) < 6:
        return None
    size, rate = header[2] >> 4, header[2] & 15
    ones = 8 - (header[4] ^ 0xFF).bit_length()
    if not size or rate == 15 or header[3] & 1 or ones in (1, 8):
        return None
    end = 4 + max(ones, 1)
    number = header[4] & (0x7F >> ones)
    for byte in header[5:end]:
        number = number << 6 | byte & 63
    samples = _BLOCKS[size]
    if size in (6, 7):
        samples = int.from_bytes(header[end : end + size - 5], "big") + 1
        end += size - 5
    end += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if len(header) <= end or _checksum(header[: end + 1], 8) != 0:
        return None
    return _Frame(number, samples, bool(header[1] & 1))


def _table(width: int, polynomial: int) -> list[int]:
    """Return the checksums of all bytes."""
    top, mask, table = 1 << width - 1, (1 << width) - 1, []
    for byte in range(256):
        value = byte << width - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
        table.append(value)
    return table


_TABLES = {8: _table(8, 0x07), 16: _table(16, 0x8005)}


def _checksum(content: bytes, width: int) -> int:
    """Return the checksum (CRC) of bytes; 0 for bytes that end with their own."""
    table, value = _TABLES[width], 0
    if width == 8:
        for byte in content:
            value = table[value ^ byte]
        return value
    for byte in content:
        value = (value << 8 & 0xFF00) ^ table[value >> 8 ^ byte]
    return value
