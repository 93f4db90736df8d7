"""BSS Eval version 4, the metrics of the SiSEC 2018 and MUSDB18 tables, through the museval package.

An estimate is divided into the true source under a time-invariant filter of 512 taps, spatial
distortion, interference and artefacts (Vincent, Gribonval and Fevotte, 2006; Stoter, Liutkus and
Ito, 2018), in windows of a second. The metric of a track is the median over its windows, that of a
test set the median over its tracks. A minute of stereo and four sources takes tens of seconds.
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

METRICS = ("sdr", "isr", "sir", "sar")


def bss_eval(
    estimates: npt.ArrayLike,
    references: npt.ArrayLike,
    sample_rate: int,
    window_seconds: float = 1.0,
    hop_seconds: float = 1.0,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the metrics of a track for all sources of its mixture, which are evaluated together.

    A source whose reference is silent throughout gets nan and is left out of the evaluation of the
    others (it interferes with nothing). A source whose estimate is silent throughout gets nan too,
    and still interferes. Windows in which another reference or estimate is silent are left out of
    all medians, as in museval.

    Args:
        estimates: (num_sources, time) or (num_sources, channels, time).
        references: Of the shape of ``estimates``.
        sample_rate: In Hz.
        window_seconds: Length of a window in seconds, above 0; a shorter signal is one window.
        hop_seconds: Time between the starts of two windows in seconds, above 0.

    Returns:
        "sdr", "isr", "sir" and "sar": (num_sources,) medians over windows in dB; nan where no
        window can be evaluated.

    Raises:
        ValueError: for shapes that differ or have no source axis, or times that are not positive.
        ModuleNotFoundError: if museval is not installed; it comes with the extra ``eval``.
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
    found = {name: np.full(num_sources, np.nan) for name in METRICS}
    evaluated = np.flatnonzero(_audible(references))
    if evaluated.size == 0:
        return found
    estimated = _audible(estimates)
    estimates = np.where(estimated[:, None, None], estimates, references)
    window = min(max(1, round(window_seconds * sample_rate)), time)
    hop = max(1, round(hop_seconds * sample_rate))
    per_window = _museval(references[evaluated], estimates[evaluated], window, hop)
    for name, values in zip(METRICS, per_window, strict=True):
        found[name][evaluated] = [_median(row) for row in values]
        found[name][~estimated] = np.nan
    return found


def track_medians(tracks: Iterable[Mapping[str, npt.ArrayLike]]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the medians over tracks of what ``bss_eval`` returned for each: name -> (num_sources,) dB, without nan."""
    listed = list(tracks)
    return {
        name: np.array([_median(column) for column in np.stack([np.asarray(track[name]) for track in listed], axis=1)])
        for name in METRICS
        if listed
    }


def _audible(signals: np.ndarray) -> npt.NDArray[np.bool_]:
    """Return which of (num_sources, channels, time) are not silent and have, as museval asks, a non-zero mean."""
    audible: npt.NDArray[np.bool_] = ~np.all(is_silent(signals), axis=1) & np.any(signals.sum(axis=1) != 0.0, axis=1)
    return audible


def _museval(references: np.ndarray, estimates: np.ndarray, window: int, hop: int) -> list[np.ndarray]:
    """Return SDR, ISR, SIR and SAR, each (num_sources, num_windows), of (num_sources, channels, time) signals."""
    evaluate = _museval_metrics().bss_eval
    references, estimates = np.moveaxis(references, 1, 2), np.moveaxis(estimates, 1, 2)
    return list(evaluate(references, estimates, window=window, hop=hop, compute_permutation=False)[:4])


@functools.cache
def _museval_metrics() -> types.ModuleType:
    """Import museval.metrics alone: the whole package refuses to load where ffmpeg and ffprobe are missing."""
    package = importlib.util.find_spec("museval")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("BSS Eval needs the museval package: pip install tfsep[eval]")
    path = Path(package.origin).with_name("metrics.py")
    spec = importlib.util.spec_from_file_location("museval_metrics", path)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"museval must contain the module metrics, got none at {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _median(values: npt.ArrayLike) -> float:
    """Return the median of the finite values and infinities, nan of none."""
    numbers = np.asarray(values, np.float64)
    numbers = numbers[~np.isnan(numbers)]
    return float(np.median(numbers)) if numbers.size else float("nan")
