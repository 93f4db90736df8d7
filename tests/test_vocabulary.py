"""One vocabulary: words that are no terms of the field are found nowhere but in the changelog.

A line that contains the word "alias" keeps an old spelling readable and is passed over, and so is
this file.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SUFFIXES = (
    ".py",
    ".md",
    ".gin",
    ".cfg",
    ".toml",
    ".txt",
    ".json",
    ".sh",
    ".html",
    ".css",
    ".js",
    ".yml",
    ".yaml",
    ".cff",
)
NAMES = ("Makefile", ".ci/run", ".editorconfig", "bin/")
PASSED_OVER = ("CHANGELOG.md", "LICENSE", "tests/test_vocabulary.py")

PRIVATE_WORDS = (
    r"dream(s|t|ed|ing)?",
    r"referee(s|d|ing)?",
    r"houses?",
    r"floors",
    r"holders?",
    r"lent|lend(s|ing)?|loan(s|ed)?|borrow(s|ed|ing)?",
    r"reels?",
    r"retrac(e|es|ed|ing)",
    r"strange\s+rows?",
    r"abroad",
    r"(take|takes|taken|taking|took)\s+(\w+\s+){0,2}(#\s+)?apart",
    r"hear|hears|heard|hearing|unheard",
    r"bound_for",
    r"knots?",
    r"repairs?",
    r"waveform\s+stages?",
)
PRIVATE = re.compile(rf"\b({'|'.join(PRIVATE_WORDS)})\b", re.IGNORECASE)
# Names of other libraries, which are theirs to choose.
FOREIGN = re.compile(r"\breduce_retracing\b")
# Where the words of a name end: ``num_lent`` and ``LentWeights`` are read as "num lent" and "Lent Weights". The name
# ``bound_for`` stays whole, since "an upper bound for" is good English.
JOINTS = re.compile(r"_(?!(?<=bound_)for(?![a-z]))|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def private_words(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number of each line on which a private word begins, and the word."""
    lines = text.split("\n")
    joined = JOINTS.sub(" ", FOREIGN.sub("", text))
    for match in PRIVATE.finditer(joined):
        number = joined.count("\n", 0, match.start())
        if "alias" not in lines[number].lower():
            yield number + 1, " ".join(match[0].split())


def tracked_texts() -> list[str]:
    """Return the paths of the repository's text files; without git, those of the folders that it tracks."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a clone, to know which files belong to the repository")
    return [
        path
        for path in listed
        if path.endswith(SUFFIXES) or path.startswith(NAMES)
        if path not in PASSED_OVER and (REPOSITORY / path).is_file()
    ]


def test_no_private_word_is_left() -> None:
    paths = tracked_texts()
    found = [
        f"{path}:{number}: {word}"
        for path in paths
        for number, word in [(0, word) for _, word in private_words(path)]
        + list(private_words((REPOSITORY / path).read_text(encoding="utf-8")))
    ]
    assert len(paths) > 300
    assert not found, f"{len(found)} private words (see Words in docs/developing.md):\n" + "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "what the network hears",
        "num_lent = 3",
        "class LentWeights:",
        "def borrow(weights): ...",
        "HOUSE",
        "a flow that was taken apart",
        "they take the song apart",
        "dreamt mixtures",
        "a mixture is taken\n    # apart",
        "RETRACE_LIMIT",
        "ListReel",
        "with bound_for(device): ...",
        "self._bound_for_gpu = 1",
        "KNOTS",
        "the repairs of a posterior",
        "a waveform stage",
    ],
)
def test_a_private_word_is_found(line: str) -> None:
    assert len(list(private_words(f"first\n{line}\n"))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "a silent talent, an equivalent placeholder, a threshold, shear and rehearsal",
        "tf.math.floor(x)",
        "an upper bound for soft masks, value - bound for value in values",
        "tf.function(step, reduce_retracing=True)",
        "self._silent, placeholders, freeloaded",
        'OLD = {"heard": "trained_on"}  # alias',
    ],
)
def test_other_words_pass(line: str) -> None:
    assert list(private_words(line)) == []
