"""Cases for the tests of the harness: they wait, hold memory or differ, and need neither TensorFlow nor PyTorch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.speed.worker import Case


def waiting(file: str, seconds: float, check: float = 1.0, variant: Mapping[str, Any] | None = None) -> Case:
    """Two units that wait; ``variant`` may add to the time."""
    more = (variant or {}).get("more", 0.0)
    return Case(lambda: time.sleep(seconds + more), per_call=2, check=[check, float(len(file) > 0)], flops=4e9)


def holding(file: str, megabytes: int) -> Case:
    """An array of so many megabytes, let go at the end."""
    return Case(lambda: np.ones(megabytes * 125_000).sum(), check=[1.0])


def failing(file: str) -> Case:
    """Cannot be made."""
    raise ValueError(f"no case for {file}")


def product(size: int, dtype: str) -> Case:
    """Stands for the matrix product: 10 ms."""
    return Case(lambda: time.sleep(0.01), flops=2.0 * size**3)
