"""N priors one after the other against N priors as one stacked call: compile time and time of a Langevin step.

Each row is a process of its own that takes steps s <- s + eta score(s) + noise of N flows of one
architecture (Glow over waves with WaveNets, random weights) in one ``tf.while_loop``. "First s" is
the first run, tracing and compilation included, less the steps it takes; a step's time is the
median of the later runs divided by their steps. CPU seconds are those of all threads: on a machine
that does other work besides, look at them.

    python -m benchmarks.speed.stacked_priors --num_sources 4
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from benchmarks.speed import flow_rows

MODES = ("loop", "stacked")
COMPILERS = ("graph", "xla")


def main(argv: Sequence[str] | None = None) -> int:
    """Print rows as a Markdown table; with ``--json``, the one row asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.stacked_priors", description=__doc__)
    parser.add_argument("--mode", "--way", dest="mode", choices=MODES, nargs="+", default=list(MODES))
    parser.add_argument("--compiler", choices=COMPILERS, nargs="+", default=list(COMPILERS))
    flow_rows.add_sizes(parser, steps=4)
    args = parser.parse_args(argv)
    if args.json:
        print(json.dumps(row(args)))
        return 0
    print("| compiler | priors | mode | first s | first CPU s | step s | step CPU s |")
    print("|---|---|---|---|---|---|---|")
    for compiler in args.compiler:
        for mode in args.mode:
            options = {"mode": mode, "compiler": compiler, **flow_rows.sizes_of(args)}
            found = flow_rows.measured("benchmarks.speed.stacked_priors", options)
            seconds = " | ".join(f"{found[name]:.3f}" for name in ("first", "first_cpu", "step", "step_cpu"))
            print(f"| {compiler} | {args.num_sources} | {mode} | {seconds} |", flush=True)
    return 0


def row(args: argparse.Namespace) -> dict[str, float]:
    """Measure the one mode and the one compiler of ``args`` in this process."""
    import numpy as np
    import tensorflow as tf

    from tfsep.priors.base import evaluate_priors

    (mode,), (compiler,) = args.mode, args.compiler
    flows = flow_rows.random_flows(args, np.random.default_rng(0))

    @tf.function(jit_compile=compiler == "xla", autograph=False)
    def walk(sources: tf.Tensor) -> tf.Tensor:
        def move(step: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            noise = tf.random.stateless_normal(sources.shape, [0, step], alg="philox")
            score = evaluate_priors(flows, "score", tf.unstack(sources), 0.3, stacked=mode == "stacked")
            return step + 1, sources + 1e-4 * tf.stack(score) + 1e-2 * noise

        return tf.while_loop(lambda step, _: step < args.steps, move, (0, sources), parallel_iterations=1)[1]

    def run() -> np.ndarray:
        return walk(start).numpy()

    start = tf.random.stateless_normal((args.num_sources, args.batch, args.length, 1), (0, 1))
    first = flow_rows.clocked(run)
    wall, cpu = np.median([flow_rows.clocked(run) for _ in range(args.runs)], axis=0)
    step = {"step": float(wall) / args.steps, "step_cpu": float(cpu) / args.steps}
    return {"first": first[0] - float(wall), "first_cpu": first[1] - float(cpu), **step}


if __name__ == "__main__":
    sys.exit(main())
