"""Train a task to its end, from the last checkpoint in its folder.

A training is resumed exactly: on one machine the weights are those of an uninterrupted run with the
same seed. SIGTERM and SIGINT end the current call, save a checkpoint and exit with code 128 +
signal. While the first call is compiled there is nothing to save, and they end the training at once.
kill -9 costs at most the steps since the last checkpoint. A step that is not finite returns the
training to its last checkpoint with half the learning rate and other random numbers, at most
:data:`MAX_RESTORES` times. Weights that are not finite are never saved: they end the job. Finite ones
after a last loss that is not, which needs the guard to be off, stay saved, and an error is logged.
"""

from __future__ import annotations

import functools
import logging
import math
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import keras
import tensorflow as tf
from tqdm import tqdm

from tfsep import locks
from tfsep.errors import InputError, JobError
from tfsep.runtime.stop_signals import SIGNAL_EXIT, Handling
from tfsep.training import summaries
from tfsep.training.checkpoints import CURVE, EVENTS, TaskFolder
from tfsep.training.task import FitSettings, Task
from tfsep.training.trainer import Trainer

MAX_RESTORES = 5
#: What a training is, for the second one that would write into its folder.
WORK = "is training"
_LOG = logging.getLogger(__name__)
_SECONDS_PER_CALL = 1.0
_PATIENCE = 3.0


@functools.cache
def default_strategy() -> tf.distribute.Strategy:
    """Return a MirroredStrategy over several GPUs, or the default strategy on one device.

    It is built once: two MirroredStrategies over the same devices mix up each other's reductions.
    """
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def fit(
    task: Task,
    save_dir: str | Path,
    settings: FitSettings,
    seed: int = 0,
    resume: bool = True,
    strategy: tf.distribute.Strategy | None = None,
) -> keras.Model:
    """Train a task in the folder ``save_dir/<task name>``, or return at once if it is trained already.

    Args:
        task: what to train.
        save_dir: folder of the whole run; its config.gin, where there is one, is shown in
            TensorBoard.
        settings: how to train.
        seed: 0 .. 2**32 - 1; decides initial weights and the seeds of the objective. Python's,
            NumPy's and TensorFlow's global seeds are set to it.
        resume: continue from the folder's last checkpoint; else start over
            (:mod:`tfsep.training.checkpoints` says what is removed).
        strategy: a distribution strategy; by default one replica per GPU.

    Returns:
        The model with its averaged weights.

    Raises:
        InputError: a seed out of range, or a folder that belongs to another training.
        JobError: more than :data:`MAX_RESTORES` steps that were not finite, weights that are not,
            data that ended, an unwritable folder, or one in which another process is training.
        SystemExit: after a checkpoint, on SIGTERM or SIGINT.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"seed must lie in 0..4294967295, got {seed}")
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    trainer = Trainer(task, settings, seed, strategy or default_strategy())
    description = {
        "task": task.name,
        "seed": seed,
        "sample_rate": task.sample_rate,
        **settings.decisive(),
        "weights": [[v.name, list(v.shape)] for v in trainer.model.variables],
    }
    place = Path(save_dir) / task.name
    with locks.only_one(place, WORK):
        folder = TaskFolder(place, trainer, description, settings.keep, resume)
        if not folder.restore():
            trainer.initialise()
            folder.save()
        if int(trainer.step.numpy()) < settings.num_steps:
            with StopRequest() as stop:
                _Loop(task, settings, trainer, folder).run(stop)
        else:
            _report_last_loss(task.name, summaries.last_loss(place / CURVE))
    trainer.load_average()
    return trainer.model


def _report_last_loss(task: str, loss: float) -> None:
    """Log a training that ended with a loss that is not finite as an error."""
    if not math.isfinite(loss):
        _LOG.error(
            "task %s: the last loss is not finite (%s), though its weights are (fit.nan_guard = True returns from such "
            "steps, a lower fit.learning_rate may help)",
            task,
            loss,
        )


class StopRequest:
    """Note SIGTERM or SIGINT within a block; a second signal acts as it did before the block.

    Attributes:
        signal: the number of the signal received, None before.
        compiling: whether there is nothing yet that would be lost. A signal then raises SystemExit,
            and SIGTERM ends the process where the compiler does not let it.
    """

    def __init__(self) -> None:
        """Begin with no signal received."""
        self.signal: int | None = None
        self.compiling = False
        self._handling = Handling((signal.SIGTERM, signal.SIGINT), self._receive, self._patience)

    def __enter__(self) -> StopRequest:
        """Handle the two signals, in the main thread only."""
        self._handling.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the handlers of before the block."""
        self._handling.__exit__(kind, error, trace)

    def _patience(self) -> float | None:
        return _PATIENCE if self.compiling else None

    def _receive(self, number: int) -> None:
        self.signal = number
        if self.compiling:
            raise SystemExit(SIGNAL_EXIT + number)


class _Loop:
    """The steps from the trainer's own to the last one, with what is due between them."""

    def __init__(self, task: Task, settings: FitSettings, trainer: Trainer, folder: TaskFolder) -> None:
        self._task, self._settings, self._trainer, self._folder = task, settings, trainer, folder
        self._step = int(trainer.step.numpy())
        self._curve = summaries.Curve(folder.path / CURVE, self._step)
        self._board = summaries.Board(folder.path / EVENTS, task.sample_rate)
        self._board.config(folder.path.parent / "config.gin", self._step)
        self._sums: dict[str, float] = {}
        self._summed = 0
        self._clock = time.monotonic()
        self._seconds_per_step = math.inf
        self._last_loss = 0.0

    def run(self, stop: StopRequest) -> None:
        """Train to the end or to a signal."""
        terminal = sys.stderr.isatty()
        with tqdm(
            total=self._settings.num_steps,
            initial=self._step,
            desc=self._task.name,
            unit="step",
            dynamic_ncols=terminal,
            mininterval=0.5 if terminal else 30.0,
        ) as self._bar:
            stop.compiling = True
            batches = self._trainer.iterator()
            while self._step < self._settings.num_steps:
                batches = self._advance(batches, stop)
                if stop.signal is not None:
                    self._folder.save()
                    self._board.close()
                    self._bar.write(f"{self._task.name}: saved at step {self._step}, stopping", file=sys.stderr)
                    raise SystemExit(SIGNAL_EXIT + stop.signal)
        self._board.close()
        _report_last_loss(self._task.name, self._last_loss)

    def _advance(self, batches: Iterator[tf.Tensor], stop: StopRequest) -> Iterator[tf.Tensor]:
        """Run one call of steps and whatever is due after it; return the batches to go on with."""
        size = self._call_size()
        start = time.monotonic()
        try:
            report = self._trainer.run(batches, size)
        except tf.errors.OutOfRangeError as error:
            reached = int(self._trainer.step.numpy())
            raise JobError(f"the data of task {self._task.name} ended at step {reached}") from error
        finally:
            stop.compiling = False
        if report.bad_step is not None:
            return self._return_to_checkpoint(report.bad_step)
        if not math.isinf(self._seconds_per_step) or size > 1 or self._summed:
            self._seconds_per_step = (time.monotonic() - start) / size
        self._step += size
        self._last_loss = report.last_loss
        self._summed += size
        self._sums = {name: self._sums.get(name, 0.0) + value for name, value in report.sums.items()}
        self._bar.update(size)
        last = self._step == self._settings.num_steps
        if last or self._step % self._settings.log_every == 0:
            self._log()
        if last or self._step % self._settings.checkpoint_every == 0:
            self._folder.save()
        if self._settings.preview_every and (last or self._step % self._settings.preview_every == 0):
            self._preview()
        return batches

    def _call_size(self) -> int:
        """Return how many steps the next call runs: about a second's worth, up to the next that is due."""
        settings = self._settings
        periods = [settings.log_every, settings.checkpoint_every, settings.preview_every or settings.num_steps]
        ahead = [period - self._step % period for period in periods] + [settings.num_steps - self._step]
        fitting = max(1, int(_SECONDS_PER_CALL / self._seconds_per_step))
        return min(*ahead, settings.steps_per_call, fitting)

    def _log(self) -> None:
        now = time.monotonic()
        values = {name: value / self._summed for name, value in self._sums.items()}
        values["learning_rate"] = self._trainer.learning_rate()
        values["seconds_per_step"] = (now - self._clock) / self._summed
        values["restores"] = float(self._trainer.restores.numpy())
        self._curve.append(self._step, values)
        self._board.scalars(values, self._step)
        shown = [name for name in values if name not in ("gradient_norm", "seconds_per_step", "restores")][:4]
        self._bar.set_postfix({name: f"{values[name]:.4g}" for name in shown}, refresh=False)
        self._sums, self._summed, self._clock = {}, 0, now

    def _preview(self) -> None:
        """Write histograms, previews and validation scores."""
        self._board.histograms(self._trainer, self._step)
        with self._trainer.averaged():
            if self._task.preview is not None:
                self._board.waveforms(self._task.preview(self._trainer.model), self._step)
            if self._task.validate is not None:
                scores = {f"validation/{k}": float(v) for k, v in self._task.validate(self._trainer.model).items()}
                self._curve.append(self._step, scores)
                self._board.scalars(scores, self._step)
        self._clock = time.monotonic()

    def _return_to_checkpoint(self, bad_step: int) -> Iterator[tf.Tensor]:
        restores = int(self._trainer.restores.numpy()) + 1
        if restores > MAX_RESTORES:
            raise JobError(
                f"task {self._task.name}: loss or gradient not finite at step {bad_step}, after {MAX_RESTORES} returns "
                "to an earlier checkpoint; lower fit.learning_rate or fit.clip_norm"
            )
        self._folder.restore()
        self._trainer.restores.assign(restores)
        self._bar.write(
            f"{self._task.name}: step {bad_step} not finite; back to step {int(self._trainer.step.numpy())}, learning "
            f"rate x {0.5**restores:g} ({restores} of {MAX_RESTORES})",
            file=sys.stderr,
        )
        self._step = int(self._trainer.step.numpy())
        self._curve.rewind(self._step)
        self._sums, self._summed = {}, 0
        self._bar.n = self._step
        self._bar.refresh()
        return self._trainer.iterator()
