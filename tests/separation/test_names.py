"""Names of folders that are one plain folder on every system."""

from __future__ import annotations

import pytest

from tfsep.separation.names import plain_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ein Stück – 音楽", "Ein Stück – 音楽"),
        ("a/b\\c:d\n", "a_b_c_d_"),
        ("..", "track"),
        ("", "track"),
        (".hidden. ", "hidden"),
        ("ä" * 300, "ä" * 100),
    ],
)
def test_a_name_becomes_a_plain_one(name: str, expected: str) -> None:
    assert plain_name(name) == expected
