"""Separate sound files into the stems of their sources.

Writes OUTPUT/MODEL/TRACK/SOURCE.wav at the rate, the channels and the exact length of each input; the stems of a track
sum to its mixture. --report adds a page with players and pictures. Written paths go to stdout, messages to stderr.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfsep.cli import file_names, runner, tracks
from tfsep.errors import InputError, JobError, TfsepError

if TYPE_CHECKING:
    from tfsep.audio.files import AudioInfo
    from tfsep.separation.stem_files import StemLayout

DEFAULT_MODEL = "songs"
_BITS = {"wav": ("32f", "24", "16"), "flac": ("24", "16"), "ogg": (), "mp3": ()}
_TEN_HOURS = 36000.0
_EPILOG = """\
TFSEP_MODELS in the environment names a folder of models to find by name, in place of those that come with tfsep."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parse = runner.Parser(
        prog="separate",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parse.add_argument
    add("inputs", nargs="*", metavar="FILE|DIR|-", help="sound files, folders of them, or - for the standard input")
    add("--input", action="append", default=[], metavar="FILE", help="one more input; may be repeated")
    add("--output", default="separated", metavar="DIR", help="where the stems go (default: separated); - is stdout")
    add("--filename", default=file_names.DEFAULT, metavar="PATTERN", help="below DIR, of {model}, {track} and {stem}")
    add("--overwrite", action="store_true", help="replace stems that are there already")
    model = parse.add_argument_group("model")
    add = model.add_argument
    add("--model", default=DEFAULT_MODEL, metavar="NAME|DIR", help=f"bundled or own model (default: {DEFAULT_MODEL})")
    add("--posterior", metavar="NAME", help="kind of posterior, where the model offers several")
    add("--priors", action="append", default=[], metavar="SOURCE=DIR,...", help="priors in place of the model's")
    add("--steps", type=int, metavar="N", help="steps of the posterior's iteration")
    add("--num_samples", type=int, default=1, metavar="N", help="posterior samples; above 1 their mean and each one")
    add("--seed", type=int, default=0, metavar="N", help="the same seed gives the same stems (default: 0)")
    add("--segment", type=float, metavar="SECONDS", help="length of a segment, where the posterior allows another")
    add("--memory", type=float, metavar="GB", help="budget by which segments are separated at once (default: 2)")
    add("--overlap", "--segment_overlap", type=float, metavar="X", help="part of a segment shared with the next one")
    add("--stereo", metavar="MODE", help="how channels are separated: each, mid_side or wiener (default: the model's)")
    add("--silence", type=float, metavar="P", help="how likely each source is absent, for samplers over priors")
    add("--without", action="append", default=[], metavar="SOURCE", help="a source that is not there; repeatable")
    audio = parse.add_argument_group("audio")
    add = audio.add_argument
    add("--two_stems", metavar="SOURCE", help="write SOURCE and no_SOURCE, everything else")
    add("--source", metavar="SOURCE", help="write this stem alone")
    add("--format", choices=tuple(_BITS), default="wav", help="of the stems (default: wav)")
    add("--bits", choices=("16", "24", "32f"), help="default: 32f for wav, whose stems sum exactly; 24 for flac")
    add("--clip_mode", choices=("rescale", "clamp", "none"), default="rescale", help="if a stem exceeds full scale")
    add("--start", type=float, default=0.0, metavar="SECONDS", help="skip what is before")
    add("--duration", type=float, metavar="SECONDS", help="stop after so much")
    add("--max_duration", type=float, default=_TEN_HOURS, metavar="SECONDS", help="refuse more than this (36000)")
    report = parse.add_argument_group("report")
    add = report.add_argument
    add("--report", action="store_true", help="write report.html beside the stems: players, pictures, residual, scores")
    add("--report_seconds", type=float, default=120.0, metavar="N", help="of sound in a page, at most 600 (120)")
    add("--references", metavar="DIR", help="true sources, for scores: DIR/TRACK/SOURCE.wav, or DIR/SOURCE.wav")
    machine = parse.add_argument_group("machine")
    add = machine.add_argument
    add("--device", choices=("auto", "cpu", "gpu"), default="auto", help="default: a GPU where there is one")
    add("--jobs", type=int, default=0, metavar="N", help="processor threads (default: 0, all)")
    add("--list_models", action="store_true", help="print the bundled models with sources and rates, and stop")
    add("--env_info", action="store_true", help="print versions and devices and stop")
    add("-q", "--quiet", action="store_true", help="no progress, no reports; errors only")
    add("-v", "--verbose", action="store_true", help="say how each input is read and separated")
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_separate, argv)


def _separate(argv: Sequence[str]) -> int:
    args = parser().parse_args(_underscored(argv))
    if args.env_info or args.list_models:
        from tfsep.cli import env_info

        env_info.show(versions=args.env_info, models=args.list_models)
        return 0
    _check(args)
    priors = runner.parse_priors(args.priors)
    layout = _check_model(args, priors)
    with tempfile.TemporaryDirectory(prefix="tfsep-") as spool:
        found = list(tracks.collect([*args.inputs, *args.input], Path(spool)))
        readable = {
            track: info for track in found if (info := _header(track, args)) and isinstance(track, tracks.Track)
        }
        failures = len(found) - len(readable)
        if len(readable) > 1 and not file_names.FileNames(args.filename).tells_tracks_apart:
            raise InputError(f"--filename needs {{track}} where there is more than one, got {args.filename!r}")
        if readable:
            from tfsep.cli.separation_job import SeparationJob

            failures += SeparationJob(args, priors, layout, Path(spool), parser()).run(readable)
    return 1 if failures else 0


def _underscored(argv: Sequence[str]) -> list[str]:
    """Spell option names with underscores, for those who write --two-stems."""
    spelled = []
    for argument in argv:
        if argument.startswith("--"):
            name, sign, value = argument[2:].partition("=")
            argument = f"--{name.replace('-', '_')}{sign}{value}"
        spelled.append(argument)
    return spelled


def _check(args: argparse.Namespace) -> None:
    """Refuse what no input could make right, before TensorFlow is imported."""
    if not args.inputs and not args.input:
        raise InputError("at least one input is needed: a sound file, a folder of them, or -")
    if [*args.inputs, *args.input].count(tracks.STANDARD_INPUT) > 1:
        raise InputError("- (the standard input) can be read once only")
    for name, lowest in (("num_samples", 1), ("steps", 1), ("seed", 0), ("jobs", 0), ("start", 0.0)):
        value = getattr(args, name)
        if value is not None and not lowest <= value < 2**31:
            raise InputError(f"--{name} must be at least {lowest} and below 2^31, got {value}")
    for name in ("duration", "max_duration", "segment"):
        value = getattr(args, name)
        if value is not None and not value > 0.0:
            raise InputError(f"--{name} must be above 0 seconds, got {value}")
    allowed = _BITS[args.format]
    if args.bits and args.bits not in allowed:
        rule = f"must be one of {', '.join(allowed)}" if allowed else "has no meaning"
        raise InputError(f"--bits {rule} for {args.format}, got {args.bits}")
    file_names.FileNames(args.filename)
    _check_report(args)
    if args.two_stems and args.source:
        raise InputError("--two_stems and --source exclude each other")
    if args.output == "-" and not (args.two_stems or args.source):
        raise InputError("--output - writes one stem: say which by --source SOURCE")
    if args.output == "-" and len([*args.inputs, *args.input]) > 1:
        raise InputError("--output - takes a single input")


def _check_model(args: argparse.Namespace, priors: dict[str, str] | None) -> StemLayout:
    """Refuse what the model's description rules out, before any input is read; return which stems are asked for."""
    from tfsep.models.request import select
    from tfsep.separation.settings import SeparatorSettings

    chosen = select(args.model, args.posterior, priors, args.steps, args.segment, args.silence, args.without)
    SeparatorSettings.of_model(chosen.description["settings"], args.overlap, args.memory, args.stereo)
    from tfsep.separation.stem_files import StemLayout

    if args.output == "-":
        return StemLayout(chosen.sources, only=args.source or args.two_stems)
    return StemLayout(chosen.sources, args.num_samples, args.two_stems, args.source)


def _check_report(args: argparse.Namespace) -> None:
    """Refuse what no page could be written for."""
    if args.report and args.output == "-":
        raise InputError("--report writes a page beside the stems, and --output - leaves no folder for it")
    if args.references is not None and not args.report:
        raise InputError("--references is for the scores of --report, which is not given")
    if args.references is not None and not Path(args.references).is_dir():
        raise InputError(f"--references must be a folder, got {args.references!r}")
    if not 0.0 < args.report_seconds <= 600.0:
        raise InputError(f"--report_seconds must be above 0 and at most 600, got {args.report_seconds:g}")


def _header(track: tracks.Track | JobError, args: argparse.Namespace) -> AudioInfo | None:
    """Return what a track's header says; print its error and return None where it has one."""
    from tfsep.audio import files

    try:
        if isinstance(track, JobError):
            raise track
        info = files.info(track.path)
        seconds = min(info.seconds - args.start, args.duration or float("inf"))
        if seconds > args.max_duration:
            raise JobError(f"--max_duration allows {args.max_duration:g} s at most, got {seconds:.1f} s")
    except TfsepError as error:
        tracks.complain(error, track)
        return None
    return info


if __name__ == "__main__":
    sys.exit(main())
