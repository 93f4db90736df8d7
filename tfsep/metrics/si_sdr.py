"""The scale-invariant signal-to-distortion ratio.

With the reference s and the estimate e (Le Roux, Wisdom, Erdogan and Hershey, 2019, equations 4
and 5, without removal of the means),

    alpha = <e, s> / <s, s>,    SI-SDR = 10 log10(||alpha s||^2 / ||alpha s - e||^2) dB.

It does not change when the estimate is scaled. A perfect estimate has +inf dB, one that is
orthogonal to the reference or silent -inf dB. For a silent reference it is not defined: the result
is nan, to be counted and left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

SILENT_ENERGY = 1e-10


def is_silent(reference: npt.ArrayLike, axis: int = -1) -> npt.NDArray[np.bool_]:
    """Return whether the sum of squares along ``axis`` is below 1e-10 (full scale 1), where SI-SDR is not defined."""
    return np.asarray(np.sum(np.square(np.asarray(reference, np.float64)), axis=axis) < SILENT_ENERGY)


def si_sdr(estimate: npt.ArrayLike, reference: npt.ArrayLike, axis: int = -1) -> npt.NDArray[np.float64]:
    """Return the scale-invariant signal-to-distortion ratio of estimates, in dB.

    Args:
        estimate: (..., time), real; computed in float64.
        reference: (..., time), real; the leading axes broadcast against those of ``estimate``.
        axis: The time axis of both, of one length.

    Returns:
        (...) float64 in dB: nan where the reference is silent, +inf of a perfect estimate, -inf of
        a silent or orthogonal one.

    Raises:
        ValueError: if the time axes differ.
    """
    estimate = np.moveaxis(np.asarray(estimate, np.float64), axis, -1)
    reference = np.moveaxis(np.asarray(reference, np.float64), axis, -1)
    if estimate.shape[-1] != reference.shape[-1]:
        raise ValueError(
            f"estimate and reference must have the same number of samples, got {estimate.shape[-1]} and "
            f"{reference.shape[-1]}"
        )
    silent = is_silent(reference)
    energy = np.where(silent, 1.0, np.sum(np.square(reference), axis=-1))
    alpha = np.sum(estimate * reference, axis=-1) / energy
    target = alpha[..., None] * reference
    distortion = np.sum(np.square(target - estimate), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 10.0 * (np.log10(np.sum(np.square(target), axis=-1)) - np.log10(distortion))
    nothing = np.sum(np.square(estimate), axis=-1) == 0.0
    return np.where(silent, np.nan, np.where(nothing, -np.inf, ratio))


def si_sdri(
    estimate: npt.ArrayLike, reference: npt.ArrayLike, mixture: npt.ArrayLike, axis: int = -1
) -> npt.NDArray[np.float64]:
    """Return the improvement of SI-SDR over the mixture as the estimate, in dB.

    Args:
        estimate: (..., time).
        reference: (..., time).
        mixture: (..., time); the leading axes of all three broadcast.
        axis: The time axis of all three.

    Returns:
        (...) float64: si_sdr(estimate, reference) - si_sdr(mixture, reference), nan where the
        reference is silent or where both are infinite with one sign.

    Raises:
        ValueError: if the time axes differ.
    """
    with np.errstate(invalid="ignore"):
        return si_sdr(estimate, reference, axis) - si_sdr(mixture, reference, axis)
