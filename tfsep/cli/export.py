"""Write a model as a SavedModel for serving.

Writes OUTPUT/<next version>/saved_model.pb with the signature serving_default: waveform [batch, time] float32 at the
model's sample rate to one output [batch, time] for each source. The new folder's path goes to stdout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tfsep.cli import model_options, runner, terminal


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parse = runner.Parser(prog="export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parse.add_argument
    add("--output", required=True, metavar="BASE", help="folder of the versions")
    model_options.add_model_options(parse, leave_out=("priors", "stereo"))
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_export, argv)


def _export(argv: Sequence[str]) -> int:
    """Check the arguments, then load the model and export it."""
    args = parser().parse_args(argv)
    model_options.check_model_options(args)
    runner.start_tensorflow()
    with runner.quiet_stderr():
        from tfsep.export import saved_model
    separator = model_options.load_separator(args)
    with runner.quiet_stderr():
        folder = saved_model.export(separator, args.output)
    terminal.print_paths(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
