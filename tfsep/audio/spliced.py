"""A file read as if parts of it were other bytes: how a wrong length in a header is corrected without a copy."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

#: Bytes, or (first, last + 1) of those of the file.
Piece = bytes | tuple[int, int]


class _Pieces(io.RawIOBase):
    """Some bytes and stretches of a file, one after another."""

    def __init__(self, path: Path, pieces: Sequence[Piece]) -> None:
        self._file = path.open("rb", buffering=0)
        self._pieces = [piece for piece in pieces if _length(piece)]
        self._starts = [0]
        for piece in self._pieces:
            self._starts.append(self._starts[-1] + _length(piece))
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        for start, piece in zip(self._starts, self._pieces, strict=False):
            offset, left = self._position - start, start + _length(piece) - self._position
            if offset >= 0 and left > 0:
                view = memoryview(buffer).cast("B")[:left]
                if isinstance(piece, bytes):
                    view[:] = piece[offset : offset + len(view)]
                    count = len(view)
                else:
                    self._file.seek(piece[0] + offset)
                    count = self._file.readinto(view)
                self._position += count
                return count
        return 0

    def close(self) -> None:
        self._file.close()
        super().close()


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]


def spliced(path: Path, pieces: Sequence[Piece]) -> io.BufferedReader:
    """Open a file that consists of pieces, some of them bytes and the others parts of a file on disk.

    Args:
        path: of the file on disk.
        pieces: in their order: bytes, or (first, end) of bytes of the file, ``end`` excluded.

    Raises:
        OSError: if the file cannot be read.
    """
    return io.BufferedReader(_Pieces(path, pieces), 1 << 16)


def patched(path: Path, position: int, content: bytes) -> io.BufferedReader:
    """Open a file in which the bytes from ``position`` on are replaced by ``content``; see :func:`spliced`."""
    return spliced(path, [(0, position), content, (position + len(content), path.stat().st_size)])
