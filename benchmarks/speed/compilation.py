"""When compilation by XLA pays: seconds until Langevin dynamics over four flows run, and seconds of a step.

    python -m benchmarks.speed.compilation [--batch 4] [--length 2048] [--steps 8] [--output DIR]

Each row is a process of its own that draws with the posterior ``langevin`` over flows of one
architecture (Glow over waves with WaveNets, random weights): as a plain graph, and compiled by XLA
with the priors one by one (``loop``) or as one (``stacked``). "First s" is the first draw, tracing
and compilation included, less its steps; a step's time is the fastest of the later draws divided by
their steps. CPU seconds are those of all threads: on a machine that does other work besides, look
at them. The break-even is the work in million samples (steps x chains x length) at which a compiled
row's longer first draw is earned back against the plain graph; it is negative where the first draw
is the shorter one and steps are too, so that the compiled row is ahead from the start.

Measured: 0.4 million by the wall clock one by one, below zero stacked (``results/compilation.md``;
one run a row, one after the other, on two busy cores). ``tfsep.runtime.xla.LEAST_WORK`` is set from
it. Writes ``compilation.json`` and ``compilation.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from benchmarks import records
from benchmarks.records import Record
from benchmarks.speed import flow_rows

MODES = {"plain": (False, False), "xla, loop": (True, False), "xla, stacked": (True, True)}
FIELDS = ("mode", *flow_rows.SIZES)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure rows and print them as a Markdown table; with ``--json``, the one row asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.compilation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--mode", "--way", dest="mode", choices=list(MODES), nargs="+", default=list(MODES))  # alias
    parser.add_argument("--output", default=str(records.RESULTS), help="folder of the table")
    flow_rows.add_sizes(parser, steps=8)
    args = parser.parse_args(argv)
    if args.json:
        print(json.dumps(row(args)))
        return 0
    for mode in args.mode:
        found = flow_rows.measured("benchmarks.speed.compilation", {"mode": mode, **flow_rows.sizes_of(args)})
        text = records.keep(args.output, "compilation", [found], FIELDS, table)
    print(text)
    return 0


def row(args: argparse.Namespace) -> Record:
    """Measure the one mode of ``args`` in this process."""
    import numpy as np
    import tensorflow as tf

    from tfsep import posteriors

    jit_compile, stacked = MODES[args.mode[0]]
    random = np.random.default_rng(0)
    flows = flow_rows.random_flows(args, random)
    sampler = posteriors.build(
        "langevin", flows, num_levels=1, num_steps=args.steps, largest_sigma=0.3, smallest_sigma=0.3, delta=1e-4,
        exact=False, consistent=False, num_restarts=1, final_denoise=False, jit_compile=jit_compile, stacked=stacked,
    )  # fmt: skip
    mixture = tf.constant(0.1 * random.normal(size=(args.batch, args.length)), tf.float32)

    def draw() -> np.ndarray:
        return sampler.sample(mixture, 1, (0, 0)).numpy()

    first = flow_rows.clocked(draw)
    wall, cpu = np.min([flow_rows.clocked(draw) for _ in range(args.runs)], axis=0)
    return {
        **{name: getattr(args, name) for name in (*FIELDS[1:], "steps")},
        "mode": args.mode[0],
        "first": first[0] - float(wall),
        "first_cpu": first[1] - float(cpu),
        "step": float(wall) / args.steps,
        "step_cpu": float(cpu) / args.steps,
    }


def break_even(plain: Record, compiled: Record, clock: str = "") -> float:
    """Return the million samples (steps x chains x length) from which the compiled row is quicker, perhaps infinite.

    Args:
        plain: record of a size.
        compiled: record of the same size.
        clock: "" by the wall clock, "_cpu" by processor seconds.
    """
    saved = plain[f"step{clock}"] - compiled[f"step{clock}"]
    steps = (compiled[f"first{clock}"] - plain[f"first{clock}"]) / saved if saved > 0.0 else float("inf")
    return steps * plain["batch"] * plain["length"] / 1e6


def table(rows: Sequence[Record]) -> str:
    """Write the records as a Markdown table."""
    lines = [
        "| mode | priors | chains | length | first s | CPU s | step s | CPU s | break-even, million samples | by CPU |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    sizes = FIELDS[1:]
    plain = {tuple(each[name] for name in sizes): each for each in rows if each["mode"] == "plain"}
    for each in rows:
        base = plain.get(tuple(each[name] for name in sizes))
        even = ["-", "-"]
        if base is not None and base is not each:
            even = [f"{break_even(base, each, clock):.1f}" for clock in ("", "_cpu")]
        seconds = " | ".join(f"{each[name]:.3f}" for name in ("first", "first_cpu", "step", "step_cpu"))
        lines.append(
            f"| {each['mode']} | {each['num_sources']} | {each['batch']} | {each['length']} | {seconds} "
            f"| {even[0]} | {even[1]} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
