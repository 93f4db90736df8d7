"""Everything comes back from a checkpoint, and no folder that is not this training's own is written or emptied."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.errors import InputError, JobError
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


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path, trainer: Trainer, damage: str) -> None:
    folder = claim(tmp_path / "task", trainer)
    save_steps(folder, trainer, 1, 2)
    for file in folder.path.glob("ckpt-2*"):
        if damage == "gone":
            file.unlink()
        else:
            os.truncate(file, file.stat().st_size // 2)
    again = claim(tmp_path / "task", trainer)
    assert again.restore()
    assert int(trainer.step) == 1


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


@pytest.mark.parametrize("content", ["not json", "[1]", "\udcff"])
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
