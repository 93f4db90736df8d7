"""What an answer must be before its stems are used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfsep.errors import JobError


def stems_of(answer: Mapping[str, np.ndarray], sources: Sequence[str], shape: tuple[int, ...]) -> list[np.ndarray]:
    """Return the stems of an answer in the order of the sources, each of a shape and finite.

    Raises:
        JobError: if a source is missing, or its stem is of another shape, no numbers, or not finite.
    """
    stems = []
    for source in sources:
        if source not in answer:
            raise JobError(f"the server's answer has no source {source!r}")
        stem = np.asarray(answer[source])
        if stem.shape != shape or stem.dtype.kind not in "fiu":
            rule = f"the server's answer must have numbers of shape {shape} for {source!r}"
            raise JobError(f"{rule}, got {stem.dtype} of shape {stem.shape}")
        if not np.isfinite(stem).all():
            raise JobError(f"the server's answer for {source!r} has NaN or infinity")
        stems.append(stem)
    return stems
