"""How well the bundled models separate: the results table of the README, made by one command.

    python -m benchmarks.quality [--songs=DIR] [--num_mixtures=256] [--seed=0] [--only=WORD]

Every row is a model and a posterior on held-out mixtures with a fixed seed; beside it stand the mixture as the estimate
and an ideal ratio mask. The rows of the ideal prior use the toy generator's own density and are the bound of what a
prior can do there. Writes ``benchmarks/results/quality.json`` and ``quality.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfsep.cli import runner

RESULTS = Path(__file__).parent / "results"
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
_IDEAL = "ideal prior"
_JACOBI: dict[str, Any] = {"update": "jacobi", "largest_sigma": 12.0, "num_levels": 40, "num_restarts": 4}


@dataclass(frozen=True)
class Row:
    """One line of the table; the slow samplers get fewer mixtures, and the count is printed."""

    model: str
    posterior: str
    data: str
    share: float = 1.0


TOY_ROWS = (
    Row("toy", "amortised", "toy"),
    Row("toy", "amortised", "toy-free"),
    Row("toy", "gibbs", "toy", 0.125),
    Row("toy", "langevin", "toy", 0.0625),
    Row(_IDEAL, "gibbs", "toy", 0.125),
    Row(_IDEAL, "langevin", "toy", 0.03125),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="quality", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--songs", metavar="DIR", help="a folder of held-out stems, <DIR>/test/<track>/<source>.flac")
    parse.add_argument("--num_mixtures", type=int, default=256, metavar="N", help="toy mixtures (default: 256)")
    parse.add_argument("--seed", type=int, default=0, metavar="N", help="of the mixtures and the samplers")
    parse.add_argument("--only", metavar="WORD", help="rows that contain this word")
    parse.add_argument("--output", default=str(RESULTS), metavar="DIR", help="where quality.json and quality.md go")
    args = parse.parse_args(argv)
    runner.start_tensorflow()
    songs = [Row("songs", "amortised", str(EXAMPLES))] + ([Row("songs", "amortised", args.songs)] if args.songs else [])
    records = []
    for row in (*TOY_ROWS, *songs):
        if args.only and args.only not in f"{row.model} {row.posterior} {row.data}":
            continue
        for record in _records(row, args.num_mixtures, args.seed):
            records.append(record)
            print(f"{row.model}, {row.posterior}, {Path(row.data).name}: done", file=sys.stderr, flush=True)
    text = table(records)
    print(text)
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / "quality.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    (output / "quality.md").write_text(text + "\n", encoding="utf-8")
    return 0


def _records(row: Row, num_mixtures: int, seed: int) -> Iterator[dict[str, Any]]:
    from tfsep.experiments import separation_scores
    from tfsep.separation.separator import Separator

    separator = (
        Separator(_ideal_model(row.posterior))
        if row.model == _IDEAL
        else Separator.load(row.model, posterior=row.posterior)
    )
    if row.data.startswith("toy"):
        count = max(1, round(num_mixtures * row.share))
        batches = separation_scores.toy_batches(separator, count, seed, row.data == "toy-free")
    else:
        batches = separation_scores.song_batches(separator, row.data, "test")
    record = separation_scores.evaluate(separator, batches, Path(row.data).name, seed)
    yield {"posterior": row.posterior, **record}


def _ideal_model(posterior: str) -> Any:
    """A model whose priors are the toy generator's own."""
    from tfsep import posteriors, priors
    from tfsep.data import toy
    from tfsep.separation.model_folder import Model

    length, rate = 1024, 16000
    kinds = toy.oscillators.KINDS
    each = [priors.build("ideal_toy", length=length, source=kind, sample_rate=rate) for kind in kinds]
    sampler = posteriors.build(posterior, priors=each, **(_JACOBI if posterior == "gibbs" else {}))
    return Model(_IDEAL, kinds, rate, length, sampler.gains, sampler)


def table(records: Sequence[dict[str, Any]]) -> str:
    """The records as a Markdown table; scores in dB."""
    lines = [
        "| model | posterior | data | mixtures | SI-SDRi mean | median | sources > 10 dB | per source (mean SI-SDRi) "
        "| ideal ratio mask | seconds per second |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        sources = ", ".join(f"{name} {row['si_sdri']:.1f}" for name, row in record["sources"].items())
        mask = record["baselines"]["ideal_ratio_mask"]["mean_si_sdri"]
        lines.append(
            f"| {record['model']} | {record['posterior']} | {record['data']} | {record['num_mixtures']} "
            f"| {record['mean_si_sdri']:.1f} | {record['median_si_sdri']:.1f} "
            f"| {100 * record['fraction_above_10db']:.0f} % | {sources} | {mask:.1f} "
            f"| {record['real_time_factor']:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
