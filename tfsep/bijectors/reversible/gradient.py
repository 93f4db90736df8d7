r"""A chain whose gradient recomputes what plain backpropagation would have kept.

From data to latent a chain is :math:`y_0 \to y_1 \to \dots \to y_K = z`. Its gradient needs every
:math:`y_i`, and all that the networks computed on the way. Here the gradient is computed step by
step from the latents to the data: each step's input is found, its network is evaluated once more,
and its gradients are passed on. There are three modes of finding the input:

* ``step``: it was kept, K tensors of the size of an event and nothing of the networks;
* ``inverse``: it is rebuilt from the step's output, :math:`y_{i-1} = f_i(y_i)`, which costs nothing
  more, since a coupling's network reads the part that the coupling does not change. Only the
  latents are kept, so memory does not grow with the number of steps; rounding errors of the
  inverses add up instead;
* ``scan``: it is rebuilt likewise, with repeated blocks as a loop (loop.py), so that neither
  tracing nor compiling grows with their number.

Networks are evaluated twice instead of once. The last steps, which the gradient meets first, may be
left to plain backpropagation: this takes the memory of their networks, whatever the depth, and
saves their second evaluation; while they are differentiated nothing else is kept.

Rebuilding the inputs needs no gradient, so a compiler might run it ahead through the whole chain
and keep everything after all. Each step therefore waits for all gradients of the one before it, by
a zero that is computed from them, which graphs and XLA respect alike.

Sources: Gomez et al. 2017 (RevNet), section 3.2; Chen et al. 2016 for keeping the inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf

from tfsep.bijectors.reversible.functional_step import Concatenate, Element, FunctionalStep, Split, after
from tfsep.bijectors.reversible.loop import RepeatedBlocks, with_loops
from tfsep.runtime import trace_context

#: What a gradient recomputes, as named in settings; "none" is plain backpropagation.
MODES = ("none", "step", "inverse", "scan")
_ONCE = "a chain with recomputation gives first derivatives only; take recompute = 'none' for derivatives of a score"

Chain: TypeAlias = Sequence[Element | RepeatedBlocks]
#: log|det|, the input of each element, the latents, and the channels that are still set aside.
_Forward: TypeAlias = tuple[tf.Tensor, list[tf.Tensor], tf.Tensor, list[tf.Tensor]]


def inverse_and_log_det(
    steps: Sequence[Element], y: tf.Tensor, mode: str, num_kept: int = 0
) -> tuple[tf.Tensor, tf.Tensor]:
    """Map data to latents through a chain: (batch,) + event_shape -> the latents and log|det| (batch,), in nats.

    The gradients, in y and in the parameters of every step, are those of the steps applied in a
    row.

    Args:
        steps: from the data's side to the latents', each :class:`Split` before its
            :class:`Concatenate`.
        y: events.
        mode: "step", "inverse" or "scan", how the gradient finds a step's input; "scan" loops where
            XLA compiles (``tfsep.runtime.trace_context``) and is "inverse" elsewhere.
        num_kept: steps at the latents' end, at least 0, that are left to plain backpropagation.

    Raises:
        ValueError: for another mode, or a number of steps below 0.
        LookupError: when the gradient of a gradient is asked for.
    """
    if mode not in MODES[1:]:
        raise ValueError(f"recomputation must be one of {', '.join(MODES[1:])}, got {mode!r}")
    check_kept(num_kept)
    end = max(len(steps) - num_kept, 0)
    # A loop within the loop of a trainer is what TensorFlow's memory optimiser breaks in plain graphs.
    loops = mode == "scan" and trace_context.current() in (trace_context.XLA, trace_context.XLA_LOOP)
    chain: Chain = with_loops(steps[:end]) if loops else list(steps[:end])
    flat = [value for each in chain if isinstance(each, FunctionalStep | RepeatedBlocks) for value in each.parameters]

    def run(y: tf.Tensor, *parameters: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], Callable[..., list[tf.Tensor]]]:
        values = _values_of_each(chain, parameters)
        log_det, inputs, z, aside = _forward(chain, values, y, [])

        def gradient(grad_log_det: tf.Tensor, *grads: tf.Tensor) -> list[tf.Tensor]:
            kept = inputs if mode == "step" else None
            found = _Backward(chain, values, kept, grad_log_det).run([z, *aside], grads)
            return [_once_differentiable(each) for each in found]

        return (log_det, z, *aside), gradient

    log_det, z, *aside = tf.custom_gradient(run)(y, *flat)
    rest = list(steps[end:])
    own = [each.parameters if isinstance(each, FunctionalStep) else () for each in rest]
    more, _, z, _ = _forward(rest, own, z, aside)
    return z, log_det + more


def check_kept(num_kept: int) -> None:
    """Refuse a number of steps below 0 with a ValueError."""
    if num_kept < 0 or num_kept != int(num_kept):
        raise ValueError(f"recompute_kept must be a whole number of at least 0, got {num_kept!r}")


def _once_differentiable(x: tf.Tensor) -> tf.Tensor:
    """Return x, whose gradient is a LookupError: x was computed from tensors that are cut off from their origin."""

    def identity(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def refuse(grad: tf.Tensor) -> tf.Tensor:
            raise LookupError(_ONCE)

        return tf.identity(x), refuse

    return tf.custom_gradient(identity)(x)


def _values_of_each(chain: Chain, parameters: Sequence[tf.Tensor]) -> list[Sequence[tf.Tensor]]:
    """Divide the parameters among the elements of a chain; splits and concatenations have none."""
    divided, start = [], 0
    for each in chain:
        count = len(each.parameters) if isinstance(each, FunctionalStep | RepeatedBlocks) else 0
        divided.append(parameters[start : start + count])
        start += count
    return divided


def _forward(chain: Chain, values: Sequence[Sequence[tf.Tensor]], y: tf.Tensor, aside: Sequence[tf.Tensor]) -> _Forward:
    """Map data to latents, with channels that are set aside already."""
    log_det, aside, inputs = tf.zeros(tf.shape(y)[:1], y.dtype), list(aside), []
    for each, parameters in zip(chain, values, strict=True):
        inputs.append(y)
        if isinstance(each, FunctionalStep | RepeatedBlocks):
            y, change = each.inverse_and_log_det(y, parameters)
            log_det += change
        elif isinstance(each, Split):
            y, rest = tf.split(y, [each.num_kept, y.shape[-1] - each.num_kept], axis=-1)
            aside.append(rest)
        else:
            y = tf.concat([y, aside.pop()], axis=-1)
    return log_det, inputs, y, aside


class _Backward:
    """The pass from the latents to the data, with gradients.

    Args:
        chain: the elements.
        values: of the parameters of each.
        inputs: of each; None rebuilds them.
        grad_log_det: the gradient in log|det|, (batch,).
    """

    def __init__(
        self,
        chain: Chain,
        values: Sequence[Sequence[tf.Tensor]],
        inputs: Sequence[tf.Tensor] | None,
        grad_log_det: tf.Tensor,
    ) -> None:
        self.chain, self.values, self.inputs, self.grad_log_det = chain, values, inputs, grad_log_det
        # Channels that are set aside and the gradients in them, last in first out.
        self.aside: list[tuple[tf.Tensor, tf.Tensor]] = []
        self.kept_channels = _channels_before_concatenations(chain)

    def run(self, ends: Sequence[tf.Tensor], grads: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Return the gradients in the events and in all parameters, in their order.

        Args:
            ends: the latents, and the channels that are set aside beside them.
            grads: the gradients in each.
        """
        (x, *aside), (grad, *aside_grads) = ends, grads
        self.aside.extend(zip(aside, aside_grads, strict=True))
        found: list[list[tf.Tensor]] = []
        before: list[tf.Tensor] = list(grads)
        for index in reversed(range(len(self.chain))):
            each = self.chain[index]
            if isinstance(each, FunctionalStep | RepeatedBlocks):
                data = after(x if self.inputs is None else self.inputs[index], before)
                if isinstance(each, FunctionalStep):
                    rebuild = self.inputs is None
                    x, grad, others = each.gradients(data, self.values[index], rebuild, grad, self.grad_log_det)
                else:
                    x, grad, others = each.gradients(data, self.values[index], grad, self.grad_log_det)
                before = [grad, *others]
                found.append(others)
            elif isinstance(each, Concatenate):
                sizes = [self.kept_channels[index], x.shape[-1] - self.kept_channels[index]]
                (x, rest), (grad, grad_rest) = tf.split(x, sizes, axis=-1), tf.split(grad, sizes, axis=-1)
                self.aside.append((rest, grad_rest))
            else:
                rest, grad_rest = self.aside.pop()
                x, grad = tf.concat([x, rest], axis=-1), tf.concat([grad, grad_rest], axis=-1)
        return [grad, *(each for others in reversed(found) for each in others)]


def _channels_before_concatenations(chain: Chain) -> dict[int, int]:
    """Return, for the index of each :class:`Concatenate`, how many channels precede those that come back."""
    open_splits, found = [], {}
    for index, each in enumerate(chain):
        if isinstance(each, Split):
            open_splits.append(each.num_kept)
        elif isinstance(each, Concatenate):
            found[index] = open_splits.pop()
    return found
