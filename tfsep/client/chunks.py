"""A waveform in chunks whose answers, joined, are the answer to the whole.

A served model cuts a waveform into overlapping segments, one every hop. A chunk begins at a segment
and ends with one, so the server cuts it into segments that the whole waveform has too. Where
segments overlap, neighbouring chunks share as many as reach into each other, and each gives the
samples to which all segments contribute that the whole would have there.
"""

from __future__ import annotations

from dataclasses import dataclass

from tfsep.errors import InputError


@dataclass(frozen=True)
class Chunk:
    """Samples of a waveform.

    Attributes:
        start, stop: what is sent.
        first, last: of which these samples are kept, as numbers in the whole waveform.
    """

    start: int
    stop: int
    first: int
    last: int


def fewest(segment: int, hop: int) -> int:
    """Return how many segments a chunk must hold: one, and those that it shares with the next chunk."""
    return 1 - (-(segment - hop) // hop)


def segments_within(samples: int, segment: int, hop: int) -> int:
    """Return how many whole segments so many samples hold."""
    return (samples - segment) // hop + 1 if samples >= segment else 0


def samples_of(segments: int, segment: int, hop: int) -> int:
    """Return the samples of so many segments, at least one."""
    return segment + (segments - 1) * hop


def chunks(time: int, segment: int, hop: int, most: int) -> list[Chunk]:
    """Return the chunks of a waveform, in order.

    Args:
        time: samples of the waveform, at least 1.
        segment: samples of a segment.
        hop: samples from one segment to the next, 1..segment.
        most: samples of a chunk.

    Raises:
        InputError: if a chunk of ``most`` samples holds too few segments to overlap the next one.
    """
    if time <= most:
        return [Chunk(0, time, 0, time)]
    needed, held = fewest(segment, hop), segments_within(most, segment, hop)
    shared = needed - 1
    if held < needed:
        needed = samples_of(needed, segment, hop)
        raise InputError(f"a request must hold at least {needed} samples, which the limits cut to {most}")
    found, number, done = [], 0, 0
    while done < time:
        start = number * hop
        stop = start + (held - 1) * hop + segment
        last = time if stop >= time else start + held * hop
        # Without overlap what is left may be less than a segment; the last one ends with the waveform.
        found.append(Chunk(min(start, time - segment), min(stop, time), done, last))
        number, done = number + held - shared, last
    return found
