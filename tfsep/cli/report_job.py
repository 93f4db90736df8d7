"""The report of bin/separate: the files and settings of a call that the page of a track shows."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfsep import __version__
from tfsep.cli import terminal, tracks
from tfsep.errors import JobError

if TYPE_CHECKING:
    from tfsep.audio.files import AudioInfo
    from tfsep.separation.separator import Separator
    from tfsep.separation.stem_files import StemFolder, StemFormat, StemLayout

_LIBRARIES = ("tensorflow", "keras", "numpy", "soundfile", "soxr")
# A page shows no paths and no options of display.
_HIDDEN = ("inputs", "input", "output", "references", "quiet", "verbose", "overwrite", "jobs", "report")


class ReportJob:
    """The pages of one call.

    Args:
        args: of the command, checked.
        options: the parser that they come from.
        separator: the loaded model.
        layout: which stems are written.
        stem_format: how they are written.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        options: argparse.ArgumentParser,
        separator: Separator,
        layout: StemLayout,
        stem_format: StemFormat,
    ) -> None:
        self._args, self._model, self._layout = args, separator.name, layout
        self._settings = settings(args, options, separator, stem_format)

    def prepare(self, track: tracks.Track, info: AudioInfo, page: Path) -> dict[str, Path]:
        """Refuse bad files before the separation, and return the given true sources by stem.

        Raises:
            JobError: the page exists already, there is no reference, or one does not fit the
                mixture.
        """
        from tfsep.separation.stem_files import refuse_existing

        refuse_existing([page], self._args.overwrite)
        if self._args.references is None:
            return {}
        return find_references(Path(self._args.references), track, self._layout.stems(), info)

    def write(
        self, page: Path, track: tracks.Track, info: AudioInfo, stems: StemFolder, references: Mapping[str, Path]
    ) -> None:
        """Write the page of a track whose stems are written; see :func:`tfsep.report.page.write_page`."""
        from tfsep.report.page import write_page
        from tfsep.report.track_files import StemFiles, TrackFiles
        from tfsep.separation.file import selected_frames

        args, layout = self._args, self._layout
        first, frames = selected_frames(info, args.start, args.duration)
        paths = dict(zip(stems.names, stems.paths, strict=True))
        found = tuple(
            StemFiles(name, paths[name], tuple(paths[each] for each in layout.samples(name)), references.get(name))
            for name in layout.stems()
        )
        files = TrackFiles(
            track.name,
            track.path,
            first,
            frames,
            info.sample_rate,
            info.channels,
            found,
            layout.only is None,
            stems.factor,
        )
        write_page(page, files, self._model, self._settings, args.report_seconds, args.overwrite)


def find_references(folder: Path, track: tracks.Track, names: Sequence[str], info: AudioInfo) -> dict[str, Path]:
    """Find the true sources of a track: ``folder/<track>/<stem>.wav|flac|...``, or else ``folder/<stem>.*``.

    Args:
        folder: of ``--references``.
        track: whose sources are wanted.
        names: of the stems.
        info: of the mixture.

    Raises:
        JobError: there is none for any of the stems, or one does not fit the mixture.
    """
    from tfsep.audio.suffixes import find_stem, several_files
    from tfsep.report.track_files import check_reference

    own = folder / track.name
    searched = own if own.is_dir() else folder
    found = {name: path for name in names if (path := find_stem(searched, name)) is not None}
    if not found:
        raise JobError(f"--references needs a sound file for one of {', '.join(names)}, got none in {searched}")
    missing = [name for name in names if name not in found]
    if missing:
        terminal.complain(
            "warning", f"{track.label}: no reference of {', '.join(missing)} in {searched}, so no metrics"
        )
    for line in several_files(searched, found):
        terminal.complain("warning", f"{track.label}: of the references in {searched} {line}")
    for path in found.values():
        check_reference(path, info)
    return found


def settings(
    args: argparse.Namespace, options: argparse.ArgumentParser, separator: Separator, stem_format: StemFormat
) -> dict[str, str]:
    """Return how the stems of a call were made, as the page lists it: no path and no host.

    Args:
        args: of the command, checked.
        options: the parser that they come from.
        separator: the loaded model.
        stem_format: how stems are written.
    """
    segment = f"{separator.segment / separator.sample_rate:.3g} s"
    overlap = f"{1.0 - separator.hop / separator.segment:.0%}"
    part = f"from {args.start:g} s" + (f", {args.duration:g} s" if args.duration else " to the end")
    return {
        "Model": f"{separator.name}: {', '.join(separator.sources)}; {separator.sample_rate} Hz",
        "Posterior": separator.model.posterior.describe(),
        "Samples": str(args.num_samples),
        "Seed": str(args.seed),
        "Segments": f"{segment}, overlap {overlap}",
        "Stereo": separator.stereo,
        "Part": part if args.start or args.duration else "the whole input",
        "Stems": f"{stem_format.format}, {stem_format.bits}, clip mode {stem_format.clip_mode}",
        "Command": command_line(args, options, separator.name),
        "Versions": ", ".join(versions()),
    }


def command_line(args: argparse.Namespace, options: argparse.ArgumentParser, model: str) -> str:
    """Return the options that were set, without inputs and outputs; models and priors by name, without folders."""
    words = ["separate"]
    for name, value in vars(args).items():
        if name in _HIDDEN or value == options.get_default(name):
            continue
        if name == "model":
            value = model
        elif name == "priors":
            pairs = (item.partition("=") for text in value for item in text.split(",") if item)
            value = ",".join(f"{source}={_label(folder)}" for source, _, folder in pairs)
        words.append(f"--{name}" if value is True else f"--{name}={value}")
    return " ".join(words)


def _label(given: str) -> str:
    """Return the name of a model, without the folders above it."""
    from tfsep.models.store import find_model, label

    return label(find_model(given))


def versions() -> list[str]:
    """Return the versions of tfsep, Python and the libraries that affect the result."""
    libraries = [f"{library} {importlib.metadata.version(library)}" for library in _LIBRARIES]
    return [f"tfsep {__version__}", f"Python {platform.python_version()}", *libraries]
