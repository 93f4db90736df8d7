"""What benchmarks of flows share: a row in a process of its own, two clocks, and flows of random weights."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.records import Record

if TYPE_CHECKING:
    import numpy as np

    from tfsep.priors.flows.flow import FlowPrior

SIZES = ("num_sources", "batch", "length", "couplings", "width")


def add_sizes(parser: argparse.ArgumentParser, steps: int) -> None:
    """Add options for :data:`SIZES`, ``--steps`` with this default, ``--runs`` and ``--json``."""
    parser.add_argument("--num_sources", type=int, default=4)
    parser.add_argument("--batch", type=int, default=4, help="chains")
    parser.add_argument("--length", type=int, default=2048, help="samples of a segment")
    parser.add_argument("--couplings", type=int, default=4)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--steps", type=int, default=steps, help="Langevin steps of a draw")
    parser.add_argument("--runs", type=int, default=3, help="draws timed after the first")
    parser.add_argument("--json", action="store_true", help="measure one row in this process")


def sizes_of(args: argparse.Namespace) -> dict[str, int]:
    """Return the options of :func:`add_sizes` that a row's process is given."""
    return {name: getattr(args, name) for name in (*SIZES, "steps", "runs")}


def measured(module: str, options: Mapping[str, object]) -> Record:
    """Return the record that ``python -m <module> --json --<option> <value> ...`` prints on its last line.

    Raises:
        subprocess.CalledProcessError: if it fails; what it says of it has gone to this process's
            standard error.
    """
    command = [sys.executable, "-m", module, "--json"]
    command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=root)
    found: Record = json.loads(done.stdout.splitlines()[-1])
    return found


def clocked(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall-clock seconds of a call, and processor seconds of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def glow(length: int, **settings: object) -> FlowPrior:
    """Build a Glow over waves (length, 1).

    Raises:
        TypeError: if the kind "glow" is no flow.
    """
    from tfsep import priors
    from tfsep.priors.flows.flow import FlowPrior

    arguments: Record = dict(settings)
    built = priors.build("glow", length=length, **arguments)
    if not isinstance(built, FlowPrior):
        raise TypeError(f"a Glow must be a flow, got {type(built).__name__}")
    return built


def random_flows(args: argparse.Namespace, random: np.random.Generator) -> list[FlowPrior]:
    """Build as many Glows of one level over waves as there are sources, every weight moved by noise of ``random``.

    Args:
        args: with :data:`SIZES`.
        random: a numpy generator.
    """
    settings: Record = {"num_levels": 1, "squeeze": 8, "num_steps": args.couplings, "width": args.width}
    flows = [glow(args.length, **settings) for _ in range(args.num_sources)]
    for flow in flows:
        for weight in flow.trainable_variables:
            weight.assign_add(0.02 * random.normal(size=weight.shape))
    return flows
