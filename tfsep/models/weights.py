"""Weights of a Keras model as a safetensors file: arrays by position, independent of the order of building."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_bytes
from safetensors.numpy import save_file

from tfsep.atomic import replacing
from tfsep.errors import InputError, JobError

MAX_BYTES = 8_000_000
_MAX_PARTS = 1000


def save(model: keras.Model, file: Path, half: bool = False) -> None:
    """Write all weights, as float16 if ``half``, each file whole or not at all.

    What does not fit into :data:`MAX_BYTES` continues in ``<stem>.1.safetensors`` and so forth; the
    first file says, in its metadata, how many parts there are.
    """
    dtype = np.float16 if half else None
    parts: list[dict[str, np.ndarray]] = [{}]
    for index, value in enumerate(model.get_weights()):
        array = np.asarray(value, dtype, order="C")
        if parts[-1] and sum(each.nbytes for each in parts[-1].values()) + array.nbytes > MAX_BYTES:
            parts.append({})
        parts[-1][_key(index)] = array
    for number, arrays in reversed(list(enumerate(parts))):
        with replacing(_part(file, number)) as temporary:
            try:
                # One entry alone: safetensors writes several in random order, and equal weights give equal files.
                save_file(arrays, temporary, metadata={"parts": str(len(parts))})
            except (SafetensorError, OSError) as error:
                raise JobError(f"cannot write {file}: {getattr(error, 'strerror', None) or error}") from error


def num_values(file: Path) -> int:
    """Return about how many numbers the weights of a file are, from the sizes of its parts, at most."""
    number, total = 0, 0
    while (part := _part(file, number)).is_file():
        total += part.stat().st_size
        number += 1
    return total


def load(model: keras.Model, file: Path, leading: bool = False, digests: Mapping[Path, str] | None = None) -> None:
    """Read weights into a model of the same kind and settings.

    Args:
        model: whose weights are replaced.
        file: the first of its files.
        leading: the file may hold only the first of the model's weights, those of a model with
            fewer parts; the rest stays as it is.
        digests: SHA-256 of every file by its path, which must be what is read; None checks nothing.

    Raises:
        InputError: if a file is missing, is not the one of its digest, is no safetensors file, or
            belongs to another model.
    """
    arrays: dict[str, np.ndarray] = {}
    number, num_parts = 0, 1
    while number < num_parts:
        part = _part(file, number)
        content = _content(part, digests)
        try:
            arrays |= load_bytes(content)
            num_parts = int(_metadata(content).get("parts", 1))
        except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{part}: not a safetensors file ({error})") from error
        del content
        if not 1 <= num_parts <= _MAX_PARTS:
            raise InputError(f"{part}: weights must have 1 to {_MAX_PARTS} parts, got {num_parts}")
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


def _content(part: Path, digests: Mapping[Path, str] | None) -> bytes:
    """Read a file once, and check that it is the one that was saved."""
    if not part.is_file():
        raise InputError(f"{part}: the weights of this model are missing")
    try:
        content = part.read_bytes()
    except OSError as error:
        raise InputError(f"{part}: the weights of this model cannot be read: {error.strerror or error}") from error
    if digests is not None:
        wanted, found = digests.get(part), hashlib.sha256(content).hexdigest()
        if wanted != found:
            rule = f"SHA-256 {wanted[:12]}..." if wanted else "a SHA-256 in the manifest"
            raise InputError(f"{part}: the weights are not those that were saved: {rule} is due, got {found[:12]}...")
    return content


def _metadata(content: bytes) -> dict[str, str]:
    """Return the metadata in the header of a safetensors file, which has been read without an error."""
    size = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    return metadata


def _part(file: Path, number: int) -> Path:
    """Return the name of a numbered part: the file itself, then <stem>.1.safetensors, ..."""
    return file.with_name(f"{file.stem}.{number}{file.suffix}") if number else file


def _key(index: int) -> str:
    """Return the name of the array at a position."""
    return f"{index:04d}"
