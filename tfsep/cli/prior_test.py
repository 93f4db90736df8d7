"""Test the priors of a model: do they discriminate its sources, and how sharp are they?

Prints tables to stdout and writes the whole record as JSON; --figures draws it.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfsep.atomic import not_a_file
from tfsep.cli import runner, terminal
from tfsep.errors import InputError
from tfsep.models.listing import find_model
from tfsep.models.request import prior_entry
from tfsep.prior_test import record as records

if TYPE_CHECKING:
    from tfsep.evaluation.excerpts import IsolatedExcerpts
    from tfsep.evaluation.prior_set import PriorSet

TOY_DATA = ("toy", "toy-free")
_LEVEL_EXCERPTS = 256


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command's arguments."""
    parse = runner.Parser(prog="prior-test", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parse.add_argument
    add("--model", required=True, metavar="NAME|DIR", help="bundled or own model, with at least two priors")
    add("--source", action="append", metavar="NAME", help="one of the priors to test, repeatable (default: all)")
    add("--background", metavar="NAME|DIR", help="model with a prior of all sources pooled, for likelihood ratios")
    add("--data", required=True, metavar="toy|toy-free|DIR", help="toy sources, or <DIR>/<split>/<track>/<source>.wav")
    add("--split", default="test", help="the part of a folder with held-out excerpts (default: test)")
    add("--training_split", default="train", help="the part of a folder with excerpts to calibrate on (default: train)")
    add(
        "--track",
        action="append",
        default=[],
        metavar="WORD",
        help="hold out the tracks of a folder whose names contain this; repeatable",
    )
    add("--num_examples", type=int, default=256, metavar="N", help="excerpts of each source (default: 256)")
    add(
        "--num_small", type=int, default=16, metavar="N", help="excerpts of each source in costly studies (default: 16)"
    )
    add(
        "--num_probes",
        type=int,
        default=4,
        metavar="N",
        help="random directions for each Laplacian of the heat equation, at least 2; 0 leaves it out (default: 4)",
    )
    add(
        "--seconds", type=float, metavar="S", help="length of an excerpt (default: 1 s of a folder, one event of a toy)"
    )
    add("--sigma", action="append", metavar="S", help="noise level or 'clean', repeatable; the first is the headline")
    add("--normalise", action="store_true", help="bring excerpts to one RMS level, the mean of the training excerpts")
    add("--resample", action="store_true", help="accept a folder at another sample rate than the priors'")
    studies = (*records.STUDIES, "all")
    add("--study", action="append", type=_study, choices=studies, help="further study, repeatable; each takes minutes")
    add("--no-ideal", action="store_true", help="leave out the ideal prior of the toy's grid, which is slow")
    add("--seed", type=int, default=0, metavar="N", help="random seed of excerpts and noise (default: 0)")
    add("--json", metavar="FILE", help="write the whole record to this file")
    add("--figures", metavar="DIR", help="write figures to this folder, as PNG and for TensorBoard")
    return parse


def _study(name: str) -> str:
    """Map an alias of a study to its present name."""
    return records.STUDY_ALIASES.get(name, name)  # alias


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_test, argv)


def _test(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    sigmas = _check(args)
    find_model(args.model)
    for source in args.source or ():
        prior_entry(args.model, source)
    runner.start_tensorflow()
    with runner.quiet_stderr():
        from tfsep.evaluation import prior_set
        from tfsep.prior_test import run, tables
    tested = prior_set.load(args.model, args.source, args.background)
    data = _data(args, tested)
    settings = run.PriorTestSettings(
        num_examples=args.num_examples,
        num_small=args.num_small,
        num_probes=args.num_probes,
        sigmas=sigmas,
        with_ideal=not args.no_ideal,
        studies=run.suited(args.study or (), tested),
        model=args.model,
    )
    record = run.run(tested, data, settings, _report)
    print(tables.as_text(record))
    if args.json:
        records.write(Path(args.json), record)
    if args.figures:
        from tfsep.prior_test import figures

        for path in figures.write(record, args.figures):
            terminal.print_paths(path)
    return 0


def _data(args: argparse.Namespace, tested: PriorSet) -> IsolatedExcerpts:
    """Prepare excerpts of the data that the arguments name."""
    import dataclasses

    from tfsep.evaluation import excerpts

    rate, sources = tested.sample_rate, tested.sources
    if args.data in TOY_DATA:
        length = tested.length if args.seconds is None else round(args.seconds * rate)
        data = excerpts.toy_excerpts(sources, rate, length, args.seed, args.data == "toy-free")
    else:
        length = max(rate, tested.length) if args.seconds is None else round(args.seconds * rate)
        where = (args.split, args.training_split, args.resample, args.track)
        data = excerpts.folder_excerpts(args.data, sources, rate, length, args.seed, *where, tested.name)
    tested.check_data(data)
    return dataclasses.replace(data, level=data.mean_level(_LEVEL_EXCERPTS)) if args.normalise else data


def _check(args: argparse.Namespace) -> list[float | None] | None:
    """Refuse what cannot be right before TensorFlow is imported; returns the noise levels asked for."""
    for name, lowest in (("num_examples", 2), ("num_small", 1), ("seed", 0)):
        value = getattr(args, name)
        if not lowest <= value < 2**31:
            raise InputError(f"--{name} must be at least {lowest} and below 2^31, got {value}")
    if args.num_probes != 0 and not 2 <= args.num_probes < 2**31:
        raise InputError(f"--num_probes must be 0 or at least 2 and below 2^31, got {args.num_probes}")
    if args.seconds is not None and not 0.0 < args.seconds <= 60.0:
        raise InputError(f"--seconds must be above 0 and at most 60, got {args.seconds}")
    if args.data not in TOY_DATA and not Path(args.data).is_dir():
        raise InputError(f"--data must be toy, toy-free or a folder, got {args.data!r}")
    if args.track and args.data in TOY_DATA:
        raise InputError(f"--track chooses tracks of a folder, --data is {args.data!r}")
    if args.json and (reason := not_a_file(Path(args.json))):
        raise InputError(f"--json must name a file, got {args.json}: {reason}")
    if args.figures and Path(args.figures).is_file():
        raise InputError(f"--figures must name a folder, got the file {args.figures}")
    return None if args.sigma is None else [_sigma(text) for text in args.sigma]


def _sigma(text: str) -> float | None:
    if text == "clean":
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise InputError(f"--sigma must be 'clean' or a number above 0, got {text!r}")
    return value


def _report(part: str) -> None:
    """Name a part of the test on a terminal as it begins."""
    if sys.stderr.isatty():
        print(part, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
