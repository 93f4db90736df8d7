"""Separate sound files into the stems of their sources.

Writes OUTPUT/MODEL/TRACK/SOURCE.wav at the rate, the channels and the exact length of each input; the stems of a track
sum to its mixture. --report adds a page with players and pictures. Written paths go to stdout, messages to stderr.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfsep.audio.formats import FORMATS, MAX_CHANNELS, MAX_RATE, TooLongError, check_format
from tfsep.cli import file_names, model_options, runner, served, tracks
from tfsep.errors import InputError, JobError, TfsepError

if TYPE_CHECKING:
    from tfsep.audio.files import AudioInfo
    from tfsep.separation.stem_files import StemLayout

DEFAULT_MODEL = "songs"
_BITS = {name: tuple(bits for bits in known if bits != "lossy") for name, known in FORMATS.items()}
# No sound of one second that is accepted needs more: 8 channels of 8 bytes at 384 kHz.
_BYTES_PER_SECOND = 8 * MAX_CHANNELS * MAX_RATE
_SPARE_BYTES = 1 << 26
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
    add("--input", action="append", default=[], metavar="FILE", help="one more input; repeatable")
    add("--output", default="separated", metavar="DIR", help="folder of the stems (default: separated); - is stdout")
    text = "pattern of the stems' paths below DIR; tokens {model}, {track}, {stem}"
    add("--filename", default=file_names.DEFAULT, metavar="PATTERN", help=text)
    add("--overwrite", action="store_true", help="replace stems that exist already")
    model = parse.add_argument_group("model")
    model_options.add_model_options(model, default=DEFAULT_MODEL)
    served.add_option(model)
    add = model.add_argument
    add("--num_samples", type=int, default=1, metavar="N", help="posterior samples; above 1 their mean and each one")
    add("--seed", type=int, default=0, metavar="N", help="random seed; the same seed gives the same stems (default: 0)")
    add("--segment", type=float, metavar="SECONDS", help="length of a segment, where the posterior allows another")
    add("--memory", type=float, metavar="GB", help="budget by which segments are separated at once (default: 2)")
    add("--silence", type=float, metavar="P", help="probability that a source is absent, for samplers over priors")
    audio = parse.add_argument_group("audio")
    add = audio.add_argument
    add("--two_stems", metavar="SOURCE", help="write SOURCE and no_SOURCE, everything else")
    add("--source", metavar="SOURCE", help="write this stem alone")
    add("--format", choices=tuple(_BITS), default="wav", help="file format of the stems (default: wav)")
    text = "bits of a sample (default: 32f for wav, whose stems sum exactly; 24 for flac)"
    add("--bits", choices=("16", "24", "32f"), help=text)
    text = "what to do where a stem exceeds full scale (default: rescale)"
    add("--clip_mode", choices=("rescale", "clamp", "none"), default="rescale", help=text)
    add("--start", type=float, default=0.0, metavar="SECONDS", help="begin at this time (default: 0)")
    add("--duration", type=float, metavar="SECONDS", help="separate this many seconds (default: up to the end)")
    text = "refuse inputs longer than this (default: 36000)"
    add("--max_duration", type=float, default=_TEN_HOURS, metavar="SECONDS", help=text)
    report = parse.add_argument_group("report")
    add = report.add_argument
    text = "write report.html beside the stems: players, pictures, residual, metrics (SI-SDR)"
    add("--report", action="store_true", help=text)
    text = "seconds of sound in a page, at most 600 (default: 120)"
    add("--report_seconds", type=float, default=120.0, metavar="N", help=text)
    text = "true sources, for metrics (SI-SDR): DIR/TRACK/SOURCE.wav, or DIR/SOURCE.wav"
    add("--references", metavar="DIR", help=text)
    machine = parse.add_argument_group("machine")
    add = machine.add_argument
    text = "where to compute (default: a GPU if there is one)"
    add("--device", choices=("auto", "cpu", "gpu"), default="auto", help=text)
    add("--jobs", type=int, default=0, metavar="N", help="number of processor threads (default: 0, all)")
    add("--list_models", action="store_true", help="print the bundled models with sources and rates, and stop")
    add("--env_info", action="store_true", help="print versions and devices, and stop")
    add("-q", "--quiet", action="store_true", help="print errors only: no progress, no residuals")
    add("-v", "--verbose", action="store_true", help="print how each input is read and separated")
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
    layout = _check_model(args)
    with runner.temporary_files() as spool:
        most_bytes = round(_most_seconds(args) * _BYTES_PER_SECOND) + _SPARE_BYTES
        found = list(tracks.collect([*args.inputs, *args.input], spool, most_bytes))
        readable = {
            track: info for track in found if (info := _header(track, args)) and isinstance(track, tracks.Track)
        }
        failures = len(found) - len(readable)
        if len(readable) > 1 and not file_names.FileNames(args.filename).tells_tracks_apart:
            raise InputError(f"--filename needs {{track}} where there is more than one, got {args.filename!r}")
        if readable:
            from tfsep.cli.separation_job import SeparationJob

            with SeparationJob(args, layout, spool, parser()) as job:
                failures += job.run(readable)
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
    for name, lowest in (("num_samples", 1), ("seed", 0), ("jobs", 0), ("start", 0.0)):
        value = getattr(args, name)
        if value is not None and not lowest <= value < 2**31:
            raise InputError(f"--{name} must be at least {lowest} and below 2^31, got {value}")
    for name in ("duration", "max_duration", "segment"):
        value = getattr(args, name)
        if value is not None and not 0.0 < value < 2**31:
            raise InputError(f"--{name} must be above 0 seconds and below 2^31, got {value}")
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


def _check_model(args: argparse.Namespace) -> StemLayout:
    """Refuse what the model's description rules out, before any input is read; return which stems are asked for."""
    served.check_absent(args)
    if args.server is not None:
        served.check(args)
        with served.connect(args) as client:
            sources = client.facts.sources
    else:
        sources = model_options.check_model_options(args).sources
    from tfsep.separation.stem_files import StemLayout

    if args.output == "-":
        return StemLayout(sources, only=args.source or args.two_stems)
    return StemLayout(sources, args.num_samples, args.two_stems, args.source)


def _check_report(args: argparse.Namespace) -> None:
    """Refuse what no page could be written for."""
    if args.report and args.output == "-":
        raise InputError("--report writes a page beside the stems, and --output - leaves no folder for it")
    if args.references is not None and not args.report:
        raise InputError("--references is for the metrics of --report, which is not given")
    if args.references is not None and not Path(args.references).is_dir():
        raise InputError(f"--references must be a folder, got {args.references!r}")
    if not 0.0 < args.report_seconds <= 600.0:
        raise InputError(f"--report_seconds must be above 0 and at most 600, got {args.report_seconds:g}")


def _most_seconds(args: argparse.Namespace) -> float:
    """Return how long an input may last of which everything from --start on is separated."""
    return float(args.start + args.max_duration)


def _header(track: tracks.Track | JobError, args: argparse.Namespace) -> AudioInfo | None:
    """Return what a track's header says; print its error and return None where it has one."""
    from tfsep.audio import files

    bound = _most_seconds(args)
    try:
        if isinstance(track, JobError):
            raise track
        info = files.info(track.path, None if args.duration else bound)
        seconds = min(info.seconds - args.start, args.duration or math.inf)
        if seconds > args.max_duration:
            raise TooLongError(track.path, bound, args.start + seconds)
        check_format(args.format, info.sample_rate, info.channels)
    except TooLongError as error:
        found = "more" if error.seconds is None else f"{error.seconds - args.start:.1f} s"
        tracks.complain(JobError(f"--max_duration allows {args.max_duration:g} s at most, got {found}"), track)
        return None
    except ValueError as error:
        tracks.complain(JobError(f"--format {args.format} cannot store the stems: {error}"), track)
        return None
    except TfsepError as error:
        tracks.complain(error, track)
        return None
    return info


if __name__ == "__main__":
    sys.exit(main())
