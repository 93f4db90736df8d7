"""Records of a benchmark as files: those measured now take the place of earlier ones of the same row, the rest stay.

So a long table can be measured in parts. ``<name>.json`` holds the records, ``<name>.md`` the table made of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
Record = dict[str, Any]


def read(folder: str | Path, name: str) -> list[Record]:
    """The records of earlier runs."""
    file = Path(folder) / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []


def merged(known: Sequence[Record], measured: Sequence[Record], fields: Sequence[str]) -> list[Record]:
    """Records in order, those measured now in place of what is known with the same ``fields``."""
    found = {tuple(record.get(name, "-") for name in fields): record for record in (*known, *measured)}
    return list(found.values())


def keep(
    folder: str | Path,
    name: str,
    measured: Sequence[Record],
    fields: Sequence[str],
    table: Callable[[Sequence[Record]], str],
) -> str:
    """Write ``<folder>/<name>.json`` and ``<name>.md``.

    Args:
        folder: made where it is missing.
        name: of the benchmark.
        measured: new records.
        fields: what two records of one row have in common.
        table: makes Markdown of all records.

    Returns:
        The table.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    records = merged(read(folder, name), measured, fields)
    text = table(records)
    (folder / f"{name}.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    return text
