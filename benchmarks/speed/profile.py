"""Where the time of one of tfsep's rows goes: operations by their own time, from TensorFlow's profiler.

    python -m benchmarks.speed.profile [--row="training, 1-D, 8 couplings"] [--units=3] [--logdir=DIR] [--top=12]

Runs tfsep's side of a row of the table of speed, first untraced, then under the profiler.
Operations of one kind are added up over all threads, an operation's own time being its span less
those of operations within it; XLA's are named after their instructions. Handing operations out and
waiting for them is left out. ``--logdir`` keeps the trace for TensorBoard's profile plugin. Prints
a Markdown table.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed.rows import ROWS, TIME, Row
from tfsep.cli import runner
from tfsep.errors import InputError, JobError

Span = tuple[float, float, str]
#: What the runtimes do about operations: hand them out and wait for them. It overlaps with the operations' own time.
RUNTIME = frozenset(
    "Run BlockUntilReady Execute FunctionRun Start Process _run_steps ExecuteAsyncOnStream Compute Schedule".split()
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_profile, argv)


def _profile(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--row", default="training, 1-D, 8 couplings", help="name of a row that is timed in rounds")
    parse.add_argument("--units", type=int, default=3, metavar="N", help="runs under the profiler (default: 3)")
    parse.add_argument("--logdir", metavar="DIR", help="where the trace goes (default: nowhere)")
    parse.add_argument("--top", type=int, default=12, metavar="N", help="operations in the table (default: 12)")
    args = parse.parse_args(argv)
    row = next((row for row in ROWS if row.name == args.row and row.kind == TIME), None)
    if row is None:
        names = "; ".join(row.name for row in ROWS if row.kind == TIME)
        raise InputError(f"--row must be one of {names}, got {args.row!r}")
    if args.units < 1 or args.top < 1:
        raise InputError(f"--units and --top must be at least 1, got {args.units} and {args.top}")
    runner.start_tensorflow()
    with tempfile.TemporaryDirectory(prefix="tfsep-") as folder:
        seconds = traced(row, args.units, Path(args.logdir or folder), folder)
        spans = read_spans(Path(args.logdir or folder))
    print(f"{row.name}: {1000 * seconds / args.units:.1f} ms a run under the profiler\n")
    print(table(own_times(spans), args.units, args.top))
    return 0


def traced(row: Row, units: int, logdir: Path, folder: str) -> float:
    """Run tfsep's side of a row under the profiler and return the seconds that it took."""
    import time

    import tensorflow as tf

    module, _, name = row.tfsep.call.partition(":")
    shared = dict(row.shared)
    if "model" not in shared:
        shared["file"] = str(Path(folder) / "weights-{k}.npz")
    case = getattr(importlib.import_module(module), name)(**shared, **row.tfsep.setting)
    case.once()
    tf.profiler.experimental.start(str(logdir))
    start = time.perf_counter()
    for _ in range(units):
        case.once()
    seconds = time.perf_counter() - start
    tf.profiler.experimental.stop()
    return seconds


def read_spans(logdir: Path) -> dict[str, list[Span]]:
    """Read beginning and end in picoseconds and name of all operations of the newest trace, by thread.

    Raises:
        JobError: if there is no trace.
    """
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    files = sorted(logdir.rglob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise JobError(f"the profiler left no trace in {logdir}")
    space = xplane_pb2.XSpace()
    space.ParseFromString(files[-1].read_bytes())
    found: dict[str, list[Span]] = {}
    for plane in space.planes:
        if "CPU" not in plane.name:
            continue
        names = {key: value.name for key, value in plane.event_metadata.items()}
        for line in plane.lines:
            begins = [(1000 * line.timestamp_ns + event.offset_ps, event) for event in line.events]
            spans = [(begin, begin + event.duration_ps, names[event.metadata_id]) for begin, event in begins]
            if spans:
                found[f"{plane.name} {line.id} {line.name}"] = spans
    return found


def own_times(threads: dict[str, list[Span]]) -> dict[str, tuple[float, int]]:
    """Return own picoseconds and calls of each kind of operation, over all threads."""
    own: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    for spans in threads.values():
        for kind, picoseconds in _exclusive(spans):
            own[kind] += picoseconds
            calls[kind] += 1
    return {kind: (own[kind], calls[kind]) for kind in own}


def _exclusive(spans: Iterable[Span]) -> Iterable[tuple[str, float]]:
    """Yield each span's kind and its length less those of the spans right within it."""
    open_spans: list[list[Any]] = []
    for begin, end, name in sorted(spans, key=lambda span: (span[0], -span[1])):
        while open_spans and open_spans[-1][0] <= begin:
            _, kind, own = open_spans.pop()
            yield kind, own
        if open_spans:
            open_spans[-1][2] -= min(end, open_spans[-1][0]) - begin
        open_spans.append([end, kind_of(name), end - begin])
    for _, kind, own in reversed(open_spans):
        yield kind, own


def kind_of(name: str) -> str:
    """Strip an operation's name of number, scope and arguments, in ``%dot.12 = f32[2]`` and ``a/b:MatMul`` alike."""
    name = name.split(" = ")[0].lstrip("%").split(":")[-1].split("#")[0].split("/")[-1].strip()
    return re.sub(r"([._]\d+|\.clone|\.remat\d*)+$", "", name) or "?"


def table(own: dict[str, tuple[float, int]], units: int, top: int) -> str:
    """Write the longest kinds as a Markdown table, the rest as its last row."""
    own = {name: value for name, value in own.items() if name not in RUNTIME}
    total = sum(picoseconds for picoseconds, _ in own.values()) or 1.0
    lines = ["| operation | calls a run | own ms a run | share |", "|---|---|---|---|"]
    ordered = sorted(own.items(), key=lambda pair: -pair[1][0])
    rest = ordered[top:]
    summed = (sum(picoseconds for _, (picoseconds, _) in rest), sum(calls for _, (_, calls) in rest))
    for name, (picoseconds, calls) in [*ordered[:top], *([("everything else", summed)] if rest else [])]:
        milliseconds = picoseconds / 1e9 / units
        lines.append(f"| {name} | {calls / units:.0f} | {milliseconds:.1f} | {100 * picoseconds / total:.0f} % |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
