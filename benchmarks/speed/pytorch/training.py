"""A step of training in PyTorch: noise, gradient, clipping, Adam; eager, compiled, other formats and libraries."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.records import Setting
from benchmarks.speed.pytorch.device import DEVICE, exact, rise
from benchmarks.speed.pytorch.flows import load
from benchmarks.speed.pytorch.libraries import rebuilt
from benchmarks.speed.worker import Case


def step(
    prior: Setting,
    batch: int,
    file: str,
    compiled: bool = False,
    channels_last: bool = False,
    bfloat16: bool = False,
    library: str | None = None,
) -> Case:
    """Build a case of training steps on the batch of ``file``.

    Args:
        prior: architecture.
        batch: events in a step, as in the file.
        file: weights and events.
        compiled: through torch.compile.
        channels_last: weights and events in that memory format.
        bfloat16: under autocast; what is checked is the float32 model all the same.
        library: "normflows" or "nflows", whose layers take the place of plain ones.
    """
    flow, events, sigma = load(prior, file)
    if library is not None:
        flow = rebuilt(flow, library, events.dim() - 2)
    with torch.no_grad(), exact():
        check = (flow(events, sigma) / flow.dimensions).tolist()
    if channels_last:
        flow = flow.to(memory_format=torch.channels_last)
        events = events.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(flow.parameters(), lr=1e-4)
    density: nn.Module = torch.compile(flow) if compiled else flow
    low, high = (math.log(sigma) for sigma in prior["sigma_range"])

    def loss() -> Tensor:
        levels = torch.exp(low + (high - low) * torch.rand(batch))
        noisy = events + levels.view(-1, *[1] * (events.dim() - 1)) * torch.randn_like(events)
        with torch.autocast(DEVICE, dtype=torch.bfloat16, enabled=bfloat16):
            return -density(noisy, levels).mean() / flow.dimensions

    def once() -> float:
        optimiser.zero_grad(set_to_none=True)
        value = loss()
        value.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimiser.step()
        return value.item()

    return Case(once, check=check, flops=None if compiled else _flops(once), rise=rise(once))


def _flops(once: Callable[[], float]) -> float:
    with FlopCounterMode(display=False) as counter:
        once()
    return float(counter.get_total_flops())
