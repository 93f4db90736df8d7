"""Files of uncompressed sound: where their samples lie and how many bytes their header announces.

libsndfile shortens a truncated file without an error, so the announced size is read here. RIFF (WAV)
and AIFF files are a header of 12 bytes and then chunks: a name of four letters, a size in four
bytes, and as many bytes (one more if odd). RF64 keeps sizes beyond 4 GiB in a chunk "ds64" (EBU Tech
3306); W64 and CAF have sizes of eight bytes; AU has one header. Programs that write to a pipe cannot
know the size and leave a mark instead, and old ones keep the last 32 bits of a size beyond 4 GiB.
Such files are read up to their end.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from tfsep.audio.spliced import patched, spliced
from tfsep.errors import JobError

MAX_CHUNKS = 10000
#: Sizes in this range or above are marks of files whose writer did not know them.
_MARKS = (range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000))
_LARGEST = 1 << 62  # bytes; a size of 64 bits beyond is such a mark too
_RIFF = (b"RIFF", b"RIFX", b"RF64", b"BW64")
_W64 = bytes.fromhex("72696666 2E91 CF11 A5D6 28DB04C10000")
_W64_TAIL = bytes.fromhex("F3AC D311 8CD1 00C04F8EDB8A")
_FOUR_GIB = 1 << 32

Order = Literal["little", "big"]


@dataclass(frozen=True)
class SoundChunk:
    """The samples of a file.

    Attributes:
        position: of their first byte.
        size_at: position of the field that announces their size, ``width`` bytes.
        width: 4 or 8.
        order: of the bytes of that field.
        announced: bytes of sound; None where the field says that it is not known, or cannot be
            right.
        chunks: whether other chunks may follow.
    """

    position: int
    size_at: int
    width: int
    order: Order
    announced: int | None
    chunks: bool = True


def missing_bytes(path: str | os.PathLike[str]) -> int:
    """Return how many bytes of its sound an uncompressed file lacks.

    Args:
        path: A file of any kind.

    Returns:
        Bytes that the header announces beyond the end of the file; 0 for a whole file, for one
        whose header announces no size, and for one of another kind.

    Raises:
        OSError: if the file cannot be read.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        found = _find(file, size)
    if found is None or found.announced is None:
        return 0
    return max(0, found.position + found.announced - size)


def bytes_of_sound(path: Path) -> int:
    """Return how many bytes there are from the first sample of an uncompressed file to its end; 0 for other files."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        found = _find(file, size)
    return 0 if found is None else max(0, size - found.position)


def verified(path: Path) -> io.BufferedReader | None:
    """Check that the samples that a header announces are there.

    Args:
        path: A file of any kind.

    Returns:
        None where libsndfile reads the file as it is, else the file with a header that announces
        the samples up to its end.

    Raises:
        JobError: if it is truncated, or several files in one.
        OSError: if it cannot be read.
    """
    missing = missing_bytes(path)
    if missing:
        raise JobError(f"truncated file: its header announces {missing} bytes more than there are: {path}")
    with path.open("rb") as file:
        size, start = os.fstat(file.fileno()).st_size, file.read(12)
        found = _find(file, size)
        if found is not None and found.announced is not None:
            if _read_at(file, found.position + found.announced + found.announced % 2, size, 4) == start[:4]:
                raise JobError(f"several sound files in one are not read, split them: {path}")
        if found is None or found.announced is not None or size <= found.position:
            return None
        if start[:4] in (b"RIFF", b"RF64", b"BW64"):
            return _with_long_size(path, _head_without_sizes(file, size), found, size)
    # The count of edits of CAF, and the header of a chunk of W64, belong to the chunk.
    extra = {b".snd": 0, b"dns.": 0, b"caff": 4, b"riff": 24}.get(start[:4])
    if extra is None:
        return None
    return patched(path, found.size_at, (size - found.position + extra).to_bytes(found.width, found.order))


def _head_without_sizes(file: BinaryIO, size: int) -> bytes:
    """Return the chunks of a WAV between its first 12 bytes and its sound, without that of RF64's sizes."""
    kept = b""
    for name, length, position in _chunks(file, 12, size, "little"):
        if name == b"data":
            return kept
        if name != b"ds64":
            kept += _read_at(file, position - 8, size, 8 + length + length % 2)
    return kept


def _with_long_size(path: Path, head: bytes, found: SoundChunk, size: int) -> io.BufferedReader:
    """Open a WAV of unknown size, with these chunks before its sound, as an RF64 that announces it."""
    left = size - found.position
    sizes = b"ds64" + struct.pack("<IQQQI", 28, size + 28, left, 0, 0)
    content = head + b"data" + (_FOUR_GIB - 1).to_bytes(4, "little")
    return spliced(path, [b"RF64\xff\xff\xff\xffWAVE" + sizes + content, (found.position, size)])


def _find(file: BinaryIO, size: int) -> SoundChunk | None:
    """Return where the samples of a file are; None for files of other kinds and those without samples."""
    file.seek(0)
    start = file.read(40)
    if start[8:12] == b"WAVE" and start[:4] in _RIFF:
        return _in_riff(file, size, "big" if start[:4] == b"RIFX" else "little", b"data")
    if start[8:12] in (b"AIFF", b"AIFC") and start[:4] == b"FORM":
        return _in_riff(file, size, "big", b"SSND")
    if start[:4] in (b".snd", b"dns."):
        return _in_au(start, "big" if start[:4] == b".snd" else "little", size)
    if start[:4] == b"caff":
        return _in_caf(file, size)
    return _in_w64(file, size) if start[:16] == _W64 else None


def _in_riff(file: BinaryIO, size: int, order: Order, sound: bytes) -> SoundChunk | None:
    long_size = None
    for name, length, position in _chunks(file, 12, size, order):
        if name == b"ds64":
            sizes = file.read(16)
            long_size = int.from_bytes(sizes[8:], "little") if len(sizes) == 16 else None
        if name == sound:
            announced: int | None = length
            if length == 0xFFFFFFFF and long_size and long_size < _LARGEST:
                announced = long_size
            elif any(length in marks for marks in _MARKS):
                announced = None
            elif size - position - length >= _FOUR_GIB - (1 << 16) or (
                not length and not _only_chunks(file, position, size, order)
            ):
                announced = None
            return SoundChunk(position, position - 4, 4, order, announced)
    return None


def _chunks(file: BinaryIO, start: int, size: int, order: Order) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the announced length and the position of the content of chunks; the file stands there."""
    position = start
    for _ in range(MAX_CHUNKS):
        header = _read_at(file, position, size, 8)
        if len(header) < 8:
            return
        length, position = int.from_bytes(header[4:], order), position + 8
        yield header[:4], length, position
        position += length + length % 2


def _read_at(file: BinaryIO, position: int, size: int, count: int) -> bytes:
    """Read bytes at a position; none beyond the end of the file, wherever that position is."""
    if position >= size:
        return b""
    file.seek(position)
    return file.read(count)


def _only_chunks(file: BinaryIO, start: int, size: int, order: Order) -> bool:
    """Tell whether nothing but whole chunks with printable names lies from ``start`` to the end of a file."""
    end = start
    for name, length, position in _chunks(file, start, size, order):
        if not (name.isascii() and name.decode("ascii").isprintable()):
            return False
        end = position + length + length % 2
    return size - 7 <= end <= size + 1 or start >= size - 7


def _in_au(start: bytes, order: Order, size: int) -> SoundChunk | None:
    if len(start) < 24:
        return None
    position, length = int.from_bytes(start[4:8], order), int.from_bytes(start[8:12], order)
    known = length and not any(length in marks for marks in _MARKS) and size - position - length < _FOUR_GIB - (1 << 16)
    return SoundChunk(position, 8, 4, order, length if known else None, chunks=False)


def _in_caf(file: BinaryIO, size: int) -> SoundChunk | None:
    position = 8
    for _ in range(MAX_CHUNKS):
        header = _read_at(file, position, size, 12)
        if len(header) < 12:
            return None
        length, position = int.from_bytes(header[4:], "big", signed=True), position + 12
        if header[:4] == b"data":
            return SoundChunk(position + 4, position - 8, 8, "big", length - 4 if length >= 4 else None)
        if length < 0:
            return None
        position += length
    return None


def _in_w64(file: BinaryIO, size: int) -> SoundChunk | None:
    position = 40
    for _ in range(MAX_CHUNKS):
        header = _read_at(file, position, size, 24)
        if len(header) < 24:
            return None
        length = int.from_bytes(header[16:], "little")
        if header[:16] == b"data" + _W64_TAIL:
            known = 24 < length < _LARGEST
            return SoundChunk(position + 24, position + 16, 8, "little", length - 24 if known else None)
        if length < 24:
            return None
        position += length + -length % 8
    return None
