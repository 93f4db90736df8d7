"""Weights of a Keras model as a safetensors file: plain numbers by position, no names that depend on building order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tfsep.errors import InputError


def save(model: keras.Model, file: Path, half: bool = False) -> None:
    """Write all weights, as float16 if ``half``; to a temporary name first, then renamed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    dtype = np.float16 if half else None
    arrays = {_key(place): np.asarray(value, dtype, order="C") for place, value in enumerate(model.get_weights())}
    temporary = file.with_name(file.name + ".part")
    save_file(arrays, temporary, metadata={"kind": model.name})
    os.replace(temporary, file)


def load(model: Any, file: Path) -> None:
    """Read weights into a model of the same kind and settings.

    Raises:
        InputError: if the file is missing, is no safetensors file, or belongs to another model.
    """
    if not file.is_file():
        raise InputError(f"{file}: the weights of this model are missing")
    try:
        arrays = load_file(file)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: not a safetensors file ({error})") from error
    wanted = {_key(place): tuple(variable.shape) for place, variable in enumerate(model.weights)}
    found = {key: tuple(value.shape) for key, value in arrays.items()}
    if wanted != found:
        raise InputError(
            f"{file}: the weights are of another model: {len(wanted)} arrays of given shapes are needed, "
            f"{len(found)} were found and {sum(found.get(key) == shape for key, shape in wanted.items())} fit"
        )
    if not all(np.isfinite(value).all() for value in arrays.values()):
        raise InputError(f"{file}: weights must be finite")
    model.set_weights([arrays[_key(place)].astype(old.dtype) for place, old in enumerate(model.get_weights())])


def _key(place: int) -> str:
    return f"{place:04d}"
