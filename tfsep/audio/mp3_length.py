"""The true length of an MP3 file.

An MP3 is a sequence of frames of 1152 or 576 samples, each with a header of four bytes (ISO/IEC
11172-3, 2.4.1.3; ISO/IEC 13818-3 for the low rates). Encoders may put a frame without sound in
front, marked "Xing" or "Info", that says how many frames follow. Where it is missing, libsndfile
guesses the length from the bit rate of the first frame; it does not read beyond a guess that is too
short, and does not report one that is too long. So the frames are counted here. Where the count
differs from the announced one, the file is read with the right count in its header.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import mmap
from pathlib import Path

from tfsep.audio.spliced import spliced
from tfsep.errors import JobError

FIRST_RATES = {3: 44100, 2: 22050, 0: 11025}
RATE_STEPS = (1.0, 48000 / 44100, 32000 / 44100)
MPEG1_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
LAYER2_KBITS = (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
MPEG2_KBITS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
SAME_STREAM = 0xFFFE0C00
_TAGS = (b"ID3", b"TAG", b"APE", b"LYR")
_LOG = logging.getLogger(__name__)


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
        lost: Bytes between frames that belong to none, tags aside.
        foreign: Number of frames of another version or rate, each followed by another of its kind.
        cut: Whether the file ends within a frame.
    """

    first: Header
    start: int
    announced: int | None
    found: int
    lost: int = 0
    foreign: int = 0
    cut: bool = False


def header_at(content: bytes | mmap.mmap, position: int, layer: int = 3) -> Header | None:
    """Parse the four bytes at ``position`` as the header of a frame of Layer III (or II); None where they are not."""
    bits = int.from_bytes(content[position : position + 4], "big")
    version, code, kbits, rate = bits >> 19 & 3, bits >> 17 & 3, bits >> 12 & 15, bits >> 10 & 3
    if bits >> 21 != 0x7FF or version == 1 or code != 4 - layer or not 1 <= kbits <= 14 or rate == 3:
        return None
    table = MPEG2_KBITS if version != 3 else MPEG1_KBITS if layer == 3 else LAYER2_KBITS
    speed = 1000 * table[kbits - 1]
    hertz = round(FIRST_RATES[version] * RATE_STEPS[rate])
    return Header(bits, version, (144 if version == 3 or layer == 2 else 72) * speed // hertz + (bits >> 9 & 1))


def count_frames(path: Path, layer: int = 3) -> Count | None:
    """Count the frames of an MP3, or an MP2 (``layer`` 2); None where no two of them follow each other."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start, first = _first_frame(content, layer)
        if first is None:
            return None
        fields = content[start + first.mark : start + first.mark + 12]
        marked = layer == 3 and fields[:4] in (b"Xing", b"Info")
        announced = int.from_bytes(fields[8:12], "big") if marked and fields[7:8] and fields[7] & 1 else None
        found, position, end = 0, start + first.length if marked else start, len(content)
        lost, foreign, cut, behind = 0, 0, False, position
        while 0 <= position <= end - 4:
            header = header_at(content, position, layer)
            if header is None or (header.bits ^ first.bits) & SAME_STREAM:
                foreign += header is not None and _follows(content, position, header, layer)
                position = content.find(b"\xff", position + 1)
                continue
            if position > behind and content[behind : behind + 3] not in _TAGS:
                lost += position - behind
            whole = position + header.length <= end
            found += whole
            cut = not whole
            position = behind = position + header.length
        return Count(first, start, announced, found, lost, foreign, cut)


def _follows(content: mmap.mmap, position: int, header: Header, layer: int) -> bool:
    """Tell whether a frame is followed by another of the same stream."""
    following = header_at(content, position + header.length, layer)
    return following is not None and not (following.bits ^ header.bits) & SAME_STREAM


def _first_frame(content: mmap.mmap, layer: int) -> tuple[int, Header | None]:
    """Find the first header that is followed by another of the same stream, behind all ID3 tags."""
    position = 0
    while content[position : position + 3] == b"ID3":
        sizes = content[position + 6 : position + 10]
        position += 10 + sum((byte & 127) << shift for byte, shift in zip(sizes, (21, 14, 7, 0), strict=False))
    position = content.find(b"\xff", position)
    while position >= 0:
        header = header_at(content, position, layer)
        if header is not None:
            if _follows(content, position, header, layer):
                return position, header
        position = content.find(b"\xff", position + 1)
    return 0, None


def verified(path: Path) -> io.BufferedReader | None:
    """Check the number of frames that an MP3 announces against those that it contains.

    A hole of bytes between frames that are no frame, and an end within a frame, are logged.

    Args:
        path: The file.

    Returns:
        None if they agree or its frames cannot be followed, else the same sound with the right
        number in its header.

    Raises:
        JobError: if it announces more frames than it contains (by more than the marked one, which
            some encoders count), or contains frames of another stream.
        OSError: if it cannot be read.
    """
    count = count_frames(path)
    if count is None:
        return None
    _refuse_missing(count, path)
    if count.foreign > count.found // 10 + 1:
        raise JobError(f"several sound files in one are not read, split them: {path}")
    if count.cut:
        _LOG.warning("%s: it ends within a frame of MP3; what followed, if anything, is missing", path)
    if count.lost > count.first.length:
        _LOG.warning("%s: %d bytes between frames of MP3 are no sound", path, count.lost)
    if count.announced == count.found:
        return None
    end = path.stat().st_size
    if count.announced is None:
        return spliced(path, [_marked_frame(count.first, count.found), (count.start, end)])
    field = count.start + count.first.mark + 8
    return spliced(path, [(count.start, field), count.found.to_bytes(4, "big"), (field + 4, end)])


def verify_announced(path: Path) -> None:
    """Refuse a file that begins as an MP3 and has fewer frames than its header announces; others pass.

    Raises:
        JobError: naming both numbers.
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(4)
    count = count_frames(path) if start.startswith(b"ID3") or header_at(start, 0) is not None else None
    if count is not None:
        _refuse_missing(count, path)


def _refuse_missing(count: Count, path: Path) -> None:
    if count.announced is not None and count.announced > count.found + 1:
        counts = f"{count.announced} frames, got {count.found}"
        raise JobError(f"truncated file: its header announces {counts}: {path}")


def _marked_frame(first: Header, frames: int) -> bytes:
    """Return a frame without sound, of 128 or 64 kbit/s, that announces ``frames`` more."""
    bits = first.bits & 0xFFFF0DFF | 0x00010000 | (9 if first.version == 3 else 8) << 12
    header = bits.to_bytes(4, "big")
    frame = header_at(header, 0)
    assert frame is not None
    fields = b"Xing" + (1).to_bytes(4, "big") + frames.to_bytes(4, "big")
    return (header + bytes(frame.mark - 4) + fields).ljust(frame.length, b"\0")
