"""The multiscale skeleton that the flows share: squeeze, steps, split, and again on half of the channels.

Level by level, from the data's side: positions are squeezed into channels, the level's steps
follow, half of the channels are split off under a learned distribution, the other half goes through
the next level, and the shape is restored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tfsep.bijectors.coupling import check_bound
from tfsep.bijectors.squeeze import squeezed_shape
from tfsep.priors.flows.flow_layers import FlowLayer, MultiscaleLayer, NetworkFactory, SequenceLayer, SqueezeLayer

StepFactory = Callable[[tuple[int, ...], int], list[FlowLayer]]


def first_factors(event_shape: tuple[int, ...], squeeze: int | Sequence[int]) -> tuple[int, ...]:
    """Return squeeze factors along the spatial axes, from one for all of them or one for each.

    Raises:
        ValueError: if there are more or fewer factors than axes.
    """
    rank = len(event_shape) - 1
    factors = (squeeze,) * rank if isinstance(squeeze, int) else tuple(squeeze)
    if len(factors) != rank:
        raise ValueError(f"squeeze must be one factor or {rank} of them, got {squeeze}")
    return factors


def level_factors(event_shape: tuple[int, ...], squeeze: int | Sequence[int], num_levels: int) -> list[tuple[int, ...]]:
    """Return squeeze factors of each level: ``squeeze`` at first, then 2; an axis that a list gives 1 keeps 1.

    Raises:
        ValueError: if there are more or fewer factors than spatial axes.
    """
    first = first_factors(event_shape, squeeze)
    rest = tuple(1 if factor == 1 and not isinstance(squeeze, int) else 2 for factor in first)
    return [first if level == 0 else rest for level in range(num_levels)]


def check_waves(kind: str, event_shape: tuple[int, ...], instead: str) -> None:
    """Refuse events that are not waves (time, 1) with a ValueError that names a kind to take instead."""
    if len(event_shape) != 2 or event_shape[1] != 1:
        raise ValueError(f"{kind} is a density over waves, events (time, 1); over spectrograms take {instead}")


def build_levels(
    event_shape: tuple[int, ...],
    factors: Sequence[tuple[int, ...]],
    make_steps: StepFactory,
    make_network: NetworkFactory,
    bound: float | None,
    dtype: str,
    split_every: int = 1,
    level: int = 0,
) -> list[FlowLayer]:
    """Build the layers of all levels from ``level`` on, from the data's side to the latents'.

    Args:
        event_shape: shape at the entrance of the level, channels last.
        factors: squeeze factors of each level, one number per spatial axis.
        make_steps: (squeezed event shape, level) -> the level's layers.
        make_network: network of the split distributions.
        bound: soft clamp of their log-scales in nats, None for none.
        dtype: dtype policy of the layers.
        split_every: levels after which half of the channels are split off; the levels between pass
            all of theirs on.
        level: index of the first level built.

    Raises:
        ValueError: if a level's factors do not divide its event, there is no level, step or split,
            channels that should be halved are odd, or the bound is not positive.
    """
    check_bound(bound)
    if not factors:
        raise ValueError("num_levels must be at least 1")
    if split_every < 1:
        raise ValueError(f"split_every must be at least 1, got {split_every}")
    shape = squeezed_shape(event_shape, factors[level])
    steps = make_steps(shape, level)
    if not steps:
        raise ValueError("num_steps must be at least 1")
    layers: list[FlowLayer] = [SqueezeLayer(factors[level], dtype=dtype), *steps]
    if level + 1 < len(factors):
        splits = (level + 1) % split_every == 0
        if splits and shape[-1] % 2:
            raise ValueError(f"level {level + 1} of {len(factors)} has {shape[-1]} channels, which cannot be halved")
        entrance = (*shape[:-1], shape[-1] // 2) if splits else shape
        rest = build_levels(entrance, factors, make_steps, make_network, bound, dtype, split_every, level + 1)
        if splits:
            inner = SequenceLayer(rest, len(shape), dtype=dtype)
            rest = [MultiscaleLayer(inner, shape[-1] // 2, shape[-1] // 2, make_network, bound, dtype=dtype)]
        layers += rest
    return [*layers, SqueezeLayer(factors[level], reverse=True, dtype=dtype)]
