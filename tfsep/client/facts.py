"""What a client must know about a served model, as its signature ``info`` answers it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tfsep.errors import JobError

#: How two channels are separated (:data:`tfsep.separation.settings.STEREO_MODES`).
STEREO_MODES = ("each", "mid_side", "wiener")
#: More sources than any model has.
_MOST_SOURCES = 1000
_Value = TypeVar("_Value")


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
        max_seconds: of sound in a request, all rows together.
        most_samples: the same in samples; a row counts as at least one segment.
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
    most_samples: int
    version: str

    @classmethod
    def of(cls, outputs: Mapping[str, np.ndarray]) -> ServedFacts:
        """Read the outputs of ``info`` for one row.

        Raises:
            JobError: if a fact is missing, or none that an export of tfsep has.
        """
        facts = cls(
            model=_one(outputs, "model", _text),
            sources=_several(outputs, "sources", _text),
            gains=_several(outputs, "gains", _number),
            sample_rate=_one(outputs, "sample_rate", _count),
            segment=_one(outputs, "segment", _count),
            hop=_one(outputs, "hop", _count),
            stereo=_one(outputs, "stereo", _text),
            normalise=_one(outputs, "normalise", _truth),
            level=_one(outputs, "level", _number),
            num_samples=_one(outputs, "num_samples", _count),
            max_seconds=_one(outputs, "max_seconds", _number),
            most_samples=_one(outputs, "most_samples", _count),
            version=_one(outputs, "version", _text),
        )
        facts._check()
        return facts

    def _check(self) -> None:
        """Check what facts have to do with each other.

        Raises:
            JobError: for the first that is out of range.
        """
        if len(set(self.sources)) != len(self.sources) or not all(self.sources):
            raise _foreign("sources", "names that differ and are not empty", self.sources)
        if len(self.gains) != len(self.sources) or not all(self.gains):
            raise _foreign("gains", f"{len(self.sources)} numbers that are not 0", self.gains)
        if self.hop > self.segment:
            raise _foreign("hop", f"in 1..segment = 1..{self.segment}", self.hop)
        if self.stereo not in STEREO_MODES:
            raise _foreign("stereo", f"one of {', '.join(STEREO_MODES)}", self.stereo)
        if self.most_samples < self.segment:
            raise _foreign("most_samples", f"at least one segment of {self.segment}", self.most_samples)
        for name in ("level", "max_seconds"):
            if getattr(self, name) <= 0.0:
                raise _foreign(name, "above 0", getattr(self, name))


def _foreign(name: str, rule: str, value: object) -> JobError:
    return JobError(f"the served model is none that tfsep exported: its {name} must be {rule}, got {value!r:.100}")


def _row(outputs: Mapping[str, np.ndarray], name: str, rank: int) -> Any:
    """Return a fact of the first row, as what :meth:`numpy.ndarray.tolist` makes of it."""
    if name not in outputs:
        raise JobError(f"the served model is none that tfsep exported: its info has no {name!r}")
    values = np.asarray(outputs[name])
    if values.ndim != rank or len(values) != 1 or not 1 <= values.size <= _MOST_SOURCES:
        raise _foreign(name, "a row of values" if rank > 1 else "one value", f"shape {values.shape}")
    return values.tolist()[0]


def _one(outputs: Mapping[str, np.ndarray], name: str, read: Callable[[str, object], _Value]) -> _Value:
    return read(name, _row(outputs, name, 1))


def _several(outputs: Mapping[str, np.ndarray], name: str, read: Callable[[str, object], _Value]) -> tuple[_Value, ...]:
    return tuple(read(name, value) for value in _row(outputs, name, 2))


def _text(name: str, value: object) -> str:
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        raise _foreign(name, "text in UTF-8", value) from error
    if not isinstance(text, str):
        raise _foreign(name, "text", value)
    return text


def _count(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _foreign(name, "a whole number of at least 1", value)
    return value


def _number(name: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise _foreign(name, "a finite number", value)
    return float(value)


def _truth(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _foreign(name, "true or false", value)
    return value
