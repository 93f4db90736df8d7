"""A configuration ends, is small, and calls nothing but the parts of tfsep; anything else is refused in one line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tfsep import config
from tfsep.config import bounds
from tfsep.errors import InputError


@pytest.fixture(scope="module", autouse=True)
def registered() -> None:
    config.register()


def refused(text: str, folder: Path) -> str:
    """Return the complaint about a file of this text, which comes in one short line and at once."""
    (folder / "a.gin").write_text(text)
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        config.parse([str(folder / "a.gin")])
    assert time.monotonic() - began < 10.0
    message = str(caught.value).replace(str(folder), "")
    assert "\n" not in message and len(message) < 300
    return message


def chain(length: int, last: str, order: int = 1) -> str:
    lines = [f"A{number} = %A{number + 1}\n" for number in range(length)]
    return "".join(lines[::order]) + f"A{length} = {last}\nfit.num_steps = %A0\n"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("A = %A\nfit.num_steps = %A\n", "a.gin, line 1: the macro %A leads back to itself"),
        ("A = %B\nB = %A\nfit.num_steps = %A\n", "the macro %A leads back to itself"),
        ("A = [(1, {2: %A})]\ntrain.sources = %A\n", "the macro %A leads back to itself"),
        (chain(3000, "1"), "the macro %A0 is nested more than 32 deep"),
        (chain(3000, "1", -1), "is nested more than 32 deep"),
        (
            "".join(f"A{n} = [%A{n + 1}, %A{n + 1}]\n" for n in range(20)) + "A20 = 1\ntrain.sources = %A0\n",
            "comes to more than 100000 parts",
        ),
        ("A = [" + "1, " * 300 + "]\nB = [" + "%A, " * 300 + "]\ntrain.sources = [%B, %B]\n", "100000 parts"),
        ("train.data = @pooled()\npooled.data = @pooled()\n", "what train.data refers to leads back to itself"),
        (
            "train.data = @a/pooled()\na/pooled.data = @b/pooled()\nb/pooled.data = %C\nC = @a/pooled()\n",
            "back to itself",
        ),
    ],
)
def test_whatever_has_no_end_is_refused(tmp_path: Path, text: str, part: str) -> None:
    assert part in refused(text, tmp_path)


def test_nesting_that_ends_is_allowed(tmp_path: Path) -> None:
    """A scope has its own settings in place of those that it would inherit."""
    (tmp_path / "a.gin").write_text(
        "train.data = @pooled()\npooled.data = @a/pooled()\na/pooled.data = @toy()\n" + chain(30, "7")
    )
    config.parse([str(tmp_path / "a.gin")])
    assert config.bindings()["pooled.data"] == "@a/pooled()"


@pytest.mark.parametrize("brackets", ["[]", "()", ("{1: ", "}")])
@pytest.mark.parametrize("depth", [33, 900, 20_000])
def test_brackets_are_bounded(tmp_path: Path, brackets: str, depth: int) -> None:
    inside = "1" if brackets[0] == "{1: " else ""
    comma = "," if brackets == "()" and depth < 900 else ""
    text = f"train.settings = {brackets[0] * depth}{inside}{(brackets[1] + comma) * (depth - 1)}{brackets[1]}\n"
    assert "deep" in refused(text, tmp_path)


def test_thirty_two_brackets_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.gin").write_text(f"train.settings = {'{1: ' * 31}[]{'}' * 31}\n")
    config.parse([str(tmp_path / "a.gin")])


def test_includes_are_bounded_in_depth_number_and_bytes(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"n{number}.gin").write_text(f"include 'n{number + 1}.gin'\n")
    assert "includes must be at most 32 deep, got /n32.gin" in refused("include 'n0.gin'\n", tmp_path)
    for number in range(20):
        (tmp_path / f"d{number}.gin").write_text(f"include 'd{number + 1}.gin'\n" * 2)
    (tmp_path / "d20.gin").write_text("")
    assert "at most 256 files" in refused("include 'd0.gin'\n", tmp_path)
    (tmp_path / "large.gin").write_text("#" * (bounds.MAX_BYTES // 2))
    assert "at most 131072 bytes" in refused("include 'large.gin'\ninclude 'large.gin'\n", tmp_path)
    with (tmp_path / "sparse.gin").open("wb") as file:
        file.truncate(1 << 40)
    assert "at most 131072 bytes" in refused("include 'sparse.gin'\n", tmp_path)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("train.data = @train()\n", "'train' is a whole run and no part of another"),
        ("train.data = @refine\n", "'refine' is a whole run"),
        ("train.data = @toy\n", "a reference needs its brackets: @toy()"),
        ("train.data = @fit()\n", "train.data must be SourceData, got @fit()"),
        ("train.data = [@toy()]\n", "train.data must be SourceData"),
        ("train.prior = @toy()\n", "train.prior must be Entry | None, got @toy()"),
        ("train.posteriors = @gibbs()\n", "train.posteriors must be Sequence[Entry]"),
        ("train.prior_fit = %F\nF = @toy()\n", "train.prior_fit must be FitSettings | None"),
        ("A = %B\nB = 'x'\nfit.num_steps = %A\n", "fit.num_steps must be int, got 'x'"),
        ("fit.num_steps = @gin.macro()\n", "unknown name 'gin.macro'"),
        ("fit.num_steps = @gin.singleton()\n", "unknown name 'gin.singleton'"),
        ("gin.macro.value = 3\n", "unknown name 'gin.macro'"),
        ("gin.singleton.constructor = @fit()\n", "unknown name 'gin.singleton'"),
        ("fit.num_steps = @os.system('true')\n", "not a gin statement"),
        ("fit.num_steps = __import__('os')\n", "not a gin statement"),
        ("fit.num_steps = 2 ** 9\n", "not a gin statement"),
        ("train.settings = {[1]: 2}\n", "unhashable type"),
        ("fit.num_steps = " + "9" * 3000 + "\n", "a whole number must fit into 64 bits"),
        ("fit.num_steps = " + "9" * 50_000 + "\n", "not a gin statement"),
        ("fit." + "n" * 50_000 + " = 9\n", "has no parameter"),
        ("x" * 50_000 + ".n = 9\n", "unknown name"),
        ("fit.decay = %" + "x" * 50_000 + "\n", "is not defined"),
        ("include '" + "x" * 50_000 + "'\n", "no such file"),
        ("include 'a\0b'\n", r"'include 'a\x00b''"),
        ("fit.num_steps = 3\n" * 40_000, "at most 131072 bytes"),
        (r"fit.decay = '\ud800'", r"a text must be Unicode, got '\ud800'"),
    ],
)
def test_what_no_configuration_holds_is_refused(tmp_path: Path, text: str, part: str) -> None:
    assert part in refused(text, tmp_path)


@pytest.mark.parametrize("value", ["%A", "[" * 5000, "@", "{[]: 1}"])
def test_the_record_of_a_run_may_be_anything(value: str) -> None:
    """``run.json`` is read back into the present spelling, or left as it is."""
    texts = {"A": value, "fit.num_steps": "%A"}
    assert config.normalised(texts) == texts
