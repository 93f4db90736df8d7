"""What each guard of training prevents: one small flow, a learning rate far too high, each guard switched off in turn.

    python -m benchmarks.priors.stability [--num_steps=200] [--learning_rate=0.5] [--seed=0] [--only=WORD]

The guards are warm-up, clipping of the gradient, the soft clamp of log-scales and the return from
steps that are not finite. Every row is trained on the same batches from the same weights. Writes
``benchmarks/results/stability.json`` and ``stability.md``; ``docs/training.md`` holds a copy of the
table.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import records as results
from benchmarks.records import RESULTS, Record, Setting
from tfsep.cli import runner

_SOURCE = "sawtooth"
_PRIOR = {
    "kind": "glow",
    "domain": "wave",
    "length": 64,
    "squeeze": 8,
    "num_levels": 1,
    "num_steps": 4,
    "width": 16,
    "num_layers": 1,
    "sigma_range": (0.01, 1.0),
}
_FIT = {
    "batch_size": 16,
    "warmup_steps": 100,
    "clip_norm": 1.0,
    "decay": "constant",
    "ema_decay": 0.98,
    "checkpoint_every": 50,
    "log_every": 1,
    "deterministic": False,
}


@dataclass(frozen=True)
class Row:
    """One training: what differs from all guards on."""

    name: str
    fit: Setting = field(default_factory=dict)
    prior: Setting = field(default_factory=dict)


_NO_WARMUP, _NO_CLIPPING, _NO_GUARD = {"warmup_steps": 0}, {"clip_norm": 0.0}, {"nan_guard": False}
_NO_CLAMP = {"bound": None}
ROWS = (
    Row("usual rate", {"learning_rate": 1e-3}),
    Row("all guards"),
    Row("no warm-up", _NO_WARMUP),
    Row("no clipping", _NO_CLIPPING),
    Row("no soft clamp", prior=_NO_CLAMP),
    Row("no NaN guard", _NO_GUARD),
    Row("neither clamp nor NaN guard", _NO_GUARD, _NO_CLAMP),
    Row("no guard at all", {**_NO_WARMUP, **_NO_CLIPPING, **_NO_GUARD}, _NO_CLAMP),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="stability", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--num_steps", type=int, default=200, metavar="N", help="steps of each training (default: 200)")
    parse.add_argument("--learning_rate", type=float, default=0.5, metavar="R", help="peak rate (default: 0.5)")
    parse.add_argument("--seed", type=int, default=0, metavar="N", help="of weights, batches and noise")
    parse.add_argument("--only", metavar="WORD", help="rows whose name contains this word")
    parse.add_argument("--output", default=str(RESULTS), metavar="DIR", help="where the results go")
    args = parse.parse_args(argv)
    runner.start_tensorflow()
    records = []
    for row in ROWS:
        if not args.only or args.only in row.name:
            records.append(train(row, args.num_steps, args.learning_rate, args.seed))
            print(json.dumps(records[-1]), file=sys.stderr, flush=True)
    print(results.keep(args.output, "stability", records, ("row",), table))
    return 0


def train(row: Row, num_steps: int, learning_rate: float, seed: int) -> Record:
    """Train one row.

    Returns:
        A record with ``nats_per_dim_wave``, the last held-out log-density (None where it is not
            finite or the training gave up), ``worst_loss``, ``largest_gradient_norm``,
            ``steps_not_finite``, ``restores`` and ``gave_up``.
    """
    from tfsep.data.toy import ToyData
    from tfsep.errors import JobError
    from tfsep.recipes.train_priors import prior_task
    from tfsep.training.loop import fit
    from tfsep.training.task import FitSettings

    settings = FitSettings(**{"num_steps": num_steps, "learning_rate": learning_rate, **_FIT, **row.fit})
    task = prior_task(_SOURCE, {**_PRIOR, **row.prior}, ToyData(), settings, seed)
    with tempfile.TemporaryDirectory() as folder:
        metrics: dict[str, float] = {}
        try:
            metrics = task.validate(fit(task, folder, settings, seed)) if task.validate else {}
        except JobError as error:
            print(error, file=sys.stderr)
        curve = Path(folder, task.name, "curve.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in curve.splitlines()]
    nats = metrics.get("nats_per_dim_wave", math.nan)
    found = {"nats_per_dim_wave": nats if math.isfinite(nats) else None, **summary(lines), "gave_up": not metrics}
    return {"row": row.name, "learning_rate": settings.learning_rate, **found}


def summary(lines: Sequence[Record]) -> Record:
    """Summarise a training curve with one line a step, where numbers that were not finite stand as None."""
    steps = [line for line in lines if "loss" in line]
    losses, norms = ([line[name] for line in steps if line[name] is not None] for name in ("loss", "gradient_norm"))
    return {
        "worst_loss": max(losses, default=None),
        "largest_gradient_norm": max(norms, default=None),
        "steps_not_finite": sum(None in (line["loss"], line["gradient_norm"]) for line in steps),
        "restores": max((int(line["restores"]) for line in steps), default=0),
        "steps": steps[-1]["step"] if steps else 0,
    }


def table(records: Sequence[Record]) -> str:
    """Format the records as a Markdown table."""
    head = ("training", "rate", "held-out nats/dim (wave)", "worst loss", "largest gradient norm")
    names = (*head, "steps not finite", "returns", "outcome")
    rows = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    for record in records:
        numbers = (record[key] for key in ("nats_per_dim_wave", "worst_loss", "largest_gradient_norm"))
        cells = [record["row"], f"{record['learning_rate']:g}"]
        cells += ["not finite" if value is None else f"{value:.3g}" for value in numbers]
        outcome = "gave up" if record["gave_up"] else "ended"
        cells += [str(record["steps_not_finite"]), str(record["restores"]), f"{outcome} at step {record['steps']}"]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    raise SystemExit(main())
