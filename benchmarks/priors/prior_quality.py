"""How good the priors of toy models are: the tables of accuracy, sharpness and likelihood, made by one command.

    python -m benchmarks.priors.prior_quality [--model=NAME|DIR ...] [--num_examples=2048] [--num_denoised=N] [--seed=0]

All models are tested on the same held-out excerpts of the grid of keys, each in its own domain;
numbers of different domains are never compared. They are compared with the ideal prior, the toy
generator's own density, and with the Wiener filter. Writes
``benchmarks/results/prior_quality.json`` and ``prior_quality.md``; models that were measured before
and are not asked for stay in them, and so does the ideal prior of the same excerpts.
``--num_denoised`` measures the denoising, the slow half for a flow, on the first N of the excerpts;
the table says on how many.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks import records as results
from benchmarks.records import RESULTS, Record
from tfsep.cli import runner
from tfsep.errors import InputError

if TYPE_CHECKING:
    from tfsep.evaluation.prior_set import PriorSet

ACCURACY_SIGMA, GAP_SIGMA = 0.02, 0.1
IDEAL = "ideal prior"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    parse = runner.Parser(
        prog="prior_quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parse.add_argument("--model", action="append", metavar="NAME|DIR", help="repeatable (default: toy)")
    parse.add_argument("--num_examples", type=int, default=2048, metavar="N", help="excerpts a source (default: 2048)")
    parse.add_argument("--num_denoised", type=int, metavar="N", help="of them, those to denoise (default: all)")
    parse.add_argument("--seed", type=int, default=0, metavar="N", help="of excerpts and noise")
    parse.add_argument("--json", action="store_true", help="print the records instead of the tables")
    parse.add_argument("--output", default=str(RESULTS), metavar="DIR", help="where the two files go")
    args = parse.parse_args(argv)
    if args.num_examples < 2:
        raise InputError(f"--num_examples must be at least 2, got {args.num_examples}")
    denoised = args.num_examples if args.num_denoised is None else args.num_denoised
    if not 1 <= denoised <= args.num_examples:
        raise InputError(f"--num_denoised must lie in 1..{args.num_examples}, got {denoised}")
    runner.start_tensorflow()
    from tfsep.evaluation import prior_set

    measured: list[Record] = []
    known = results.read(args.output, "prior_quality")
    for model in args.model or ["toy"]:
        tested = prior_set.load(model)
        measured.append(_record(tested, args.num_examples, denoised, args.seed))
        if ideal_of(measured[-1], [*known, *measured]) is None:
            best = prior_set.ideal(tested, num_rounds=3)
            measured.append(_record(best, args.num_examples, args.num_examples, args.seed))
        print(f"{model}: done", file=sys.stderr, flush=True)
    text = results.keep(args.output, "prior_quality", measured, ("model", "kinds", "waves"), tables)
    print(json.dumps(measured, indent=1) if args.json else text)
    return 0


def ideal_of(record: Record, records: Sequence[Record]) -> Record | None:
    """Find the record of the ideal priors of the same waves, on as many excerpts from the same seed; None without."""
    same = [each for each in records if all(each[k] == record[k] for k in ("waves", "num_examples", "seed"))]
    return next((each for each in same if each["model"] == IDEAL), None)


def _record(tested: PriorSet, num: int, denoised: int, seed: int) -> Record:
    """Measure one set of priors."""
    waves = f"{tested.length} samples at {tested.sample_rate} Hz of {', '.join(tested.sources)}"
    kinds = ", ".join(dict.fromkeys(prior.kind for prior in tested.priors.values()))
    about = {"model": tested.name, "kinds": kinds, "num_examples": num, "num_denoised": denoised, "seed": seed}
    return {**about, "waves": waves, **_measured(tested, num, denoised, seed)}


def _measured(tested: PriorSet, num: int, denoised: int, seed: int) -> Record:
    """Measure accuracy, own log-densities and denoising errors of a set of priors."""
    from tfsep.evaluation import excerpts, prior_scorer
    from tfsep.prior_test import cross_likelihood, denoising

    data = excerpts.toy_excerpts(tested.sources, tested.sample_rate, tested.length, seed, free=False)
    scorers = prior_scorer.scorers_of(tested.priors)
    found: Record = {"domain": tested.domain, "accuracy": None, "own": {}}
    if all(scorer.has_log_prob for scorer in scorers.values()):
        sigmas = [s for s in (ACCURACY_SIGMA, GAP_SIGMA) if all(scorer.covers(s) for scorer in scorers.values())]
        inputs = cross_likelihood.source_inputs(data, tested.sources, num)
        for sigma, table in cross_likelihood.tables(tested, scorers, inputs, sigmas, seed).items():
            means = cross_likelihood.means(table, tested.sources, tested.sources)
            found["own"][f"{sigma:g}"] = {source: means[source][source] for source in tested.sources}
            if sigma == ACCURACY_SIGMA:
                found |= cross_likelihood.discrimination(table, tested.sources)
    return {**found, "denoising": denoising.table(tested, data, scorers, None, denoised)}


def tables(records: Sequence[Record]) -> str:
    """Format the records as three Markdown tables, those of the ideal priors first."""
    ordered = sorted(records, key=lambda record: record["model"] != IDEAL)
    return "\n\n".join([_accuracies(ordered), _errors(ordered), _gaps(ordered)])


def _accuracies(records: Sequence[Record]) -> str:
    lines = [
        f"| model | priors | domain | excerpts a source | argmax accuracy at sigma {ACCURACY_SIGMA} | per source |",
        "|---|---|---|---|---|---|",
    ]
    for record in records:
        shares = ", ".join(f"{s} {100 * x:.1f} %" for s, x in record.get("accuracy_per_source", {}).items())
        accuracy = "no density" if record["accuracy"] is None else f"{100 * record['accuracy']:.1f} %"
        cells = [record["model"], record["kinds"], record["domain"], str(record["num_examples"]), accuracy]
        lines.append("| " + " | ".join([*cells, shares or "-"]) + " |")
    return "\n".join(lines)


def _errors(records: Sequence[Record]) -> str:
    heads = " | ".join(f"rmse at sigma {sigma:g}" for sigma in records[0]["denoising"]["sigmas"])
    lines = [
        f"| model | domain | excerpts a source | {heads} | over the ideal prior's | over the Wiener filter's |",
        "|---" * (5 + len(records[0]["denoising"]["sigmas"])) + "|",
    ]
    for record in records:
        ideal = ideal_of(record, records) if record["domain"] == "wave" else None
        means = record["denoising"]["mean"]
        errors = ["-" if value is None else f"{value:.4f}" for value in means["prior"]]
        ratios = [_ratios(means["prior"], ideal["denoising"]["mean"]["prior"]) if ideal else "-"]
        ratios.append(_ratios(means["prior"], means["wiener"]))
        cells = [record["model"], record["domain"], str(record["num_denoised"]), *errors, *ratios]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _gaps(records: Sequence[Record]) -> str:
    lines = [
        f"| model, over waves | log-density at sigma {GAP_SIGMA}, own source, nats per dimension | ideal | gap |",
        "|---|---|---|---|",
    ]
    for record in records:
        ideal = ideal_of(record, records)
        own = record["own"].get(f"{GAP_SIGMA:g}")
        if own is not None and ideal not in (None, record) and record["domain"] == "wave":
            mean, best = (sum(each.values()) / len(each) for each in (own, ideal["own"][f"{GAP_SIGMA:g}"]))
            lines.append(f"| {record['model']} | {mean:.3f} | {best:.3f} | {best - mean:.3f} |")
    return "\n".join(lines)


def _ratios(values: Sequence[float | None], others: Sequence[float]) -> str:
    return ", ".join("-" if a is None else f"{a / b:.2f}" for a, b in zip(values, others, strict=True))


if __name__ == "__main__":
    raise SystemExit(main())
