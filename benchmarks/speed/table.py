"""The records of speed as Markdown: times against peers, memory, whole separations, and the targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.records import Record
from benchmarks.speed.rows import COMMAND, MEMORY, ROWS, TIME
from benchmarks.speed.targets import targets

_TIMES = (
    "row",
    "peer",
    "tfsep, ms",
    "peer, ms",
    "peer / tfsep (quartiles)",
    "CPU time ratio",
    "share of peak (by CPU time)",
    "floor, ms",
    "trace and compile, s (peer)",
    "memory, MB (peer)",
    "cores others used",
)
_MEMORY = ("row", "peer", "tfsep, MB", "peer, MB", "peer / tfsep", "tfsep, s a step", "peer, s a step")
_COMMANDS = ("command", "wall, s", "CPU, s", "real-time factor", "resident peak, MB", "cores others used")
_TARGETS = ("target", "wanted", "measured", "reached")


def parts(records: Sequence[Record], elsewhere: Sequence[Record] = ()) -> dict[str, str]:
    """Each table by name: "times", "memory", "commands", "targets", "scaling"; and "gpu", of records from elsewhere."""
    timed = _of(records, TIME)
    scaling = [record for record in timed if record["row"].startswith("scaling")]
    return {
        "times": _table(_TIMES, (_time(record) for record in timed if record not in scaling)),
        "memory": _table(_MEMORY, map(_memory, _of(records, MEMORY))),
        "commands": _table(_COMMANDS, map(_command, _of(records, COMMAND))),
        "targets": _table(_TARGETS, (target.cells(records) for target in targets())),
        "scaling": _table(_TIMES, map(_time, scaling)),
        "gpu": times([record for record in elsewhere if not record["row"].startswith("dilated")]),
    }


def times(records: Sequence[Record]) -> str:
    """The times against peers, in the order given."""
    return _table(_TIMES, map(_time, records))


def text(records: Sequence[Record]) -> str:
    """All tables, one after the other."""
    return "\n\n".join(table for name, table in parts(records).items() if name != "gpu")


def in_order(records: Sequence[Record]) -> list[Record]:
    """Records in the order of the rows, variants after what they vary, peers as the row names them."""
    return sorted(records, key=_place)


def _place(record: Record) -> tuple[int, str, int]:
    name = record["row"]
    known = [number for number, row in enumerate(ROWS) if name == row.name or name.startswith(f"{row.name}, ")]
    if not known:
        return len(ROWS), name, 0
    number = max(known, key=lambda each: len(ROWS[each].name))
    peers = list(ROWS[number].peers)
    return number, name, peers.index(record["peer"]) if record["peer"] in peers else 0


def _of(records: Sequence[Record], kind: str) -> list[Record]:
    return [record for record in in_order(records) if record["kind"] == kind]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("| --- ", "|---").replace("--- |", "---|")


def _time(record: Record) -> list[str]:
    def scale(name: str) -> str:
        return _number(record, name, 1e3)

    ratio = "-"
    if "refused" in record:
        ratio = f"refused: {record['refused'].strip().splitlines()[0]}"
    elif "ratio" in record:
        low, high = record["ratio_quartiles"]
        ratio = f"**{record['ratio']:.2f}** ({low:.2f} to {high:.2f})"
    share = f"{_percent(record, 'share')} ({_percent(record, 'share_cpu')})"
    first = f"{_number(record, 'first')} ({_number(record, 'theirs_first')})"
    cells = [record["row"], record["peer"], scale("ours"), scale("theirs"), ratio]
    memory = f"{_number(record, 'ours_mb')} ({_number(record, 'theirs_mb')})"
    return [*cells, _number(record, "ratio_cpu"), share, scale("floor"), first, memory, f"{record['others']:.1f}"]


def _memory(record: Record) -> list[str]:
    names = ("ours_mb", "theirs_mb", "ratio_mb", "ours", "theirs")
    return [record["row"], record["peer"], *(_number(record, name) for name in names)]


def _command(record: Record) -> list[str]:
    factor = f"{record['ours'] / record['seconds']:.2f}"
    seconds = [_number(record, "ours"), _number(record, "ours_cpu")]
    return [record["row"], *seconds, factor, _number(record, "ours_mb"), _number(record, "others")]


def _percent(record: Record, name: str) -> str:
    return f"{100 * record[name]:.0f} %" if name in record else "-"


def _number(record: Record, name: str, scale: float = 1.0) -> str:
    if name not in record:
        return "-"
    value = scale * record[name]
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
