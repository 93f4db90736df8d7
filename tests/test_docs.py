"""The pages for people: every command parses, every file they name is there, sentences are short."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfsep.config import files as gin_files

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*(REPOSITORY / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY"))]
    + [*REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("*/README.md")]
)
CARDS = sorted(REPOSITORY.glob("models/*/card.md"))
MOST_LINES = 120
MOST_WORDS = 35


def commands(text: str) -> Iterator[list[str]]:
    """The words of each call of a script of bin/, in blocks of code and in pieces of code in a line, without pipes."""
    fences = re.split(r"^```.*\n", text.replace("\\\n", " "), flags=re.MULTILINE)
    lines = [line for block in fences[1::2] for line in block.splitlines()]
    lines += [" ".join(code.split()) for prose in fences[::2] for code in re.findall(r"`(bin/[^`]*)`", prose)]
    for line in lines:
        call = re.search(r"(?:^|\| )(bin/[^|>]* [^|>]*)", line)
        if call:
            yield shlex.split(call[1], comments=True)


def calls() -> Iterator[tuple[str, list[str]]]:
    """The page and the words of every command with arguments."""
    for page in PAGES:
        for words in commands(page.read_text(encoding="utf-8")):
            if len(words) > 1:
                yield page.name, words


CALLS = [pytest.param(words, id=f"{page}: {' '.join(words)}") for page, words in calls()]


@pytest.mark.parametrize("words", CALLS)
def test_a_command_of_the_pages_parses(words: list[str]) -> None:
    name = words[0].removeprefix("bin/")
    assert (REPOSITORY / "bin" / name).is_file()
    if words[1:] == ["--help"]:
        return
    module = importlib.import_module(f"tfsep.cli.{name.replace('-', '_')}")
    args = module.parser().parse_args(words[1:])
    for file in getattr(args, "gin_file", []):
        assert gin_files.find(file).is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    for link in links:
        assert link.startswith("http") or (page.parent / link).exists(), link


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_files_and_modules_that_pages_name_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:tfsep|benchmarks|tests|docs)/[\w./]+)`", text):
        assert (REPOSITORY / name).exists(), name
    for name in gin_paths(text):
        assert (REPOSITORY / name).exists(), name
    for module in re.findall(r"python3? -m (benchmarks(?:\.\w+)*)", text):
        assert importlib.util.find_spec(module), module


def gin_paths(text: str) -> list[str]:
    """Return the files and folders of gin/ that a page names, in commands too, as they are written."""
    return re.findall(r"(?<![\w./-])gin/[\w/]+(?:\.\w+)?", text)


def test_gin_paths_are_found() -> None:
    text = "`gin/a.gin`, bin/train --gin_file=gin/data/b.gin, (`gin/paper`) [c](../gin/c.gin), runs/gin/d.gin."
    assert gin_paths(text) == ["gin/a.gin", "gin/data/b.gin", "gin/paper"]


def test_commands_are_found() -> None:
    assert len(CALLS) > 20
    block, prose = "cat x | bin/separate - \\\n  --output - > y  # z\n", "and `bin/train --a=b`, `bin/x`, it's\n"
    text = f"```\n{block}```\n{prose}```python\n'\n```\n"
    assert list(commands(text)) == [["bin/separate", "-", "--output", "-"], ["bin/train", "--a=b"]]


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a page, without code blocks, tables, headings and comments; code in a line is a word."""
    prose = "".join(re.split(r"^```.*\n", text, flags=re.MULTILINE)[::2])
    prose = re.sub(r"<!--.*?-->|^[|#].*$", "\n", prose, flags=re.MULTILINE)
    prose = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]+`", "code", prose))
    for block in re.split(r"\n\s*\n|^\s*(?:[*-]|\d+\.) ", prose, flags=re.MULTILINE):
        yield from (part for part in re.split(r"(?<=[.!?])[*\"')]*\s+", " ".join(block.split())) if part)


@pytest.mark.parametrize("page", [*PAGES, *CARDS], ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_sentences_are_short(page: Path) -> None:
    long = [text for text in sentences(page.read_text(encoding="utf-8")) if len(text.split()) > MOST_WORDS]
    assert long == []


def test_a_long_sentence_is_noticed() -> None:
    text = (
        "# A title. Of two\n\n| a. | b |\n\n* One [two\nthree](x.md). Four `five. six`!\n* **Seven.** Eight\n\nNine\n"
    )
    assert [len(part.split()) for part in sentences(text)] == [3, 2, 1, 1, 1]


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= MOST_LINES
