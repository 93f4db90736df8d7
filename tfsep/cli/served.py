"""The option --server: a served model takes the place of one that is loaded here."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from tfsep.errors import InputError

if TYPE_CHECKING:
    from tfsep.client import Client

#: Options that a served model has no use for, as it was exported with its own.
_FIXED = ("posterior", "priors", "steps", "overlap", "without", "segment", "memory", "silence")


def add_option(group: argparse._ArgumentGroup) -> None:
    """Add --server."""
    text = "ask a served model of the name of --model instead of loading it; http://HOST:PORT asks by REST"
    group.add_argument("--server", metavar="HOST:PORT", help=text)


def check(args: argparse.Namespace) -> None:
    """Refuse what a served model cannot do.

    Raises:
        InputError: for an option that has no effect.
    """
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

    return Client(args.server, args.model)
