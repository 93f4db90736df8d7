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
