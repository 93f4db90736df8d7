"""What a served model costs: its export, its start, a first and a later request, beside the separator in Python.

    python -m benchmarks.speed.serving [--model NAME|DIR ...] [--seconds 4] [--runs 3] [--output DIR]

Each row is a process of its own. It exports the model, loads the SavedModel as a server does, with
the warm-up requests answered, and then asks ``serving_default`` for ``--seconds`` of one channel.
*ready* is from the begin of the load to the answer of the first request. Later requests and calls
of ``Separator`` on the same waveform take turns, and the shorter of each counts. The waveform is a
sum of toy mixtures for the toy's models, and noise for others; the first call of ``Separator``,
which compiles where it pays, is not counted. Writes ``benchmarks/results/serving.json`` and
``serving.md``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import records
from benchmarks.records import Record

if TYPE_CHECKING:
    import numpy as np

#: The bundled models but toy-free, whose requests take minutes.
MODELS = ("songs", "toy", "toy-flow", "toy-score")
FIELDS = ("model", "seconds")
_REPOSITORY = Path(__file__).resolve().parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure rows and print them as a Markdown table; with ``--json``, the one row asked for."""
    layout = argparse.RawDescriptionHelpFormatter
    parse = argparse.ArgumentParser(
        prog="python -m benchmarks.speed.serving", description=__doc__, formatter_class=layout
    )
    parse.add_argument(
        "--model", nargs="+", default=list(MODELS), metavar="NAME|DIR", help=f"default: {' '.join(MODELS)}"
    )
    parse.add_argument("--seconds", type=float, default=4.0, help="of sound in a request (default: 4)")
    parse.add_argument("--runs", type=int, default=3, help="later requests (default: 3)")
    parse.add_argument("--output", default=str(records.RESULTS), metavar="DIR", help="where the two files go")
    parse.add_argument("--json", action="store_true", help="measure one model in this process")
    args = parse.parse_args(argv)
    if args.json:
        print(json.dumps(measured(args.model[0], args.seconds, args.runs)))
        return 0
    text = ""
    for model in args.model:
        command = [sys.executable, "-m", "benchmarks.speed.serving", "--json", "--model", model]
        command += [f"--seconds={args.seconds:g}", f"--runs={args.runs}"]
        done = subprocess.run(command, cwd=_REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
        text = records.keep(args.output, "serving", [json.loads(done.stdout)], FIELDS, table)
        print(f"{model} measured", file=sys.stderr, flush=True)
    print(text)
    return 0


def measured(model: str, seconds: float, runs: int) -> Record:
    """Export a model, serve it in this process, and ask it."""
    import numpy as np
    import tensorflow as tf

    from benchmarks.speed.flow_rows import clocked
    from tfsep.export import saved_model, warmup
    from tfsep.separation.separator import Separator

    separator = Separator.load(model)
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        folder = saved_model.export(separator, place)
        exported = time.perf_counter() - began
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        wave = waveform(model, int(seconds * separator.sample_rate), separator.sample_rate)
        began = time.perf_counter()
        served = tf.saved_model.load(str(folder))
        for signature, inputs in warmup.read(folder):
            served.signatures[signature](**{key: tf.constant(value) for key, value in inputs.items()})

        def request() -> None:
            answer = served.signatures["serving_default"](waveform=tf.constant(wave[np.newaxis]))
            [value.numpy() for value in answer.values()]

        first, _ = clocked(request)
        ready = time.perf_counter() - began
        separator(wave)
        pairs = [(clocked(request), clocked(lambda: separator(wave))) for _ in range(runs)]
    (later, later_cpu), (here, here_cpu) = (np.min([pair[part] for pair in pairs], axis=0) for part in (0, 1))
    found = {"model": model, "seconds": seconds, "export_seconds": exported, "mb": size / 1e6, "ready": ready}
    found |= {"first": first, "later": later, "later_cpu": later_cpu, "separator": here, "separator_cpu": here_cpu}
    return found


def waveform(model: str, length: int, sample_rate: int) -> np.ndarray:
    """Return what is separated, (time,) float32."""
    import numpy as np

    from tfsep.data import toy

    if model.startswith("toy"):
        return np.asarray(toy.mixtures(1, length, sample_rate)[0][0])
    return np.random.default_rng(0).normal(0.0, 0.1, length).astype(np.float32)


def table(rows: Sequence[Record]) -> str:
    """Write the records as a Markdown table."""
    heads = ("model", "export, s", "MB", "ready, s", "request of", "first, s", "later, s", "CPU-s", "`Separator`, s")
    lines = ["| " + " | ".join([*heads, "ratio"]) + " |", "|---" * (len(heads) + 1) + "|"]
    for row in rows:
        words = [row["model"], f"{row['export_seconds']:.1f}", f"{row['mb']:.1f}", f"{row['ready']:.1f}"]
        words += [f"{row['seconds']:g} s", f"{row['first']:.2f}", f"{row['later']:.2f}", f"{row['later_cpu']:.2f}"]
        words += [f"{row['separator']:.2f}", f"{row['later'] / row['separator']:.2f}"]
        lines.append("| " + " | ".join(words) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
