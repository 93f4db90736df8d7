"""The true length of an MP3 file.

An MP3 is a sequence of frames of 1152 or 576 samples, each with a header of four bytes (ISO/IEC
11172-3, 2.4.1.3; ISO/IEC 13818-3 for the low rates). Encoders may put a frame without sound in
front, marked "Xing" or "Info", that says how many frames follow. Where it is missing, libsndfile
guesses the length from the bit rate of the first frame; it does not read beyond a guess that is too
short, and does not report one that is too long. So the frames are counted here. Where the count
differs from the announced one, the file is read from a temporary copy that announces the right
count.
"""

from __future__ import annotations

import contextlib
import dataclasses
import mmap
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tfsep.errors import JobError

FIRST_RATES = {3: 44100, 2: 22050, 0: 11025}
RATE_STEPS = (1.0, 48000 / 44100, 32000 / 44100)
MPEG1_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MPEG2_KBITS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
SAME_STREAM = 0xFFFE0C00


@dataclasses.dataclass(frozen=True)
class Header:
    """The four bytes before each frame.

    Attributes:
        bits: The bytes as one number.
        version: 3 for MPEG-1, 2 for MPEG-2, 0 for MPEG-2.5.
        length: Bytes of the frame, these four included.
    """

    bits: int
    version: int
    length: int

    @property
    def mark(self) -> int:
        """Return the offset of "Xing" or "Info" in the frame, in bytes: behind the side information of Layer III."""
        mono = self.bits >> 6 & 3 == 3
        return 4 + ((17 if mono else 32) if self.version == 3 else (9 if mono else 17))


@dataclasses.dataclass(frozen=True)
class Count:
    """How many frames an MP3 announces and how many it contains.

    Attributes:
        first: Header of the first frame.
        start: Offset of the first frame, in bytes.
        announced: Number of frames after the marked one; None where there is no mark.
        found: Number of whole frames with sound.
    """

    first: Header
    start: int
    announced: int | None
    found: int


def header_at(content: bytes | mmap.mmap, position: int) -> Header | None:
    """Parse the four bytes at ``position`` as the header of a Layer III frame; None where they are not one."""
    bits = int.from_bytes(content[position : position + 4], "big")
    version, layer, kbits, rate = bits >> 19 & 3, bits >> 17 & 3, bits >> 12 & 15, bits >> 10 & 3
    if bits >> 21 != 0x7FF or version == 1 or layer != 1 or not 1 <= kbits <= 14 or rate == 3:
        return None
    speed = 1000 * (MPEG1_KBITS if version == 3 else MPEG2_KBITS)[kbits - 1]
    hertz = round(FIRST_RATES[version] * RATE_STEPS[rate])
    return Header(bits, version, (144 if version == 3 else 72) * speed // hertz + (bits >> 9 & 1))


def count_frames(path: Path) -> Count | None:
    """Count the frames of an MP3; None where no two of them follow each other."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start, first = _first_frame(content)
        if first is None:
            return None
        fields = content[start + first.mark : start + first.mark + 12]
        marked = fields[:4] in (b"Xing", b"Info")
        announced = int.from_bytes(fields[8:12], "big") if marked and fields[7:8] and fields[7] & 1 else None
        found, position, end = 0, start + first.length if marked else start, len(content)
        while 0 <= position <= end - 4:
            header = header_at(content, position)
            if header is None or (header.bits ^ first.bits) & SAME_STREAM:
                position = content.find(b"\xff", position + 1)
                continue
            found += position + header.length <= end
            position += header.length
        return Count(first, start, announced, found)


def _first_frame(content: mmap.mmap) -> tuple[int, Header | None]:
    """Find the first header that is followed by another of the same stream, behind all ID3 tags."""
    position = 0
    while content[position : position + 3] == b"ID3":
        sizes = content[position + 6 : position + 10]
        position += 10 + sum((byte & 127) << shift for byte, shift in zip(sizes, (21, 14, 7, 0), strict=False))
    position = content.find(b"\xff", position)
    while position >= 0:
        header = header_at(content, position)
        if header is not None:
            following = header_at(content, position + header.length)
            if following is not None and not (header.bits ^ following.bits) & SAME_STREAM:
                return position, header
        position = content.find(b"\xff", position + 1)
    return 0, None


@contextlib.contextmanager
def with_true_length(path: Path) -> Iterator[Path]:
    """Yield the path of an MP3 with the same sound that announces as many frames as it contains.

    Args:
        path: The file.

    Yields:
        ``path`` itself if it does so or its frames cannot be followed, else a copy, which is
        removed at the end.

    Raises:
        JobError: if it announces more frames than it contains (by more than the marked one, which
            some encoders count).
    """
    count = count_frames(path)
    if count is None or count.announced == count.found:
        yield path
        return
    if count.announced is not None and count.announced > count.found + 1:
        counts = f"{count.announced} frames, got {count.found}"
        raise JobError(f"truncated file: its header announces {counts}: {path}")
    with tempfile.TemporaryDirectory(prefix="tfsep-") as folder:
        copy = Path(folder) / "counted.mp3"
        content = path.read_bytes()[count.start :]
        if count.announced is None:
            content = _marked_frame(count.first, count.found) + content
        else:
            offset = count.first.mark + 8
            content = content[:offset] + count.found.to_bytes(4, "big") + content[offset + 4 :]
        copy.write_bytes(content)
        yield copy


def _marked_frame(first: Header, frames: int) -> bytes:
    """Return a frame without sound, of 128 or 64 kbit/s, that announces ``frames`` more."""
    bits = first.bits & 0xFFFF0DFF | 0x00010000 | (9 if first.version == 3 else 8) << 12
    header = bits.to_bytes(4, "big")
    frame = header_at(header, 0)
    assert frame is not None
    fields = b"Xing" + (1).to_bytes(4, "big") + frames.to_bytes(4, "big")
    return (header + bytes(frame.mark - 4) + fields).ljust(frame.length, b"\0")
