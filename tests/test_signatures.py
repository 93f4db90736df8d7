"""Parameters read from signatures and docstrings, and the messages that refuse others."""

from __future__ import annotations

import inspect

import pytest

from tfsep import signatures
from tfsep.errors import InputError


class Example:
    """Something with parameters.

    Args:
        width, depth: of the network,
            in channels and layers.
        rate (optional): in Hz: of the file.
        **rest: further ones.

    Raises:
        ValueError: never.
    """

    def __init__(self, width: int, depth: int = 3, *, rate: float | None = None, **rest: object) -> None:
        del width, depth, rate, rest


@pytest.fixture
def found() -> dict[str, inspect.Parameter]:
    return signatures.keyword_parameters(Example)


def test_parameters_are_keywords_with_annotation_and_default(found: dict[str, inspect.Parameter]) -> None:
    assert list(found) == ["width", "depth", "rate"]
    assert {parameter.kind for parameter in found.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert [parameter.annotation for parameter in found.values()] == ["int", "int", "float | None"]
    assert [parameter.default for parameter in found.values()] == [inspect.Parameter.empty, 3, None]


def test_names_can_be_left_out() -> None:
    assert list(signatures.keyword_parameters(Example, without=("width",))) == ["depth", "rate"]


def test_descriptions_stand_on_one_line() -> None:
    assert signatures.described_parameters(Example) == {
        "width": "of the network, in channels and layers.",
        "depth": "of the network, in channels and layers.",
        "rate": "in Hz: of the file.",
        "rest": "further ones.",
    }


def test_attributes_are_read_like_arguments() -> None:
    documented = type("Settings", (), {"__doc__": "Some settings.\n\nAttributes:\n    sigma: of the noise.\n"})
    assert signatures.described_parameters(documented) == {"sigma": "of the noise."}


def test_without_a_docstring_nothing_is_described() -> None:
    def bare() -> None: ...

    assert signatures.described_parameters(bare) == {}


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(InputError, match="^prior 'glow' has no parameter 'num_stepz'; did you mean 'num_steps'[?]$"):
        signatures.refuse_unknown("prior 'glow'", ["width", "num_stepz"], {"width", "num_steps"})


def test_a_name_like_no_other_is_refused_plainly() -> None:
    with pytest.raises(InputError, match="^prior 'glow' has no parameter 'qqq'$"):
        signatures.refuse_unknown("prior 'glow'", ["qqq"], {"width", "num_steps"})


def test_known_names_pass() -> None:
    signatures.refuse_unknown("prior 'glow'", ["width"], {"width"})
