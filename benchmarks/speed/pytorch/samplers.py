"""Langevin dynamics and Gibbs updates in PyTorch: plain loops over steps and sources, as BASIS published them.

Jayaram and Thickstun 2020, algorithm 1 and its code: one network call and one gradient for each
source in each step.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.records import Setting
from benchmarks.speed.pytorch.device import exact, rise
from benchmarks.speed.pytorch.flows import Flow, load
from benchmarks.speed.worker import Case

_RELATIVE_STEP = 1e-4


class Source:
    """A prior with its weights frozen, the events that are checked, and its score."""

    def __init__(self, prior: Setting, file: str, compiled: bool) -> None:
        """Load the weights."""
        self.flow, self.events, self.sigma = load(prior, file)
        self.flow.requires_grad_(False)
        self.density: Flow = torch.compile(self.flow) if compiled else self.flow

    def score(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Log-density and its gradient at x (batch, 1, time)."""
        x = x.detach().requires_grad_(True)
        density = self.density(x, sigma)
        return density.detach(), torch.autograd.grad(density.sum(), x)[0]

    def flops(self) -> float:
        """Operations of one score."""
        x = self.events.clone().requires_grad_(True) + 0.0  # the counter refuses the gradient of a leaf
        with FlopCounterMode(display=False) as counter:
            torch.autograd.grad(self.flow(x, self.sigma).sum(), x)
        return float(counter.get_total_flops())

    def check(self) -> list[float]:
        """Nats per dimension, and the score's root mean square times sigma."""
        with exact():
            density, score = self.score(self.events, self.sigma)
        size = self.sigma[0] * score.square().mean().sqrt()
        return [*(density / self.flow.dimensions).tolist(), size.item()]


def langevin(
    prior: Setting,
    num_sources: int,
    chains: int,
    steps: int,
    sigma: float,
    file: str,
    compiled: bool = False,
) -> Case:
    """Build a case of ``steps`` steps at one noise level; arguments and mixture, a mean, as tfsep's."""
    sources = [Source(prior, file.format(k=k), compiled) for k in range(num_sources)]
    length = prior["event_shape"][0]
    mixture = 0.3 * torch.randn(1, length)
    levels = torch.full((chains,), sigma)
    eta = _RELATIVE_STEP * sigma**2

    def once() -> Tensor:
        state = mixture + sigma * torch.randn(num_sources, chains, length)
        for _ in range(steps):
            residual = mixture - state.mean(0)
            pairs = zip(sources, state, strict=True)
            scores = torch.stack([source.score(x[:, None], levels)[1][:, 0] for source, x in pairs])
            gradient = scores + residual / (num_sources * sigma**2)
            state = state + eta * gradient + math.sqrt(2.0 * eta) * torch.randn_like(state)
        return state

    return _case(once, sources, steps, compiled)


def gibbs(
    prior: Setting,
    num_sources: int,
    chains: int,
    levels: int,
    sigma: float,
    file: str,
    compiled: bool = False,
) -> Case:
    """Build a case of ``levels`` sweeps; all chains take their sources in one random order."""
    sources = [Source(prior, file.format(k=k), compiled) for k in range(num_sources)]
    length = prior["event_shape"][0]
    mixture = 0.3 * torch.randn(1, length)
    sigmas = torch.full((chains,), sigma)

    def once() -> Tensor:
        state = torch.randn(num_sources, chains, length)
        for _ in range(levels):
            for k in torch.randperm(num_sources).tolist():
                offered = state[k] + num_sources * (mixture - state.mean(0))
                score = sources[k].score(offered[:, None], sigmas)[1][:, 0]
                state[k] = (offered + sigma**2 * score).clamp(-1.0, 1.0)
        return state

    return _case(once, sources, levels, compiled)


def _case(once: Callable[[], Tensor], sources: list[Source], units: int, compiled: bool) -> Case:
    check = [number for source in sources for number in source.check()]
    flops = None if compiled else sum(source.flops() for source in sources)
    return Case(lambda: once().cpu(), units, check, flops=flops, rise=rise(once))
