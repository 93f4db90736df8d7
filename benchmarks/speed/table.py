"""The records of speed as Markdown: times beside references, memory, whole separations, and targets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.records import Record
from benchmarks.speed.rows import COMMAND, MEMORY, ROWS, TIME

_TIMES = (
    "row",
    "reference",
    "tfsep, ms",
    "reference, ms",
    "reference / tfsep (quartiles)",
    "CPU time ratio",
    "share of peak (by CPU time)",
    "lower bound, ms",
    "trace and compile, s (reference)",
    "memory, MB (reference)",
    "cores others used",
)
_MEMORY = (
    "row",
    "reference",
    "tfsep, MB",
    "reference, MB",
    "reference / tfsep",
    "tfsep, s a step",
    "reference, s a step",
)
_COMMANDS = ("command", "wall, s", "CPU, s", "real-time factor", "resident peak, MB", "cores others used")
_TARGETS = ("target", "wanted", "measured", "reached")


def parts(records: Sequence[Record], elsewhere: Sequence[Record] = ()) -> dict[str, str]:
    """Return each table by name: times, memory, commands, targets, scaling; and gpu, of records from elsewhere."""
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
    """Return the times against references, in the order given."""
    return _table(_TIMES, map(_time, records))


def text(records: Sequence[Record]) -> str:
    """Return all tables, one after the other."""
    return "\n\n".join(table for name, table in parts(records).items() if name != "gpu")


def in_order(records: Sequence[Record]) -> list[Record]:
    """Sort records in the order of the rows: variants after what they vary, references as the row names them."""
    return sorted(records, key=_place)


def _place(record: Record) -> tuple[int, str, int]:
    name = record["row"]
    known = [number for number, row in enumerate(ROWS) if name == row.name or name.startswith(f"{row.name}, ")]
    if not known:
        return len(ROWS), name, 0
    number = max(known, key=lambda each: len(ROWS[each].name))
    references = list(ROWS[number].references)
    return number, name, references.index(record["reference"]) if record["reference"] in references else 0


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
    first = f"{_number(record, 'first')} ({_number(record, 'reference_first')})"
    cells = [record["row"], record["reference"], scale("tfsep_seconds"), scale("reference_seconds"), ratio]
    memory = f"{_number(record, 'tfsep_mb')} ({_number(record, 'reference_mb')})"
    return [
        *cells,
        _number(record, "ratio_cpu"),
        share,
        scale("lower_bound"),
        first,
        memory,
        f"{record['other_cores']:.1f}",
    ]


def _memory(record: Record) -> list[str]:
    names = ("tfsep_mb", "reference_mb", "ratio_mb", "tfsep_seconds", "reference_seconds")
    return [record["row"], record["reference"], *(_number(record, name) for name in names)]


def _command(record: Record) -> list[str]:
    factor = f"{record['tfsep_seconds'] / record['seconds']:.2f}"
    seconds = [_number(record, "tfsep_seconds"), _number(record, "tfsep_cpu")]
    return [record["row"], *seconds, factor, _number(record, "tfsep_mb"), _number(record, "other_cores")]


def _percent(record: Record, name: str) -> str:
    return f"{100 * record[name]:.0f} %" if name in record else "-"


def _number(record: Record, name: str, scale: float = 1.0) -> str:
    if name not in record:
        return "-"
    value = scale * record[name]
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


Figure = Callable[[Sequence[Record]], float | None]


@dataclass(frozen=True)
class Target:
    """One line: a figure read from records, and the limit it should keep.

    Attributes:
        name: what is asked for.
        limit: the figure to reach.
        least: whether the figure must be at least the limit, rather than at most.
        figure: records -> the value, None where rows are missing.
    """

    name: str
    limit: float
    least: bool
    figure: Figure

    def cells(self, records: Sequence[Record]) -> list[str]:
        """Return name, limit, figure and verdict."""
        value = self.figure(records)
        wanted = f"{'>=' if self.least else '<='} {self.limit:g}"
        if value is None:
            return [self.name, wanted, "not measured", "-"]
        reached = value >= self.limit if self.least else value <= self.limit
        return [self.name, wanted, f"{value:.2f}", "yes" if reached else "no"]


def of(row: str, reference: str, name: str) -> Figure:
    """Read a field of a row against a reference; the first record of the row where no reference is named."""

    def read(records: Sequence[Record]) -> float | None:
        for record in records:
            if record["row"] == row and reference in ("", record["reference"]) and name in record:
                return float(record[name])
        return None

    return read


def quotient(above: Figure, below: Figure) -> Figure:
    """Divide one figure by another."""

    def read(records: Sequence[Record]) -> float | None:
        first, second = above(records), below(records)
        return None if first is None or not second else first / second

    return read


def smallest(*figures: Figure) -> Figure:
    """Return the smallest of the figures that are there, None if none is."""

    def read(records: Sequence[Record]) -> float | None:
        known = [value for figure in figures if (value := figure(records)) is not None]
        return min(known, default=None)

    return read


def largest(*figures: Figure) -> Figure:
    """Return the largest of the figures that are there, None if none is."""

    def read(records: Sequence[Record]) -> float | None:
        known = [value for figure in figures if (value := figure(records)) is not None]
        return max(known, default=None)

    return read


_WAVE, _SGLD, _DOUBLE = "training, 1-D, 8 couplings", "SGLD, 4 sources", "SGLD, 8 sources"
_GLOW = "training, 2-D, 3 levels of 4, precision=bfloat16"
_SCAN = {n: f"training, 1-D, {n} couplings, recompute=scan" for n in (8, 32)}
_SOME_KEPT = "recompute=inverse, recompute_kept=10, precision=bfloat16"
_LOOP = "PyTorch loop"
_MODES = ["", ", XLA", ", precision=bfloat16"]
_REFERENCES_OF_GLOW = [of(_GLOW, each, "ratio") for each in ("channels_last", "bf16", "channels_last, bf16", "compile")]


def fastest(row: str, reference: str, name: str = "ratio") -> Figure:
    """Read a ratio of a row in the fastest mode of tfsep, each of which has a row of its own."""
    return largest(*(of(row + mode, reference, name) for mode in _MODES))


def targets() -> list[Target]:
    """Return all targets, in the order in which they were set."""
    rebuilt = {n: f"memory, {n} couplings, {_SOME_KEPT}" for n in (4, 12, 16)}
    memory = {n: of(name, "", "tfsep_mb") for n, name in rebuilt.items()}
    kept, costly = "memory, 12 couplings", f"training, 1-D, 12 couplings of 16,384 samples, {_SOME_KEPT}"
    song = {n: of(f"bin/separate, {n} s", "", "tfsep_seconds") for n in (10, 30, 60, 300)}
    resident = {n: of(f"bin/separate, {n} s", "", "tfsep_mb") for n in (60, 300, 3600)}
    second = of("bin/separate, 30 s", "", "seconds")
    return [
        Target(
            "1-D training step, PyTorch eager over tfsep, the fastest of tfsep's modes",
            2.0,
            True,
            fastest(_WAVE, "eager"),
        ),
        Target("1-D training step, torch.compile over tfsep", 1.5, True, fastest(_WAVE, "compile")),
        Target("2-D training step in bfloat16, PyTorch eager over tfsep", 2.5, True, of(_GLOW, "eager", "ratio")),
        Target(
            "2-D training step in bfloat16, fastest of channels_last, bf16, both, compile",
            1.5,
            True,
            smallest(*_REFERENCES_OF_GLOW),
        ),
        Target(
            "SGLD of 4 sources, PyTorch loop over tfsep, the fastest of tfsep's modes", 2.5, True, fastest(_SGLD, _LOOP)
        ),
        Target("SGLD of 4 sources, by CPU time", 4.0, True, fastest(_SGLD, _LOOP, "ratio_cpu")),
        Target(
            "SGLD, 8 sources over 4, the best of tfsep's modes",
            1.9,
            False,
            smallest(
                *(
                    quotient(of(_DOUBLE + mode, _LOOP, "tfsep_seconds"), of(_SGLD + mode, _LOOP, "tfsep_seconds"))
                    for mode in _MODES
                )
            ),
        ),
        Target("SGLD of 4 sources, share of the matrix product's peak", 0.55, True, of(_SGLD, _LOOP, "share")),
        Target(f"training memory, 16 couplings over 4, {_SOME_KEPT}", 1.3, False, quotient(memory[16], memory[4])),
        Target(
            f"training memory at 12 couplings, PyTorch eager over tfsep, {_SOME_KEPT}",
            5.0,
            True,
            quotient(of(kept, "eager", "reference_mb"), memory[12]),
        ),
        Target(
            f"training step at 12 couplings, {_SOME_KEPT} over precision=bfloat16",
            1.3,
            False,
            quotient(
                of(costly, "nothing recomputed", "tfsep_seconds"), of(costly, "nothing recomputed", "reference_seconds")
            ),
        ),
        Target("trace and compile, 8 couplings, s", 12.0, False, of(_WAVE, "", "first")),
        Target(
            "trace and compile in a loop, 32 couplings over 8",
            1.3,
            False,
            quotient(of(_SCAN[32], "", "first"), of(_SCAN[8], "", "first")),
        ),
        Target("bin/separate of 10 s, wall, s", 8.0, False, song[10]),
        Target("real-time factor of a song of 30 s", 0.3, False, quotient(song[30], second)),
        Target(
            "wall of 300 s over 5 x that of 60 s", 1.1, False, quotient(song[300], lambda r: _times(5.0, song[60](r)))
        ),
        Target("resident peak, 300 s over 60 s", 1.1, False, quotient(resident[300], resident[60])),
        Target("resident peak, 3,600 s over 300 s", 1.1, False, quotient(resident[3600], resident[300])),
    ]


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value
