"""Run the generators of wrong input, and print how many cases there were and every fault.

python -m benchmarks.fuzz                    all of them, as `make fuzz` does
python -m benchmarks.fuzz gin_files=50       one, with another number of cases
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence

#: Each generator and its number of cases, in the order in which they run.
CASES = {"gin_files": 300, "model_folders": 500, "kills": 30, "commands": 120, "audio": 10_000}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the generators; return 1 where one of them found a fault, 2 for a wrong argument."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__.partition("\n")[0])
    text = f"generators to run, of {', '.join(CASES)} (default: all), each with a number of cases"
    parser.add_argument("generators", nargs="*", metavar="NAME[=CASES]", help=text)
    parser.add_argument("--seed", type=int, default=0, help="of all cases (default: 0)")
    args = parser.parse_args(argv)
    wanted = [name for name in CASES if importlib.util.find_spec(f"benchmarks.fuzz.{name}")]
    counts = dict(CASES)
    if args.generators:
        wanted = []
        for given in args.generators:
            name, sign, count = given.partition("=")
            if name not in CASES or (sign and not count.isdecimal()):
                parser.error(f"a generator must be one of {', '.join(CASES)}, with =CASES or without, got {given!r}")
            wanted.append(name)
            counts[name] = int(count) if sign else CASES[name]
    faults = 0
    for name in wanted:
        summary = importlib.import_module(f"benchmarks.fuzz.{name}").run(counts[name], args.seed)
        faults += len(summary.faults)
        print(summary, flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
