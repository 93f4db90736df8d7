"""Write a model as a SavedModel for serving.

Writes OUTPUT/<version>/saved_model.pb with the signatures serving_default (waveform [batch, time] float32 at the
model's sample rate to one output [batch, time] for each source), separate_stereo, samples, uncertainty, log_prob,
segments and info, as far as the model has them. The new folder's path goes to stdout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tfsep.cli import model_options, runner, terminal
from tfsep.errors import InputError


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parse = runner.Parser(prog="export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parse.add_argument
    add("--output", required=True, metavar="BASE", help="folder of the versions")
    text = "number of the version, at least 1; one that exists is never replaced (default: the next)"
    add("--version", type=int, metavar="N", help=text)
    text = "most sound in a request, all rows together and at least one segment, as sound needs memory (default: 120)"
    add("--max_seconds", type=float, default=120.0, metavar="SECONDS", help=text)
    text = "posterior samples of the signatures samples and uncertainty, at least 2 (default: 8)"
    add("--num_samples", type=int, default=8, metavar="N", help=text)
    model_options.add_model_options(parse, leave_out=("priors",))
    text = "budget by which segments are separated at once, and which the samples must fit (default: 2)"
    add("--memory", type=float, metavar="GB", help=text)
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_export, argv)


def _export(argv: Sequence[str]) -> int:
    """Check the arguments, then load the model and export it."""
    args = parser().parse_args(argv)
    if args.version is not None and not 1 <= args.version < 2**63:
        raise InputError(f"--version must be at least 1 and below 2^63, got {args.version}")
    if not 0.0 < args.max_seconds <= 36000.0:
        raise InputError(f"--max_seconds must be above 0 and at most 36000, got {args.max_seconds:g}")
    if not 2 <= args.num_samples <= 1000:
        raise InputError(f"--num_samples must be in 2..1000, got {args.num_samples}")
    model_options.check_model_options(args)
    runner.start_tensorflow()
    with runner.quiet_stderr():
        from tfsep.export import saved_model
    separator = model_options.load_separator(args, draws=1)  # The export knows whether it draws samples.
    with runner.quiet_stderr():
        folder = saved_model.export(separator, args.output, args.version, args.max_seconds, args.num_samples)
    terminal.print_paths(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
