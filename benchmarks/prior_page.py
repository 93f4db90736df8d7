"""The tables of docs/prior_test.md, made from the records of bin/prior-test.

    python -m benchmarks.prior_page [--songs=DIR] [--num_examples=32] [--keep] [--only=RECORD]...

Runs the prior test on the bundled models, keeps each record under ``benchmarks/results`` and writes the tables between
the marks ``<!-- table RECORD NAME -->`` and ``<!-- end -->`` of the page; the figures that it shows go to
``docs/prior_test``. With --only, records are made one at a time; with --keep nothing is run and the page is made from
the records there are. The record ``left_out`` comes from benchmarks/stems_priors.py. A table whose record, or study, is
not there says so.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfsep.cli import prior_test, runner
from tfsep.errors import InputError, JobError

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "prior_test.md"
#: Arguments of bin/prior-test for each record; those of stems take their folder, too.
TOY = {
    "toy": ["--model=toy", "--data=toy", "--study=all"],
    "toy_free": ["--model=toy", "--data=toy-free"],
    "free": ["--model=toy-free", "--data=toy-free"],
}
STEMS = {
    "songs": ["--model=songs"],
    "songs_normalised": ["--model=songs", "--normalise"],
    "stems": ["--model=stems-priors", "--study=all"],
    "contrastive": ["--model=stems-contrastive", "--study=peakedness", "--study=single"],
}
#: The figures that the page shows, of those that a record gives.
SHOWN = {"toy": ("peakedness_line", "curvature"), "stems": ("published", "peakedness_line", "peakedness_latent")}
_MARK = re.compile(r"(<!-- table (\S+) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return runner.run(_make, argv)


def _make(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="prior_page", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--songs", metavar="DIR", help="a folder of held-out stems for the songs model")
    parse.add_argument("--num_examples", type=int, default=32, metavar="N", help="cuts a source (default: 32)")
    parse.add_argument("--num_small", type=int, default=4, metavar="N", help="cuts a source in studies (default: 4)")
    parse.add_argument("--keep", action="store_true", help="make the page from the records there are")
    parse.add_argument("--only", action="append", choices=(*TOY, *STEMS), help="one of the records, repeatable")
    parse.add_argument("--results", default=str(RESULTS), metavar="DIR", help="where the records are")
    parse.add_argument("--page", default=str(PAGE), metavar="FILE", help="the page")
    args = parse.parse_args(argv)
    page, results = Path(args.page), Path(args.results)
    if not page.is_file():
        raise InputError(f"--page must be a file with marks for tables, got {page}")
    if not args.keep:
        _run(results, page.with_suffix(""), (args.num_examples, args.num_small), args.songs, args.only)
    page.write_text(filled(page.read_text(encoding="utf-8"), results), encoding="utf-8")
    print(page)
    return 0


def _run(results: Path, figures: Path, nums: tuple[int, int], songs: str | None, chosen: Sequence[str] | None) -> None:
    """Make the records, all that there are data for or those chosen, and the figures.

    Raises:
        InputError: for a chosen record of stems without a folder of them.
    """
    jobs = {**TOY, **({} if songs is None else {name: [*job, f"--data={songs}"] for name, job in STEMS.items()})}
    for name in jobs if chosen is None else chosen:
        if name not in jobs:
            raise InputError(f"the record {name!r} needs --songs, a folder of stems")
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as drawn:
            record = [f"--json={results / f'prior_test_{name}.json'}", f"--figures={drawn}"]
            size = [f"--num_examples={nums[0]}", f"--num_small={nums[1]}"]
            code = prior_test.main([*jobs[name], *size, *record])
            for figure in SHOWN.get(name, ()) if code == 0 else ():
                figures.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path(drawn) / f"{figure}.png", figures / f"{name}_{figure}.png")
        if code != 0:
            raise JobError(f"the prior test {name!r} ended with exit code {code}")
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


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
            body = f"{_caption(known, name)}\n\n{TABLES[name](known)}"
        except (KeyError, StopIteration):
            body = f"(not measured: run `python -m benchmarks.prior_page`, which makes the record `{record}`)"
        return f"{start}\n{body}\n\n{end}"

    return _MARK.sub(table, text)


def _caption(record: dict[str, Any], table: str) -> str:
    """What a table is about, in a line."""
    if "songs" in record:
        return f"{len(record['songs'])} real songs, each tested under priors fine-tuned without it."
    kinds = ", ".join(dict.fromkeys(record["kinds"].values()))
    sigma = "no noise" if record["sigma"] is None else f"sigma {record['sigma']:g}"
    num = record["num_small" if table in ("peakedness", "single") else "num_examples"]
    return (
        f"Model `{record['model']}` ({kinds}) on {record['data']}, {num} cuts a source, seed "
        f"{record['seed']}, domain {record['domain']}, headline at {sigma}."
    )


if __name__ == "__main__":
    raise SystemExit(main())
