"""Arguments that several commands share: which model, which of its posteriors, and how it is applied.

The model's description is read without TensorFlow (:func:`check_model_options`); a command then starts TensorFlow and
loads the model (:func:`load_separator`).
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, TypeAlias

from tfsep.cli import runner
from tfsep.errors import InputError

if TYPE_CHECKING:
    from tfsep.models.request import Selection
    from tfsep.separation.separator import Separator

# What options have that a command leaves out.
_DEFAULTS: dict[str, object] = {"segment": None, "memory": None, "silence": None, "stereo": None, "priors": []}
_Arguments: TypeAlias = argparse.ArgumentParser | argparse._ArgumentGroup


def add_model_options(group: _Arguments, default: str | None = None, leave_out: Collection[str] = ()) -> None:
    """Add --model, --posterior, --priors, --steps, --overlap, --stereo and --without.

    Args:
        group: the parser of a command, or a group of its arguments.
        default: the model where none is given; None makes --model required.
        leave_out: names of options that the command does not have.
    """
    group.set_defaults(**_DEFAULTS)
    model = "bundled or own model" + (f" (default: {default})" if default else "")
    add = group.add_argument
    add("--model", default=default, required=default is None, metavar="NAME|DIR", help=model)
    add("--posterior", metavar="NAME", help="kind of posterior, where the model has several")
    if "priors" not in leave_out:
        text = "models whose priors replace or extend the model's; repeatable"
        add("--priors", action="append", default=[], metavar="SOURCE=DIR,...", help=text)
    add("--steps", type=int, metavar="N", help="number of steps of the posterior's iteration")
    text = "share of a segment that overlaps the next one, 0..0.9 (default: the model's)"
    add("--overlap", "--segment_overlap", type=float, metavar="X", help=text)
    if "stereo" not in leave_out:
        text = "how channels are separated: each, mid_side or wiener (default: the model's)"
        add("--stereo", metavar="MODE", help=text)
    text = "a source that the mixture does not contain; repeatable"
    add("--without", action="append", default=[], metavar="SOURCE", help=text)


def check_model_options(args: argparse.Namespace) -> Selection:
    """Refuse what the model's description rules out, without TensorFlow; return what was chosen.

    Raises:
        InputError: for an option out of its range, or an unknown model, posterior or source.
    """
    if args.steps is not None and not 1 <= args.steps < 2**31:
        raise InputError(f"--steps must be at least 1 and below 2^31, got {args.steps}")
    priors = parse_priors(args.priors)
    from tfsep.models.request import select
    from tfsep.separation.settings import SeparatorSettings

    chosen = select(args.model, args.posterior, priors, args.steps, args.segment, args.silence, args.without)
    SeparatorSettings.of_model(chosen.description["settings"], args.overlap, args.memory, args.stereo)
    return chosen


def load_separator(args: argparse.Namespace, draws: int | None = None) -> Separator:
    """Load the model as the options say; :func:`tfsep.cli.runner.start_tensorflow` comes first.

    Args:
        args: of the command.
        draws: posterior samples that the memory budget must hold; None is those of --num_samples, where the command has
            it.

    Raises:
        InputError: if the model cannot be loaded with these options, or so many samples do not fit the budget.
    """
    with runner.quiet_stderr():
        from tfsep.separation.separator import Separator
    separator = Separator.load(
        args.model,
        posterior=args.posterior,
        priors=parse_priors(args.priors),
        steps=args.steps,
        overlap=args.overlap,
        segment=args.segment,
        memory=args.memory,
        stereo=args.stereo,
        silence=args.silence,
        without=args.without,
    )
    separator.check_samples(getattr(args, "num_samples", 1) if draws is None else draws)
    return separator


def parse_priors(given: Sequence[str]) -> dict[str, str] | None:
    """Read ``drums=DIR,bass=DIR`` (repeatable) as {source: folder}; None where nothing is given.

    Raises:
        InputError: for anything of another form.
    """
    priors: dict[str, str] = {}
    for item in (item for text in given for item in text.split(",") if item):
        source, sign, folder = item.partition("=")
        if not (source and sign and folder):
            raise InputError(f"--priors must be SOURCE=DIR,..., got {item!r}")
        priors[source] = folder
    return priors or None
