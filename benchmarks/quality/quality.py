"""How well models separate: one table of every posterior with every kind of prior, made by one command.

    python -m benchmarks.quality [--model=NAME|DIR ...] [--priors=NAME|DIR ...] [--supervised=NAME|DIR ...]
                                 [--songs=DIR] [--baselines=nmf] [--num_mixtures=256] [--limit=16] [--only=REGEX ...]

Rows are what the model folders offer: each posterior of each model on held-out mixtures with a
fixed seed; each posterior of a model that uses priors once more with the priors of every
``--priors`` folder; and, called ``sampler``, each sampler of toy_samplers.py with the priors of
every ``--priors`` folder and with the *ideal prior*, the toy generator's own density, which is the
upper bound of what a prior can do there. The mixture as the estimate, the ideal ratio mask, which
is computed from the true sources, and further baselines have rows of their own for each data set
that has what they need, measured with the most mixtures of any row. Mixtures of a toy model with
fewer than four sources are a data set of their own, as they are easier. Posteriors that run priors are
slow: they get ``--limit`` mixtures, and the count is printed. Writes
``benchmarks/results/quality.json`` and ``quality.md``; rows that were measured before and are not
asked for stay in them.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import records as results
from benchmarks.quality import toy_samplers
from benchmarks.records import RESULTS, Record, Setting
from tfsep.cli import runner
from tfsep.errors import JobError

if TYPE_CHECKING:
    from tfsep.separation.separator import Separator

KEYS = ("model", "priors", "posterior", "data")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@dataclass(frozen=True)
class Row:
    """One line of the table: what to load, and what to measure it on.

    Attributes:
        model: what the table calls the model.
        priors: kind of its priors, "ideal", or "-" for a posterior that uses none.
        posterior: its kind.
        data: "toy", "toy-free" or a folder of stems.
        load: makes the separator.
    """

    model: str
    priors: str
    posterior: str
    data: str
    load: Callable[[], Separator]

    @property
    def name(self) -> str:
        """What ``--only`` is searched in."""
        return f"{self.model} {self.priors} {self.posterior} {Path(self.data).name}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_measure, argv)


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command's arguments."""
    parse = runner.Parser(prog="quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parse.add_argument
    add("--model", action="append", default=[], metavar="NAME|DIR", help="default: the bundled models")
    add("--priors", action="append", default=[], metavar="NAME|DIR", help="priors for the models' samplers as well")
    add("--supervised", action="append", default=[], metavar="NAME|DIR", help="models that were trained on true pairs")
    add("--songs", metavar="DIR", help="a folder of held-out stems, <DIR>/test/<track>/<source>.flac")
    add("--baselines", default="", metavar="NAME,...", help="nmf, hpss, ica")
    add("--num_mixtures", type=int, default=256, metavar="N", help="toy mixtures (default: 256)")
    add("--limit", type=int, default=16, metavar="N", help="mixtures of posteriors that run priors (default: 16)")
    add("--seed", type=int, default=0, metavar="N", help="of the mixtures and the samplers")
    add("--only", action="append", default=[], metavar="REGEX", help="rows whose name matches; may be repeated")
    add("--output", default=str(RESULTS), metavar="DIR", help="where quality.json and quality.md go")
    return parse


def _measure(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    runner.start_tensorflow()
    records: list[Record] = []
    for row in rows(args):
        if all(re.search(pattern, row.name) for pattern in args.only):
            records.append(measure(row, args, [record["data"] for record in records]))
            results.keep(args.output, "quality", records[-1:], KEYS, table)
            print(f"{row.name}: {records[-1]['num_mixtures']} mixtures", file=sys.stderr, flush=True)
    print(results.keep(args.output, "quality", [], KEYS, table))
    return 0


def rows(args: argparse.Namespace) -> Iterator[Row]:
    """Yield every row that the arguments ask for, models before ideal priors."""
    from tfsep.data import toy
    from tfsep.models import store

    names = args.model or store.model_names()
    toys = []
    for name, paired in [*((name, False) for name in names), *((name, True) for name in args.supervised)]:
        description = store.describe(name)
        is_toy = set(description["sources"]) <= set(toy.oscillators.ALL_KINDS)
        data = ["toy", "toy-free"] if is_toy else [str(EXAMPLES), *([args.songs] if args.songs else [])]
        toys += [name] if is_toy and not paired else []
        label = store.label(Path(name)) + (" (true pairs)" if paired else "")
        for entry in description["posteriors"]:
            yield from _rows_of(label, name, entry, description, data)
            for folder in args.priors:
                yield from _rows_with(label, name, entry, description, folder, data)
    if toys:
        yield from _sampler_rows(toys[0], args.priors)


def _sampler_rows(toy_model: str, folders: Sequence[str]) -> Iterator[Row]:
    """Yield every sampler with each set of priors that suits it and has all sources of the toy model."""
    from tfsep.models import store

    wanted = set(store.describe(toy_model)["sources"])
    known = {folder: store.describe(folder) for folder in folders}
    for name in [toy_samplers.IDEAL, *(folder for folder in folders if wanted <= set(known[folder]["priors"]))]:
        priors = toy_samplers.loaded(name, toy_model)
        label = name if name == toy_samplers.IDEAL else _kinds_of_priors(known[name])
        for sampler, entry in toy_samplers.SAMPLERS.items():
            if toy_samplers.suits(sampler, priors):
                load = functools.partial(toy_samplers.separator, entry, priors, toy_model)
                yield Row("sampler", label, sampler, "toy", load)


def _rows_of(label: str, name: str, entry: Setting, description: Setting, data: Sequence[str]) -> Iterator[Row]:
    """Yield a posterior of a model on each data set, with the model's own priors where it uses any."""
    from tfsep.models import stages
    from tfsep.separation.separator import Separator

    kind = entry["kind"]
    known = {each["kind"]: each for each in description["posteriors"]}
    uses = _kinds_of_priors(description, entry.get("priors")) if stages.needs_priors(entry, known) else "-"
    for each in data:
        yield Row(label, uses, kind, each, lambda: Separator.load(name, posterior=kind))


def _rows_with(
    label: str,
    name: str,
    entry: Setting,
    description: Setting,
    folder: str,
    data: Sequence[str],
) -> Iterator[Row]:
    """Yield the same with the priors of another model folder, where the posterior uses priors."""
    from tfsep.models import stages, store
    from tfsep.separation.separator import Separator

    kind = entry["kind"]
    known = {each["kind"]: each for each in description["posteriors"]}
    other = store.describe(folder)
    if not stages.needs_priors(entry, known) or not set(description["sources"]) <= set(other["priors"]):
        return
    priors = {source: folder for source in description["sources"]}
    for each in data:
        yield Row(
            label, _kinds_of_priors(other), kind, each, lambda: Separator.load(name, posterior=kind, priors=priors)
        )


def _kinds_of_priors(description: Setting, used: Mapping[str, str] | None = None) -> str:
    """Return the kinds of a model's priors, of those ``used`` (by source) where it has several sets.

    A denoiser that remembers its recordings (``retrieval``) has a name of its own.
    """
    names = (used or {}).values() or description["priors"]
    kinds = {
        f"{prior['kind']} ({prior['network']})" if prior.get("network") == "retrieval" else prior["kind"]
        for prior in (description["priors"][name] for name in names)
    }
    return "/".join(sorted(kinds)) or "-"


def measure(row: Row, args: argparse.Namespace, seen: Sequence[str]) -> Record:
    """Measure one row; further baselines are measured once for each data set."""
    from tfsep.evaluation import separation

    separator = row.load()
    label = data_label(row.data, separator.sources)
    names = [name for name in args.baselines.split(",") if name and label not in seen and applies(name, row.data)]
    settings = separation.EvaluationSettings(row.data, seed=args.seed, baselines=names, name=label)
    if row.data.startswith("toy"):
        count = args.num_mixtures if row.priors == "-" else min(args.limit, args.num_mixtures)
        settings = dataclasses.replace(settings, num_mixtures=count)
    about = {"model": row.model, "priors": row.priors, "posterior": row.posterior}
    try:
        return {**separation.evaluate(separator, settings), **about}
    except JobError as error:
        # A sampler that runs away from what its prior knows is a result; nothing else is measured in its place.
        return {
            "data": label,
            "num_mixtures": settings.num_mixtures or 0,
            "failed": str(error),
            "baselines": {},
            **about,
        }


def data_label(data: str, sources: Sequence[str]) -> str:
    """Return what the table calls data; mixtures of some toy classes alone are easier, so they are named."""
    from tfsep.data import toy

    some = data.startswith("toy") and len(sources) < len(toy.oscillators.KINDS)
    return Path(data).name + (f": {', '.join(sources)}" if some else "")


def applies(baseline: str, data: str) -> bool:
    """Return whether data have what a baseline needs: isolated sounds (nmf), drums (hpss), several channels (ica)."""
    is_toy = data.startswith("toy")
    return (is_toy or Path(data, "train").is_dir()) if baseline == "nmf" else not is_toy


def table(records: Sequence[Setting]) -> str:
    """Write the records as a Markdown table, best mean first within each data set, baselines among them; metrics in dB.

    A baseline was measured with several rows' mixtures; the row of most of them counts.
    """
    lines = [
        "| data | model | priors | posterior | mixtures | SI-SDRi mean | median | sources > 10 dB "
        "| per source (mean SI-SDRi) | seconds per second |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for data in dict.fromkeys(record["data"] for record in records):
        mine = [record for record in records if record["data"] == data and "failed" not in record]
        found = [(record, [record[name] for name in ("model", "priors", "posterior")]) for record in mine]
        baselines: Record = {}
        for record in sorted(mine, key=lambda record: record["num_mixtures"]):
            for name, metrics in record["baselines"].items():
                baselines[name] = {**metrics, "num_mixtures": record["num_mixtures"]}
        found += [(metrics, [name.replace("_", " "), "-", "-"]) for name, metrics in baselines.items()]
        for record, cells in sorted(found, key=lambda pair: -pair[0]["mean_si_sdri"]):
            lines.append(_line([data, *cells], record))
        for record in (record for record in records if record["data"] == data and "failed" in record):
            cells = [data, *(record[name] for name in ("model", "priors", "posterior")), str(record["num_mixtures"])]
            lines.append("| " + " | ".join([*cells, f"failed: {record['failed']}", *["-"] * 4]) + " |")
    return "\n".join(lines)


def _line(cells: Sequence[str], record: Setting) -> str:
    sources = ", ".join(f"{name} {row['si_sdri']:.1f}" for name, row in record["sources"].items())
    speed = f"{record['real_time_factor']:.2f}" if "real_time_factor" in record else "-"
    return (
        f"| {' | '.join(cells)} | {record['num_mixtures']} | {record['mean_si_sdri']:.1f} "
        f"| {record['median_si_sdri']:.1f} | {100 * record['fraction_above_10db']:.0f} % | {sources} | {speed} |"
    )


if __name__ == "__main__":
    raise SystemExit(main())
