"""The size that a WAV or AIFF header announces, in all its forms."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tfsep.audio.chunks import missing_bytes

FORMAT = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)


def wav(announced: int, stored: int, before: bytes = b"", name: bytes = b"RIFF") -> bytes:
    return (
        name + struct.pack("<I", 0) + b"WAVE" + FORMAT + before + b"data" + struct.pack("<I", announced) + bytes(stored)
    )


def missing(folder: Path, content: bytes) -> int:
    (folder / "a.wav").write_bytes(content)
    return missing_bytes(folder / "a.wav")


@pytest.mark.parametrize(
    ("announced", "stored", "lacking"), [(100, 100, 0), (100, 60, 40), (100, 0, 100), (100, 130, 0)]
)
def test_the_difference_is_found(tmp_path: Path, announced: int, stored: int, lacking: int) -> None:
    assert missing(tmp_path, wav(announced, stored)) == lacking


@pytest.mark.parametrize("size", [0, 1, 7, 26])
def test_other_chunks_are_passed_over(tmp_path: Path, size: int) -> None:
    chunk = b"LIST" + struct.pack("<I", size) + bytes(size + size % 2)
    assert missing(tmp_path, wav(100, 60, chunk)) == 40


@pytest.mark.parametrize("mark", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0])
def test_a_stream_announces_nothing(tmp_path: Path, mark: int) -> None:
    assert missing(tmp_path, wav(mark, 60)) == 0


def test_sizes_of_rf64(tmp_path: Path) -> None:
    sizes = b"ds64" + struct.pack("<IQQQI", 28, 0, 2**33, 2**32, 0)
    assert missing(tmp_path, wav(0xFFFFFFFF, 60, sizes, b"RF64")) == 2**33 - 60


def test_big_endian(tmp_path: Path) -> None:
    chunk = b"fmt " + struct.pack(">IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    assert missing(tmp_path, b"RIFX" + bytes(4) + b"WAVE" + chunk + b"data" + struct.pack(">I", 100) + bytes(60)) == 40


@pytest.mark.parametrize("kind", [b"AIFF", b"AIFC"])
def test_aiff(tmp_path: Path, kind: bytes) -> None:
    common = b"COMM" + struct.pack(">I", 18) + bytes(18)
    sound = b"SSND" + struct.pack(">I", 108) + bytes(8)
    assert missing(tmp_path, b"FORM" + bytes(4) + kind + common + sound + bytes(60)) == 40
    assert missing(tmp_path, b"FORM" + bytes(4) + kind + common + sound + bytes(100)) == 0


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"a letter, not a sound", b"RIFF\0\0\0\0AVI LIST\xff\0\0\0", wav(9, 9)[:30]]
)
def test_what_is_no_wav_lacks_nothing(tmp_path: Path, content: bytes) -> None:
    assert missing(tmp_path, content) == 0


def test_many_empty_chunks_end(tmp_path: Path) -> None:
    assert missing(tmp_path, b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 100000) == 0
