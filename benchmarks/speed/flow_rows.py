"""What benchmarks of flows share: a row in a process of its own, two clocks, and flows of random weights."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

SIZES = ("num_sources", "batch", "length", "couplings", "width")


def add_sizes(parser: argparse.ArgumentParser, steps: int) -> None:
    """Options for :data:`SIZES`, ``--steps`` with this default, ``--runs`` and ``--json``."""
    parser.add_argument("--num_sources", type=int, default=4)
    parser.add_argument("--batch", type=int, default=4, help="chains")
    parser.add_argument("--length", type=int, default=2048, help="samples of a segment")
    parser.add_argument("--couplings", type=int, default=4)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--steps", type=int, default=steps, help="Langevin steps of a draw")
    parser.add_argument("--runs", type=int, default=3, help="draws timed after the first")
    parser.add_argument("--json", action="store_true", help="measure one row in this process")


def sizes_of(args: argparse.Namespace) -> dict[str, int]:
    """The options of :func:`add_sizes` that a row's process is given."""
    return {name: getattr(args, name) for name in (*SIZES, "steps", "runs")}


def measured(module: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The record that ``python -m <module> --json --<option> <value> ...`` prints on its last line.

    Raises:
        subprocess.CalledProcessError: if it fails; what it says of it has gone to this process's standard error.
    """
    command = [sys.executable, "-m", module, "--json"]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=root)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def clocked(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall-clock seconds of a call, and processor seconds of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def random_flows(args: argparse.Namespace, random: Any) -> list[Any]:
    """As many Glows of one level over waves as there are sources, every weight moved by noise of ``random``.

    Args:
        args: with :data:`SIZES`.
        random: a numpy generator.
    """
    from tfsep import priors

    settings: dict[str, Any] = {"num_levels": 1, "squeeze": 8, "num_steps": args.couplings, "width": args.width}
    flows: list[Any] = [priors.build("glow", length=args.length, **settings) for _ in range(args.num_sources)]
    for flow in flows:
        for weight in flow.trainable_variables:
            weight.assign_add(0.02 * random.normal(size=weight.shape))
    return flows
