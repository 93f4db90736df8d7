"""Settings of a separator, checked without TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfsep.arguments import real_number
from tfsep.errors import InputError

EACH, MID_SIDE, WIENER = STEREO_MODES = ("each", "mid_side", "wiener")


@dataclass(frozen=True)
class SeparatorSettings:
    """How a model is applied to whole songs.

    Attributes:
        overlap: part of a segment shared with the next one, 0..0.9.
        memory: budget in GB for the segments that are separated at once; None is the separator's default.
        stereo: what the channels of a song have to do with each other, one of :data:`STEREO_MODES`.
        normalise: whether the model wants its input at a root mean square of ``level``.
        level: that root mean square, linear amplitude.

    Raises:
        InputError: for an overlap outside 0..0.9, a budget or a level that is not positive, or an unknown
            ``stereo``.
    """

    overlap: float = 0.25
    memory: float | None = None
    stereo: str = EACH
    normalise: bool = False
    level: float = 0.1

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0.0 <= self.overlap <= 0.9:
            raise InputError(f"overlap must lie in 0..0.9 of a segment, got {self.overlap}")
        if self.memory is not None and not self.memory > 0.0:
            raise InputError(f"memory must be above 0 GB, got {self.memory:g}")
        if not 0.0 < self.level < math.inf:
            raise InputError(f"level must be above 0, got {self.level:g}")
        stereo_mode(self.stereo)

    @classmethod
    def of_model(
        cls,
        stored: Mapping[str, Any],
        overlap: float | None = None,
        memory: float | None = None,
        stereo: str | None = None,
    ) -> SeparatorSettings:
        """Return the settings of a model with those of a caller in their place where they are given.

        Args:
            stored: ``settings`` of the model's description; what it does not have is the default.
            overlap: in place of the stored one.
            memory: budget in GB.
            stereo: in place of the stored one.

        Raises:
            InputError: as the class does, and for a stored setting that there is not or of another type.
        """
        for name, value in stored.items():
            if name not in _STORED:
                raise InputError(f"settings of a model must be {', '.join(_STORED)}, got {str(name)[:80]!r}")
            if not _STORED[name](value):
                raise InputError(f"the setting {name} of a model has another type, got {str(value)[:80]!r}")
        return cls(
            overlap=stored.get("overlap", cls.overlap) if overlap is None else real_number("overlap", overlap),
            memory=None if memory is None else real_number("memory", memory),
            stereo=stored.get("stereo", cls.stereo) if stereo is None else stereo,
            normalise=stored.get("normalise", cls.normalise),
            level=stored.get("level", cls.level),
        )


def stereo_mode(name: str) -> str:
    """Return the name of a stereo mode.

    Raises:
        InputError: if it is none of :data:`STEREO_MODES`.
    """
    if name not in STEREO_MODES:
        raise InputError(f"stereo must be one of {', '.join(STEREO_MODES)}, got {name!r}")
    return name


def _is_real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# What a model may store of them, and of which type.
_STORED: dict[str, Callable[[object], bool]] = {
    "overlap": _is_real,
    "stereo": lambda value: isinstance(value, str),
    "normalise": lambda value: isinstance(value, bool),
    "level": _is_real,
}
