"""Write a model as a SavedModel for serving.

Writes OUTPUT/<next version>/saved_model.pb with the signature serving_default: waveform [batch, time] float32 at the
model's sample rate to one output [batch, time] for each source. The new folder's path goes to stdout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tfsep.cli import runner
from tfsep.errors import InputError
from tfsep.models.request import select
from tfsep.separation.settings import SeparatorSettings


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parse = runner.Parser(prog="export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parse.add_argument
    add("--model", required=True, metavar="NAME|DIR", help="bundled or own model")
    add("--output", required=True, metavar="BASE", help="the folder that holds the versions")
    add("--posterior", metavar="NAME", help="kind of posterior, where the model offers several")
    add("--steps", type=int, metavar="N", help="steps of the posterior's iteration")
    add("--overlap", type=float, metavar="X", help="part of a segment shared with the next one, 0..0.9")
    add(
        "--without",
        action="append",
        default=[],
        metavar="SOURCE",
        help="a source that the mixtures do not have; repeatable",
    )
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_export, argv)


def _export(argv: Sequence[str]) -> int:
    """Check the arguments, then load the model and export it."""
    args = parser().parse_args(argv)
    if args.steps is not None and args.steps < 1:
        raise InputError(f"--steps must be at least 1, got {args.steps}")
    chosen = select(args.model, args.posterior, steps=args.steps, without=args.without)
    SeparatorSettings.of_model(chosen.description["settings"], args.overlap)
    runner.start_tensorflow()
    with runner.quiet_stderr():
        from tfsep.export import saved_model
        from tfsep.separation.separator import Separator
    separator = Separator.load(
        args.model, posterior=args.posterior, steps=args.steps, overlap=args.overlap, without=args.without
    )
    with runner.quiet_stderr():
        folder = saved_model.export(separator, args.output)
    print(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
