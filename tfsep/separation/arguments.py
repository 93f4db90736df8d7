"""Arguments of a separation that come as arrays and numbers: the rules that files meet by themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfsep.arguments import whole_number
from tfsep.audio.files import LARGEST_SAMPLE
from tfsep.audio.formats import MAX_CHANNELS, MAX_RATE, MIN_RATE
from tfsep.axes import TensorLike
from tfsep.errors import InputError

_SHAPE = "(channels, time); yours looks like (time, channels): use .T"


def seed_pairs(seed: object, num: int) -> np.ndarray:
    """Return seeds of ``num`` rows as pairs, (num, 2) int32, from one whole number for all or one for each.

    Raises:
        InputError: for another number of seeds, or one that is no whole number from 0 to 2^31 - 1.
    """
    if isinstance(seed, Sequence | np.ndarray) and not isinstance(seed, str):
        if len(seed) != num:
            raise InputError(f"seed must be one number, or one for each of the {num} rows, got {len(seed)}")
        numbers = [whole_number("seed", each, 0) for each in seed]
    else:
        numbers = [whole_number("seed", seed, 0)] * num
    return np.array([[number, 0] for number in numbers], np.int32)


def rate(value: object) -> int:
    """Return a sample rate in Hz; whole numbers may come as floats.

    Raises:
        InputError: for anything else, or a rate outside 1000..384000.
    """
    try:
        number = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not (MIN_RATE <= number <= MAX_RATE and number == int(number)) or isinstance(value, bool | str):
        raise InputError(f"sample_rate must be a whole number in {MIN_RATE}..{MAX_RATE} Hz, got {value!r}")
    return int(number)


def finite_waveform(waveform: TensorLike) -> np.ndarray:
    """Return a waveform as a float32 array of one or two axes and at least one sample.

    Raises:
        InputError: for complex numbers, text and ragged lists, another number of axes, no samples,
            or a sample that is not finite or beyond 1e10 of full scale.
    """
    try:
        found = np.asarray(waveform)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"waveform must be an array of equally long channels ({error})") from error
    if found.dtype.kind not in "fiub":
        raise InputError(f"waveform must be an array of real numbers, got the type {found.dtype}")
    if found.ndim not in (1, 2) or found.size == 0:
        raise InputError(f"waveform must be (time,) or (channels, time) and not empty, got shape {found.shape}")
    with np.errstate(over="ignore"):
        found = found.astype(np.float32, copy=False)
    if not np.isfinite(found).all():
        raise InputError("waveform must be finite, got NaN or infinity")
    largest = float(np.abs(found).max())
    if largest > LARGEST_SAMPLE:
        raise InputError(f"waveform must be at most {LARGEST_SAMPLE:g} times full scale, got {largest:g}")
    return found


def check_channels(waveform: np.ndarray) -> None:
    """Refuse a waveform of one song with too many channels.

    Args:
        waveform: (time,) or (channels, time).

    Raises:
        InputError: for more than 8 channels.
    """
    if waveform.ndim == 2 and waveform.shape[0] > MAX_CHANNELS:
        turned = waveform.shape[1] <= MAX_CHANNELS
        rule = _SHAPE if turned else f"(channels, time) with at most {MAX_CHANNELS} channels"
        raise InputError(f"waveform must be {rule}, got shape {waveform.shape}")
