"""Which implementation of a dilated convolution is the fastest here: the table by which layers choose.

    python -m benchmarks.speed.convolutions [--rounds=7] [--batch=4] [--length=2048] [--record=FILE] [--output=FILE]

Times the convolution of :class:`tfsep.networks.dilated.DilatedConv` with its gradients in input and
kernel, both implementations in rounds, for every dtype, number of channels and trace context (in a
graph, in a program compiled by XLA, in a loop of one), kernel 3, dilation 4. A row's figure is the
median of the wall clock of one evaluation, in milliseconds. Writes
``tfsep/networks/dilated_kernels.json``, whose rows of other devices stay, and prints the table. Run
it on an idle machine. With ``--record`` nothing is timed: rows are those that
``benchmarks.speed.portable.speed`` measured on a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from benchmarks import records
from benchmarks.records import Record
from benchmarks.speed.measure import interleave, median
from benchmarks.speed.worker import Timing
from tfsep.cli import runner
from tfsep.errors import InputError
from tfsep.runtime import trace_context

if TYPE_CHECKING:
    import tensorflow as tf

CHANNELS = ((16, 32), (32, 64), (48, 96), (64, 64), (64, 128), (128, 128), (128, 256))
DTYPES = ("float32", "bfloat16")
CONTEXTS = (trace_context.GRAPH, trace_context.XLA, trace_context.XLA_LOOP)
FIELDS = ("device", "context", "dtype", "in_channels", "out_channels")
Evaluations: TypeAlias = "Callable[[tf.Tensor, tf.Tensor], tf.Tensor]"
KERNEL_SIZE, DILATION, EVALUATIONS = 3, 4, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parse = runner.Parser(prog="convolutions", description=__doc__, formatter_class=raw)
    parse.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds (default: 7)")
    parse.add_argument("--batch", type=int, default=4, metavar="N", help="events (default: 4)")
    parse.add_argument("--length", type=int, default=2048, metavar="N", help="samples of an event (default: 2048)")
    parse.add_argument("--record", metavar="FILE", help="what benchmarks.speed.portable.speed measured on a GPU")
    parse.add_argument("--output", metavar="FILE", help="the table (default: the one that layers choose by)")
    args = parse.parse_args(argv)
    for name in ("rounds", "batch", "length"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} must be at least 1, got {getattr(args, name)}")
    rows = measured_elsewhere(args.record) if args.record else []
    runner.start_tensorflow()
    from tfsep.networks import dilated

    file = Path(args.output or dilated.TABLE)
    rows = rows or [
        row(context, dtype, channels, args.batch, args.length, args.rounds)
        for context in CONTEXTS
        for dtype in DTYPES
        for channels in CHANNELS
    ]
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    lines = ",\n".join(json.dumps(each) for each in records.merged(known, rows, FIELDS))
    file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(table(rows))
    return 0


def measured_elsewhere(record: str) -> list[Record]:
    """Read the rows of a record that benchmarks.speed.portable.speed took on a GPU, ``speed_gpu.json``.

    Raises:
        InputError: for a file without such rows.
    """
    from benchmarks.speed.portable.rows import CONVOLUTION, ROWS

    known = {each.name: each.shared for each in ROWS if "channels" in each.shared}
    file = Path(record)
    try:
        timed = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    except ValueError as error:
        raise InputError(f"--record must be JSON, {record} is not: {error}") from error
    rows = []
    for each in records.renamed([each for each in timed if isinstance(each, dict)]):
        if each.get("row") in known and "ratio" in each:
            shared = known[each["row"]]
            milliseconds = {
                "taps": round(1e3 * each["tfsep_seconds"], 3),
                CONVOLUTION: round(1e3 * each["reference_seconds"], 3),
            }
            about = {"device": "GPU", "context": shared["context"], "dtype": shared["dtype"]}
            channels = dict(zip(("in_channels", "out_channels"), shared["channels"], strict=True))
            rows.append({**about, **channels, "ms": milliseconds})
    if not rows:
        raise InputError(f"--record must be a file with rows of dilated convolutions, {record} has none")
    return rows


def row(context: str, dtype: str, channels: tuple[int, int], batch: int, length: int, rounds: int) -> Record:
    """Time both implementations in one trace context; each is traced and run once before."""
    from tfsep.networks import dilated

    runs = {name: _evaluation(name, context, dtype, channels, (batch, length)) for name in dilated.IMPLEMENTATIONS}
    times = interleave(runs, rounds)
    milliseconds = {name: round(1000.0 * median(times[name]), 3) for name in times}
    about = {"device": dilated.device(), "context": context, "dtype": dtype}
    found = {**about, "in_channels": channels[0], "out_channels": channels[1], "ms": milliseconds}
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


def _evaluation(
    implementation: str, context: str, dtype: str, channels: tuple[int, int], shape: tuple[int, int]
) -> Callable[[], Timing]:
    """Compile one implementation, run as :data:`EVALUATIONS` gradients one after the other."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    x, outward = (tf.cast(random.standard_normal((*shape, each)), dtype) for each in channels)
    run = tf.function(
        evaluations(implementation, context, dtype, channels),
        jit_compile=context != trace_context.GRAPH,
        autograph=False,
    )
    run(x, outward).numpy()

    def run_once() -> Timing:
        wall, cpu = time.perf_counter(), time.process_time()
        run(x, outward).numpy()
        return Timing((time.perf_counter() - wall) / EVALUATIONS, (time.process_time() - cpu) / EVALUATIONS)

    return run_once


def evaluations(implementation: str, context: str, dtype: str, channels: tuple[int, int]) -> Evaluations:
    """Build :data:`EVALUATIONS` gradients in a row, from events (batch, time, in) and (batch, time, out)."""
    import tensorflow as tf

    from tfsep.networks.dilated import DilatedConv

    policy = "float32" if dtype == "float32" else f"mixed_{dtype}"
    layer = DilatedConv(*channels, KERNEL_SIZE, DILATION, implementation=implementation, dtype=policy)

    def gradient(x: tf.Tensor, outward: tf.Tensor) -> tf.Tensor:
        kernel = layer.dense.kernel.value
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = layer(x)
        found = tape.gradient(y, [x, kernel], output_gradients=tf.cast(outward, y.dtype))
        return x + 1e-3 * found[0] + 1e-6 * tf.cast(tf.reduce_sum(found[1]), x.dtype)

    def loop(x: tf.Tensor, outward: tf.Tensor) -> tf.Tensor:
        start = (tf.constant(0), x)
        return tf.while_loop(lambda i, _: i < EVALUATIONS, lambda i, x: (i + 1, gradient(x, outward)), start)[1]

    def unrolled(x: tf.Tensor, outward: tf.Tensor) -> tf.Tensor:
        for _ in range(EVALUATIONS):
            x = gradient(x, outward)
        return x

    return loop if context == trace_context.XLA_LOOP else unrolled


def table(rows: Sequence[Record]) -> str:
    """Write the rows in Markdown, each with the implementation that layers use."""
    names = list(rows[0]["ms"])
    lines = [
        f"| device | context | dtype | channels in, out | {' | '.join(f'{name}, ms' for name in names)} | used |",
        "|---" * (5 + len(names)) + "|",
    ]
    for each in rows:
        cells = [each["device"], each["context"], each["dtype"], f"{each['in_channels']}, {each['out_channels']}"]
        cells += [f"{each['ms'][name]:.2f}" for name in names]
        lines.append("| " + " | ".join([*cells, min(names, key=lambda name: each["ms"][name])]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
