"""Gin files are read strictly: what is set is what runs, and nothing in a file is ever executed."""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfsep import config
from tfsep.config import Entry
from tfsep.errors import InputError, JobError

HERE = "tfsep_toys_for_config"


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    """Give gin a few names of this file besides `fit`; they stay in the process, under names no gin file uses."""
    toys = types.ModuleType(HERE)

    def drum(pitch: float = 50.0, decay: float = 1.0) -> tuple[str, float, float]:
        return ("drum", pitch, decay)

    def band(players: object, name: str, seed: int = 0) -> tuple[object, str, int]:
        if name == "broken":
            raise JobError("the band broke up")
        return (players, name, seed)

    class Bell:
        def __init__(self, size: int = 3) -> None:
            self.size = size

    for thing in (drum, band, Bell):
        setattr(toys, thing.__name__, thing)
    sys.modules[HERE] = toys
    config.register(config.TABLE[:1])
    config.register(
        [
            Entry("test_drum", HERE, "drum", group="tests"),
            Entry("test_band", HERE, "band", ("seed",), group="tests"),
            Entry("test_bell", HERE, "Bell", group="tests"),
        ]
    )
    yield
    config.parse([])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def refused(gin_files: list[str], gin_params: list[str], *parts: str, search_paths: tuple[str, ...] = ()) -> None:
    """Assert one line of complaint that names all the parts."""
    with pytest.raises(InputError) as caught:
        config.parse(gin_files, gin_params, search_paths)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_parameters_reach_the_function(folder: Path) -> None:
    write(folder / "a.gin", "test_band.players = [@low/test_drum(), @test_drum()]\nlow/test_drum.pitch = 30.0\n")
    config.parse(["a.gin"], ["test_band.name = 'trio'"])
    assert config.call("test_band", seed=4) == ([("drum", 30.0, 1.0), ("drum", 50.0, 1.0)], "trio", 4)


def test_later_files_and_parameters_win(folder: Path) -> None:
    write(folder / "a.gin", "test_drum.pitch = 1.0\ntest_drum.decay = 1.5")
    write(folder / "b.gin", "test_drum:\n  pitch = 2.0\n  decay = 2.5\n")
    config.parse(["a.gin", "b.gin"], ["test_drum.decay = 3.5"])
    assert config.call("test_drum") == ("drum", 2.0, 3.5)
    config.parse(["b.gin", "a.gin"])
    assert config.call("test_drum") == ("drum", 1.0, 1.5)


def test_nothing_is_left_of_an_earlier_parse() -> None:
    config.parse([], ["test_drum.pitch = 7.0"])
    config.parse([])
    assert config.bindings() == {}
    assert config.call("test_drum") == ("drum", 50.0, 1.0)


def test_macros_and_includes_compose(folder: Path) -> None:
    write(folder / "base" / "macro.gin", "PITCH = 60.0  # 100 % gin\n")
    write(folder / "base" / "drum.gin", "include 'macro.gin'\ntest_drum.pitch = %PITCH\n")
    write(folder / "top.gin", "include 'base/drum.gin'\nPITCH = 61.0\n")
    config.parse(["top.gin"], search_paths=["base"])
    assert config.call("test_drum") == ("drum", 61.0, 1.0)


def test_a_class_is_registered_as_a_factory() -> None:
    config.parse([], ["test_bell.size = 9", "test_band.players = @test_bell()", "test_band.name = '100%'"])
    players, name, _ = config.call("test_band")
    assert (type(players).__name__, players.size, name) == ("Bell", 9, "100%")


def test_long_values_are_read_back_whole() -> None:
    names = tuple(f"instrument_{number}" for number in range(30))
    config.parse([], [f"test_band.players = {names!r}", "test_drum.pitch = 1"])
    text = config.bindings()["test_band.players"]
    assert ast.literal_eval(text) == names
    assert config.bindings()["test_drum.pitch"] == "1"


def test_equal_values_have_one_text_whatever_the_order_of_their_keys() -> None:
    """Runs of earlier versions kept dictionaries with their keys in order."""
    forward, backward = "{'b': [1, (2,)], 'a': {'d': 3, 'c': 'x'}}", "{'a': {'c': 'x', 'd': 3}, 'b': [1, (2,)]}"
    config.parse([], [f"test_band.players = {forward}"])
    assert config.bindings() == {"test_band.players": backward}
    assert config.normalised({"test_band.players": forward}) == {"test_band.players": backward}


def test_a_reference_may_name_the_package() -> None:
    config.parse([], ["test_band.players = @tfsep.test_drum()"])
    assert config.bindings() == {"test_band.players": "@test_drum()"}


def test_the_operative_configuration_has_defaults_and_can_be_parsed(folder: Path) -> None:
    config.parse([], ["test_band.players = @low/test_drum()", "test_band.name = 'duo'", "low/test_drum.pitch = 3.0"])
    expected = config.call("test_band", seed=1)
    text = config.operative_config()
    assert "test_drum.decay = 1.0" in text and "seed" not in text
    config.parse([write(folder / "operative.gin", text)])
    assert config.call("test_band", seed=1) == expected


@pytest.mark.parametrize(
    ("statement", "parts"),
    [
        ("test_dram.pitch = 1", ["'test_dram'", "did you mean 'test_drum'"]),
        ("test_drum.pich = 1", ["'test_drum' has no parameter 'pich'; did you mean 'pitch'?"]),
        ("test_drum.pitch = 'low'", ["test_drum.pitch must be float, got 'low'"]),
        ("test_drum.pitch = %PITCH\nPITCH = 'low'", ["test_drum.pitch must be float, got 'low'"]),
        ("tfsep.test_drum.pitch = 'low'", ["test_drum.pitch must be float, got 'low'"]),
        ("test_drum:\n  pich = 1", ["line 2", "'pich'"]),
        ("test_dram:\n  pitch = 1", ["'test_dram'"]),
        ("test_band.players = @test_dram()", ["@test_dram()", "did you mean 'test_drum'"]),
        ("test_band.players = [1, {'a': @test_dram}]", ["@test_dram"]),
        ("test_band.seed = 3", ["'test_band'", "'seed'"]),
        ("test_drum.pitch = %PITCH", ["%PITCH is not defined"]),
        ("pitch = 3.0", ["nothing uses 'pitch'", "function.parameter"]),
        ("test_drum.pitch = = 3", ["line 1", "test_drum.pitch = = 3"]),
        ("test_drum.pitch 3", ["not a gin statement"]),
        ("test_drum.pitch = hello", ["not a gin statement"]),
        ("test_drum.pitch = [1,", ["ends within a statement"]),
        ("test_drum.pitch = __import__('os')", ["not a gin statement"]),
        ("test_drum.pitch = 1; import os", ["not a gin statement"]),
        ("import os", ["imports are not allowed", "import os"]),
        ("test_drum.pitch = 1\n\nimport os.path as p", ["line 3", "import os.path as p"]),
        ("from __gin__ import dynamic_registration", ["imports are not allowed"]),
        ("from os import system", ["imports are not allowed"]),
        ("include 'missing.gin'", ["line 1", "no such file: missing.gin"]),
        ("include '/dev/../etc/passwd'", ["below the search path"]),
        ("include '../outside.gin'", ["below the search path"]),
        ("include 3", ["not a gin statement"]),
    ],
)
def test_a_bad_statement_is_refused_in_one_line(folder: Path, statement: str, parts: list[str]) -> None:
    write(folder / "outside.gin", "test_drum.pitch = 1")
    path = write(folder / "inner" / "bad.gin", statement)
    refused([path], [], *parts)
    if "missing" not in statement and "outside" not in statement:
        refused([], [statement], "gin_param", *parts)


def test_an_import_in_an_included_file_is_refused_by_that_file(folder: Path) -> None:
    write(folder / "bad.gin", "# a comment\nimport os\n")
    refused([write(folder / "top.gin", "include 'bad.gin'\n")], [], "bad.gin, line 2", "import os")


def test_an_import_is_refused_before_anything_of_its_file_is_set(folder: Path) -> None:
    refused([write(folder / "a.gin", "test_drum.pitch = 3.0\nimport os\n")], [], "import os")
    assert config.bindings() == {}


def test_a_link_out_of_the_search_path_is_refused(folder: Path) -> None:
    write(folder / "outside.gin", "test_drum.pitch = 1")
    top = write(folder / "inner" / "top.gin", "include 'link.gin'")
    (folder / "inner" / "link.gin").symlink_to(folder / "outside.gin")
    refused([top], [], "below the search path")
    config.parse([top], search_paths=[str(folder)])


def test_files_that_include_each_other_are_refused(folder: Path) -> None:
    write(folder / "a.gin", "include 'b.gin'")
    write(folder / "b.gin", "include 'a.gin'")
    refused(["a.gin"], [], "a.gin includes itself")


def test_files_that_cannot_be_read_are_named(folder: Path) -> None:
    refused(["nowhere.gin"], [], "no such gin file: nowhere.gin")
    (folder / "binary.gin").write_bytes(b"\xff\xfe\x00")
    refused(["binary.gin"], [], "cannot read gin file", "binary.gin")


def test_an_error_of_the_function_keeps_its_kind_and_its_line() -> None:
    config.parse([], ["test_band.players = 1", "test_band.name = 'broken'"])
    with pytest.raises(JobError) as caught:
        config.call("test_band")
    assert str(caught.value) == "the band broke up"
    config.parse([], ["test_band.players = @fit()", "test_band.name = 'trio'", "fit.num_steps = -3"])
    with pytest.raises(InputError) as wrong:
        config.call("test_band")
    assert str(wrong.value) == "fit.num_steps must be a whole number of at least 1, got -3"


def test_a_missing_parameter_is_named() -> None:
    config.parse([], ["test_band.name = 'solo'"])
    with pytest.raises(InputError, match="incomplete.*players"):
        config.call("test_band")


def test_started_runs_once_before_the_function_and_after_its_arguments(folder: Path) -> None:
    config.parse([], ["test_band.players = @test_drum()", "test_band.name = 'trio'"])
    texts: list[str] = []
    config.call("test_band", started=lambda: texts.append(config.operative_config()))
    assert len(texts) == 1
    assert "test_drum.pitch = 50.0" in texts[0] and "test_band.name = 'trio'" in texts[0]
    config.call("test_band")
    assert len(texts) == 1
