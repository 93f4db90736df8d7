"""One training step under a distribution strategy, and many of them in one call.

With R replicas each takes its own R-th of the global batch; the gradient is the mean of the
replicas' gradients, hence that of the global batch for every objective that is a mean over
examples. A step whose loss or gradient norm is not finite changes no weight and ends the call,
unless ``nan_guard`` is off.
"""

from __future__ import annotations

import contextlib
import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfsep.errors import InputError
from tfsep.runtime.trace_context import GRAPH, XLA, entering
from tfsep.training.optimiser import AveragedWeights, build_optimiser
from tfsep.training.packed_variables import PackedVariables
from tfsep.training.task import FitSettings, Task

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepReport:
    """What one call did: number of steps, sums of metrics, the step that was not finite, if any, and the last loss."""

    steps: int
    sums: dict[str, float]
    bad_step: int | None
    last_loss: float


class Trainer:
    """Owns a task's model, optimiser, averaged weights and counters.

    Attributes:
        model: the Keras model, with its raw (not averaged) weights.
        packed: the same weights as long vectors, which the optimiser and the averages work on.
        step: int64 variable, number of steps done.
        restores: int64 variable, number of returns to an earlier checkpoint so far.
    """

    def __init__(self, task: Task, settings: FitSettings, seed: int, strategy: tf.distribute.Strategy) -> None:
        """Build everything; weights are those of the model's own initialisers.

        Raises:
            InputError: the model has no trainable variable.
        """
        self._task, self._settings, self._strategy = task, settings, strategy
        self._replicas = strategy.num_replicas_in_sync
        words = np.array([seed, zlib.crc32(task.name.encode())], dtype=np.uint32)
        self._seed = words.view(np.int32)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.restores = tf.Variable(0, dtype=tf.int64, trainable=False)
        with strategy.scope():
            self.model = task.build()
            if not self.model.trainable_variables:
                raise InputError(f"the model of task {task.name} must have trainable variables, got none")
            self._variables = [v.value for v in self.model.trainable_variables]
            self.packed = PackedVariables(self._variables)
            self.optimiser = build_optimiser(settings, self.packed, self.restores)
        self.average = AveragedWeights(self.packed, settings.ema_decay)
        self._local_gradients = tf.function(
            self._objective_gradients, jit_compile=settings.jit_compile, autograph=False
        )
        self._update_alone = tf.function(self._update_here, jit_compile=settings.jit_compile, autograph=False)
        self._run = tf.function(self._run_steps, autograph=False)
        self._names: list[str] = []
        self._reads_views = False

    def state(self) -> dict[str, list[tf.Variable] | tf.Variable]:
        """Return everything that a checkpoint must hold, as flat lists in a fixed order."""
        return {
            "weights": [v.value for v in self.model.variables],
            "optimiser": [v.value for v in self.optimiser.variables],
            "average": self.average.variables,
            "step": self.step,
            "restores": self.restores,
        }

    def initialise(self) -> None:
        """Initialise the model on the first batch, if the task does so, and restart the averages."""
        if self._task.initialise is not None:
            batch = next(iter(self._task.dataset(0)))
            self._task.initialise(self.model, batch, tf.constant(self._seed))
        self.packed.pack()
        self.average.reset()

    def iterator(self) -> Iterator[tf.Tensor]:
        """Return the batches from the present step on.

        Raises:
            InputError: the batch does not split evenly over the replicas.
        """
        dataset = self._task.dataset(int(self.step.numpy()))
        for spec in tf.nest.flatten(dataset.element_spec):
            size = spec.shape[0]
            if self._replicas > 1 and (size is None or size % self._replicas):
                raise InputError(f"batch_size must be a fixed multiple of the {self._replicas} replicas, got {size}")
        iterator = iter(dataset.prefetch(tf.data.AUTOTUNE))
        if not self._names:
            self._find_names(iterator.element_spec)
        return iterator

    def run(self, iterator: Iterator[tf.Tensor], num_steps: int) -> StepReport:
        """Run up to ``num_steps`` steps in one call; end early at a step that is not finite."""
        done, sums, bad, last = self._run(iterator, tf.constant(num_steps, tf.int64))
        values = dict(zip(self._names, sums.numpy().tolist(), strict=True))
        bad_step = int(bad.numpy())
        return StepReport(int(done.numpy()), values, None if bad_step < 0 else bad_step, float(last.numpy()))

    def finite(self) -> bool:
        """Return whether everything that a checkpoint holds is finite."""
        real = [v for v in tf.nest.flatten(self.state()) if v.dtype.is_floating]
        return all(bool(tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(v)))) for v in real)

    def learning_rate(self) -> float:
        """Return the learning rate of the step to come."""
        return float(tf.convert_to_tensor(self.optimiser.learning_rate))

    def mean_gradients(self) -> list[tf.Tensor]:
        """Return AdamW's first moments, one for each trainable variable and of its shape."""
        return self.packed.split([moment.value for moment in self.optimiser._momentums])

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averaged weights into the model within the block, and restore the raw ones after it."""
        raw = [tf.identity(v) for v in self._variables]
        self.load_average()
        try:
            yield
        finally:
            for variable, value in zip(self._variables, raw, strict=True):
                variable.assign(value)

    def load_average(self) -> None:
        """Put the averaged weights into the model for good."""
        self.packed.unpack(self.average.variables)

    def _find_names(self, spec: tf.TensorSpec) -> None:
        def share(whole: tf.TensorSpec) -> tf.TensorSpec:
            size = whole.shape[0] // self._replicas if whole.shape[0] else None
            return tf.TensorSpec([size, *whole.shape[1:]], whole.dtype)

        seed = tf.TensorSpec([2], tf.int32)
        traced = self._local_gradients.get_concrete_function(tf.nest.map_structure(share, spec), seed)
        self._names = ["loss", "gradient_norm", *sorted(traced.structured_outputs[1])]

    def _objective_gradients(
        self, batch: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], list[tf.Tensor | None], list[tf.Tensor | None]]:
        """Return loss, metrics, and gradients in variables and in vectors, None for what was not read."""
        with entering(XLA if self._settings.jit_compile else GRAPH):
            with tf.GradientTape() as tape, self.packed.reading() as views:
                loss, metrics = self._task.objective(self.model, batch, seed)
            found = tape.gradient(loss, [*views.vectors, *self._variables])
        found = [None if each is None else tf.convert_to_tensor(each) for each in found]
        of_vectors, gradients = found[: len(views.vectors)], found[len(views.vectors) :]
        known = [g is not None or id(v) in views.variables for v, g in zip(self._variables, gradients, strict=True)]
        unused = [v.path for v, used in zip(self.model.trainable_variables, known, strict=True) if not used]
        if unused:
            _LOG.warning("task %s: the loss does not depend on %s", self._task.name, ", ".join(unused))
        self._reads_views |= bool(views.variables)
        metrics = {k: tf.cast(v, tf.float32) for k, v in metrics.items()}
        return tf.cast(loss, tf.float32), metrics, gradients, of_vectors

    def _replica_gradients(self, batch: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Return (loss, gradient norm, metrics by name) as a vector, and the clipped global gradient."""
        if self._replicas > 1:
            context = tf.distribute.get_replica_context()
            replica = context.replica_id_in_sync_group
            seed = tf.random.experimental.stateless_fold_in(seed, replica)
            batch = tf.nest.map_structure(lambda whole: self._share(whole, replica), batch)
        loss, metrics, *found = self._local_gradients(batch, seed)
        gradients = self.packed.sum_gradients(*found)
        if self._replicas > 1:
            loss, metrics, gradients = context.all_reduce(tf.distribute.ReduceOp.MEAN, (loss, metrics, gradients))
        norm = tf.linalg.global_norm(gradients)
        if self._settings.clip_norm:
            scale = tf.minimum(1.0, self._settings.clip_norm / tf.maximum(norm, 1e-12))
            gradients = [g * tf.cast(scale, g.dtype) for g in gradients]
        return tf.stack([loss, norm, *(metrics[name] for name in sorted(metrics))]), gradients

    def _share(self, whole: tf.Tensor, replica: tf.Tensor) -> tf.Tensor:
        size = whole.shape[0] // self._replicas
        return tf.ensure_shape(whole[replica * size : (replica + 1) * size], [size, *whole.shape[1:]])

    def _update_here(self, gradients: list[tf.Tensor], decay: tf.Tensor) -> None:
        self.optimiser.apply(gradients, self.packed.vectors)
        self.average.update(decay)

    def _update(self, gradients: list[tf.Tensor]) -> tf.Tensor:
        decay = self.average.decay_at(self.step)
        if self._replicas > 1:
            self._strategy.run(self.optimiser.apply, args=(gradients, self.packed.vectors))
            self.average.update(decay)
        else:
            self._update_alone(gradients, decay)
        if not self._reads_views:
            self.packed.unpack()
        return self.step.assign_add(1, read_value=True)

    def one_step(self, batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Take one step; return the reported numbers (number,) and whether they are finite.

        To be traced after :meth:`iterator`. Weights are read from :attr:`packed`, which has to pack
        them first.
        """
        seed = tf.constant(self._seed)
        for counter in (self.step, self.restores):
            seed = tf.random.experimental.stateless_fold_in(seed, tf.cast(counter.read_value(), tf.int32))
        if self._replicas > 1:
            outputs, gradients = self._strategy.run(self._replica_gradients, args=(batch, seed))
            values = self._strategy.experimental_local_results(outputs)[0]
        else:
            values, gradients = self._replica_gradients(batch, seed)
        guarded = self._settings.nan_guard
        finite = tf.reduce_all(tf.math.is_finite(values[:2])) if guarded else tf.constant(True)
        tf.cond(finite, lambda: self._update(gradients), self.step.read_value)
        return values, finite

    def _run_steps(self, iterator: Iterator[tf.Tensor], num_steps: tf.Tensor) -> tuple[tf.Tensor, ...]:
        def going(done: tf.Tensor, sums: tf.Tensor, bad: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
            return tf.logical_and(done < num_steps, bad < 0)

        def advance(done: tf.Tensor, sums: tf.Tensor, bad: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, ...]:
            here = self.step.read_value()
            values, finite = self.one_step(next(iterator))
            good = tf.cast(finite, tf.int64)
            return done + good, sums + tf.where(finite, values, 0.0), good * bad + (1 - good) * here, values[0]

        self.packed.pack()
        start = (tf.constant(0, tf.int64), tf.zeros([len(self._names)]), tf.constant(-1, tf.int64), tf.constant(0.0))
        done, sums, bad, last = tf.while_loop(going, advance, start, parallel_iterations=1)
        if self._reads_views:
            with tf.control_dependencies([done]):
                self.packed.unpack()
        return done, sums, bad, last
