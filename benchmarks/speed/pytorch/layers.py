"""Invertible layers in PyTorch, from data to latent, channels first: (x, condition) -> (z, log|det|)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def squeeze(x: Tensor, factors: tuple[int, ...]) -> Tensor:
    """Move positions to channels along one or two spatial axes."""
    batch, channels, *sizes = x.shape
    if len(factors) == 1:
        (f,) = factors
        return x.view(batch, channels, sizes[0] // f, f).permute(0, 3, 1, 2).reshape(batch, f * channels, -1)
    f, g = factors
    blocks = x.view(batch, channels, sizes[0] // f, f, sizes[1] // g, g)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(batch, f * g * channels, sizes[0] // f, sizes[1] // g)


def per_channel(weight: Tensor, x: Tensor) -> Tensor:
    """View a weight (channel,) so that it broadcasts over x."""
    return weight.view(1, -1, *[1] * (x.dim() - 2))


class ActNorm(nn.Module):
    """(x - shift) exp(-log_scale)."""

    def __init__(self, channels: int) -> None:
        """Start as the identity."""
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise."""
        positions = x[0, 0].numel()
        z = (x - per_channel(self.shift, x)) * per_channel(torch.exp(-self.log_scale), x)
        return z, -positions * self.log_scale.sum().expand(len(x))


class InvertibleConv(nn.Module):
    """Channels times the inverse of P L (U + diag(sign exp(log_diagonal)))."""

    def __init__(self, channels: int) -> None:
        """Start as the identity; weights are loaded."""
        super().__init__()
        self.register_buffer("permutation", torch.eye(channels))
        self.register_buffer("sign", torch.ones(channels))
        self.lower = nn.Parameter(torch.zeros(channels, channels))
        self.upper = nn.Parameter(torch.zeros(channels, channels))
        self.log_diagonal = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Rotate."""
        lower = self.lower.tril(-1) + torch.eye(len(self.sign), device=x.device)
        upper = self.upper.triu(1) + torch.diag(self.sign * self.log_diagonal.exp())
        unpermuted = torch.linalg.solve_triangular(lower, self.permutation.T, upper=False)
        matrix = torch.linalg.solve_triangular(upper, unpermuted, upper=True)
        convolve = nn.functional.conv1d if x.dim() == 3 else nn.functional.conv2d
        z = convolve(x, matrix.T.reshape(*matrix.shape, *[1] * (x.dim() - 2)))
        return z, -x[0, 0].numel() * self.log_diagonal.sum().expand(len(x))


class Coupling(nn.Module):
    """Affine coupling of the channel halves, log-scales softly clamped."""

    def __init__(self, network: nn.Module, swap: bool, bound: float) -> None:
        """Own the network."""
        super().__init__()
        self.network, self.swap, self.bound = network, swap, bound

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise one half by the other."""
        first, second = x.chunk(2, dim=1)
        kept, changed = (second, first) if self.swap else (first, second)
        shift, raw = self.network(kept, condition).float().chunk(2, dim=1)
        log_scale = self.bound * torch.tanh(raw / self.bound)
        changed = (changed - shift) * torch.exp(-log_scale)
        z = torch.cat([changed, kept] if self.swap else [kept, changed], dim=1)
        return z, -log_scale.flatten(1).sum(1)


class Split(nn.Module):
    """The second half of the channels, normalised by the first: (kept, gone, log|det|)."""

    def __init__(self, network: nn.Module, bound: float) -> None:
        """Own the network."""
        super().__init__()
        self.network, self.bound = network, bound

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split."""
        kept, gone = x.chunk(2, dim=1)
        shift, raw = self.network(kept, condition).float().chunk(2, dim=1)
        log_scale = self.bound * torch.tanh(raw / self.bound)
        return kept, (gone - shift) * torch.exp(-log_scale), -log_scale.flatten(1).sum(1)
