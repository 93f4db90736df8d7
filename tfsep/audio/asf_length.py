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
    properties = _file_properties(path)
    if properties is None or _is_broadcast(properties):
        return
    announced, found = int.from_bytes(properties[_SIZE : _SIZE + 8], "little"), path.stat().st_size
    if announced > found:
        lost = announced - found
        raise JobError(f"truncated file: it announces {announced} bytes, of which {lost} are missing: {path}")


def is_broadcast(path: Path) -> bool:
    """Return whether a file is an ASF whose writer did not know how long it would be, as into a pipe."""
    properties = _file_properties(path)
    return properties is not None and _is_broadcast(properties)


def _file_properties(path: Path) -> bytes | None:
    """Return the file properties object of an ASF file; None for other files, and where it is cut."""
    with path.open("rb") as file:
        start = file.read(_READ_BYTES)
    place = start.find(_FILE_PROPERTIES) if start.startswith(_HEADER) else -1
    return None if place < 0 or len(start) <= place + _FLAGS else start[place:]


def _is_broadcast(properties: bytes) -> bool:
    return properties[_FLAGS] & _BROADCAST != 0
