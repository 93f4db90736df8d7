"""Which samplers find the sources: every one of them with the ideal prior, so that what fails is the sampler.

    python -m benchmarks.quality.samplers [--num_mixtures=64] [--segment=512] [--seed=0] [--only=WORD] [--output=DIR]

Four toy sources under the generator's own density (priors/ideal_toy.py, on a coarse grid of phases,
finer where the answer is polished). Langevin and diffusion start from noise and from the true
sources plus noise, the others from noise alone. Samplers that can go on at their last level are
then diagnosed there (posteriors/diagnostics.py): four chains on four of the mixtures, fifty draws
each, ten steps apart; "R-hat" is the median over samples of the four sources, 1 where chains agree,
and "effective draws" the median of what the two hundred draws are worth. Writes
``benchmarks/results/samplers.json`` and ``samplers.md``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks import records as results
from benchmarks.records import RESULTS, Record
from tfsep.cli import runner

if TYPE_CHECKING:
    import numpy as np

    from tfsep.priors.base import Prior

SAMPLE_RATE = 16000
GRID: Record = {"num_phases": 16, "num_refined": 1, "num_subcells": 16}
_BASIS = {"largest_sigma": 4.0, "smallest_sigma": 0.05, "num_levels": 10, "num_steps": 25, "delta": 1e-3}
_TRACE: dict[str, int] = {"num_draws": 50, "num_chains": 4, "thin": 10}
_TRACED = 4
_POLISH = {"polish_sigma": 0.03, "polish_levels": 8}


@dataclass(frozen=True)
class Row:
    """One line of the table: a sampler, and on what it is tried.

    Attributes:
        name: what the table calls it.
        kind, settings: of ``posteriors.build``.
        warm: whether it starts at the true sources plus noise.
        num_rounds: how often the prior divides its cells of phase, 16-fold each time.
    """

    name: str
    kind: str
    settings: Record = field(default_factory=dict)
    warm: bool = False
    num_rounds: int = 1


ROWS = (
    Row("Langevin, soft", "langevin", _BASIS),
    Row("Langevin, exact constraint", "langevin", {**_BASIS, "exact": True}),
    Row("Langevin, exact constraint", "langevin", {**_BASIS, "exact": True, "start_sigma": 0.5}, True),
    Row(
        "Langevin, exact, Metropolis-adjusted",
        "langevin",
        {**_BASIS, "exact": True, "metropolis": True, "start_sigma": 0.5, "delta": 1e-4},
        True,
    ),
    Row("diffusion, projection", "diffusion", {"num_levels": 30}),
    Row(
        "diffusion, last source, churned",
        "diffusion",
        {"num_levels": 30, "constraint": "last_source", "churn": 8.0},
    ),
    Row("diffusion, projection", "diffusion", {"num_levels": 30, "start_sigma": 1.0}, True),
    Row("Gibbs, 1 start", "gibbs", {"num_restarts": 1}),
    Row("Gibbs, 12 restarts", "gibbs", {"num_restarts": 12}),
    Row("Jacobi, 12 restarts", "gibbs", {"update": "jacobi", "largest_sigma": 12.0, "num_restarts": 12}),
    Row("Gibbs, 12 restarts, polish", "gibbs", {"num_restarts": 12, **_POLISH}, num_rounds=2),
    Row("Gibbs sampler", "stochastic_gibbs"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="samplers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--num_mixtures", type=int, default=64, metavar="N", help="held-out toy mixtures (default: 64)")
    parse.add_argument("--segment", type=int, default=512, metavar="N", help="samples of a mixture at 16 kHz")
    parse.add_argument("--seed", type=int, default=0, metavar="N", help="of the mixtures and the samplers")
    parse.add_argument("--only", metavar="WORD", help="rows whose sampler contains this word")
    parse.add_argument("--output", default=str(RESULTS), metavar="DIR", help="where samplers.json and samplers.md go")
    args = parse.parse_args(argv)
    runner.start_tensorflow()
    records = []
    for row in ROWS:
        if args.only and args.only.lower() not in row.name.lower():
            continue
        records.append(measure(row, args.num_mixtures, args.segment, args.seed))
        print(f"{records[-1]['sampler']}, {records[-1]['start']}: done", file=sys.stderr, flush=True)
    print(results.keep(args.output, "samplers", records, ("sampler", "start"), table))
    return 0


def measure(row: Row, num_mixtures: int, segment: int, seed: int) -> Record:
    """Separate held-out mixtures with one sampler; SI-SDRi in dB, over the mixture as the estimate.

    Args:
        row: the sampler.
        num_mixtures: at least 1.
        segment: samples of each.
        seed: of the mixtures and the sampler.
    """
    import numpy as np

    from tfsep import posteriors, priors
    from tfsep.data import toy
    from tfsep.metrics.si_sdr import si_sdr, si_sdri

    each = [
        priors.build(
            "ideal_toy", length=segment, source=kind, sample_rate=SAMPLE_RATE, num_rounds=row.num_rounds, **GRID
        )
        for kind in toy.oscillators.KINDS
    ]
    sampler = posteriors.build(row.kind, each, **row.settings)
    mixture, sources = toy.mixtures(num_mixtures, segment, SAMPLE_RATE, seed)
    begun = time.process_time()
    estimate = sampler.sample(mixture, 1, (seed, 0), start=sources if row.warm else None)[0].numpy()
    seconds = time.process_time() - begun
    found = diagnosed(row, each, mixture[:_TRACED], sources[:_TRACED], seed)
    gained = si_sdri(estimate, sources, mixture[:, np.newaxis])
    return {
        "sampler": row.name,
        "start": "truth plus noise" if row.warm else "noise",
        "settings": {"kind": row.kind, **row.settings},
        "draws_posterior": sampler.is_sampler,
        "num_mixtures": num_mixtures,
        "segment": segment,
        "seed": seed,
        "mean_si_sdri": float(np.mean(gained)),
        "median_si_sdri": float(np.median(gained)),
        "fraction_above_10db": float(np.mean(si_sdr(estimate, sources) > 10.0)),
        "cpu_seconds": seconds,
        **found,
    }


def diagnosed(row: Row, each: Sequence[Prior], mixture: np.ndarray, sources: np.ndarray, seed: int) -> dict[str, float]:
    """Return acceptance rate, split R-hat and effective sample size of chains that can go on at the last level."""
    import numpy as np

    from tfsep import posteriors
    from tfsep.posteriors import diagnostics

    undenoised = {"final_denoise": False} if row.kind == "langevin" else {}
    sampler: Any = posteriors.build(row.kind, each, **{**row.settings, **undenoised})
    if not hasattr(sampler, "walk"):
        return {}
    trace = diagnostics.trace(sampler, mixture, seed=(seed, 1), start=sources if row.warm else None, **_TRACE)
    return {
        "acceptance": float(np.mean(trace.acceptance)),
        "split_r_hat": float(np.median(trace.split_r_hat())),
        "effective_sample_size": float(np.median(trace.effective_sample_size())),
    }


def table(records: Sequence[Record]) -> str:
    """Write the records as a Markdown table; metrics in dB, processor seconds with the compilation of the graph."""
    lines = [
        "| sampler, ideal prior | start | mixtures | SI-SDRi mean | median | sources > 10 dB | CPU seconds "
        "| acceptance rate | R-hat | effective draws of 200 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        diagnosis = ["-", "-", "-"]
        if "split_r_hat" in record:
            diagnosis = [f"{100 * record['acceptance']:.0f} %", f"{record['split_r_hat']:.2f}"]
            diagnosis.append(f"{record['effective_sample_size']:.0f}")
        lines.append(
            f"| {record['sampler']} | {record['start']} | {record['num_mixtures']} | {record['mean_si_sdri']:.1f} "
            f"| {record['median_si_sdri']:.1f} | {100 * record['fraction_above_10db']:.0f} % "
            f"| {record['cpu_seconds']:.0f} | {' | '.join(diagnosis)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
