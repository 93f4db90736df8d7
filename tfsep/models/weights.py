"""Weights of a Keras model as a safetensors file: arrays by position, independent of the order of building."""

from __future__ import annotations

import os
from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from tfsep.errors import InputError

MAX_BYTES = 8_000_000


def save(model: keras.Model, file: Path, half: bool = False) -> None:
    """Write all weights, as float16 if ``half``; to temporary names first, then renamed.

    What does not fit into :data:`MAX_BYTES` continues in ``<stem>.1.safetensors`` and so forth; the
    first file says, in its metadata, how many parts there are.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    dtype = np.float16 if half else None
    parts: list[dict[str, np.ndarray]] = [{}]
    for index, value in enumerate(model.get_weights()):
        array = np.asarray(value, dtype, order="C")
        if parts[-1] and sum(each.nbytes for each in parts[-1].values()) + array.nbytes > MAX_BYTES:
            parts.append({})
        parts[-1][_key(index)] = array
    for number, arrays in reversed(list(enumerate(parts))):
        target = _part(file, number)
        temporary = target.with_name(target.name + ".part")
        # One entry alone: safetensors writes several in random order, and equal weights give equal files.
        save_file(arrays, temporary, metadata={"parts": str(len(parts))})
        os.replace(temporary, target)


def load(model: keras.Model, file: Path, leading: bool = False) -> None:
    """Read weights into a model of the same kind and settings.

    Args:
        model: whose weights are replaced.
        file: the first of its files.
        leading: the file may hold only the first of the model's weights, those of a model with
            fewer parts; the rest stays as it is.

    Raises:
        InputError: if a file is missing, is no safetensors file, or belongs to another model.
    """
    arrays: dict[str, np.ndarray] = {}
    number, num_parts = 0, 1
    while number < num_parts:
        part = _part(file, number)
        if not part.is_file():
            raise InputError(f"{part}: the weights of this model are missing")
        try:
            with safe_open(part, "np") as header:
                num_parts = int((header.metadata() or {}).get("parts", 1))
            arrays |= load_file(part)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{part}: not a safetensors file ({error})") from error
        number += 1
    wanted = {_key(index): tuple(variable.shape) for index, variable in enumerate(model.weights)}
    found = {key: tuple(value.shape) for key, value in arrays.items()}
    needed = {key: wanted[key] for key in sorted(wanted)[: len(found)]} if leading and found else wanted
    if needed != found:
        raise InputError(
            f"{file}: the weights are of another model: {len(wanted)} arrays of given shapes are needed, "
            f"{len(found)} were found and {sum(found.get(key) == shape for key, shape in wanted.items())} fit"
        )
    if not all(np.isfinite(value).all() for value in arrays.values()):
        raise InputError(f"{file}: weights must be finite")
    before = model.get_weights()
    model.set_weights([arrays.get(_key(index), old).astype(old.dtype) for index, old in enumerate(before)])


def _part(file: Path, number: int) -> Path:
    """Return the name of a numbered part: the file itself, then <stem>.1.safetensors, ..."""
    return file.with_name(f"{file.stem}.{number}{file.suffix}") if number else file


def _key(index: int) -> str:
    """Return the name of the array at a position."""
    return f"{index:04d}"
