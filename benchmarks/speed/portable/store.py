"""Arrays as few bytes: each kept once, however often and as a part of whatever else it occurs.

A training step's arguments hold its weights three times (a vector, its average, each weight by
itself), rows of a table share architectures, and moments are zeros. A reference names an array: a
constant, or an offset in a block. Blocks of float32 that float16 can hold exactly are written so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.records import Record

Reference = Record


class Packing:
    """Takes arrays and keeps what is new of them."""

    def __init__(self) -> None:
        """Begin empty."""
        self._blocks: list[np.ndarray] = []
        self._bytes: list[bytes] = []

    def put_all(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Reference]:
        """Return references of arrays by the same names; the largest go first, to find smaller ones in them."""
        found = {name: self.put(arrays[name]) for name in sorted(arrays, key=lambda name: -arrays[name].size)}
        return {name: found[name] for name in arrays}

    def put(self, array: np.ndarray) -> Reference:
        """Keep an array; return what gives it back from the written file."""
        array = np.array(array, order="C")
        about = {"dtype": array.dtype.name, "shape": list(array.shape)}
        if array.size and np.all(array == array.flat[0]):
            return {**about, "fill": array.flat[0].item()}
        raw, size = array.tobytes(), array.dtype.itemsize
        for number, block in enumerate(self._bytes):
            place = block.find(raw) if self._blocks[number].dtype == array.dtype else -1
            if place >= 0 and place % size == 0:
                return {**about, "block": number, "offset": place // size}
        self._blocks.append(array.ravel())
        self._bytes.append(raw)
        return {**about, "block": len(self._blocks) - 1, "offset": 0}

    def write(self, file: str | Path) -> None:
        """Write the blocks as ``.npz``."""
        blocks = {f"block_{number}": _small(block) for number, block in enumerate(self._blocks)}
        np.savez_compressed(file, **blocks)  # type: ignore[arg-type]


class Unpacking:
    """Gives arrays back.

    Args:
        file: what :meth:`Packing.write` wrote.
    """

    def __init__(self, file: str | Path) -> None:
        """Open the file."""
        self._file = np.load(file)
        self._blocks: dict[int, np.ndarray] = {}

    def get(self, reference: Reference) -> np.ndarray:
        """Return the array of a reference."""
        shape, dtype = tuple(reference["shape"]), np.dtype(reference["dtype"])
        if "fill" in reference:
            return np.full(shape, reference["fill"], dtype)
        number = reference["block"]
        if number not in self._blocks:
            self._blocks[number] = self._file[f"block_{number}"]
        start = reference["offset"]
        part = self._blocks[number][start : start + math.prod(shape)]
        return part.astype(dtype).reshape(shape)


def _small(block: np.ndarray) -> np.ndarray:
    if block.dtype != np.float32:
        return block
    with np.errstate(over="ignore"):
        half = block.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), block) else block
