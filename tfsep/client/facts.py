"""What a client must know about a served model, as its signature ``info`` answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tfsep.errors import JobError


@dataclass(frozen=True)
class ServedFacts:
    """Facts about a served model.

    Attributes:
        model: its name where it was exported.
        sources: names, in order.
        gains: a_1..a_N of the mixing model.
        sample_rate: Hz.
        segment: samples that it separates at once.
        hop: samples from one segment to the next.
        stereo: how two channels are separated.
        normalise: whether waveforms are brought to one level first.
        level: that level, a root mean square.
        num_samples: draws of ``samples``.
        max_seconds: the longest waveform that is answered.
        version: of tfsep, by which it was exported.
    """

    model: str
    sources: tuple[str, ...]
    gains: tuple[float, ...]
    sample_rate: int
    segment: int
    hop: int
    stereo: str
    normalise: bool
    level: float
    num_samples: int
    max_seconds: float
    version: str

    @classmethod
    def of(cls, outputs: Mapping[str, np.ndarray]) -> ServedFacts:
        """Read the outputs of ``info`` for one row.

        Raises:
            JobError: if a fact is missing, as in a model that is none of tfsep's.
        """
        found: dict[str, Any] = {}
        for field in fields(cls):
            if field.name not in outputs:
                raise JobError(f"the served model is none that tfsep exported: its info has no {field.name!r}")
            value = np.asarray(outputs[field.name])[:1].tolist()[0]
            found[field.name] = tuple(map(_text, value)) if isinstance(value, list) else _text(value)
        return cls(**found)

    @property
    def overlapping(self) -> int:
        """Return how many segments beside it a segment overlaps on one side."""
        return -(-(self.segment - self.hop) // self.hop)


def _text(value: object) -> object:
    return value.decode("utf-8") if isinstance(value, bytes) else value
