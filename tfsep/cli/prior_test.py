"""Test the priors of a model: do they tell its sources apart, and how sharp are they?

Prints tables to stdout and writes the whole record as JSON; --figures draws it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfsep.cli import runner
from tfsep.errors import InputError, JobError

TOY_DATA = ("toy", "toy-free")
STUDIES = ("published", "peakedness", "single", "referee")
_EXAMPLES = 256
_LEVEL_CUTS = 256


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    parse = runner.Parser(prog="prior-test", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parse.add_argument
    add("--model", required=True, metavar="NAME|DIR", help="bundled or own model, with at least two priors")
    add("--source", action="append", metavar="NAME", help="one of the priors to test, repeatable (default: all)")
    add("--background", metavar="NAME|DIR", help="model with a prior of all sources pooled, for likelihood ratios")
    add("--data", required=True, metavar="toy|toy-free|DIR", help="toy sources, or <DIR>/<split>/<track>/<source>.wav")
    add("--split", default="test", help="of a folder: held-out cuts (default: test)")
    add("--training_split", default="train", help="of a folder: cuts to calibrate on (default: train)")
    add("--track", action="append", default=[], metavar="WORD", help="of a folder: hold out tracks with this name")
    add("--num_examples", type=int, default=_EXAMPLES, metavar="N", help=f"cuts of each source (default: {_EXAMPLES})")
    add("--num_small", type=int, default=16, metavar="N", help="cuts of each source that studies follow (default: 16)")
    add("--seconds", type=float, metavar="S", help="length of a cut (default: 1 s of a folder, one event of a toy)")
    add("--sigma", action="append", metavar="S", help="noise level or 'clean', repeatable; the first is the headline")
    add("--normalise", action="store_true", help="bring every cut to one loudness, the mean of the training cuts'")
    add("--resample", action="store_true", help="accept a folder at another sample rate than the priors'")
    add("--study", action="append", choices=(*STUDIES, "all"), help="a further study, repeatable; each takes minutes")
    add("--no-ideal", action="store_true", help="leave out the ideal prior of the toy's grid, which is slow")
    add("--seed", type=int, default=0, metavar="N", help="of cuts and noise (default: 0)")
    add("--json", metavar="FILE", help="where the record goes")
    add("--figures", metavar="DIR", help="where pictures of it go, as PNG and for TensorBoard")
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return runner.run(_test, argv)


def _test(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    sigmas = _check(args)
    runner.start_tensorflow()
    with runner.quiet_stderr():
        from tfsep.evaluation import prior_set
        from tfsep.prior_test import run
        from tfsep.prior_test import studies as prior_studies
        from tfsep.prior_test import text as prior_test_text
    tested = prior_set.load(args.model, args.source, args.background)
    cuts = _cuts(args, tested)
    studies = prior_studies.suited(args.study or (), tested)
    ideal = not args.no_ideal
    record = run.run(tested, cuts, args.num_examples, sigmas, ideal, studies, args.model, _say, args.num_small)
    print(prior_test_text.as_text(record))
    if args.json:
        _write(Path(args.json), record)
    if args.figures:
        from tfsep.prior_test import figures

        for path in figures.write(record, args.figures):
            print(path)
    return 0


def _cuts(args: argparse.Namespace, tested: Any) -> Any:
    """The data that the arguments name, in cuts."""
    import dataclasses

    from tfsep.evaluation import excerpts

    rate, sources = tested.sample_rate, tested.sources
    if args.data in TOY_DATA:
        length = tested.length if args.seconds is None else round(args.seconds * rate)
        cuts = excerpts.toy_excerpts(sources, rate, length, args.seed, args.data == "toy-free")
    else:
        length = max(rate, tested.length) if args.seconds is None else round(args.seconds * rate)
        where = (args.split, args.training_split, args.resample, args.track)
        cuts = excerpts.folder_excerpts(args.data, sources, rate, length, args.seed, *where, tested.name)
    tested.check_data(cuts)
    return dataclasses.replace(cuts, level=cuts.mean_level(_LEVEL_CUTS)) if args.normalise else cuts


def _check(args: argparse.Namespace) -> list[float | None] | None:
    """Refuse what cannot be right before TensorFlow is imported; returns the noise levels asked for."""
    for name, lowest in (("num_examples", 2), ("num_small", 1), ("seed", 0)):
        value = getattr(args, name)
        if not lowest <= value < 2**31:
            raise InputError(f"--{name} must be at least {lowest} and below 2^31, got {value}")
    if args.seconds is not None and not 0.0 < args.seconds <= 60.0:
        raise InputError(f"--seconds must be above 0 and at most 60, got {args.seconds}")
    if args.data not in TOY_DATA and not Path(args.data).is_dir():
        raise InputError(f"--data must be toy, toy-free or a folder, got {args.data!r}")
    if args.track and args.data in TOY_DATA:
        raise InputError(f"--track chooses tracks of a folder, --data is {args.data!r}")
    if args.json and Path(args.json).is_dir():
        raise InputError(f"--json must name a file, got the folder {args.json}")
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


def _write(path: Path, record: dict[str, Any]) -> None:
    """Write the record whole or not at all; what is not finite is null."""
    from tfsep.audio.atomic import replacing

    try:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(_finite(record), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise JobError(f"{path} cannot be written: {error.strerror}") from error


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _say(stage: str) -> None:
    """Name a stage on a terminal."""
    if sys.stderr.isatty():
        print(stage, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
