"""Programs are packed whole: arrays come back from few bytes, and JAX computes what TensorFlow computed."""

from __future__ import annotations

import json
import lzma
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.speed.portable import pack, rows, speed
from benchmarks.speed.portable.store import Packing, Unpacking
from benchmarks.speed.rows import Participant, Row, wave
from benchmarks.speed.worker import PYTORCH, Worker

PRIOR = {**wave(2, 64), "width": 4, "num_layers": 1}
STEP = {"prior": PRIOR, "batch": 2, "variant": {}, "fit": {"jit_compile": True}}
SAMPLER = {"prior": PRIOR, "num_sources": 2, "chains": 3, "steps": 2, "sigma": 0.1, "variant": {}}


def test_arrays_come_back_and_what_occurs_twice_is_kept_once(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    whole = random.standard_normal(1000).astype(np.float16).astype(np.float32)
    arrays: dict[str, Any] = {
        "part": whole[300:420].reshape(12, 10),
        "whole": whole,
        "exact": random.standard_normal(7).astype(np.float32),
        "zeros": np.zeros((1000, 1000), np.float32),
        "step": np.int64(3),
        "seed": np.array([3, 4], np.int32),
    }
    packing = Packing()
    references = json.loads(json.dumps(packing.put_all(arrays)))
    packing.write(tmp_path / "arrays.npz")
    found = Unpacking(tmp_path / "arrays.npz")
    assert list(references) == list(arrays)
    for name, array in arrays.items():
        back = found.get(references[name])
        assert (back.dtype, back.shape) == (np.asarray(array).dtype, np.shape(array))
        np.testing.assert_array_equal(back, array)
    assert references["part"]["block"] == references["whole"]["block"] and references["part"]["offset"] == 300
    assert (tmp_path / "arrays.npz").stat().st_size < 4000


def test_outputs_that_become_parameters_are_read_off_the_head() -> None:
    head = "HloModule a, input_output_alias={ {2}: (1, {}, may-alias), {13}: (4, {}, may-alias) }, entry={f32[2]}"
    assert pack.aliases(head) == {2: 1, 13: 4}
    assert pack.aliases("HloModule b, entry={f32[2]}") == {}


def test_a_row_is_packed_with_the_implementations_among_its_references() -> None:
    row = rows.ROWS[0]
    names = list(rows.packed(row))
    assert names == [row.name, f"{row.name}, tfsep, convolutions"]
    there = speed.unpacked(row, "folder")
    assert there.tfsep.setting == {"packed": "folder", "entry": names[0]}
    assert there.references["tfsep, convolutions"].setting["entry"] == names[1]
    assert there.references["eager"] == row.references["eager"]


@dataclass(frozen=True)
class PackedParts:
    """What was packed, its programs as TensorFlow gives them."""

    folder: Path
    entries: dict[str, Any]
    packing: Packing


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> PackedParts:
    """A step, a sampler and a convolution."""
    shared = {
        "context": "xla",
        "dtype": "bfloat16",
        "channels": (2, 4),
        "batch": 1,
        "length": 64,
        "implementation": "taps",
    }
    sides = {"step": ("training", STEP), "sampler": ("langevin", SAMPLER), "convolution": ("convolution", shared)}
    found = PackedParts(tmp_path_factory.mktemp("packed"), {}, Packing())
    for name, (call, setting) in sides.items():
        side = Participant(f"benchmarks.speed.portable.pack:{call}", setting)
        found.entries[name] = pack.entry({}, side, found.packing, found.folder, name)
    return found


def test_a_step_takes_over_its_own_state(parts: PackedParts, tmp_path: Path) -> None:
    about = parts.entries["step"]
    step = about["step"]
    assert lzma.decompress((parts.folder / "step_step.hlo.xz").read_bytes())
    parts.packing.write(tmp_path / "arrays.npz")
    store = Unpacking(tmp_path / "arrays.npz")
    parameters = [store.get(each) for each in step["parameters"]]
    assert parameters[0].shape == (2, 64, 1) and all(np.isfinite(each).all() for each in parameters)
    # Each output that is state has a parameter of its own, the first being the step's counter.
    assert len(set(step["state"].values())) == len(step["state"]) > 4
    assert not set(range(len(step["results"]))) & step["state"].keys()
    assert step["results"][1] == [True] and np.isfinite(step["results"][0]).all()
    assert len(about["check"]) == 2 and {"events", "sigma", "data_std"} < about["weights"]["model.npz"].keys()


def test_rows_are_chosen_by_name_and_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack.main([f"--output={tmp_path / 'none'}", "--only=abacus"]) == 2
    assert "--only must leave one of training" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_packed_is_refused_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack.main([f"--output={tmp_path / 'new'}", f"--pytorch={tmp_path / 'nowhere'}"]) == 1
    assert "nowhere cannot be started; `make pytorch` sets it up" in capsys.readouterr().err
    (tmp_path / "old.mlir.xz").touch()
    assert pack.main([f"--output={tmp_path}", f"--pytorch={sys.executable}"]) == 2
    assert "--output must be a new folder or an empty one" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["old.mlir.xz"]


def test_a_folder_without_programs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert speed.main([f"--packed={tmp_path}", f"--output={tmp_path}"]) == 2
    assert "--packed must be a folder that benchmarks.speed.portable.pack wrote" in capsys.readouterr().err
    (tmp_path / "rows.json").write_text(json.dumps(dict.fromkeys(rows.packed(rows.ROWS[1]))))
    assert speed.main([f"--packed={tmp_path}", f"--output={tmp_path}", "--only=abacus"]) == 2
    assert f"--only must leave one of {rows.ROWS[1].name}, got ['abacus']" in capsys.readouterr().err
    assert speed.main([f"--packed={tmp_path}", f"--output={tmp_path}", "--repeats=0"]) == 2
    assert "--repeats and --size must be at least 1, got 0" in capsys.readouterr().err


@pytest.mark.slow
def test_jax_computes_the_same(parts: PackedParts, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if not PYTORCH.is_file():
        pytest.skip("needs JAX in .venv-pytorch: make pytorch")
    pack.finish(parts.folder, parts.entries, parts.packing, PYTORCH)
    assert not list(parts.folder.glob("*.hlo.xz"))
    with Worker(PYTORCH) as worker:
        for entry, about in parts.entries.items():
            (tmp_path / entry).mkdir()
            file = str(tmp_path / entry / ("model_{k}.npz" if entry == "sampler" else "model.npz"))
            setting = {"packed": str(parts.folder), "entry": entry, "file": file}
            made = worker.ask("make", entry, call="benchmarks.speed.portable.programs:program", setting=setting)
            worker.ask("run", entry)
            assert worker.ask("peak", entry)["bytes"] > 0
            np.testing.assert_allclose(made["check"], about["check"], atol=1e-5)
            assert set(about["weights"]) == {path.name for path in (tmp_path / entry).glob("*.npz")}
    said = capfd.readouterr().err.split("the first call differs by ")[1:]
    assert len(said) == 2 and all(float(each.split()[0]) < 1e-3 for each in said)


def test_rows_have_names_of_their_own() -> None:
    names = [name for row in rows.ROWS for name in rows.packed(row)]
    assert len(set(names)) == len(names)
    assert all(isinstance(row, Row) and row.tfsep.in_tfsep for row in rows.ROWS)
