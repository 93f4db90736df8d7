"""A plain product of two square matrices in PyTorch, beside tfsep's: the faster of the two is the machine's peak."""

from __future__ import annotations

import torch

from benchmarks.speed.pytorch.device import DEVICE
from benchmarks.speed.worker import Case


def product(size: int, dtype: str, file: str = "") -> Case:
    """Multiply (size, size) by (size, size) in "float32" or "bfloat16"; a row's ``file`` is not needed."""
    del file
    a, b = (torch.randn(size, size, device=DEVICE).to(getattr(torch, dtype)) for _ in range(2))
    return Case(lambda: (a @ b)[0, 0].item(), flops=2.0 * size**3)
