"""Every pair of a toy model's sources, separated by one of its posteriors with the priors of the two alone.

    python -m benchmarks.quality.pairs [--model=toy] [--posterior=NAME] [--num_mixtures=64] [--seed=0] [--output=DIR]

The other sources are left out as ``bin/separate --without`` leaves them out, so a mixture is the mean
of two. It serves any toy model, also one whose priors are over magnitudes. Mixtures are one segment
long and held out: no training draws them. Writes ``benchmarks/results/pairs.json`` and ``pairs.md``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks import records as results
from benchmarks.quality import sources as toy_sources
from benchmarks.records import RESULTS, Record
from tfsep.cli import runner
from tfsep.errors import InputError

if TYPE_CHECKING:
    from tfsep.models import store

_BATCH = 16


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="pairs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--model", default="toy", metavar="NAME|DIR", help="a toy model (default: toy)")
    parse.add_argument("--posterior", metavar="NAME", help="one of the model's posteriors (default: its first)")
    parse.add_argument("--num_mixtures", type=int, default=64, metavar="N", help="of each pair (default: 64)")
    parse.add_argument("--seed", type=int, default=0, metavar="N", help="of the mixtures and the sampler")
    parse.add_argument("--output", default=str(RESULTS), metavar="DIR", help="where the two files go")
    args = parse.parse_args(argv)
    if args.num_mixtures < 1:
        raise InputError(f"--num_mixtures must be at least 1, got {args.num_mixtures}")
    runner.start_tensorflow()
    measured = measure(args.model, args.posterior, args.num_mixtures, args.seed)
    print(results.keep(args.output, "pairs", measured, ("model", "posterior", "pair", "seed"), table))
    return 0


def measure(model: str, posterior: str | None, num: int, seed: int) -> list[Record]:
    """Separate ``num`` mixtures of each pair; SI-SDRi in dB, over the mixture as the estimate.

    Args:
        model: name or folder.
        posterior: its kind; None is the model's first.
        num: mixtures of each pair, at least 1.
        seed: of the mixtures and the sampler.

    Raises:
        InputError: for a model with fewer than two sources, or one that is no toy class.
    """
    from tfsep.data import toy
    from tfsep.models import store

    names = store.describe(store.find_model(model))["sources"]
    if len(names) < 2 or not set(names) <= set(toy.oscillators.KINDS):
        known = ", ".join(toy.oscillators.KINDS)
        raise InputError(f"--model must have at least two sources of {known}, got {', '.join(names)}")
    records = []
    for pair in itertools.combinations(names, 2):
        rest = [name for name in names if name not in pair]
        loaded = store.load_model(model, posterior=posterior, without=rest)
        records.append(measure_pair(loaded, num, seed))
        print(f"{records[-1]['pair']}: done", file=sys.stderr, flush=True)
    return records


def measure_pair(model: store.Model, num: int, seed: int) -> Record:
    """Separate ``num`` mixtures of the two sources that a model is left with."""
    import numpy as np

    from tfsep.metrics.si_sdr import si_sdr, si_sdri

    row = toy_sources.Row(" + ".join(model.sources), tuple((name, 0, 88) for name in model.sources))
    sources = toy_sources.examples(row, num, model.segment, model.sample_rate, seed)
    mixture = np.einsum("nst,s->nt", sources, np.asarray(model.gains, np.float32))
    began = time.process_time()
    starts = range(0, num, _BATCH)
    parts = [model.posterior.sample(mixture[i : i + _BATCH], 1, (seed, i))[0].numpy() for i in starts]
    estimate, seconds = np.concatenate(parts), time.process_time() - began
    gained = np.clip(si_sdri(estimate, sources, mixture[:, np.newaxis]), -100.0, 100.0)
    return {
        "model": model.name,
        "posterior": model.posterior.kind,
        "pair": row.name,
        "num_mixtures": num,
        "seed": seed,
        "mean_si_sdri": float(gained.mean()),
        "median_si_sdri": float(np.median(gained)),
        "fraction_above_10db": float(np.mean(si_sdr(estimate, sources) > 10.0)),
        "sources": dict(zip(model.sources, gained.mean(axis=0).tolist(), strict=True)),
        "cpu_seconds_per_mixture": seconds / num,
    }


def table(records: Sequence[Record]) -> str:
    """Write the records as a Markdown table; metrics in dB, processor seconds with the compilation of the graph."""
    lines = [
        "| model | posterior | sources | mixtures | SI-SDRi mean | median | sources > 10 dB | each source "
        "| CPU seconds a mixture |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        each = ", ".join(f"{name} {value:.1f}" for name, value in record["sources"].items())
        lines.append(
            f"| {record['model']} | {record['posterior']} | {record['pair']} | {record['num_mixtures']} "
            f"| {record['mean_si_sdri']:.1f} | {record['median_si_sdri']:.1f} "
            f"| {100 * record['fraction_above_10db']:.0f} % | {each} | {record['cpu_seconds_per_mixture']:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
