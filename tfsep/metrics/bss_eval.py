"""BSS Eval version 4, the scores of the SiSEC 2018 and MUSDB18 tables, through the museval package.

An estimate is divided into the true source under a time-invariant filter of 512 taps, spatial distortion, interference
and artefacts (Vincent, Gribonval and Fevotte, 2006; Stoter, Liutkus and Ito, 2018), in windows of a second. A track's
score is the median of its windows, a test set's the median of its tracks. A minute of stereo and four sources takes
tens of seconds.
"""

from __future__ import annotations

import functools
import importlib.util
import types
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tfsep.metrics.si_sdr import is_silent

SCORES = ("sdr", "isr", "sir", "sar")


def bss_eval(
    estimates: npt.ArrayLike,
    references: npt.ArrayLike,
    sample_rate: int,
    window_seconds: float = 1.0,
    hop_seconds: float = 1.0,
) -> dict[str, npt.NDArray[np.float64]]:
    """The track scores of all sources of a mixture, which have to be scored together.

    A source whose reference is silent throughout has nan, and the others are scored as if it were not there (it
    interferes with nothing). A source whose estimate is silent throughout has nan too, and still interferes. Windows in
    which another reference or estimate is silent are left out of all medians, as museval does.

    Args:
        estimates: (num_sources, time) or (num_sources, channels, time).
        references: Of the shape of `estimates`.
        sample_rate: In Hz.
        window_seconds: Length of a window in seconds, above 0; a shorter signal is one window.
        hop_seconds: Time between the starts of two windows in seconds, above 0.

    Returns:
        "sdr", "isr", "sir" and "sar": (num_sources,) medians over windows in dB; nan where no window could be scored.

    Raises:
        ValueError: Shapes that differ or have no source axis, or times that are not positive.
        ModuleNotFoundError: museval is not installed; it comes with the extra `eval`.
    """
    estimates, references = np.asarray(estimates, np.float64), np.asarray(references, np.float64)
    if estimates.shape != references.shape or references.ndim not in (2, 3):
        raise ValueError(
            "estimates and references must both be (num_sources, time) or (num_sources, channels, time), got "
            f"{estimates.shape} and {references.shape}"
        )
    if not (window_seconds > 0 and hop_seconds > 0):
        raise ValueError(f"window and hop must be positive, got {window_seconds} s and {hop_seconds} s")
    num_sources, time = references.shape[0], references.shape[-1]
    estimates, references = (x.reshape(num_sources, -1, time) for x in (estimates, references))
    scores = {name: np.full(num_sources, np.nan) for name in SCORES}
    heard = np.flatnonzero(_heard(references))
    if heard.size == 0:
        return scores
    answered = _heard(estimates)
    estimates = np.where(answered[:, None, None], estimates, references)
    window = min(max(1, round(window_seconds * sample_rate)), time)
    per_window = _museval(references[heard], estimates[heard], window, max(1, round(hop_seconds * sample_rate)))
    for name, values in zip(SCORES, per_window, strict=True):
        scores[name][heard] = [_median(row) for row in values]
        scores[name][~answered] = np.nan
    return scores


def track_medians(tracks: Iterable[Mapping[str, npt.ArrayLike]]) -> dict[str, npt.NDArray[np.float64]]:
    """The medians over tracks of what `bss_eval` returned for each: name -> (num_sources,) dB, nan left out."""
    listed = list(tracks)
    return {
        name: np.array([_median(column) for column in np.stack([np.asarray(track[name]) for track in listed], axis=1)])
        for name in SCORES
        if listed
    }


def _heard(signals: np.ndarray) -> npt.NDArray[np.bool_]:
    """Which of (num_sources, channels, time) are neither silent nor, as museval asks, cancel between their channels."""
    return ~np.all(is_silent(signals), axis=1) & np.any(signals.sum(axis=1) != 0.0, axis=1)


def _museval(references: np.ndarray, estimates: np.ndarray, window: int, hop: int) -> list[np.ndarray]:
    """SDR, ISR, SIR and SAR, each (num_sources, num_windows), of (num_sources, channels, time) signals."""
    evaluate = _museval_metrics().bss_eval
    references, estimates = np.moveaxis(references, 1, 2), np.moveaxis(estimates, 1, 2)
    return list(evaluate(references, estimates, window=window, hop=hop, compute_permutation=False)[:4])


@functools.cache
def _museval_metrics() -> types.ModuleType:
    """The module museval.metrics alone: the whole package refuses to load where ffmpeg and ffprobe are missing."""
    package = importlib.util.find_spec("museval")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("BSS Eval needs the museval package: pip install tfsep[eval]")
    path = Path(package.origin).with_name("metrics.py")
    spec = importlib.util.spec_from_file_location("museval_metrics", path)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"museval must hold the module metrics, got none at {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _median(values: npt.ArrayLike) -> float:
    """The median of the finite values and infinities, nan of none."""
    numbers = np.asarray(values, np.float64)
    numbers = numbers[~np.isnan(numbers)]
    return float(np.median(numbers)) if numbers.size else float("nan")
