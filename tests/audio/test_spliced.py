"""Files read as if parts of them were other bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfsep.audio.spliced import patched, spliced


def test_pieces_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(100)))
    expected = b"front" + bytes(range(10, 20)) + b"middle" + bytes(range(50, 100))
    with spliced(path, [b"front", (10, 20), b"", (30, 30), b"middle", (50, 100)]) as file:
        assert file.read() == expected
        for start in range(len(expected) + 2):
            assert file.seek(start) == start
            assert file.read(7) == expected[start : start + 7]
        assert file.seek(-3, os.SEEK_END) == len(expected) - 3
        assert file.read() == expected[-3:]
        file.seek(0)
        assert file.seek(4, os.SEEK_CUR) == 4 and file.tell() == 4


@pytest.mark.parametrize("at", [0, 3, 96])
def test_a_patch_keeps_the_length(tmp_path: Path, at: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(100)))
    with patched(path, at, b"four") as file:
        content = file.read()
    assert content == bytes(range(at)) + b"four" + bytes(range(at + 4, 100))
    assert path.read_bytes() == bytes(range(100))
