"""Patterns of file names: what they give, and that they lead nowhere else."""

from __future__ import annotations

import pytest

from tfsep.cli.file_names import DEFAULT, FileNames
from tfsep.errors import InputError


@pytest.mark.parametrize(
    ("pattern", "folder", "file"),
    [
        (DEFAULT, "songs/x", "bass"),
        ("{stem}", ".", "bass"),
        ("{track} - {stem}", ".", "x - bass"),
        ("{track}/{stem}/{model}", "x", "bass/songs"),
        ("a/{stem}/b {stem}", "a", "bass/b bass"),
    ],
)
def test_folder_and_file(pattern: str, folder: str, file: str) -> None:
    names = FileNames(pattern)
    assert str(names.folder("songs", "x")) == folder
    assert names.file("songs", "x", "bass") == file
    assert names.tells_tracks_apart == ("{track}" in pattern)


def test_a_name_that_looks_like_a_token_is_no_token() -> None:
    names = FileNames("{track}/{stem}")
    assert str(names.folder("songs", "{stem}")) == "{stem}"
    assert FileNames("{stem}-{track}").file("songs", "{model}", "{track}") == "{track}-{model}"


@pytest.mark.parametrize(
    "pattern",
    ["", "x", "{track}", "{stem", "{stem}}", "{{stem}}", "{Stem}", "{stem.__class__}", "{stem!r}", "{stem}{0}"]
    + ["/{stem}", "../{stem}", "a/../{stem}", "./{stem}", "{stem}/", "a//{stem}", "a\\{stem}", "{stem}\n", "{stem}\0"],
)
def test_what_is_refused(pattern: str) -> None:
    with pytest.raises(InputError, match="--filename"):
        FileNames(pattern)
