"""BSS Eval of whole songs beside SI-SDR: medians over tracks, as the tables of SiSEC 2018 and MUSDB18 give them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfsep.errors import InputError
from tfsep.metrics.bss_eval import METRICS, bss_eval, track_medians


class BssScores:
    """Adds up the track scores of an answer and of the mixture taken as every estimate."""

    def __init__(self) -> None:
        """Start from no track.

        Raises:
            InputError: if museval, of the extra ``eval``, is not installed.
        """
        if importlib.util.find_spec("museval") is None:
            raise InputError("BSS Eval needs the package museval, which is not installed: pip install 'tfsep[eval]'")
        self._tracks: dict[str, list[dict[str, np.ndarray]]] = {"model": [], "mixture": []}

    def add(self, estimates: np.ndarray, references: np.ndarray, mixture: np.ndarray, rate: int, song: bool) -> None:
        """Score one song, or several mixtures of one channel.

        Args:
            estimates, references: (batch, source, time).
            mixture: (batch, time).
            rate: Hz.
            song: whether the batch axis is the channels of one song.
        """
        whole = np.broadcast_to(mixture[:, np.newaxis], references.shape)
        for name, answer in (("model", estimates), ("mixture", whole)):
            tracks = (answer, references) if song else (answer[:, np.newaxis], references[:, np.newaxis])
            for found, true in [tracks] if song else zip(*tracks, strict=True):
                self._tracks[name].append(bss_eval(np.moveaxis(found, 0, 1), np.moveaxis(true, 0, 1), rate))

    def record(self, sources: Sequence[str]) -> dict[str, Any]:
        """{"model" and "mixture": {score: {source: dB, None where it is silent throughout}}}."""
        medians = {name: track_medians(tracks) for name, tracks in self._tracks.items()}
        return {
            name: {score: dict(zip(sources, map(_number, found[score]), strict=True)) for score in METRICS}
            for name, found in medians.items()
            if found
        }


def as_text(record: Mapping[str, Any]) -> str:
    """A line for each score: dB by source, with what the mixture has in brackets."""
    lines = []
    for score in METRICS:
        pairs = ((name, value, record["mixture"][score][name]) for name, value in record["model"][score].items())
        cells = [f"{name} {_cell(value)} ({_cell(before)})" for name, value, before in pairs]
        lines.append(f"BSS Eval {score.upper()}, median of tracks (of the mixture): {', '.join(cells)}")
    return "\n".join(lines)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
