"""The table of convolutions: rows of other devices stay, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.speed import convolutions
from benchmarks.speed.portable.rows import ROWS


@pytest.mark.usefixtures("gradient_of_convolutions")
def test_a_row_has_the_times_of_both_implementations() -> None:
    found = convolutions.row("graph", "float32", (2, 4), batch=1, length=16, rounds=1)
    assert (found["context"], found["dtype"], found["in_channels"], found["out_channels"]) == ("graph", "float32", 2, 4)
    assert set(found["ms"]) == {"taps", "convolution"} and min(found["ms"].values()) > 0.0
    used = min(found["ms"], key=lambda name: found["ms"][name])
    assert convolutions.table([found]).endswith(f" | {used} |")


def test_rows_that_a_gpu_gave_are_taken_from_their_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = next(row.name for row in ROWS if row.name.startswith("dilated"))
    record, file = tmp_path / "speed_gpu.json", tmp_path / "kernels.json"
    record.write_text(
        json.dumps(
            [{"row": name, "tfsep_seconds": 0.001, "reference_seconds": 0.004, "ratio": 4.0}, {"row": "training"}]
        )
    )
    assert convolutions.main([f"--record={record}", f"--output={file}"]) == 0
    (row,) = json.loads(file.read_text())
    assert row["ms"] == {"taps": 1.0, "convolution": 4.0}
    assert (row["device"], row["in_channels"], row["out_channels"]) == ("GPU", 32, 64)
    record.write_text("rows")
    assert convolutions.main([f"--record={record}", f"--output={file}"]) == 2
    assert "--record must be JSON" in capsys.readouterr().err
    record.write_text("[]")
    assert convolutions.main([f"--record={record}", f"--output={file}"]) == 2
    assert "must be a file with rows of dilated convolutions" in capsys.readouterr().err


@pytest.mark.usefixtures("gradient_of_convolutions")
def test_rows_of_other_devices_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolutions, "CHANNELS", ((2, 4),))
    monkeypatch.setattr(convolutions, "CONTEXTS", ("graph",))
    file, other = tmp_path / "kernels.json", {"device": "abacus", "context": "graph", "ms": {"taps": 1.0}}
    file.write_text(json.dumps([other]))
    assert convolutions.main(["--rounds=1", "--batch=1", "--length=16", f"--output={file}"]) == 0
    rows = json.loads(file.read_text())
    assert rows[0] == other and [row["dtype"] for row in rows[1:]] == ["float32", "bfloat16"]
    assert convolutions.main(["--rounds=0", f"--output={file}"]) == 2
