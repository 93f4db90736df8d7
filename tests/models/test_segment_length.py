"""Segments of another length: for whom, and how long."""

from __future__ import annotations

from typing import Any

import pytest

from tfsep.errors import InputError
from tfsep.models.segment_length import resized_segment

LEARNED = {"kind": "amortised", "plane": "short_time", "plane_settings": {"frame_length": 256, "frame_step": 64}}


@pytest.mark.parametrize(("seconds", "segment"), [(1.0, 8000), (0.501, 4032), (0.032, 256), (60.0, 480000)])
def test_the_nearest_whole_number_of_steps(seconds: float, segment: int) -> None:
    assert resized_segment(LEARNED, seconds, 8000) == segment


def test_settings_that_a_plane_has_by_itself() -> None:
    assert resized_segment({"kind": "amortised", "plane": "short_time"}, 1.0, 22050) == 43 * 512


@pytest.mark.parametrize(
    ("entry", "seconds", "complaint"),
    [
        (LEARNED, 0.03, r"segment must lie in 0.032..60 s, got 0.03"),
        (LEARNED, 61.0, r"segment must lie in 0.032..60 s, got 61"),
        ({"kind": "amortised"}, 1.0, "'amortised' is bound to the length of its segments, got 1 s"),
        ({"kind": "gibbs"}, 1.0, "'gibbs' is bound to the length of its priors, got 1 s"),
        ({"kind": "composition", "stages": ["amortised"]}, 1.0, "'composition' is bound to the length of its priors"),
    ],
)
def test_what_is_refused(entry: dict[str, Any], seconds: float, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        resized_segment(entry, seconds, 8000)
