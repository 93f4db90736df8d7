"""The length that an ASF file (WMA, WMV) announces, in bytes.

The file properties object of its header (Advanced Systems Format specification, 3.2) says how long
the whole file is. Of a file that is cut between two packets, ffmpeg reads a shorter sound without
an error.
"""

from __future__ import annotations

from pathlib import Path

from tfsep.errors import JobError

_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_SIZE, _FLAGS, _BROADCAST = 40, 88, 1
_READ_BYTES = 1 << 16


def verify(path: Path) -> None:
    """Refuse an ASF file that is shorter than it announces; other files, and broadcasts, pass.

    Raises:
        JobError: naming the bytes that are missing.
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_READ_BYTES)
    place = start.find(_FILE_PROPERTIES) if start.startswith(_HEADER) else -1
    if place < 0 or start[place + _FLAGS : place + _FLAGS + 1] in (b"", bytes([_BROADCAST])):
        return
    announced, found = int.from_bytes(start[place + _SIZE : place + _SIZE + 8], "little"), path.stat().st_size
    if announced > found:
        lost = announced - found
        raise JobError(f"truncated file: it announces {announced} bytes, of which {lost} are missing: {path}")
