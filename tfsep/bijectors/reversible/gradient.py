r"""A chain whose gradient computes again what plain backpropagation would have kept.

From data to latent a chain is :math:`y_0 \to y_1 \to \dots \to y_K = z`. Its gradient needs every :math:`y_i`, and all
that the networks computed on the way. Here the way back goes stage by stage from the latents to the data: a stage gets
its input back, evaluates its network once more, hands the gradient on, and forgets. Three ways to get the input back:

* ``step``: it was kept, K tensors of the size of an event and nothing of the networks;
* ``inverse``: it is rebuilt from the stage's output, :math:`y_{i-1} = f_i(y_i)`, which costs nothing more, since a
  coupling reads its network off the part that it does not change. Only the latents are kept, so memory does not grow
  with the number of stages; rounding errors of the inverses add up instead;
* ``scan``: rebuilt likewise, stages that repeat as a loop (scan.py), so that neither tracing nor compiling grows with
  their number.

Networks are evaluated twice on the way forward and back instead of once. The last stages, which the way back meets
first, may be left to plain backpropagation: so many more networks' memory, whatever the depth, for so many fewer
evaluations; while their turn comes nothing else is held.

Left to itself the rebuilding, which needs no gradient, would run ahead through the whole chain and keep everything
after all: each stage therefore waits for all gradients of the one before it, by a zero that is computed from them,
which graphs and XLA respect alike.

Sources: Gomez et al. 2017 (RevNet), section 3.2; Chen et al. 2016 for keeping the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfsep.bijectors.reversible.loop import Repeated, folded
from tfsep.bijectors.reversible.stages import Join, Leave, Stage, after
from tfsep.runtime import trace_context

WAYS = ("none", "step", "inverse", "scan")
_ONCE = "a chain with recomputation gives first derivatives only; take recompute = 'none' for derivatives of a score"


Chain = Sequence[Stage | Leave | Join | Repeated]


def inverse_and_log_det(
    stages: Sequence[Stage | Leave | Join], y: tf.Tensor, way: str, num_kept: int = 0
) -> tuple[tf.Tensor, tf.Tensor]:
    """Data to latent through a chain: (batch,) + event_shape -> the latents and log|det| (batch,), in nats.

    The gradients, in y and in the parameters of every stage, are those of the steps applied in a row.

    Args:
        stages: from the data's side to the latents', each :class:`Leave` before its :class:`Join`.
        y: events.
        way: "step", "inverse" or "scan", where a stage's input comes from on the way back; "scan" loops where XLA
            compiles (tracing.py) and is "inverse" elsewhere.

    Raises:
        ValueError: for another way.
        LookupError: when the gradient of a gradient is asked for.
    """
    if way not in WAYS[1:]:
        raise ValueError(f"recomputation must be one of {', '.join(WAYS[1:])}, got {way!r}")
    check_kept(num_kept)
    end = max(len(stages) - num_kept, 0)
    # A loop within the loop of a trainer is what TensorFlow's memory optimiser breaks in plain graphs.
    loops = way == "scan" and trace_context.current() in (trace_context.XLA, trace_context.XLA_LOOP)
    chain: Chain = folded(stages[:end]) if loops else list(stages[:end])
    flat = [parameter for stage in chain if isinstance(stage, Stage | Repeated) for parameter in stage.parameters]

    @tf.custom_gradient
    def run(y: tf.Tensor, *parameters: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Callable[..., list[tf.Tensor]]]:
        lent = _shares(chain, parameters)
        log_det, inputs, *ends = _forward(chain, lent, y, [])

        def gradient(grad_log_det: tf.Tensor, *grads: tf.Tensor) -> list[tf.Tensor]:
            kept = inputs if way == "step" else None
            found = _Backward(chain, lent, kept, grad_log_det).run(ends, grads)
            return [_once(each) for each in found]

        return (log_det, *ends), gradient

    log_det, *ends = run(y, *flat)
    rest = list(stages[end:])
    own = [stage.parameters if isinstance(stage, Stage) else () for stage in rest]
    more, _, z = _forward(rest, own, ends[0], ends[1:])
    return z, log_det + more


def check_kept(num_kept: int) -> None:
    """Refuse a number of stages below 0 with a ValueError."""
    if num_kept < 0 or num_kept != int(num_kept):
        raise ValueError(f"recompute_kept must be a whole number of at least 0, got {num_kept!r}")


@tf.custom_gradient
def _once(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """X, which has no gradient: it was computed from tensors that were cut off from what they stand for."""

    def refuse(grad: tf.Tensor) -> tf.Tensor:
        raise LookupError(_ONCE)

    return tf.identity(x), refuse


def _shares(chain: Chain, parameters: Sequence[tf.Tensor]) -> list[Sequence[tf.Tensor]]:
    """The parameters of each element of a chain, none for what is no stage."""
    shares, place = [], 0
    for stage in chain:
        count = len(stage.parameters) if isinstance(stage, Stage | Repeated) else 0
        shares.append(parameters[place : place + count])
        place += count
    return shares


def _forward(
    chain: Chain, lent: Sequence[Sequence[tf.Tensor]], y: tf.Tensor, waiting: Sequence[tf.Tensor]
) -> tuple[Any, ...]:
    """Data to latent, while what left before ``waiting`` stands by.

    Returns:
        log|det|, the input of each element, the latents, and the channels that wait still.
    """
    log_det, beside, inputs = tf.zeros(tf.shape(y)[:1], y.dtype), list(waiting), []
    for stage, parameters in zip(chain, lent, strict=True):
        inputs.append(y)
        if isinstance(stage, Stage | Repeated):
            y, change = stage.inverse_and_log_det(y, parameters)
            log_det += change
        elif isinstance(stage, Leave):
            y, leaving = tf.split(y, [stage.num_kept, y.shape[-1] - stage.num_kept], axis=-1)
            beside.append(leaving)
        else:
            y = tf.concat([y, beside.pop()], axis=-1)
    return log_det, inputs, y, *beside


class _Backward:
    """The way from the latents to the data, with gradients.

    Args:
        inputs: of each element of the chain; None rebuilds them.
    """

    def __init__(
        self,
        chain: Chain,
        lent: Sequence[Sequence[tf.Tensor]],
        inputs: Sequence[tf.Tensor] | None,
        grad_log_det: tf.Tensor,
    ) -> None:
        self.chain, self.lent, self.inputs, self.grad_log_det = chain, lent, inputs, grad_log_det
        # Channels that left, and the gradients for them, last in first out; how many came back, on the way forward.
        self.waiting: list[tuple[tf.Tensor, tf.Tensor]] = []
        self.joined = _joined_channels(chain)

    def run(self, ends: Sequence[tf.Tensor], grads: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The gradients in the events and in all parameters, in their order.

        Args:
            ends: the latents, and the channels that wait beside them.
            grads: the gradients in each.
        """
        (x, *beside), (grad, *beside_grads) = ends, grads
        self.waiting.extend(zip(beside, beside_grads, strict=True))
        found: list[list[tf.Tensor]] = []
        before: list[tf.Tensor] = list(grads)
        for place in reversed(range(len(self.chain))):
            stage = self.chain[place]
            if isinstance(stage, Stage | Repeated):
                data = after(x if self.inputs is None else self.inputs[place], before)
                if isinstance(stage, Stage):
                    rebuild = self.inputs is None
                    x, grad, others = stage.gradients(data, self.lent[place], rebuild, grad, self.grad_log_det)
                else:
                    x, grad, others = stage.gradients(data, self.lent[place], grad, self.grad_log_det)
                before = [grad, *others]
                found.append(others)
            elif isinstance(stage, Join):
                sizes = [self.joined[place], x.shape[-1] - self.joined[place]]
                (x, left), (grad, grad_left) = tf.split(x, sizes, axis=-1), tf.split(grad, sizes, axis=-1)
                self.waiting.append((left, grad_left))
            else:
                left, grad_left = self.waiting.pop()
                x, grad = tf.concat([x, left], axis=-1), tf.concat([grad, grad_left], axis=-1)
        return [grad, *(each for others in reversed(found) for each in others)]


def _joined_channels(chain: Chain) -> dict[int, int]:
    """For the place of each Join how many channels stand before those that come back."""
    open_splits, found = [], {}
    for place, stage in enumerate(chain):
        if isinstance(stage, Leave):
            open_splits.append(stage.num_kept)
        elif isinstance(stage, Join):
            found[place] = open_splits.pop()
    return found
