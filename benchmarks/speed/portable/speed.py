"""Times packed programs against the same models in PyTorch, in rounds, on this machine, without TensorFlow.

    python3 -m benchmarks.speed.portable.speed --packed=DIR [--only=WORD]... [--repeats=N] [--output=DIR]

The interpreter needs NumPy, JAX and PyTorch for the device, and nothing else; ``--pytorch`` names
another for PyTorch. Writes ``<output>/speed_<device>.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import records
from benchmarks.records import RESULTS, Record
from benchmarks.speed import table
from benchmarks.speed.measure import Bench, measure_and_keep
from benchmarks.speed.portable.rows import ROWS, packed
from benchmarks.speed.rows import Participant, Row
from tfsep.cli import runner
from tfsep.errors import InputError

_PRODUCTS = ("benchmarks.speed.portable.programs:product", "benchmarks.speed.pytorch.products:product")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    layout = argparse.RawDescriptionHelpFormatter
    parse = runner.Parser(prog="speed", description=__doc__, formatter_class=layout)
    parse.add_argument("--packed", required=True, metavar="DIR", help="what benchmarks.speed.portable.pack wrote")
    parse.add_argument("--only", action="append", metavar="WORD", help="rows whose name contains this word; repeatable")
    parse.add_argument("--repeats", type=int, default=15, metavar="N", help="rounds of a row (default: 15)")
    parse.add_argument("--minutes", type=float, default=0.0, metavar="N", help="begin no row after so long (0: any)")
    parse.add_argument("--size", type=int, default=8192, metavar="N", help="of the square product (default: 8192)")
    parse.add_argument(
        "--pytorch", "--peers", default=sys.executable, metavar="FILE", help="Python that has PyTorch (alias: --peers)"
    )
    parse.add_argument("--device", default="GPU", metavar="NAME", help="in the name of the record (default: GPU)")
    parse.add_argument("--output", default=str(RESULTS), metavar="DIR", help="where the record goes")
    args = parse.parse_args(argv)
    packed_here, name = Path(args.packed).resolve(), f"speed_{args.device.lower().replace(' ', '_')}"
    rows = _rows(packed_here, args.only)
    if min(args.repeats, args.size) < 1:
        raise InputError(f"--repeats and --size must be at least 1, got {args.repeats} and {args.size}")
    # One process must leave memory to the other.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    sound, end = True, time.monotonic() + 60.0 * args.minutes
    with tempfile.TemporaryDirectory(prefix="tfsep-speed-") as folder:
        bench = Bench(sys.executable, args.pytorch, Path(folder), args.repeats, {}, _PRODUCTS, args.size)
        try:
            for row in rows:
                if args.minutes and time.monotonic() > end:
                    print(f"{row.name}: not measured, {args.minutes:g} minutes are over", file=sys.stderr, flush=True)
                else:
                    sound &= measure_and_keep(unpacked(row, str(packed_here)), bench, args.output, name, text)
        finally:
            bench.close()
    print(text(records.read(args.output, name)))
    return 0 if sound else 1


def _rows(folder: Path, only: Sequence[str] | None) -> list[Row]:
    """Return the rows that were packed and are wanted.

    Raises:
        InputError: if nothing was packed there, or none of it is wanted.
    """
    file = folder / "rows.json"
    if not file.is_file():
        raise InputError(
            f"--packed must be a folder that benchmarks.speed.portable.pack wrote, {folder} has no rows.json"
        )
    known = set(json.loads(file.read_text(encoding="utf-8")))
    rows = [row for row in ROWS if packed(row).keys() <= known]
    if not rows:
        raise InputError(f"--packed must hold rows that this version knows, {folder} has {'; '.join(known) or 'none'}")
    wanted = [row for row in rows if not only or any(word in row.name for word in only)]
    if not wanted:
        raise InputError(f"--only must leave one of {'; '.join(row.name for row in rows)}, got {only}")
    return wanted


def unpacked(row: Row, folder: str) -> Row:
    """Return a row whose packed participants are programs of a folder."""
    call, there = "benchmarks.speed.portable.programs:program", packed(row)
    own = {name: Participant(call, {"packed": folder, "entry": name}, in_tfsep=True) for name in there}
    references = {name: own.get(f"{row.name}, {name}", reference) for name, reference in row.references.items()}
    return dataclasses.replace(row, tfsep=own[row.name], references=references)


def text(found: Sequence[Record]) -> str:
    """Write the records as a table."""
    return table.times(found)


if __name__ == "__main__":
    raise SystemExit(main())
