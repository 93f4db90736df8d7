"""The header of a WAV that is written: RIFF, and RF64 where its sizes do not fit in 32 bits.

Both headers have one length: RIFF keeps the place of RF64's chunk of sizes as a chunk "JUNK", as
EBU Tech 3306 proposes. So the header can be written last, when the length is known. Equal sound
gives equal bytes: there is no time stamp.
"""

from __future__ import annotations

import struct

#: From so many bytes on a file is RF64: 32 bits, less a header.
RIFF_LIMIT = (1 << 32) - 4096
_SAMPLE_BYTES = {"FLOAT": 4, "PCM_24": 3, "PCM_16": 2}
_UNKNOWN = 0xFFFFFFFF


def frame_bytes(channels: int, subtype: str) -> int:
    """Return the bytes of one sample of all channels; ``subtype`` is "FLOAT", "PCM_24" or "PCM_16"."""
    return channels * _SAMPLE_BYTES[subtype]


def wav_header(sample_rate: int, channels: int, subtype: str, frames: int, limit: int = RIFF_LIMIT) -> bytes:
    """Return the bytes in front of the samples, of a length that depends on ``subtype`` alone.

    Args:
        sample_rate: Hz.
        channels: how many.
        subtype: "FLOAT", "PCM_24" or "PCM_16".
        frames: samples of each channel.
        limit: bytes of sound from which on the file is RF64.
    """
    floats, frame = subtype == "FLOAT", frame_bytes(channels, subtype)
    data = frames * frame
    bits = 8 * _SAMPLE_BYTES[subtype]
    form = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 3 if floats else 1, channels, sample_rate, sample_rate * frame, frame, bits
    )
    if floats:
        form += struct.pack("<4sII", b"fact", 4, min(frames, _UNKNOWN))
    total = 4 + 36 + len(form) + 8 + data + data % 2
    if data < limit:
        sizes = b"JUNK" + struct.pack("<I", 28) + bytes(28)
        return b"RIFF" + struct.pack("<I", total) + b"WAVE" + sizes + form + b"data" + struct.pack("<I", data)
    sizes = b"ds64" + struct.pack("<IQQQI", 28, total, data, frames, 0)
    unknown = struct.pack("<I", _UNKNOWN)
    return b"RF64" + unknown + b"WAVE" + sizes + form + b"data" + unknown
