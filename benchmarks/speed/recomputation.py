"""Memory and time of a training step of a flow, with and without recomputation, at several depths.

Each row is a process of its own: a clean Glow over waves of one level, WaveNet couplings, the
gradient of the mean log-density in all weights. A step on one example comes first; "step MB" is
what the resident set's peak rises by in the steps on the whole batch after it, so that neither
graph nor program count (XLA compiles anew, in memory that the first compilation has left); "all MB"
is the peak less what the process held when the model was built. Time is the median of the steps
after the first of the whole batch, wall and CPU seconds of all threads; the first step's is that of
the one example, with tracing and compilation.

    python -m benchmarks.speed.recomputation                          # the table
    python -m benchmarks.speed.recomputation --couplings 8 --recompute inverse --compiler xla
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from benchmarks.records import Record
from benchmarks.speed import flow_rows
from benchmarks.speed.worker import forget_peak, resident

MODES = ("none", "step", "inverse")
COMPILERS = ("graph", "xla")


def main(argv: Sequence[str] | None = None) -> int:
    """Print rows as a Markdown table; with ``--json``, the one row asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.recomputation", description=__doc__)
    parser.add_argument("--couplings", type=int, nargs="+", default=[4, 12, 16])
    parser.add_argument("--recompute", "--way", dest="mode", choices=MODES, nargs="+", default=list(MODES))
    parser.add_argument("--compiler", choices=COMPILERS, nargs="+", default=list(COMPILERS))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=16384, help="samples of an event")
    parser.add_argument("--width", type=int, default=64, help="channels of the WaveNets")
    parser.add_argument("--steps", type=int, default=3, help="steps timed")
    parser.add_argument("--json", action="store_true", help="measure one row in this process")
    args = parser.parse_args(argv)
    if args.json:
        (couplings,), (mode,), (compiler,) = args.couplings, args.mode, args.compiler
        print(json.dumps(row(couplings, mode, compiler, args.batch, args.length, args.width, args.steps)))
        return 0
    print("| compiler | couplings | recompute | step MB | all MB | first step s | step s | CPU s |")
    print("|---|---|---|---|---|---|---|---|")
    for compiler in args.compiler:
        for couplings in args.couplings:
            for mode in args.mode:
                size = {"batch": args.batch, "length": args.length, "width": args.width, "steps": args.steps}
                found = measured(couplings, mode, compiler, **size)
                seconds = f"{found['first']:.1f} | {found['step']:.3f} | {found['cpu']:.3f}"
                megabytes = f"{found['transient']:.0f} | {found['all']:.0f}"
                print(f"| {compiler} | {couplings} | {mode} | {megabytes} | {seconds} |", flush=True)
    return 0


def measured(couplings: int, mode: str, compiler: str, **size: int) -> dict[str, float]:
    """Measure one row in a process of its own; ``size`` are further options of the command."""
    options = {"couplings": couplings, "recompute": mode, "compiler": compiler, **size}
    return flow_rows.measured("benchmarks.speed.recomputation", options)


def row(couplings: int, mode: str, compiler: str, batch: int, length: int, width: int, steps: int) -> dict[str, float]:
    """Train for a first and ``steps`` further steps in this process; megabytes, seconds of each kind."""
    import numpy as np
    import tensorflow as tf

    settings: Record = {"num_levels": 1, "squeeze": 8, "num_layers": 6, "sigma_range": None}
    settings |= {"num_steps": couplings, "width": width, "recompute": mode}
    flow = flow_rows.glow(length, **settings)
    owned = [weight.value for weight in flow.trainable_variables]

    signature = [tf.TensorSpec([None, length, 1], tf.float32)]

    @tf.function(jit_compile=compiler == "xla", autograph=False, input_signature=signature)
    def gradients(x: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.nats_per_dim(x))
        return tape.gradient(loss, owned)

    def step(x: tf.Tensor) -> tuple[float, float]:
        return flow_rows.clocked(lambda: gradients(x)[-1].numpy())

    x = tf.random.stateless_normal((batch, length, 1), (0, 1))
    built = resident("VmRSS")
    first = step(x[:1])[0]
    peak, before = resident("VmHWM") - built, forget_peak()
    step(x)
    wall, cpu = np.median([step(x) for _ in range(steps)], axis=0)
    rises = {"all": max(peak, resident("VmHWM") - built), "transient": resident("VmHWM") - before}
    return {
        **{name: rise / 2**20 for name, rise in rises.items()},
        "first": first,
        "step": float(wall),
        "cpu": float(cpu),
    }


if __name__ == "__main__":
    sys.exit(main())
