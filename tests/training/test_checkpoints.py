"""Everything comes back from a checkpoint, and no folder that is not this training's own is written or emptied."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.errors import InputError, JobError
from tfsep.training import checkpoints
from tfsep.training.checkpoints import TaskFolder, clear_run, clear_task
from tfsep.training.trainer import Trainer

ABOUT = {"task": "gaussian", "seed": 0, "learning_rate": 0.02}


@pytest.fixture
def trainer(gaussian: ModuleType) -> Trainer:
    return Trainer(gaussian.gaussian_task(), gaussian.settings(), 0, tf.distribute.get_strategy())


def claim(folder: Path, trainer: Trainer, resume: bool = True, keep: int = 2, **changes: Any) -> TaskFolder:
    return TaskFolder(folder, trainer, {**ABOUT, **changes}, keep, resume)


def values(trainer: Trainer) -> list[np.ndarray]:
    return [v.numpy() for part in trainer.state().values() for v in (part if isinstance(part, list) else [part])]


def set_all(trainer: Trainer, start: int) -> None:
    """Give each variable its own numbers."""
    for number, variable in enumerate(v for p in trainer.state().values() for v in (p if isinstance(p, list) else [p])):
        variable.assign(tf.cast(tf.fill(variable.shape, start + number), variable.dtype))


def save_steps(folder: TaskFolder, trainer: Trainer, *steps: int) -> None:
    for step in steps:
        set_all(trainer, 100 * step)
        trainer.step.assign(step)
        folder.save()


def test_a_fresh_folder_has_nothing_to_restore(tmp_path: Path, trainer: Trainer) -> None:
    folder = claim(tmp_path / "run" / "task", trainer)
    assert folder.latest_step is None
    assert not folder.restore()
    assert json.loads((folder.path / "task.json").read_text()) == ABOUT


def test_every_variable_comes_back(tmp_path: Path, trainer: Trainer) -> None:
    save_steps(claim(tmp_path / "task", trainer), trainer, 7)
    saved = values(trainer)
    set_all(trainer, 5)
    folder = claim(tmp_path / "task", trainer)
    assert folder.latest_step == 7
    assert folder.restore()
    for left, right in zip(values(trainer), saved, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_mirrored_training_is_taken_up_on_one_device(
    tmp_path: Path, gaussian: ModuleType, mirrored: tf.distribute.Strategy, trainer: Trainer
) -> None:
    two = Trainer(gaussian.gaussian_task(), gaussian.settings(), 0, mirrored)
    save_steps(claim(tmp_path / "task", two), two, 3)
    assert claim(tmp_path / "task", trainer).restore()
    for left, right in zip(values(trainer), values(two), strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_newest_are_kept_and_a_step_is_saved_once(tmp_path: Path, trainer: Trainer) -> None:
    folder = claim(tmp_path / "task", trainer)
    save_steps(folder, trainer, 1, 2, 3)
    before = {path: path.stat().st_mtime_ns for path in folder.path.glob("ckpt-*")}
    folder.save()
    assert {path: path.stat().st_mtime_ns for path in folder.path.glob("ckpt-*")} == before
    assert sorted(path.name for path in folder.path.glob("*.index")) == ["ckpt-2.index", "ckpt-3.index"]


def cut(file: Path, size: float = 0.5) -> None:
    os.truncate(file, int(size * file.stat().st_size))


DAMAGES: dict[str, Callable[[Path, Path], None]] = {
    "both cut": lambda index, data: [cut(index), cut(data)] and None,
    "index cut": lambda index, data: cut(index),
    "index empty": lambda index, data: cut(index, 0.0),
    "index gone": lambda index, data: index.unlink(),
    "index a folder": lambda index, data: index.unlink() or index.mkdir(),
    "data cut": lambda index, data: cut(data),
    "data by one byte": lambda index, data: os.truncate(data, data.stat().st_size - 1),
    "data empty": lambda index, data: cut(data, 0.0),
    "data gone": lambda index, data: data.unlink(),
    "data garbled": lambda index, data: data.write_bytes(bytes(255 - each for each in data.read_bytes())) and None,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, trainer: Trainer, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    folder = claim(tmp_path / "task", trainer)
    save_steps(folder, trainer, 1)
    first = values(trainer)
    save_steps(folder, trainer, 2)
    DAMAGES[damage](folder.path / "ckpt-2.index", folder.path / "ckpt-2.data-00000-of-00001")
    again = claim(tmp_path / "task", trainer)
    assert again.restore()
    assert "cannot read" in caplog.text and "ckpt-2: " in caplog.text
    for left, right in zip(values(trainer), first, strict=True):
        np.testing.assert_array_equal(left, right)
    save_steps(again, trainer, 2)
    assert claim(tmp_path / "task", trainer).restore() and int(trainer.step) == 2


@pytest.mark.parametrize("content", [None, b"", b"\xb9\x00" * 50, b'model_checkpoint_path: "/etc/ckpt-99"\n'])
def test_checkpoints_are_found_by_their_own_files(tmp_path: Path, trainer: Trainer, content: bytes | None) -> None:
    """Earlier versions wrote a list of checkpoints, which may be missing or broken."""
    save_steps(claim(tmp_path / "task", trainer), trainer, 3, 12)
    saved = values(trainer)
    if content is not None:
        (tmp_path / "task" / "checkpoint").write_bytes(content)
    folder = claim(tmp_path / "task", trainer)
    assert folder.latest_step == 12 and folder.restore()
    for left, right in zip(values(trainer), saved, strict=True):
        np.testing.assert_array_equal(left, right)
    assert not (tmp_path / "task" / "checkpoint").exists()


def test_checkpoints_of_earlier_versions_are_read(tmp_path: Path, trainer: Trainer) -> None:
    claim(tmp_path / "task", trainer)
    set_all(trainer, 7)
    trainer.step.assign(5)
    saved = values(trainer)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(**trainer.state()), str(tmp_path / "task"), max_to_keep=2, checkpoint_name="ckpt"
    )
    manager.save(checkpoint_number=5)
    set_all(trainer, 1)
    assert claim(tmp_path / "task", trainer).restore()
    for left, right in zip(values(trainer), saved, strict=True):
        np.testing.assert_array_equal(left, right)


def test_what_a_killed_writer_left_is_removed(tmp_path: Path, trainer: Trainer) -> None:
    save_steps(claim(tmp_path / "task", trainer), trainer, 1)
    for name in ("checkpoint.tmp12ab", "ckpt-2.data-00000-of-00001.tempstate99"):
        (tmp_path / "task" / name).write_text("x")
    (tmp_path / "task" / "ckpt-3_temp").mkdir()
    (tmp_path / "task" / "notes.txt").write_text("mine")
    claim(tmp_path / "task", trainer)
    found = sorted(path.name for path in (tmp_path / "task").iterdir())
    assert found == ["ckpt-1.data-00000-of-00001", "ckpt-1.index", "notes.txt", "task.json"]


def test_a_checkpoint_is_on_the_disk_before_an_older_one_goes(
    tmp_path: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = claim(tmp_path / "task", trainer, keep=1)
    save_steps(folder, trainer, 1)
    flushed: list[tuple[str, bool]] = []

    def note(path: Path) -> None:
        flushed.append((path.name, (folder.path / "ckpt-1.index").is_file()))

    monkeypatch.setattr(checkpoints, "flush", note)
    save_steps(folder, trainer, 2)
    assert flushed == [("ckpt-2.data-00000-of-00001", True), ("ckpt-2.index", True), ("task", True)]
    assert not (folder.path / "ckpt-1.index").exists()


def test_weights_that_are_not_finite_are_neither_saved_nor_restored(
    tmp_path: Path, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = claim(tmp_path / "task", trainer)
    save_steps(folder, trainer, 1)
    trainer.step.assign(2)
    trainer.model.bias.assign(np.full(trainer.model.bias.shape, np.nan, np.float32))
    with pytest.raises(JobError, match="not finite at step 2; they are not saved"):
        folder.save()
    assert folder.steps() == [1]
    monkeypatch.setattr(trainer, "finite", lambda: True)
    folder.save()
    monkeypatch.undo()
    assert claim(tmp_path / "task", trainer).restore()
    assert int(trainer.step) == 1


def test_a_curve_without_checkpoints_is_no_silent_start(
    tmp_path: Path, trainer: Trainer, caplog: pytest.LogCaptureFixture
) -> None:
    folder = claim(tmp_path / "task", trainer)
    (folder.path / "curve.jsonl").write_text('{"step": 10, "loss": 1.0}\n')
    assert not folder.restore()
    assert "has a training curve and no checkpoint: the training starts at step 0" in caplog.text


def test_without_any_readable_checkpoint_the_job_fails(tmp_path: Path, trainer: Trainer) -> None:
    folder = claim(tmp_path / "task", trainer)
    save_steps(folder, trainer, 1)
    for file in folder.path.glob("ckpt-1*"):
        file.write_bytes(b"nothing")
    with pytest.raises(JobError, match="cannot read any checkpoint in .*ckpt-1"):
        claim(tmp_path / "task", trainer).restore()


def test_another_configuration_is_refused_by_name(tmp_path: Path, trainer: Trainer) -> None:
    claim(tmp_path / "task", trainer)
    with pytest.raises(InputError, match=r"learning_rate had 0\.02, now 0\.5; use --noresume"):
        claim(tmp_path / "task", trainer, learning_rate=0.5)
    with pytest.raises(InputError, match="decay had None, now 'cosine'"):
        claim(tmp_path / "task", trainer, decay="cosine")


def test_tuples_and_lists_are_the_same_configuration(tmp_path: Path, trainer: Trainer) -> None:
    claim(tmp_path / "task", trainer, weights=[("kernel", (4, 4))])
    claim(tmp_path / "task", trainer, weights=[["kernel", [4, 4]]])


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_with_foreign_files_is_refused_and_left_alone(tmp_path: Path, trainer: Trainer, resume: bool) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "ckpt-1.index").write_text("somebody's")
    with pytest.raises(InputError, match="holds files that no training wrote"):
        claim(tmp_path, trainer, resume=resume)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ckpt-1.index", "thesis.tex"]


@pytest.mark.parametrize("content", ["not json", "[1]", "\udcff", "[" * 100_000])
def test_a_broken_description_is_refused(tmp_path: Path, trainer: Trainer, content: str) -> None:
    (tmp_path / "task.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match=r"task\.json"):
        claim(tmp_path, trainer)


def test_starting_over_empties_what_training_wrote_and_nothing_else(tmp_path: Path, trainer: Trainer) -> None:
    folder = claim(tmp_path / "task", trainer)
    save_steps(folder, trainer, 1)
    (folder.path / "curve.jsonl").write_text("{}\n")
    (folder.path / "events").mkdir()
    (folder.path / "events" / "event").write_text("x")
    (folder.path / "notes.txt").write_text("mine")
    clear_task(folder.path)
    assert [path.name for path in folder.path.iterdir()] == ["notes.txt"]


def test_starting_over_claims_an_own_folder_with_another_configuration(tmp_path: Path, trainer: Trainer) -> None:
    save_steps(claim(tmp_path / "task", trainer), trainer, 1)
    folder = claim(tmp_path / "task", trainer, resume=False, learning_rate=0.5)
    assert not folder.restore()
    assert [path.name for path in folder.path.iterdir()] == ["task.json"]


def test_clearing_a_run_spares_folders_without_a_description(tmp_path: Path, trainer: Trainer) -> None:
    save_steps(claim(tmp_path / "sine", trainer), trainer, 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "ckpt-1.index").write_text("somebody's")
    clear_run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert (tmp_path / "other" / "ckpt-1.index").is_file()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, trainer: Trainer) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JobError, match="cannot write .*file/task"):
        claim(tmp_path / "file" / "task", trainer)
