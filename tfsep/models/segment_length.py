"""Segments of another length than those a model was trained on.

A learned posterior over a short-time plane is a stack of convolutions over frames: its weights do
not depend on the number of frames, and a longer segment gives it more context, for more memory.
Everything else is bound to its length: a prior is a density of events of one size, and the spectrum
of a whole segment has as many bins as the segment has samples.
"""

from __future__ import annotations

from tfsep.errors import InputError
from tfsep.models.rules import LONGEST_SECONDS
from tfsep.models.schema import Entry
from tfsep.posteriors.kinds import LEARNED


def resized_segment(entry: Entry, seconds: float, sample_rate: int) -> int:
    """Return the samples of a segment of about so many seconds: the nearest whole number of the plane's frame steps.

    Args:
        entry: arguments of the posterior in use.
        seconds: wanted length, at least one frame and at most 60.
        sample_rate: of the model, Hz.

    Raises:
        InputError: for a posterior that is bound to the length of its segments, or a length out of
            range.
    """
    if entry["kind"] not in LEARNED or entry.get("plane") != "short_time":
        raise InputError(
            f"segment can be set for a learned posterior over short-time spectra only; {entry['kind']!r} is bound to "
            f"the length of its {'segments' if entry['kind'] in LEARNED else 'priors'}, got {seconds:g} s"
        )
    frame_length, frame_step = _frames(entry)
    shortest = frame_length / sample_rate
    if not shortest <= seconds <= LONGEST_SECONDS:
        raise InputError(f"segment must lie in {shortest:.3g}..{LONGEST_SECONDS:g} s, got {seconds:g}")
    return max(1, round(seconds * sample_rate / frame_step)) * frame_step


def _frames(entry: Entry) -> tuple[int, int]:
    """Return length and step of the plane's frames, in samples; TensorFlow is imported for the defaults alone."""
    settings = entry.get("plane_settings") or {}
    if {"frame_length", "frame_step"} <= set(settings):
        return int(settings["frame_length"]), int(settings["frame_step"])
    from tfsep.audio.time_frequency import ShortTime

    return (
        int(settings.get("frame_length", ShortTime.frame_length)),
        int(settings.get("frame_step", ShortTime.frame_step)),
    )
