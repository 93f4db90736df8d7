"""The tables of docs/prior_test.md, made from the records of bin/prior-test.

    python -m benchmarks.prior_page [--songs=DIR] [--num_examples=64] [--keep] [--only=WORD]

Runs the prior test with all its studies on the bundled models, keeps each record under ``benchmarks/results`` and
writes the tables between the marks ``<!-- table RECORD NAME -->`` and ``<!-- end -->`` of the page. With --keep nothing
is run and the page is made from the records there are. A table whose record, or study, is not there says so.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfsep.cli import prior_test, runner
from tfsep.errors import InputError, JobError

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "prior_test.md"
_MARK = re.compile(r"(<!-- table (\S+) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return runner.run(_make, argv)


def _make(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="prior_page", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--songs", metavar="DIR", help="a folder of held-out stems for the songs model")
    parse.add_argument("--num_examples", type=int, default=64, metavar="N", help="cuts a source (default: 64)")
    parse.add_argument("--keep", action="store_true", help="make the page from the records there are")
    parse.add_argument("--only", metavar="WORD", help="records whose name contains this word")
    parse.add_argument("--results", default=str(RESULTS), metavar="DIR", help="where the records are")
    parse.add_argument("--page", default=str(PAGE), metavar="FILE", help="the page")
    args = parse.parse_args(argv)
    page, results = Path(args.page), Path(args.results)
    if not page.is_file():
        raise InputError(f"--page must be a file with marks for tables, got {page}")
    if not args.keep:
        _run(results, args.num_examples, args.songs, args.only or "")
    page.write_text(filled(page.read_text(encoding="utf-8"), results), encoding="utf-8")
    print(page)
    return 0


def _run(results: Path, num: int, songs: str | None, word: str) -> None:
    """Make the records."""
    jobs = {
        "toy": ["--model=toy", "--data=toy", "--study=all"],
        "toy_free": ["--model=toy", "--data=toy-free", "--study=single"],
        "free": ["--model=toy-free", "--data=toy-free"],
    }
    if songs is not None:
        jobs["songs"] = ["--model=songs", f"--data={songs}", "--study=all"]
        jobs["songs_normalised"] = ["--model=songs", f"--data={songs}", "--normalise"]
    for name, arguments in jobs.items():
        if word in name:
            record = results / f"prior_test_{name}.json"
            code = prior_test.main([*arguments, f"--num_examples={num}", f"--json={record}"])
            if code != 0:
                raise JobError(f"the prior test {name!r} ended with exit code {code}")
            print(f"{name}: done", file=sys.stderr, flush=True)


def filled(text: str, results: Path) -> str:
    """A page with its tables made anew.

    Raises:
        InputError: for a mark that names no table.
    """
    from tfsep.experiments.prior_tables import TABLES

    def table(found: re.Match[str]) -> str:
        start, record, name, end = found.groups()
        if name not in TABLES:
            raise InputError(f"a table of the page must be one of {', '.join(TABLES)}, got {name!r}")
        file = results / f"prior_test_{record}.json"
        known: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        try:
            body = f"{_caption(known)}\n\n{TABLES[name](known)}"
        except (KeyError, StopIteration):
            body = f"(not measured: run `python -m benchmarks.prior_page`, which makes the record `{record}`)"
        return f"{start}\n{body}\n\n{end}"

    return _MARK.sub(table, text)


def _caption(record: dict[str, Any]) -> str:
    """What a table is about, in a line."""
    kinds = ", ".join(dict.fromkeys(record["kinds"].values()))
    sigma = "no noise" if record["sigma"] is None else f"sigma {record['sigma']:g}"
    return (
        f"Model `{record['model']}` ({kinds}) on {record['data']}, {record['num_examples']} cuts a source, seed "
        f"{record['seed']}, domain {record['domain']}, headline at {sigma}."
    )


if __name__ == "__main__":
    raise SystemExit(main())
