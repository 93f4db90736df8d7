r"""The loop of an annealed sampler, as a plain graph or compiled by XLA, and the decision between them.

Compilation takes C seconds once for each number of chains and of levels; each evaluation of the
priors then takes :math:`t_x` instead of :math:`t_g` seconds for a sample of a chain. It pays once

.. math:: W > \frac{C}{t_g - t_x}, \qquad W = \text{evaluations of each prior} \times \text{chains} \times
          \text{segment},

the work of one call, in samples. ``python -m benchmarks.speed.compilation`` measures it: for four
flows of 4 couplings over 2,048 samples, 4 chains, priors one by one, the first draw took 148 s
compiled and 141 s as a graph (wall clock, two cores with a load of 9; 25 and 27 s of processor
time, most of it tracing), a step 0.29 and 0.43 s (0.06 and 0.17 s): W = 0.4 million samples by the
wall clock, and no price at all by processor time. Stacked, as is the default where XLA compiles,
the first draw took 96 s (15 s) and a step 0.15 s (0.06 s): ahead from the start. :data:`LEAST_WORK`
is five times the figure of priors one by one, as one run of each case is little evidence, and
because other lengths, batches and priors cheaper than flows were not measured.

The decision depends on the call alone, not on the calls before, so a seed gives the same draws
whenever it is asked; a last, smaller batch of a song that is too little by itself runs as a plain
graph.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfsep.axes import Seed, Waves
from tfsep.errors import InputError
from tfsep.runtime.stateless_random import portable
from tfsep.runtime.trace_context import XLA_LOOP, entering

#: Samples through each prior in one call from which compilation by XLA pays.
LEAST_WORK = 2_000_000


class Programs:
    """One sampler's loop, run(mixture, state, sigmas, seed, levels), as a plain graph and as programs of XLA.

    Args:
        run: of (chain, segment), the state of the chains, (level,) float32, (chain, 2) int32 and two
            int32; it returns the state.
        num_sources: N.
        segment: samples.
        jit_compile: True compiles every call, False none; None those whose work reaches
            :data:`LEAST_WORK`. Calls from within a graph are never compiled: the outer graph
            decides.
        state: what the state of the chains is, a structure of tensor specifications whose first axes
            are the chains; None is the sources, (chain, source, segment).

    Attributes:
        compiled: the program, a tf.function of the same arguments.

    Raises:
        InputError: if jit_compile is something else.
    """

    def __init__(
        self, run: Callable[..., Any], num_sources: int, segment: int, jit_compile: bool | None, state: Any = None
    ) -> None:
        """Check the setting; nothing is traced before the first call."""
        if jit_compile is not None and not isinstance(jit_compile, bool):
            raise InputError(f"jit_compile must be None, True or False, got {jit_compile!r}")
        self.jit_compile, self.segment = jit_compile, segment
        signature = [
            tf.TensorSpec([None, segment], tf.float32),
            tf.TensorSpec([None, num_sources, segment], tf.float32) if state is None else state,
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([None, 2], tf.int32),
            tf.TensorSpec([2], tf.int32),
        ]

        def run_portable(*arguments: Any) -> Any:
            with portable(), entering(XLA_LOOP):
                return run(*arguments)

        self._plain = tf.function(run, input_signature=signature, autograph=False)
        self.compiled = tf.function(run_portable, jit_compile=True, autograph=False)

    def compiles(self, evaluations: int, num_chains: int) -> bool:
        """Tell whether a call from here, with so many evaluations of each prior in each chain, is compiled by XLA."""
        if tf.inside_function() or self.jit_compile is False:
            return False
        return self.jit_compile is True or evaluations * num_chains * self.segment >= LEAST_WORK

    def plain(self) -> tf.types.experimental.ConcreteFunction:
        """Return the plain graph, traced."""
        return self._plain.get_concrete_function()

    def __call__(
        self,
        evaluations: int,
        mixture: Waves,
        state: Any,
        sigmas: np.ndarray | tf.Tensor,
        seed: Seed,
        levels: tuple[int, int],
    ) -> Any:
        """Run levels of the loop and return the state; it is compiled once for each number of chains and levels.

        Args:
            evaluations: of each prior in the whole loop.
            mixture, state, sigmas, seed: see :meth:`tfsep.posteriors.annealed.Annealed.run`.
            levels: the first to run, and the one at which to stop.
        """
        arguments = (mixture, state, tf.convert_to_tensor(sigmas, tf.float32), seed, tf.constant(levels))
        if not tf.inside_function() and self.compiles(evaluations, int(mixture.shape[0])):
            return self.compiled(*arguments)
        return self._plain(*arguments)
