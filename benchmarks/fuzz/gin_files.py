"""Gin files that are wrong, hostile or without end: each is read, or refused in one line."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.fuzz.summary import Summary
from benchmarks.fuzz.trial import fault
from tfsep import config
from tfsep.config import registry

_ODD_TEXTS = (
    "\0",
    "\ud7ff",
    "é",
    "\t",
    "\\",
    "'",
    '"',
    "'''",
    "@",
    "%",
    "$",
    "#",
    ":",
    "\r",
    "\x1b[31m",
    "=",
    "()",
    "[",
)
_VALUES = (
    "1", "-1", "0.5", "1e999", "9" * 4000, "True", "None", "'x'", "b'x'", "1j", "[]", "{}", "(1, 2)", "{'a': [1]}",
    "{[1]: 2}", "'\\ud800'", "'" + "x" * 5000 + "'", "@toy()", "@toy", "@train()", "@fit()", "@glow()", "@gibbs()",
    "@a/pooled()", "@gin.macro()", "@gin.singleton()", "@os.system('true')", "__import__('os')", "%A", "%B",
    "%gin.REQUIRED",
)  # fmt: skip
_NAMES = ("fit", "train", "toy", "glow", "gibbs", "pooled", "a/pooled", "prior", "posterior", "gin.macro", "x" * 3000)


def run(num_cases: int, seed: int) -> Summary:
    """Read generated gin files.

    Args:
        num_cases: how many.
        seed: of all of them.
    """
    config.register()
    summary = Summary("gin files", num_cases)
    with tempfile.TemporaryDirectory() as place:
        for number in range(num_cases):
            draw = random.Random(f"{seed} {number}")
            folder = Path(place) / str(number)
            folder.mkdir()
            kind = draw.choice(list(_KINDS))
            file = folder / "case.gin"
            file.write_bytes(_KINDS[kind](draw, folder).encode("utf-8", "surrogatepass"))
            if (found := fault(lambda file=file: config.parse([str(file)]))) is not None:  # type: ignore[misc]
                summary.faults.append(f"gin file {number} of seed {seed} ({kind}): {found}")
    config.parse([])
    return summary


def _statement(draw: random.Random) -> str:
    name = draw.choice((*_NAMES, *registry.KNOWN))
    known = registry.KNOWN.get(name)
    parameters = list(known.open_parameters) if known else []
    parameter = draw.choice([*parameters, "num_steps", "data", "nothing", "y" * 3000])
    return f"{name}.{parameter} = {draw.choice(_VALUES)}\n"


def _statements(draw: random.Random, _: Path) -> str:
    macros = "".join(f"{name} = {draw.choice(_VALUES)}\n" for name in ("A", "B") if draw.random() < 0.5)
    return macros + "".join(_statement(draw) for _ in range(draw.randint(1, 8)))


def _broken(draw: random.Random, folder: Path) -> str:
    text = list(_statements(draw, folder))
    for _ in range(draw.randint(1, 10)):
        where = draw.randrange(len(text) + 1)
        text[where : where + draw.randint(0, 3)] = draw.choice(_ODD_TEXTS)
    return "".join(text)


def _noise(draw: random.Random, _: Path) -> str:
    return "".join(chr(draw.randrange(1, 0xD800)) for _ in range(draw.randint(0, 400)))


def _deep(draw: random.Random, _: Path) -> str:
    opening, closing = draw.choice((("[", "]"), ("(", ")"), ("{1: ", "}"), ("[(", ")]"), ("-", "")))
    depth = draw.choice((10, 33, 500, 3000, 100_000))
    return f"train.settings = {opening * depth}1{closing * draw.choice((depth, depth - 1))}\n"


def _macros(draw: random.Random, _: Path) -> str:
    num = draw.choice((1, 2, 20, 60, 2000))
    use = draw.choice(("%A{}", "[%A{0}, %A{0}]", "{{1: %A{}}}", "(%A{0}, [%A{0}])"))
    lines = [f"A{n} = {use.format(n + 1)}\n" for n in range(num)] + [f"A{num} = {draw.choice(('1', '%A0', '%A1'))}\n"]
    draw.shuffle(lines)
    return "".join(lines) + "train.settings = %A0\n"


def _references(draw: random.Random, _: Path) -> str:
    num = draw.choice((1, 2, 40, 300))
    chain = "".join(f"s{n}/pooled.data = @s{(n + 1) % num}/pooled()\n" for n in range(num))
    stages = "".join(
        f"s{n}/composition.stages = [@s{n + 1}/composition(), @s{n + 1}/composition()]\n" for n in range(num)
    )
    return f"train.data = @s0/pooled()\n{chain}train.posteriors = [@s0/composition()]\n{stages}"


def _includes(draw: random.Random, folder: Path) -> str:
    num, twice = draw.choice((1, 30, 40, 3000)), draw.choice((1, 2))
    for n in range(num):
        (folder / f"n{n}.gin").write_text(f"include 'n{n + 1}.gin'\n" * twice)
    last = draw.choice(
        ("fit.num_steps = 3\n", "include 'n0.gin'\n", "include '/etc/passwd'\n", "include '../../x.gin'\n")
    )
    (folder / f"n{num}.gin").write_text(last)
    return draw.choice(("include 'n0.gin'\n", "include 'case.gin'\n", "include 'n0.gin'\n" * 2000, "include '\0'\n"))


def _large(draw: random.Random, _: Path) -> str:
    return draw.choice(
        ("#" * 5_000_000, "fit.num_steps = 3\n" * 40_000, "A = [" + "1," * 300_000 + "]\nfit.keep = %A\n")
    )


_KINDS: dict[str, Callable[[random.Random, Path], str]] = {
    "statements": _statements,
    "broken": _broken,
    "noise": _noise,
    "deep": _deep,
    "macros": _macros,
    "references": _references,
    "includes": _includes,
    "large": _large,
}
