"""The folder of a training task: its files, and which training may write them.

    save_dir/<task>/task.json     task name, seed, deciding settings, names and shapes of weights
    save_dir/<task>/ckpt-*        the newest ``keep`` checkpoints, found by their own names
    save_dir/<task>/curve.jsonl   the training curve
    save_dir/<task>/events/       TensorBoard

A checkpoint is on the disk before an older one is removed. One that cannot be read is passed over
with a warning, and the newest that can be read is taken.

Rules: a folder with another task.json is refused, unless ``resume`` is off. With ``resume`` off a
folder that holds a task.json is emptied of the four things above and of nothing else. A folder that
holds files but no task.json was not written by training and is always refused.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import tensorflow as tf

from tfsep.atomic import flush, write_text
from tfsep.axes import Settings
from tfsep.errors import InputError, JobError
from tfsep.training.trainer import Trainer

DESCRIPTION = "task.json"
CURVE = "curve.jsonl"
EVENTS = "events"
_PREFIX = "ckpt"
_CHECKPOINT = re.compile(rf"{_PREFIX}-(\d{{1,18}})\.(index|data-\d{{5}}-of-\d{{5}})")
# What earlier versions, and writers that were killed, leave behind.
_LEFT_OVER = ("checkpoint", "checkpoint.tmp*", f"{_PREFIX}-*.tempstate*", f"{_PREFIX}-*_temp")
_LOG = logging.getLogger(__name__)


def clear_task(folder: Path) -> None:
    """Remove what training wrote into a folder with a task.json, and the folder if it is empty then."""
    if _clear(folder):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _clear(folder: Path) -> bool:
    """Remove what training wrote into a folder, the task.json last; return whether there was one."""
    if not (folder / DESCRIPTION).is_file():
        return False
    _remove([*folder.glob(f"{_PREFIX}-*"), *_left_over(folder), folder / CURVE, folder / EVENTS])
    (folder / DESCRIPTION).unlink()
    return True


def _left_over(folder: Path) -> list[Path]:
    return [path for pattern in _LEFT_OVER for path in folder.glob(pattern)]


def _remove(paths: Iterable[Path]) -> None:
    """Remove files and folders with what they hold."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def clear_run(save_dir: Path) -> None:
    """Remove every task that training wrote below a folder, see :func:`clear_task`."""
    for description in sorted(save_dir.glob(f"*/{DESCRIPTION}")):
        clear_task(description.parent)


class TaskFolder:
    """The checkpoints of one trainer in one folder."""

    def __init__(self, folder: Path, trainer: Trainer, description: Settings, keep: int, resume: bool) -> None:
        """Claim the folder for a training with this description, which must be plain JSON.

        Raises:
            InputError: the folder belongs to another training, or was not made by training.
            JobError: the folder cannot be written.
        """
        self.path = folder
        self._trainer, self._keep = trainer, keep
        self._checkpoint = tf.train.Checkpoint(**trainer.state())
        self._sound: set[int] = set()
        try:
            if not resume:
                _clear(folder)
            self._claim(json.loads(json.dumps(description)))
            _remove(_left_over(folder))
        except OSError as error:
            raise JobError(f"cannot write {folder}: {error.strerror or error}") from error

    def steps(self) -> list[int]:
        """Return the steps of the checkpoints that have files here, in order, whether or not they can be read."""
        return sorted({int(found[1]) for path in self.path.iterdir() if (found := _CHECKPOINT.fullmatch(path.name))})

    @property
    def latest_step(self) -> int | None:
        """The step of the newest checkpoint, None before the first."""
        return max(self.steps(), default=None)

    def save(self) -> None:
        """Write a checkpoint of the present step, unless it is there already, and then remove the oldest.

        Raises:
            JobError: the folder cannot be written, or the weights are not finite.
        """
        step = int(self._trainer.step.numpy())
        if step in self._sound:
            return
        if not self._trainer.finite():
            raise JobError(
                f"the weights in {self.path} are not finite at step {step}; they are not saved, and earlier "
                "checkpoints stay (fit.nan_guard = True returns to them, a lower fit.learning_rate may help)"
            )
        try:
            _remove(self._files(step))
            self._checkpoint.write(str(self._prefix(step)))
            for file in self._files(step):
                flush(file)
            flush(self.path)
            self._sound.add(step)
            for old in sorted(self._sound)[: -self._keep]:
                self._sound.remove(old)
            for old in self.steps():
                if old < min(self._sound):
                    _remove(self._files(old))
        except (OSError, tf.errors.OpError) as error:
            reason = str(error).partition("\n")[0]
            raise JobError(f"cannot write the checkpoint of step {step} in {self.path}: {reason}") from error

    def restore(self) -> bool:
        """Restore the newest readable checkpoint and return True, or False if there is none at all.

        Raises:
            JobError: there are checkpoints, and none can be read.
        """
        steps = self.steps()
        for step in reversed(steps):
            reason = self._unreadable(step)
            if not reason:
                self._sound.add(step)
                return True
            self._sound.discard(step)
            _LOG.warning("cannot read %s: %s", self._prefix(step), reason)
        if steps:
            names = ", ".join(self._prefix(step).name for step in reversed(steps))
            raise JobError(f"cannot read any checkpoint in {self.path}: {names}")
        if (self.path / CURVE).is_file():
            _LOG.warning("%s has a training curve and no checkpoint: the training starts at step 0", self.path)
        return False

    def _unreadable(self, step: int) -> str:
        """Read a checkpoint into the trainer; return why it cannot be read, "" where it can."""
        try:
            self._checkpoint.read(str(self._prefix(step))).assert_existing_objects_matched()
        except MemoryError:
            raise
        except Exception as error:  # TensorFlow raises whatever its reader meets: IndexError for a file that is cut
            return " ".join(str(error).partition("\n")[0].split()) or type(error).__name__
        if int(self._trainer.step.numpy()) != step:
            return f"it holds step {int(self._trainer.step.numpy())}"
        return "" if self._trainer.finite() else "its weights are not finite"

    def _prefix(self, step: int) -> Path:
        return self.path / f"{_PREFIX}-{step}"

    def _files(self, step: int) -> list[Path]:
        """Return the files of one checkpoint, those with weights first."""
        return sorted(path for path in self.path.glob(f"{_PREFIX}-{step}.*") if _CHECKPOINT.fullmatch(path.name))

    def _claim(self, description: Settings) -> None:
        file = self.path / DESCRIPTION
        if file.is_file():
            _refuse_difference(self.path, _read(file), description)
        elif self.path.is_dir() and any(self.path.iterdir()):
            raise InputError(f"{self.path} holds files that no training wrote; give another save_dir")
        else:
            self.path.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(description, indent=1))


def _read(file: Path) -> dict[str, object]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not JSON; give another save_dir") from error
    if not isinstance(content, dict):
        raise InputError(f"{file} does not describe a training; give another save_dir")
    return content


def _refuse_difference(folder: Path, before: Settings, now: Settings) -> None:
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        text = f"had {old!r}, now {new!r}" if len(repr(old)) + len(repr(new)) < 160 else "differ"
        raise InputError(f"{folder} was trained differently: {key} {text}; use --noresume or another save_dir")
