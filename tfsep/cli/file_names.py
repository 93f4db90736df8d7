"""The file of a stem below the output folder: a pattern of three fixed tokens, and nothing that leads out of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from tfsep.errors import InputError

TOKENS = ("model", "track", "stem")
DEFAULT = "{model}/{track}/{stem}"
_TOKEN = re.compile("|".join(rf"\{{{token}\}}" for token in TOKENS))


@dataclass(frozen=True)
class FileNames:
    """File names of stems, without suffix, from a pattern such as ``{model}/{track}/{stem}``.

    Attributes:
        pattern: text with ``{stem}`` and perhaps ``{track}`` and ``{model}``; ``/`` makes folders.

    Raises:
        InputError: for another token, a pattern without ``{stem}``, an absolute one, or one with an empty, ``.`` or
            ``..`` part.
    """

    pattern: str = DEFAULT

    def __post_init__(self) -> None:
        """Check the pattern."""
        rest = _TOKEN.sub("", self.pattern)
        known = ", ".join(f"{{{token}}}" for token in TOKENS)
        if "{" in rest or "}" in rest or "\\" in rest or not rest.isprintable():
            raise InputError(f"--filename is plain text with the tokens {known}, got {self.pattern!r}")
        if "{stem}" not in self.pattern:
            raise InputError(f"--filename needs {{stem}}, or every stem would be the same file, got {self.pattern!r}")
        if any(part in ("", ".", "..") for part in self.pattern.split("/")):
            raise InputError(f"--filename must name files below the output folder, got {self.pattern!r}")

    @property
    def tells_tracks_apart(self) -> bool:
        """Return whether two tracks never share a file."""
        return "{track}" in self.pattern

    def folder(self, model: str, track: str) -> PurePosixPath:
        """Return the folder, below the output folder, of all stems of a track."""
        return PurePosixPath(*(self._filled(part, model, track) for part in self._leading()))

    def file(self, model: str, track: str, stem: str) -> str:
        """Return the path of a stem below :meth:`folder`, without suffix."""
        below = self.pattern.split("/")[len(self._leading()) :]
        return self._filled("/".join(below), model, track, stem)

    def _leading(self) -> list[str]:
        """Return the parts before the first that depends on the stem, the file's own name never among them."""
        parts = self.pattern.split("/")
        return parts[: next(index for index, part in enumerate(parts) if "{stem}" in part)]

    @staticmethod
    def _filled(text: str, model: str, track: str, stem: str = "") -> str:
        """Put names in the place of their tokens, all at once: a name that looks like a token is none."""
        values = {"{model}": model, "{track}": track, "{stem}": stem}
        return _TOKEN.sub(lambda token: values[token.group()], text)
