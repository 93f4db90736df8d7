"""The same flow out of the layers of normflows or nflows, around the same networks and weights.

Both libraries' couplings and activation normalisations are affine maps as these are, and are used
as they are. What they lack is kept: a bounded log-scale and a condition for the network (put into
the network they are given), a learned split, and the 1x1 convolution in the direction that tfsep
has it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.speed.pytorch.flows import Flow
from benchmarks.speed.pytorch.layers import ActNorm, Coupling


class Conditioned(nn.Module):
    """A coupling's network as one map of the kept half: shift and bounded log-scale, interleaved or side by side."""

    def __init__(self, coupling: Coupling, interleaved: bool) -> None:
        """Share the network."""
        super().__init__()
        self.network, self.bound, self.interleaved = coupling.network, coupling.bound, interleaved
        self.condition: Tensor | None = None

    def forward(self, kept: Tensor, context: Tensor | None = None) -> Tensor:
        """(batch, channel, ...) -> (batch, 2 channel, ...)."""
        condition = self.condition if context is None else context
        shift, raw = self.network(kept, condition).float().chunk(2, dim=1)
        log_scale = self.bound * torch.tanh(raw / self.bound)
        if self.interleaved:
            return torch.stack([shift, log_scale], dim=2).flatten(1, 2)
        return torch.cat([-shift * torch.exp(-log_scale), -log_scale], dim=1)


class NormflowsActNorm(nn.Module):
    """normflows' constant affine flow."""

    def __init__(self, step: ActNorm, spatial: int) -> None:
        """Copy the weights."""
        from normflows.flows import AffineConstFlow

        super().__init__()
        self.flow = AffineConstFlow((len(step.shift), *[1] * spatial))
        with torch.no_grad():
            self.flow.t.copy_(step.shift.view_as(self.flow.t))
            self.flow.s.copy_(step.log_scale.view_as(self.flow.s))

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map data to latent."""
        z, change = self.flow.inverse(x)
        return z, change.expand(len(x))


class NormflowsCoupling(nn.Module):
    """normflows' affine coupling of two halves."""

    def __init__(self, step: Coupling) -> None:
        """Share the network."""
        from normflows.flows import AffineCoupling

        super().__init__()
        self.swap = step.swap
        self.flow = AffineCoupling(Conditioned(step, interleaved=True))

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map data to latent."""
        halves = list(x.chunk(2, dim=1))
        self.flow.param_map.condition = condition
        (kept, changed), change = self.flow.inverse(halves[::-1] if self.swap else halves)
        return torch.cat([changed, kept] if self.swap else [kept, changed], dim=1), change


class NflowsActNorm(nn.Module):
    """nflows' activation normalisation, whose parameters are those of the other direction."""

    def __init__(self, step: ActNorm) -> None:
        """Copy the weights."""
        from nflows.transforms import ActNorm as NflowsLayer

        super().__init__()
        self.transform = NflowsLayer(len(step.shift))
        with torch.no_grad():
            self.transform.log_scale.copy_(-step.log_scale)
            self.transform.shift.copy_(-step.shift * torch.exp(-step.log_scale))
            self.transform.initialized.fill_(True)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map data to latent."""
        return self.transform(x)


class NflowsCoupling(nn.Module):
    """nflows' affine coupling, its scale the exponential of what the network gives."""

    def __init__(self, step: Coupling, channels: int) -> None:
        """Share the network."""
        from nflows.transforms.coupling import AffineCouplingTransform

        class Exponential(AffineCouplingTransform):
            def _scale_and_shift(self, transform_params: Tensor) -> tuple[Tensor, Tensor]:
                shift, log_scale = transform_params.chunk(2, dim=1)
                return torch.exp(log_scale), shift

        super().__init__()
        mask = [int((channel < channels // 2) == step.swap) for channel in range(channels)]
        self.transform = Exponential(mask, lambda inner, outer: Conditioned(step, interleaved=False))

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map data to latent."""
        return self.transform(x, condition)


def rebuilt(flow: Flow, library: str, spatial: int) -> Flow:
    """Build the flow with a library's layers in place of the plain ones.

    Args:
        flow: with its weights loaded; its networks are shared, not copied.
        library: "normflows", or "nflows", which knows two spatial axes only.
        spatial: number of spatial axes.
    """
    channels = 0
    for number, step in enumerate(flow.steps):
        if isinstance(step, ActNorm):
            channels = len(step.shift)
            flow.steps[number] = NormflowsActNorm(step, spatial) if library == "normflows" else NflowsActNorm(step)
        elif isinstance(step, Coupling):
            flow.steps[number] = NormflowsCoupling(step) if library == "normflows" else NflowsCoupling(step, channels)
    return flow
