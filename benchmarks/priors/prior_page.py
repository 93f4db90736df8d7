"""The tables of docs/prior_test.md, made from the records of bin/prior-test.

    python -m benchmarks.priors.prior_page [--songs=DIR] [--num_examples=32] [--keep] [--only=RECORD]...

Runs the prior test on the bundled models, keeps each record under ``benchmarks/results`` and writes
the tables between the marks ``<!-- table RECORD NAME -->`` and ``<!-- end -->`` of the page, and
the figures, as links to PNG files in a folder of the page's name, between ``<!-- figure RECORD NAME
-->`` and ``<!-- end -->``. With --only, records are made one at a time; with --keep nothing is run
and the page is made from the records there are.

The records ``rendered``, ``likelihood`` and ``toy_stft`` are of models that are not bundled. They
are made where these have been trained by benchmarks/priors/stems_priors.py (the first without
--more) and by gin/ablations/glow_bins.gin. The record ``left_out`` comes from the former. What has
no record, or no such study in it, is said to be not measured.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.records import RESULTS
from tfsep.cli import prior_test, runner
from tfsep.errors import InputError, JobError
from tfsep.prior_test import record as records
from tfsep.prior_test import tables
from tfsep.prior_test.record import Record

#: The page with the marks; its figures lie beside it, in the folder of its name.
PAGE = Path(__file__).resolve().parents[2] / "docs" / "prior_test.md"
#: Arguments of bin/prior-test for each record; those of stems take their folder, too.
TOY = {
    "toy": ["--model=toy", "--data=toy", "--study=all"],
    "toy_free": ["--model=toy", "--data=toy-free"],
    "free": ["--model=toy-free", "--data=toy-free"],
    "toy_stft": ["--data=toy", "--study=without_log_det", "--study=curvature", "--study=single"],
}
STEMS = {
    "stems": ["--model=songs", "--study=all"],
    "rendered": ["--study=without_log_det", "--study=curvature", "--study=single", "--study=reference_classifier"],
    "likelihood": [],
}
#: Folders of --runs where the models of records lie that are not bundled, and what trains them.
TRAINED = {
    "rendered": ("stems_rendered/priors", "python -m benchmarks.priors.stems_priors --runs=runs/stems_rendered"),
    "likelihood": ("stems_priors/priors", "python -m benchmarks.priors.stems_priors --more=DIR"),
    "toy_stft": ("glow_bins", "bin/train --gin_file=gin/ablations/glow_bins.gin --save_dir=runs/glow_bins"),
}
#: The figures that the page shows, of those that a record gives.
SHOWN = {
    "toy": ("histograms", "path_line", "curvature", "heat_equation"),
    "toy_stft": ("without_log_det",),
    "rendered": ("histograms", "without_log_det", "path_line", "path_latent"),
    "stems": ("histograms", "heat_equation"),
}
#: The table of songs, the only one of several records; the others are those of ``tfsep.prior_test.tables``.
LEFT_OUT = "left_out"
TABLES = (*tables.TABLES, LEFT_OUT)
_MARK = re.compile(r"(<!-- (table|figure) (\S+) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return runner.run(_make, argv)


def _make(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="prior_page", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--songs", metavar="DIR", help="a folder of held-out stems for the songs model")
    parse.add_argument("--num_examples", type=int, default=32, metavar="N", help="excerpts a source (default: 32)")
    parse.add_argument("--num_small", type=int, default=4, metavar="N", help="of them, in costly studies (default: 4)")
    parse.add_argument("--keep", action="store_true", help="make the page from the records there are")
    parse.add_argument("--only", action="append", choices=(*TOY, *STEMS), help="one of the records, repeatable")
    parse.add_argument("--runs", default="runs", metavar="DIR", help="where models that are not bundled were trained")
    parse.add_argument("--results", default=str(RESULTS), metavar="DIR", help="where the records are")
    parse.add_argument("--page", default=str(PAGE), metavar="FILE", help="the page")
    args = parse.parse_args(argv)
    page, results = Path(args.page), Path(args.results)
    if not page.is_file():
        raise InputError(f"--page must be a file with marks for tables, got {page}")
    if not args.keep:
        jobs = _jobs(args.songs, Path(args.runs), args.only)
        size = [f"--num_examples={args.num_examples}", f"--num_small={args.num_small}"]
        for name, job in jobs.items():
            _run(name, [*job, *size], results, page.with_suffix(""))
    page.write_text(filled(page.read_text(encoding="utf-8"), results, page.with_suffix("")), encoding="utf-8")
    print(page)
    return 0


def _jobs(songs: str | None, runs: Path, chosen: Sequence[str] | None) -> dict[str, list[str]]:
    """Collect the arguments of bin/prior-test for the chosen records, or for all that have data and models.

    Raises:
        InputError: for a chosen record of stems without a folder of them, or without its model.
    """
    found: dict[str, list[str]] = {}
    for name, job in {**TOY, **(STEMS if songs is not None else {})}.items():
        data = [f"--data={songs}"] if name in STEMS else []
        if name not in TRAINED:
            found[name] = [*job, *data]
            continue
        folder, command = TRAINED[name]
        model = runs / folder / "model"
        if model.is_dir():
            found[name] = [*job, *data, f"--model={model}"]
        elif chosen and name in chosen:
            raise InputError(f"the record {name!r} is of {model}: run {command} first")
    missing = [name for name in chosen or () if name not in found]
    if missing:
        raise InputError(f"the record {missing[0]!r} needs --songs, a folder of stems")
    return found if chosen is None else {name: found[name] for name in chosen}


def _run(name: str, arguments: list[str], results: Path, figures: Path) -> None:
    """Make one record, and the figures of it that the page shows."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as drawn:
        record = [f"--json={results / f'prior_test_{name}.json'}", f"--figures={drawn}"]
        code = prior_test.main([*arguments, *record])
        if code != 0:
            raise JobError(f"the prior test {name!r} ended with exit code {code}")
        for figure in SHOWN.get(name, ()):
            figures.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(drawn) / f"{figure}.png", figures / f"{name}_{figure}.png")
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def filled(text: str, results: Path, figures: Path) -> str:
    """Make the tables and figures of a page anew.

    Raises:
        InputError: for a mark that names no table, or no figure of its record.
    """

    def part(found: re.Match[str]) -> str:
        start, kind, record, name, end = found.groups()
        known = TABLES if kind == "table" else SHOWN.get(record, ())
        if name not in known:
            raise InputError(f"a {kind} of the page must be one of {', '.join(known)}, got {name!r}")
        body = table(record, name) if kind == "table" else _link(figures / f"{record}_{name}.png")
        missing = f"(not measured: run `python -m benchmarks.priors.prior_page`, which makes the record `{record}`)"
        return f"{start}\n{body or missing}\n\n{end}"

    def table(record: str, name: str) -> str:
        file = results / f"prior_test_{record}.json"
        if name == LEFT_OUT:
            songs = records.read_songs(file)
            caption = f"{len(songs)} real songs, each tested under priors that were not trained on it."
            return f"{caption}\n\n{tables.left_out(songs)}" if songs else ""
        known = records.read(file)
        try:
            return f"{_caption(known, name)}\n\n{tables.TABLES[name](known)}"
        except (KeyError, StopIteration):
            return ""

    return _MARK.sub(part, text)


def _link(figure: Path) -> str:
    """Link to a figure of the page; nothing where it has not been drawn."""
    name = figure.stem.replace("_", " ")
    return f"![{name}]({figure.parent.name}/{figure.name})" if figure.is_file() else ""


def _caption(record: Record, table: str) -> str:
    """Say in a sentence what a table is about."""
    kinds = ", ".join(dict.fromkeys(record["kinds"].values()))
    sigma = "no noise" if record["sigma"] is None else f"sigma {record['sigma']:g}"
    num = record["num_small"] if table in ("curvature", "heat_equation", "single", "shifts") else record["num_examples"]
    text = (
        f"Model `{record['model']}` ({kinds}) on {record['data']}, {num} excerpts a source, seed "
        f"{record['seed']}, domain {record['domain']}, headline at {sigma}."
    )
    return textwrap.fill(text, 100, break_on_hyphens=False)


if __name__ == "__main__":
    raise SystemExit(main())
