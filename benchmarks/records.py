"""Records of a benchmark as files: those measured now take the place of earlier ones of the same row, the rest stay.

So a long table can be measured in parts. ``<name>.json`` holds the records, ``<name>.md`` the table
made of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

RESULTS = Path(__file__).parent / "results"

#: One row of a table, as JSON holds it.
Record: TypeAlias = dict[str, Any]
#: Arguments of what is measured, by name.
Setting: TypeAlias = Mapping[str, Any]
#: Keys of records that older versions wrote, by their names today.
OLD_KEYS = {
    "ours": "tfsep_seconds",  # alias
    "ours_cpu": "tfsep_cpu",  # alias
    "ours_mb": "tfsep_mb",  # alias
    "theirs": "reference_seconds",  # alias
    "theirs_cpu": "reference_cpu",  # alias
    "theirs_first": "reference_first",  # alias
    "theirs_mb": "reference_mb",  # alias
    "peer": "reference",  # alias
    "peer_seconds": "reference_seconds",  # alias
    "peer_cpu": "reference_cpu",  # alias
    "peer_first": "reference_first",  # alias
    "peer_mb": "reference_mb",  # alias
    "floor": "lower_bound",  # alias
    "apart": "disagreement",  # alias
    "others": "other_cores",  # alias
    "way": "mode",  # alias
}


def read(folder: str | Path, name: str) -> list[Record]:
    """Read the records of earlier runs, those of older versions under the keys of today."""
    file = Path(folder) / f"{name}.json"
    return renamed(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else []


def renamed(records: Sequence[Record]) -> list[Record]:
    """Return records with old keys replaced by those of today."""
    return [{OLD_KEYS.get(key, key): value for key, value in record.items()} for record in records]


def merged(known: Sequence[Record], measured: Sequence[Record], fields: Sequence[str]) -> list[Record]:
    """Return records in order, those measured now in place of what is known with the same ``fields``."""
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
