"""Measure a model on held-out mixtures: SI-SDR and its improvement per source, beside the mixture and an ideal mask.

Prints a table to stdout and writes the whole record as JSON.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfsep.atomic import not_a_file, write_json
from tfsep.cli import model_options, runner
from tfsep.errors import InputError

if TYPE_CHECKING:
    from tqdm import tqdm

TOY_DATA = ("toy", "toy-free")


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command's arguments."""
    parse = runner.Parser(prog="evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parse.add_argument
    add(
        "--data",
        required=True,
        metavar="toy|toy-free|DIR",
        help="toy mixtures, a folder <DIR>/<split>/<track>/<source>.wav, or a folder of musdb18",
    )
    add("--split", default="test", help="the part of a folder to measure on (default: test)")
    add("--linear_mixture", action="store_true", help="mix the stems of a folder, even where it has a mixture file")
    add("--balance_db", type=float, metavar="X", help="bring stems of a folder within X dB of their median level first")
    add(
        "--num_mixtures",
        type=int,
        metavar="N",
        help="how many mixtures to measure (default: 256 of a toy, all tracks of a folder)",
    )
    add("--length", type=int, metavar="N", help="length of a toy mixture in samples (default: the model's segment)")
    add(
        "--seed", type=int, default=0, metavar="N", help="random seed of toy mixtures and of the posterior (default: 0)"
    )
    add("--json", metavar="FILE", help="write the whole record to this file")
    add("--baselines", default="", metavar="NAME,...", help="measure slower baselines too: nmf, hpss, ica")
    add(
        "--calibration",
        action="store_true",
        help="measure the coverage of 50 %% and 90 %% intervals from 39 posterior samples",
    )
    add(
        "--bss_eval",
        action="store_true",
        help="measure SDR, ISR, SIR and SAR too, medians of tracks (extra eval; slow)",
    )
    model_options.add_model_options(parse)
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_evaluate, argv)


def _evaluate(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    _check(args)
    model_options.check_model_options(args)
    runner.start_tensorflow()
    with runner.quiet_stderr():
        from tfsep.evaluation import separation
    separator = model_options.load_separator(args)
    settings = separation.EvaluationSettings(
        data=args.data,
        split=args.split,
        num_mixtures=args.num_mixtures,
        length=args.length,
        linear=args.linear_mixture,
        balance_db=args.balance_db,
        seed=args.seed,
        baselines=[name for name in args.baselines.split(",") if name],
        calibrate=args.calibration,
        bss_eval=args.bss_eval,
    )
    with _progress() as bar:
        record = separation.evaluate(separator, settings, progress=bar.update)
    print(separation.as_text(record))
    if args.json:
        write_json(args.json, record, indent=2)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot be right before TensorFlow is imported."""
    for name, lowest in (("num_mixtures", 1), ("length", 1), ("seed", 0)):
        value = getattr(args, name)
        if value is not None and not lowest <= value < 2**31:
            raise InputError(f"--{name} must be at least {lowest} and below 2^31, got {value}")
    if args.data not in TOY_DATA and not Path(args.data).is_dir():
        raise InputError(f"--data must be toy, toy-free or a folder, got {args.data!r}")
    if args.balance_db is not None and (args.data in TOY_DATA or not 0.0 <= args.balance_db <= 100.0):
        raise InputError(f"--balance_db must lie in 0..100 and is for a folder of stems, got {args.balance_db:g}")
    if args.json and (reason := not_a_file(Path(args.json))):
        raise InputError(f"--json must name a file, got {args.json}: {reason}")


def _progress() -> tqdm[None]:
    """Count mixtures, on terminals only."""
    from tqdm import tqdm

    return tqdm(desc="evaluate", unit=" mixtures", leave=False, disable=None)


if __name__ == "__main__":
    sys.exit(main())
