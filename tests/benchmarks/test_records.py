"""Records of a benchmark are kept beside those of earlier runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import records


def table(rows: Sequence[dict[str, Any]]) -> str:
    return "; ".join(f"{row['name']} {row['value']}" for row in rows)


def test_new_records_replace_those_of_their_row(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    first = [{"name": "one", "value": 1}, {"name": "two", "value": 2}]
    assert records.keep(folder, "test", first, ("name",), table) == "one 1; two 2"
    later = [{"name": "three", "value": 3}, {"name": "one", "value": 4}]
    assert records.keep(folder, "test", later, ("name",), table) == "one 4; two 2; three 3"
    assert (folder / "test.md").read_text() == "one 4; two 2; three 3\n"
    assert [row["value"] for row in json.loads((folder / "test.json").read_text())] == [4, 2, 3]


def test_records_of_older_versions_are_read(tmp_path: Path) -> None:
    (tmp_path / "speed.json").write_text(json.dumps([{"row": "a", "ours": 1.0, "theirs_mb": 2.0, "rounds": 3}]))
    assert records.read(tmp_path, "speed") == [{"row": "a", "tfsep_seconds": 1.0, "reference_mb": 2.0, "rounds": 3}]
