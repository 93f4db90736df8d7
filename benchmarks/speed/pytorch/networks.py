"""Conditioner networks in PyTorch, channels first: a WaveNet over time and gated convolutions over spectrograms."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CYCLE = 6


class NoiseEmbedding(nn.Module):
    """sigma (batch,) -> (batch, width)."""

    def __init__(self, width: int, num_frequencies: int = 8) -> None:
        """Build the weights."""
        super().__init__()
        self.register_buffer("frequencies", math.pi * 2.0 ** torch.linspace(-2.0, 2.0, num_frequencies), False)
        self.dense = nn.Linear(2 * num_frequencies + 1, width)

    def forward(self, sigma: Tensor) -> Tensor:
        """Embed sigma."""
        log_sigma = sigma.log()[:, None]
        angle = log_sigma * self.frequencies
        return F.silu(self.dense(torch.cat([angle.sin(), angle.cos(), log_sigma / 4.0], dim=-1)))


class WaveNet(nn.Module):
    """(batch, in_channels, time) -> (batch, out_channels, time)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        condition_width: int,
        width: int = 64,
        num_layers: int = 6,
        kernel_size: int = 3,
    ) -> None:
        """Build the weights."""
        super().__init__()
        dilations = [2 ** (layer % _CYCLE) for layer in range(num_layers)]
        self.first = nn.Conv1d(in_channels, width, 1)
        self.gated = nn.ModuleList(
            nn.Conv1d(width, 2 * width, kernel_size, padding="same", dilation=dilation) for dilation in dilations
        )
        self.outlets = nn.ModuleList(nn.Conv1d(width, 2 * width, 1) for _ in dilations)
        self.conditions = nn.ModuleList(nn.Linear(condition_width, 2 * width, bias=False) for _ in dilations)
        self.last = nn.Conv1d(width, out_channels, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Apply the network; ``condition`` is (batch, condition_width)."""
        hidden = self.first(x)
        skip = torch.zeros_like(hidden)
        for gated, outlet, project in zip(self.gated, self.outlets, self.conditions, strict=True):
            signal, gate = (gated(hidden) + project(condition)[:, :, None]).chunk(2, dim=1)
            residual, out = outlet(torch.tanh(signal) * torch.sigmoid(gate)).chunk(2, dim=1)
            hidden = hidden + residual
            skip = skip + out
        return self.last(F.silu(skip))


class GatedConv(nn.Module):
    """(batch, in_channels, frame, bin) -> (batch, out_channels, frame, bin)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        condition_width: int,
        width: int = 32,
        num_layers: int = 2,
        kernel_size: int = 3,
    ) -> None:
        """Build the weights."""
        super().__init__()
        layers = range(num_layers)
        self.first = nn.Conv2d(in_channels, width, 1)
        self.gated = nn.ModuleList(nn.Conv2d(width, 2 * width, kernel_size, padding="same") for _ in layers)
        self.outlets = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in layers)
        self.conditions = nn.ModuleList(nn.Linear(condition_width, 2 * width, bias=False) for _ in layers)
        self.last = nn.Conv2d(width, out_channels, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Apply the network; ``condition`` is (batch, condition_width)."""
        hidden = self.first(x)
        for gated, outlet, project in zip(self.gated, self.outlets, self.conditions, strict=True):
            signal, gate = (gated(hidden) + project(condition)[:, :, None, None]).chunk(2, dim=1)
            hidden = hidden + outlet(torch.tanh(signal) * torch.sigmoid(gate))
        return self.last(F.silu(hidden))
