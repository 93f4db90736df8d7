"""What speed was asked for, and what the records say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.records import Record

Reading = Callable[[Sequence[Record]], float | None]


@dataclass(frozen=True)
class Target:
    """One line: a figure read from records, and the limit it should keep.

    Attributes:
        name: what is asked for.
        limit: the figure to reach.
        least: whether the figure must be at least the limit, rather than at most.
        reading: records -> the figure, None where rows are missing.
    """

    name: str
    limit: float
    least: bool
    reading: Reading

    def cells(self, records: Sequence[Record]) -> list[str]:
        """Name, limit, figure and verdict."""
        value = self.reading(records)
        wanted = f"{'>=' if self.least else '<='} {self.limit:g}"
        if value is None:
            return [self.name, wanted, "not measured", "-"]
        reached = value >= self.limit if self.least else value <= self.limit
        return [self.name, wanted, f"{value:.2f}", "yes" if reached else "no"]


def of(row: str, peer: str, name: str) -> Reading:
    """A field of a row against a peer; the first record of the row where no peer is named."""

    def read(records: Sequence[Record]) -> float | None:
        for record in records:
            if record["row"] == row and peer in ("", record["peer"]) and name in record:
                return float(record[name])
        return None

    return read


def quotient(above: Reading, below: Reading) -> Reading:
    """One figure over another."""

    def read(records: Sequence[Record]) -> float | None:
        first, second = above(records), below(records)
        return None if first is None or not second else first / second

    return read


def smallest(*readings: Reading) -> Reading:
    """The smallest of the figures that are there, None if none is."""

    def read(records: Sequence[Record]) -> float | None:
        known = [value for reading in readings if (value := reading(records)) is not None]
        return min(known, default=None)

    return read


def largest(*readings: Reading) -> Reading:
    """The largest of the figures that are there, None if none is."""

    def read(records: Sequence[Record]) -> float | None:
        known = [value for reading in readings if (value := reading(records)) is not None]
        return max(known, default=None)

    return read


_WAVE, _SGLD, _DOUBLE = "training, 1-D, 8 couplings", "SGLD, 4 sources", "SGLD, 8 sources"
_GLOW = "training, 2-D, 3 levels of 4, precision=bfloat16"
_SCAN = {n: f"training, 1-D, {n} couplings, recompute=scan" for n in (8, 32)}
_SOME = "recompute=inverse, recompute_kept=10, precision=bfloat16"
_LOOP = "PyTorch loop"
_WAYS = ["", ", XLA", ", precision=bfloat16"]
_FASTEST = [of(_GLOW, peer, "ratio") for peer in ("channels_last", "bf16", "channels_last, bf16", "compile")]


def ours(row: str, peer: str, name: str = "ratio") -> Reading:
    """A ratio of a row by the faster of the ways in which we compute it, each of which has a row of its own."""
    return largest(*(of(row + way, peer, name) for way in _WAYS))


def targets() -> list[Target]:
    """All targets, in the order in which they were set."""
    rebuilt = {n: f"memory, {n} couplings, {_SOME}" for n in (4, 12, 16)}
    memory = {n: of(name, "", "ours_mb") for n, name in rebuilt.items()}
    kept, costly = "memory, 12 couplings", f"training, 1-D, 12 couplings of 16,384 samples, {_SOME}"
    song = {n: of(f"bin/separate, {n} s", "", "ours") for n in (10, 30, 60, 300)}
    resident = {n: of(f"bin/separate, {n} s", "", "ours_mb") for n in (60, 300, 3600)}
    second = of("bin/separate, 30 s", "", "seconds")
    return [
        Target("1-D training step, peer eager over tfsep, the faster of our ways", 2.0, True, ours(_WAVE, "eager")),
        Target("1-D training step, torch.compile over tfsep", 1.5, True, ours(_WAVE, "compile")),
        Target("2-D training step in bfloat16, peer eager over tfsep", 2.5, True, of(_GLOW, "eager", "ratio")),
        Target(
            "2-D training step in bfloat16, fastest of channels_last, bf16, both, compile",
            1.5,
            True,
            smallest(*_FASTEST),
        ),
        Target("SGLD of 4 sources, PyTorch loop over tfsep, the faster of our ways", 2.5, True, ours(_SGLD, _LOOP)),
        Target("SGLD of 4 sources, by CPU time", 4.0, True, ours(_SGLD, _LOOP, "ratio_cpu")),
        Target(
            "SGLD, 8 sources over 4, the better of our ways",
            1.9,
            False,
            smallest(*(quotient(of(_DOUBLE + way, _LOOP, "ours"), of(_SGLD + way, _LOOP, "ours")) for way in _WAYS)),
        ),
        Target("SGLD of 4 sources, share of the matrix product's peak", 0.55, True, of(_SGLD, _LOOP, "share")),
        Target(f"training memory, 16 couplings over 4, {_SOME}", 1.3, False, quotient(memory[16], memory[4])),
        Target(
            f"training memory at 12 couplings, peer eager over tfsep, {_SOME}",
            5.0,
            True,
            quotient(of(kept, "eager", "theirs_mb"), memory[12]),
        ),
        Target(
            f"training step at 12 couplings, {_SOME} over precision=bfloat16",
            1.3,
            False,
            quotient(of(costly, "nothing recomputed", "ours"), of(costly, "nothing recomputed", "theirs")),
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
