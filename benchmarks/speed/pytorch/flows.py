"""Noise-conditional FloWaveNet and Glow in PyTorch, and how they load the weights that tfsep has written."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.records import Setting
from benchmarks.speed.pytorch.device import DEVICE
from benchmarks.speed.pytorch.layers import ActNorm, Coupling, InvertibleConv, Split, squeeze
from benchmarks.speed.pytorch.networks import GatedConv, NoiseEmbedding, WaveNet

_CONDITION, _BOUND = 32, 3.0
_NETWORK = ("width", "num_layers", "kernel_size")


class Flow(nn.Module):
    """Levels of squeeze, steps and split; ``forward`` gives the log-density in nats.

    Args:
        prior: the architecture as ``tfsep.priors.build`` takes it: kind "flowavenet" over (time, 1)
            or "glow" over (time, 1) and (frame, bin, 1), num_levels, num_steps, and the networks'
            settings.
    """

    def __init__(self, prior: Setting) -> None:
        """Build the weights."""
        super().__init__()
        *sizes, channels = prior["event_shape"]
        rank, glow = len(sizes), prior["kind"] == "glow"
        self.dimensions = math.prod(sizes) * channels
        self.register_buffer("data_std", torch.ones(()))
        self.embedding = NoiseEmbedding(_CONDITION)
        self.steps = nn.ModuleList()
        self.factors: list[tuple[int, ...]] = []
        self.starts: list[int] = []
        settings = {name: prior[name] for name in _NETWORK if name in prior}

        def network(inner: int, outer: int) -> nn.Module:
            return (WaveNet if rank == 1 else GatedConv)(inner, outer, _CONDITION, **settings)

        for level in range(prior["num_levels"]):
            factor = prior.get("squeeze", 16) if glow and level == 0 else 2
            self.factors.append((factor,) * rank)
            self.starts.append(len(self.steps))
            channels *= factor**rank
            for step in range(prior["num_steps"]):
                self.steps.append(ActNorm(channels))
                if glow:
                    self.steps.append(InvertibleConv(channels))
                half = network(channels // 2, channels)
                self.steps.append(Coupling(half, swap=not glow and step % 2 == 1, bound=_BOUND))
            every = 1 if glow else prior.get("split_every", 2)
            if level + 1 < prior["num_levels"] and (level + 1) % every == 0:
                self.steps.append(Split(network(channels // 2, channels), _BOUND))
                channels //= 2

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Events (batch, channel, ...) and noise levels (batch,) -> log-density (batch,)."""
        condition = self.embedding(sigma)
        log_scale = 0.5 * torch.log(self.data_std**2 + sigma**2)
        total = -self.dimensions * (log_scale + 0.5 * math.log(2.0 * math.pi))
        x = x * torch.exp(-log_scale).view(-1, *[1] * (x.dim() - 1))
        for number, step in enumerate(self.steps):
            if number in self.starts:
                x = squeeze(x, self.factors[self.starts.index(number)])
            if isinstance(step, Split):
                x, gone, change = step(x, condition)
                total = total - 0.5 * (gone**2).flatten(1).sum(1)
            else:
                x, change = step(x, condition)
            total = total + change
        return total - 0.5 * (x**2).flatten(1).sum(1)


def load(prior: Setting, file: str) -> tuple[Flow, Tensor, Tensor]:
    """Load the flow with tfsep's weights, events (batch, channel, ...) and noise levels (batch,).

    Raises:
        ValueError: unless the file has every weight of the model and no other.
    """
    flow = Flow(prior).to(DEVICE)
    stored = dict(np.load(file))
    events, sigma = (torch.from_numpy(stored.pop(name)).to(DEVICE) for name in ("events", "sigma"))
    wanted = {name.replace("embedding.dense", "embedding"): value for name, value in flow.state_dict().items()}
    if wanted.keys() != stored.keys():
        raise ValueError(f"weights differ: {sorted(wanted.keys() ^ stored.keys())[:6]}")
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(torch.from_numpy(_layout(name, stored[name], tuple(value.shape)).copy()))
    return flow, events.movedim(-1, 1).contiguous(), sigma


def _layout(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Convert from Keras' (..., in, out) to PyTorch's (out, in, ...)."""
    if not name.endswith(".weight"):
        return array.reshape(shape)
    outer, inner, *extent = shape
    array = array.reshape(*extent, inner, outer)
    return np.moveaxis(array, (-1, -2), (0, 1))
