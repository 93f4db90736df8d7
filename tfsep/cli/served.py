"""The options --server and --timeout: a served model takes the place of one that is loaded here."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tfsep.errors import InputError

if TYPE_CHECKING:
    from tfsep.client import Client

#: Options that a served model has no use for, as it was exported with its own.
_FIXED = ("posterior", "priors", "steps", "overlap", "without", "segment", "memory", "silence")
_TIMEOUT, _LONGEST = 30.0, 1e6


def add_option(group: argparse._ArgumentGroup) -> None:
    """Add --server and --timeout."""
    text = "ask a served model of the name of --model instead of loading it; http://HOST:PORT asks by REST"
    group.add_argument("--server", metavar="HOST:PORT", help=text)
    text = f"of one request to the server (default: {_TIMEOUT:g})"
    group.add_argument("--timeout", type=float, metavar="SECONDS", help=text)


def check_absent(args: argparse.Namespace) -> None:
    """Refuse what has no effect on a model that is loaded here.

    Raises:
        InputError: for an option of a server where there is none.
    """
    if args.server is None and args.timeout is not None:
        raise InputError("--timeout has no effect without --server")


def check(args: argparse.Namespace) -> None:
    """Refuse what a served model cannot do.

    Raises:
        InputError: for an option that has no effect, or a timeout out of range.
    """
    if args.timeout is not None and not 0.0 < args.timeout <= _LONGEST:
        raise InputError(f"--timeout must be above 0 and at most {_LONGEST:.0f} seconds, got {args.timeout:g}")
    for name in _FIXED:
        if getattr(args, name) not in (None, []):
            raise InputError(f"--{name} has no effect on a served model, which is as it was exported")
    if args.num_samples != 1:
        raise InputError(f"--server gives one estimate: --num_samples must be 1, got {args.num_samples}")
    if args.report:
        raise InputError("--report needs a model that is loaded here, not one by --server")


def connect(args: argparse.Namespace) -> Client:
    """Return the client of the served model.

    Raises:
        InputError: for an address of another form.
    """
    from tfsep.client import Client

    return Client(args.server, args.model, timeout=_TIMEOUT if args.timeout is None else args.timeout)
