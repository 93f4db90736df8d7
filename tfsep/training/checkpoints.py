"""The folder of a training task: its files, and which training may write them.

    save_dir/<task>/task.json     task name, seed, deciding settings, names and shapes of weights
    save_dir/<task>/ckpt-*        the newest ``keep`` checkpoints, listed in the file checkpoint
    save_dir/<task>/curve.jsonl   the training curve
    save_dir/<task>/events/       TensorBoard

Rules: a folder with another task.json is refused, unless ``resume`` is off. With ``resume`` off a
folder that holds a task.json is emptied of the four things above and of nothing else. A folder that
holds files but no task.json was not written by training and is always refused.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from pathlib import Path

import tensorflow as tf

from tfsep.atomic import write_text
from tfsep.axes import Settings
from tfsep.errors import InputError, JobError
from tfsep.training.trainer import Trainer

DESCRIPTION = "task.json"
CURVE = "curve.jsonl"
EVENTS = "events"
_PREFIX = "ckpt"
_LOG = logging.getLogger(__name__)


def clear_task(folder: Path) -> None:
    """Remove what training wrote into a folder with a task.json, and the folder if it is empty then."""
    if not (folder / DESCRIPTION).is_file():
        return
    for path in [*folder.glob(f"{_PREFIX}-*"), folder / "checkpoint", folder / CURVE, folder / EVENTS]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    (folder / DESCRIPTION).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()


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
        try:
            if not resume:
                clear_task(folder)
            self._claim(json.loads(json.dumps(description)))
        except OSError as error:
            raise JobError(f"cannot write {folder}: {error.strerror or error}") from error
        self._trainer = trainer
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(**trainer.state()), str(folder), max_to_keep=keep, checkpoint_name=_PREFIX
        )

    @property
    def latest_step(self) -> int | None:
        """The step of the newest checkpoint, None before the first."""
        latest = self._manager.latest_checkpoint
        return None if latest is None else int(latest.rpartition("-")[2])

    def save(self) -> None:
        """Write a checkpoint of the present step, unless it is there already.

        Raises:
            JobError: the folder cannot be written.
        """
        step = int(self._trainer.step.numpy())
        if self.latest_step == step:
            return
        try:
            self._manager.save(checkpoint_number=step)
        except (OSError, tf.errors.OpError) as error:
            reason = str(error).partition("\n")[0]
            raise JobError(f"cannot write the checkpoint of step {step} in {self.path}: {reason}") from error

    def restore(self) -> bool:
        """Restore the newest readable checkpoint and return True, or False if there is none at all.

        Raises:
            JobError: there are checkpoints, and none can be read.
        """
        paths = list(reversed(self._manager.checkpoints))
        for path in paths:
            try:
                self._manager.checkpoint.restore(path).assert_existing_objects_matched()
            except (AssertionError, ValueError, tf.errors.OpError) as error:
                _LOG.warning("cannot read %s: %s", path, str(error).partition("\n")[0])
            else:
                return True
        if paths:
            raise JobError(f"cannot read any checkpoint in {self.path}: {', '.join(Path(p).name for p in paths)}")
        return False

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
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
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
