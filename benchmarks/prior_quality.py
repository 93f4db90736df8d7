"""How good the priors of toy models are: the tables of accuracy, sharpness and likelihood, made by one command.

    python -m benchmarks.prior_quality [--model=NAME|DIR ...] [--num_examples=2048] [--seed=0] [--json]

All models are tested on the same held-out cuts of the grid of keys, each in its own domain; numbers of different
domains are never set against each other. Beside them stand the ideal prior, the toy generator's own density, and the
Wiener filter. Denoising is measured on the first 256 of the cuts. Writes
``benchmarks/results/prior_quality.json`` and ``prior_quality.md``; models that were measured before and are not asked
for stay in them, and so do ideal priors of as many cuts from the same seed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks import records as results
from benchmarks.records import RESULTS
from tfsep.cli import runner
from tfsep.errors import InputError

ACCURACY_SIGMA, GAP_SIGMA = 0.02, 0.1
_DENOISED = 256


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    parse = runner.Parser(
        prog="prior_quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parse.add_argument("--model", action="append", metavar="NAME|DIR", help="repeatable (default: toy)")
    parse.add_argument("--num_examples", type=int, default=2048, metavar="N", help="cuts a source (default: 2048)")
    parse.add_argument("--seed", type=int, default=0, metavar="N", help="of cuts and noise")
    parse.add_argument("--json", action="store_true", help="print the records instead of the tables")
    parse.add_argument("--output", default=str(RESULTS), metavar="DIR", help="where the two files go")
    args = parse.parse_args(argv)
    if args.num_examples < 2:
        raise InputError(f"--num_examples must be at least 2, got {args.num_examples}")
    runner.start_tensorflow()
    records: list[dict[str, Any]] = []
    ideals = known_ideals(results.read(args.output, "prior_quality"), args.num_examples, args.seed)
    for model in args.model or ["toy"]:
        records.append(_record(model, args.num_examples, args.seed, ideals))
        print(f"{model}: done", file=sys.stderr, flush=True)
    text = results.keep(args.output, "prior_quality", records, ("model", "kinds"), tables)
    print(json.dumps(records, indent=1) if args.json else text)
    return 0


def known_ideals(records: Sequence[dict[str, Any]], num: int, seed: int) -> dict[str, dict[str, Any]]:
    """What earlier records of as many cuts from the same seed say of ideal priors, which are the slowest to measure."""
    return {r["waves"]: r["ideal"] for r in records if (r["num_examples"], r["seed"]) == (num, seed) and "waves" in r}


def _record(model: str, num: int, seed: int, ideals: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Measure one model; the ideal priors of a length and a rate are measured once."""
    from tfsep.experiments import tested_priors

    tested = tested_priors.load(model)
    waves = f"{tested.length} samples at {tested.sample_rate} Hz of {', '.join(tested.sources)}"
    if waves not in ideals:
        ideals[waves] = _scores(tested_priors.ideal(tested), num, seed)
    kinds = ", ".join(dict.fromkeys(prior.kind for prior in tested.priors.values()))
    about = {"model": tested.name, "kinds": kinds, "num_examples": num, "seed": seed, "waves": waves}
    return {**about, **_scores(tested, num, seed), "ideal": ideals[waves]}


def _scores(tested: Any, num: int, seed: int) -> dict[str, Any]:
    """Accuracy, own log-densities and denoising errors of a set of priors."""
    from tfsep.experiments import cross_likelihood, denoising, isolated_cuts, prior_scorer

    cuts = isolated_cuts.toy_cuts(tested.sources, tested.sample_rate, tested.length, seed, free=False)
    judges = prior_scorer.scorers(tested.priors)
    found: dict[str, Any] = {"domain": tested.domain, "accuracy": None, "own": {}}
    if all(judge.has_log_prob for judge in judges.values()):
        sigmas = [s for s in (ACCURACY_SIGMA, GAP_SIGMA) if all(judge.covers(s) for judge in judges.values())]
        rows = cross_likelihood.source_rows(cuts, tested.sources, num)
        for sigma, table in cross_likelihood.tables(tested, judges, rows, sigmas, seed).items():
            means = cross_likelihood.means(table, tested.sources, tested.sources)
            found["own"][f"{sigma:g}"] = {source: means[source][source] for source in tested.sources}
            if sigma == ACCURACY_SIGMA:
                found |= cross_likelihood.discrimination(table, tested.sources)
    return {**found, "denoising": denoising.table(tested, cuts, judges, None, min(num, _DENOISED))}


def tables(records: Sequence[dict[str, Any]]) -> str:
    """The records as three Markdown tables."""
    return "\n\n".join([_accuracies(records), _errors(records), _gaps(records)])


def _accuracies(records: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"| model | priors | domain | cuts a source | argmax accuracy at sigma {ACCURACY_SIGMA} | per source "
        "| ideal prior, wave |",
        "|---|---|---|---|---|---|---|",
    ]
    for record in records:
        shares = ", ".join(f"{s} {100 * x:.1f} %" for s, x in record.get("accuracy_per_source", {}).items())
        cells = [record["model"], record["kinds"], record["domain"], str(record["num_examples"])]
        cells += [_percent(record["accuracy"]), shares or "-"]
        lines.append("| " + " | ".join([*cells, _percent(record["ideal"]["accuracy"])]) + " |")
    return "\n".join(lines)


def _errors(records: Sequence[dict[str, Any]]) -> str:
    sigmas = records[0]["denoising"]["sigmas"]
    heads = " | ".join(f"rmse at sigma {sigma:g} (over ideal)" for sigma in sigmas)
    lines = [f"| model | domain | denoiser | {heads} |", "|---" * (3 + len(sigmas)) + "|"]
    for record in records:
        best = record["ideal"]["denoising"]["mean"]["prior"] if record["domain"] == "wave" else [None] * len(sigmas)
        named = {**record["denoising"]["mean"], **({"ideal": best} if record["domain"] == "wave" else {})}
        for name, values in named.items():
            cells = [_error(value, least) for value, least in zip(values, best, strict=True)]
            lines.append("| " + " | ".join([record["model"], record["domain"], name, *cells]) + " |")
    return "\n".join(lines)


def _gaps(records: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"| model, over waves | log-density at sigma {GAP_SIGMA}, own source, nats per dimension | ideal | gap |",
        "|---|---|---|---|",
    ]
    for record in records:
        own, ideal = (each["own"].get(f"{GAP_SIGMA:g}") for each in (record, record["ideal"]))
        if own is not None and record["domain"] == "wave":
            mean, best = (sum(each.values()) / len(each) for each in (own, ideal))
            lines.append(f"| {record['model']} | {mean:.3f} | {best:.3f} | {best - mean:.3f} |")
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "no density" if value is None else f"{100 * value:.1f} %"


def _error(value: float | None, least: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" + (f" ({value / least:.2f})" if least else "")


if __name__ == "__main__":
    raise SystemExit(main())
