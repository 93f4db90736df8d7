"""Weights in half precision within a served graph, where they lose nothing by it.

Bundled models keep the weights of their learned posteriors as float16 on disk, and compute in
float32. An export that stored the float32 numbers would be twice as large without being closer to
the model: a weight that float16 holds exactly is stored so, and converted where the graph reads it.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tfsep.posteriors.base import Posterior


class HalfWeights:
    """The weights of a posterior's networks that float16 holds exactly.

    Args:
        posterior: whose weights the graphs read, or those of its stages.
    """

    def __init__(self, posterior: Posterior) -> None:
        """Copy the weights that float16 holds exactly."""
        self._copies: list[tuple[keras.Variable, tf.Variable]] = []
        for stage in (posterior, *getattr(posterior, "stages", ())):
            for variable in stage.variables if isinstance(stage, keras.Model) else ():
                values = variable.numpy()
                with np.errstate(over="ignore"):
                    half = values.astype(np.float16)
                if values.dtype == np.float32 and np.array_equal(half, values):
                    self._copies.append((variable, tf.Variable(half, trainable=False, name=variable.name)))

    def reading(self) -> keras.StatelessScope:
        """Return a context within which a graph that is traced reads the copies."""
        return keras.StatelessScope([(variable, tf.cast(copy, tf.float32)) for variable, copy in self._copies])
