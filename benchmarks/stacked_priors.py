"""N priors one after the other against N priors as one stacked call: compile time and time of a Langevin step.

Each row is a process of its own that takes steps s <- s + eta score(s) + noise of N flows of one architecture (Glow
over waves with WaveNets, random weights) in one ``tf.while_loop``. "First s" is the first run, tracing and compilation
included, less the steps it takes; a step's time is the median of the later runs divided by their steps. CPU seconds are
those of all threads: on a machine that does other work besides, look at them.

    python -m benchmarks.stacked_priors --num_sources 4
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WAYS = ("loop", "stacked")
COMPILERS = ("graph", "xla")


def main(argv: Sequence[str] | None = None) -> int:
    """Print rows as a Markdown table; with ``--json``, the one row asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stacked_priors", description=__doc__)
    parser.add_argument("--num_sources", type=int, default=4)
    parser.add_argument("--way", choices=WAYS, nargs="+", default=list(WAYS))
    parser.add_argument("--compiler", choices=COMPILERS, nargs="+", default=list(COMPILERS))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--couplings", type=int, default=4)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4, help="Langevin steps of a run")
    parser.add_argument("--runs", type=int, default=3, help="runs timed after the first")
    parser.add_argument("--json", action="store_true", help="measure one row in this process")
    args = parser.parse_args(argv)
    if args.json:
        print(json.dumps(row(args)))
        return 0
    print("| compiler | priors | way | first s | first CPU s | step s | step CPU s |")
    print("|---|---|---|---|---|---|---|")
    for compiler in args.compiler:
        for way in args.way:
            found = _in_a_process(args, way, compiler)
            seconds = " | ".join(f"{found[name]:.3f}" for name in ("first", "first_cpu", "step", "step_cpu"))
            print(f"| {compiler} | {args.num_sources} | {way} | {seconds} |", flush=True)
    return 0


def _in_a_process(args: argparse.Namespace, way: str, compiler: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.stacked_priors", "--json", "--way", way, "--compiler", compiler]
    for name in ("num_sources", "batch", "length", "couplings", "width", "steps", "runs"):
        command += [f"--{name}", str(getattr(args, name))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[1])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(args: argparse.Namespace) -> dict[str, float]:
    """Measure the one way and the one compiler of ``args`` in this process."""
    import numpy as np
    import tensorflow as tf

    from tfsep import priors
    from tfsep.priors.base import answers_of

    (way,), (compiler,) = args.way, args.compiler
    settings: dict[str, Any] = {"num_levels": 1, "squeeze": 8, "num_steps": args.couplings, "width": args.width}
    flows: list[Any] = [priors.build("glow", length=args.length, **settings) for _ in range(args.num_sources)]
    random = np.random.default_rng(0)
    for flow in flows:
        for weight in flow.trainable_variables:
            weight.assign_add(0.02 * random.normal(size=weight.shape))

    @tf.function(jit_compile=compiler == "xla", autograph=False)
    def walk(sources: tf.Tensor) -> tf.Tensor:
        def move(step: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            noise = tf.random.stateless_normal(sources.shape, [0, step], alg="philox")
            score = answers_of(flows, "score", tf.unstack(sources), 0.3, stacked=way == "stacked")
            return step + 1, sources + 1e-4 * tf.stack(score) + 1e-2 * noise

        return tf.while_loop(lambda step, _: step < args.steps, move, (0, sources), parallel_iterations=1)[1]

    def run() -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        walk(start).numpy()
        return time.perf_counter() - wall, time.process_time() - cpu

    start = tf.random.stateless_normal((args.num_sources, args.batch, args.length, 1), (0, 1))
    first = run()
    wall, cpu = np.median([run() for _ in range(args.runs)], axis=0)
    step = {"step": float(wall) / args.steps, "step_cpu": float(cpu) / args.steps}
    return {"first": first[0] - float(wall), "first_cpu": first[1] - float(cpu), **step}


if __name__ == "__main__":
    sys.exit(main())
