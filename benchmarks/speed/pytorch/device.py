"""Where PyTorch runs: on the GPU, as tfsep does, if it sees one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cuda":
    torch.set_default_device(DEVICE)


def rise(once: Callable[[], object]) -> Callable[[], int] | None:
    """Return what counts the bytes by which a GPU's memory rises in a call; None on a CPU."""
    if DEVICE == "cpu":
        return None

    def count() -> int:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        rest = torch.cuda.memory_allocated()
        once()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - rest

    return count


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """Compute float32 products in full precision within this block, not rounded as a GPU's matrix units round them."""
    known = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = known
