"""How fast tfsep is, and how much memory it takes, against the same models in PyTorch, in one run.

    make pytorch && python -m benchmarks.speed [--only=WORD] [--repeats=N] [--variant=JSON]

Every row is one model with the same weights on both sides; where log-likelihoods differ by more
than 1e-4 the row is refused. tfsep and PyTorch run in processes of their own, in rounds, so a busy
machine slows both. Writes ``benchmarks/results/speed.json``, ``speed.md`` and ``speed.png`` and the
tables of ``docs/speed.md``.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import records as results
from benchmarks.records import RESULTS, Record
from benchmarks.speed import picture
from benchmarks.speed import table as speed_table
from benchmarks.speed.measure import KEYS, Bench, measure_and_keep, parsed
from benchmarks.speed.rows import ROWS
from benchmarks.speed.worker import PYTORCH, REPOSITORY
from tfsep.cli import runner
from tfsep.errors import InputError

PAGE = REPOSITORY / "docs" / "speed.md"
_MARK = re.compile(r"(<!-- table speed (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="speed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--only", action="append", metavar="WORD", help="rows whose name contains this word; repeatable")
    parse.add_argument("--repeats", type=int, default=7, metavar="N", help="rounds of a usual row (default: 7)")
    parse.add_argument("--minutes", type=float, default=0.0, metavar="N", help="begin no row after so long (0: any)")
    parse.add_argument(
        "--variant", default="{}", metavar="JSON", help='how priors compute, such as {"recompute": "inverse"}'
    )
    parse.add_argument(
        "--pytorch", "--peers", default=str(PYTORCH), metavar="FILE", help="Python that has PyTorch (alias: --peers)"
    )
    parse.add_argument("--list", action="store_true", help="print the names of the rows and stop")
    parse.add_argument(
        "--keep", action="store_true", help="measure nothing: tables and picture of the records there are"
    )
    parse.add_argument("--output", default=str(RESULTS), metavar="DIR", help="where the results go")
    parse.add_argument("--page", default=str(PAGE), metavar="FILE", help="the page with marks for the tables")
    args = parse.parse_args(argv)
    rows = [row for row in ROWS if not args.only or any(word in row.name for word in args.only)]
    if args.list:
        print("\n".join(row.name for row in rows))
        return 0
    if not rows or args.repeats < 1:
        raise InputError(f"--only must leave a row and --repeats be at least 1, got {args.only} and {args.repeats}")
    sound, end = True, time.monotonic() + 60.0 * args.minutes
    with tempfile.TemporaryDirectory(prefix="tfsep-speed-") as folder:
        bench = Bench(sys.executable, str(REPOSITORY / args.pytorch), Path(folder), args.repeats, parsed(args.variant))
        try:
            for row in [] if args.keep else rows:
                if args.minutes and time.monotonic() > end:
                    print(f"{row.name}: not measured, {args.minutes:g} minutes are over", file=sys.stderr, flush=True)
                else:
                    sound &= measure_and_keep(row, bench, args.output, "speed", speed_table.text)
        finally:
            bench.close()
    print(results.keep(args.output, "speed", [], KEYS, speed_table.text))
    known = results.read(args.output, "speed")
    picture.draw(speed_table.in_order(known), Path(args.output) / "speed.png")
    page = Path(args.page)
    elsewhere = results.read(args.output, "speed_gpu")
    page.write_text(filled(page.read_text(encoding="utf-8"), known, elsewhere), encoding="utf-8")
    return 0 if sound else 1


def filled(page: str, records: Sequence[Record], elsewhere: Sequence[Record] = ()) -> str:
    """Fill a page with the tables of records between its marks ``<!-- table speed NAME -->`` and ``<!-- end -->``.

    Args:
        page: Markdown.
        records: of this command.
        elsewhere: of benchmarks.speed.portable.speed.

    Raises:
        InputError: for a mark with another name.
    """
    tables = speed_table.parts(records, elsewhere)

    def table(mark: re.Match[str]) -> str:
        if mark[2] not in tables:
            raise InputError(f"a mark of the page must name one of {', '.join(tables)}, got {mark[2]!r}")
        return f"{mark[1]}{tables[mark[2]]}\n{mark[3]}"

    return _MARK.sub(table, page)


if __name__ == "__main__":
    raise SystemExit(main())
