"""The settings of a separator: a caller's before the model's, and ranges."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tfsep.errors import InputError
from tfsep.separation.settings import EACH, WIENER, SeparatorSettings, stereo_mode


def test_what_a_model_does_not_say_is_the_default() -> None:
    assert SeparatorSettings.of_model({}) == SeparatorSettings(0.25, None, EACH, False, 0.1)


def test_what_a_model_says_holds_unless_a_caller_says_otherwise() -> None:
    stored = {"overlap": 0.5, "stereo": WIENER, "normalise": True, "level": 0.2}
    assert SeparatorSettings.of_model(stored) == SeparatorSettings(0.5, None, WIENER, True, 0.2)
    given = SeparatorSettings.of_model(stored, overlap=0.0, memory=3.0, stereo=EACH)
    assert given == SeparatorSettings(0.0, 3.0, EACH, True, 0.2)


@pytest.mark.parametrize("overlap", [-0.01, 0.91, math.nan])
def test_an_overlap_out_of_range(overlap: float) -> None:
    with pytest.raises(InputError, match=r"overlap must lie in 0\.\.0\.9 of a segment, got"):
        SeparatorSettings(overlap=overlap)


@pytest.mark.parametrize("memory", [0.0, -1.0, math.nan])
def test_a_budget_that_is_none(memory: float) -> None:
    with pytest.raises(InputError, match="memory must be above 0 GB, got"):
        SeparatorSettings(memory=memory)


@pytest.mark.parametrize("given", [{"overlap": "x"}, {"memory": "x"}, {"memory": True}, {"overlap": [0.1]}])
def test_what_is_no_number(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="(overlap|memory) must be a number, got"):
        SeparatorSettings.of_model({}, **given)


def test_an_unknown_stereo_mode() -> None:
    with pytest.raises(InputError, match="stereo must be one of each, mid_side, wiener, got 'front'"):
        SeparatorSettings(stereo="front")
    assert stereo_mode(WIENER) == WIENER
