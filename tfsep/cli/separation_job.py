"""The work of bin/separate once its arguments are checked: load the model, separate track after track."""

from __future__ import annotations

import argparse
import contextlib
import math
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tfsep.cli import file_names, model_options, runner, served, terminal, tracks
from tfsep.errors import InputError, JobError, TfsepError

if TYPE_CHECKING:
    from tqdm import tqdm

    from tfsep.audio.files import AudioInfo
    from tfsep.cli.report_job import ReportJob
    from tfsep.separation.file import FileReport
    from tfsep.separation.separator import Separator
    from tfsep.separation.served import ServedSeparator
    from tfsep.separation.stem_files import StemFolder, StemFormat, StemLayout


class SeparationJob:
    """One loaded model and what to do with each track.

    Args:
        args: of the command (:func:`tfsep.cli.separate.parser`), checked.
        layout: which stems are asked for, of the model's sources.
        spool: a temporary folder.
        options: the parser of the arguments.

    Raises:
        InputError: if the model cannot be loaded with these arguments, or there is no such device.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        layout: StemLayout,
        spool: Path,
        options: argparse.ArgumentParser,
    ) -> None:
        if sys.stderr.isatty() and not args.quiet:
            print(f"loading TensorFlow and the model {terminal.plain(args.model)}", file=sys.stderr, flush=True)
        tensorflow = runner.start_tensorflow()
        _choose_device(tensorflow, args.device, args.jobs)
        self._graph_error: type[Exception] = tensorflow.errors.OpError
        with runner.quiet_stderr():
            from tfsep.separation.stem_files import StemFormat
        self.args = args
        self._resources = contextlib.ExitStack()
        self.separator: Separator | ServedSeparator
        if args.server is not None:
            from tfsep.separation.served import ServedSeparator

            with contextlib.ExitStack() as resources:
                client = resources.enter_context(served.connect(args))
                self.separator = ServedSeparator(client, args.stereo)
                self._resources = resources.pop_all()
            self.kind = self.separator.describe()
        else:
            self.separator = loaded = model_options.load_separator(args)
            posterior = loaded.model.posterior
            self.kind = posterior.describe()
            if args.num_samples > 1 and not posterior.has_spread and not args.quiet:
                terminal.complain(
                    "note",
                    f"draws of {self.kind!r} are estimates from several random starts, and their spread "
                    "is no measure of uncertainty",
                )
        piped = args.output == "-"
        self.format: StemFormat = StemFormat(args.format, args.bits, args.clip_mode)
        self.layout = layout
        self.output = spool / "out" if piped else Path(args.output)
        self.names = file_names.FileNames(args.filename)
        self.pages: ReportJob | None = None
        if args.report:
            from tfsep.cli.report_job import ReportJob

            self.pages = ReportJob(args, options, loaded, self.layout, self.format)

    def __enter__(self) -> SeparationJob:
        """Return the job."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the connections to a server."""
        self._resources.close()

    def run(self, readable: Mapping[tracks.Track, AudioInfo]) -> int:
        """Separate the tracks one by one and return how many failed."""
        failures = 0
        for track, info in readable.items():
            try:
                self._separate(track, info)
            except (TfsepError, OSError, self._graph_error) as error:
                if isinstance(error, BrokenPipeError):
                    raise
                tracks.complain(error, track)
                failures += 1
        return failures

    def _separate(self, track: tracks.Track, info: AudioInfo) -> None:
        """Separate one track, write its stems and print where they are."""
        from tfsep.separation import file, stem_files
        from tfsep.separation.names import plain_name

        args = self.args
        _, frames = file.selected_frames(info, args.start, args.duration)
        model = plain_name(self.separator.name)
        folder = self.output / self.names.folder(model, track.name)
        page = folder / f"{self.names.file(model, track.name, 'report')}.html"
        stems = stem_files.StemFolder(
            folder,
            self.layout.names(),
            info.sample_rate,
            info.channels,
            self.format,
            args.overwrite,
            lambda stem: self.names.file(model, track.name, stem),
        )
        for path in (*stems.paths, page):
            if not path.resolve().is_relative_to(self.output.resolve()):
                raise JobError(f"{path} leads out of the output folder {self.output}")
        references = self.pages.prepare(track, info, page) if self.pages else {}
        if args.verbose:
            kind = f"{info.format} {info.subtype}, {info.sample_rate} Hz, {info.channels} channels"
            how = f"{self.separator.name}, {self.kind}"
            print(f"{track.label}: {kind} -> {self.separator.sample_rate} Hz, {how}", file=sys.stderr)
        with (
            stems,
            _progress(track.name, frames, info.sample_rate, args.quiet) as bar,
            _levels_shown(bar),
        ):
            report = file.separate_to_folder(
                self.separator,
                track.path,
                stems,
                self.layout,
                num_samples=args.num_samples,
                seed=args.seed,
                start=args.start,
                duration=args.duration,
                info=info,
                progress=lambda done: bar.update(done / info.sample_rate),
            )
        self._report(track, stems, report)
        if self.pages:
            self.pages.write(page, track, info, stems, references)
            terminal.print_paths(page)

    def _report(self, track: tracks.Track, stems: StemFolder, report: FileReport) -> None:
        """Print paths (or the one stem) on stdout, the rest on stderr."""
        from tfsep.separation.consistency import RESIDUAL_LIMIT_DB

        if self.args.output == "-":
            with stems.paths[0].open("rb") as stem:
                shutil.copyfileobj(stem, sys.stdout.buffer)
        else:
            terminal.print_paths(*stems.paths)
        seconds = report.frames / report.sample_rate
        if not self.args.quiet:
            left = f"{report.residual_db:.0f} dB" if report.residual_db > -math.inf else "nothing"
            rounding = "" if self.format.unlimited else f" (before the rounding of {self.format.format})"
            print(
                f"{track.name}: {seconds:.1f} s in {report.seconds:.1f} s, {report.sample_rate} Hz, "
                f"{report.channels} channels; mixture minus stems leaves {left}{rounding}",
                file=sys.stderr,
            )
        if report.residual_db > RESIDUAL_LIMIT_DB:
            terminal.complain(
                "warning",
                f"{track.label}: the stems leave a residual of {report.residual_db:.1f} dB, "
                f"more than {RESIDUAL_LIMIT_DB:g} dB",
            )
        if stems.clipped:
            done = {
                "rescale": f"all stems were scaled by {stems.factor:.4f}",
                "clamp": "samples beyond full scale were clipped",
                "none": "samples beyond full scale were written as they are",
            }[self.format.clip_mode]
            terminal.complain(
                "warning",
                f"{track.label}: a stem peaks at {stems.peak:.3f} of full scale; {done} (--bits 32f keeps it)",
            )


def _choose_device(tensorflow: ModuleType, device: str, jobs: int) -> None:
    """Hide or demand GPUs and set the number of threads; must come before the first operation."""
    gpus = tensorflow.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise InputError("--device gpu needs a GPU that TensorFlow sees, got none")
    if device == "cpu":
        tensorflow.config.set_visible_devices([], "GPU")
    if jobs:
        tensorflow.config.threading.set_intra_op_parallelism_threads(jobs)
        tensorflow.config.threading.set_inter_op_parallelism_threads(jobs)


def _levels_shown(bar: tqdm) -> contextlib.AbstractContextManager[None]:
    """Return a block in which a bar that is shown also says how far the sampler is on the segments at hand."""
    if bar.disable:
        return contextlib.nullcontext()
    from tfsep.runtime import progress

    return progress.reporting_to(lambda kind, done, total: bar.set_postfix_str(f"{kind}: level {done} of {total}"))


def _progress(name: str, frames: int, sample_rate: int, quiet: bool) -> tqdm:
    """Return a bar in seconds of sound, shown on terminals only."""
    from tqdm import tqdm

    layout = "{desc}: {percentage:3.0f}% |{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}{postfix}]"
    return tqdm(total=frames / sample_rate, desc=name, bar_format=layout, leave=False, disable=True if quiet else None)
