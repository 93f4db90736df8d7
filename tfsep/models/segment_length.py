"""Segments of another length than those a model was trained on.

A learned posterior over a short-time plane is a stack of convolutions over frames: its weights do not know how many
frames there are, and a longer segment gives it more of the song to look at, for more memory. Everything else is bound
to its length: a prior is a density of events of one size, and the spectrum of a whole segment has as many bins as the
segment has samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfsep.audio.time_frequency import ShortTime
from tfsep.errors import InputError
from tfsep.posteriors.registry import LEARNED

LONGEST_SECONDS = 60.0


def resized_segment(entry: Mapping[str, Any], seconds: float, sample_rate: int) -> int:
    """Samples of a segment of about so many seconds: the nearest whole number of the plane's frame steps.

    Args:
        entry: arguments of the posterior in use.
        seconds: wanted length, at least one frame and at most 60.
        sample_rate: of the model, Hz.

    Raises:
        InputError: for a posterior that is bound to the length of its segments, or a length out of range.
    """
    if entry["kind"] not in LEARNED or entry.get("plane") != "short_time":
        raise InputError(
            f"segment can be set for a learned posterior over short-time spectra only; {entry['kind']!r} is bound to "
            f"the length of its {'segments' if entry['kind'] in LEARNED else 'priors'}, got {seconds:g} s"
        )
    plane = {"frame_length": ShortTime.frame_length, "frame_step": ShortTime.frame_step}
    plane |= entry.get("plane_settings") or {}
    shortest = plane["frame_length"] / sample_rate
    if not shortest <= seconds <= LONGEST_SECONDS:
        raise InputError(f"segment must lie in {shortest:.3g}..{LONGEST_SECONDS:g} s, got {seconds:g}")
    return max(1, round(seconds * sample_rate / plane["frame_step"])) * plane["frame_step"]
