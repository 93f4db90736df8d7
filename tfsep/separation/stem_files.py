"""The stems of one track on disk: all of them complete, or nothing.

Stems are written into a temporary folder beside their own, or in it, and moved there when the last
one is closed. A file that another process has put there meanwhile is replaced only where that is
asked for. Formats of integers, and the lossy ones, cannot store samples beyond full scale: what
happens then is set by the clip mode and always reported.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from tfsep.atomic import publish
from tfsep.audio import files
from tfsep.audio.formats import FORMATS
from tfsep.errors import InputError, JobError
from tfsep.locks import PARTIAL_PREFIX, sweep_folders, temporary_folder

CLIP_MODES = ("rescale", "clamp", "none")
_FULL_SCALE = 1.0 - 2.0**-15
_COPY_FRAMES = 1 << 16
_PLAIN_NAME = re.compile(r"[^./\\:\x00-\x1f][^/\\:\x00-\x1f]{0,99}")


@dataclass(frozen=True)
class StemFormat:
    """How stems are written.

    Attributes:
        format: "wav", "flac", "ogg" or "mp3".
        bits: "16", "24" or "32f" (floats, wav only); None is "32f" for wav and "24" for flac. The
            lossy formats ignore it.
        clip_mode: where a stem would exceed full scale, "rescale" divides all stems of the track by
            one factor, "clamp" clips at full scale, "none" leaves it to the format: integers clip,
            ogg and mp3 store more than full scale, which players clip. Floats store any value:
            there is nothing to do for them.

    Raises:
        InputError: for an unknown format or clip mode, or bits that the format does not have.
    """

    format: str = "wav"
    bits: str | None = None
    clip_mode: str = "rescale"

    def __post_init__(self) -> None:
        """Check that there are such a format, such bits and such a clip mode."""
        if self.format not in FORMATS:
            raise InputError(f"format must be one of {', '.join(FORMATS)}, got {self.format!r}")
        known = FORMATS[self.format]
        if self.bits is None:
            object.__setattr__(self, "bits", next(iter(known)))
        if "lossy" not in known and self.bits not in known:
            raise InputError(f"bits of {self.format} must be one of {', '.join(known)}, got {self.bits!r}")
        if self.clip_mode not in CLIP_MODES:
            raise InputError(f"clip_mode must be one of {', '.join(CLIP_MODES)}, got {self.clip_mode!r}")

    @property
    def unlimited(self) -> bool:
        """Return whether samples beyond full scale are stored as they are."""
        return self.format == "wav" and self.bits == "32f"


@dataclass(frozen=True)
class StemLayout:
    """Which files a track's stems become.

    Attributes:
        sources: the model's sources.
        num_samples: posterior samples; above 1 the stem is their mean and each sample is a file of
            its own.
        two_stems: a source that is written together with everything else (``no_SOURCE``) instead of
            all sources.
        only: a source that alone is written.
    """

    sources: tuple[str, ...]
    num_samples: int = 1
    two_stems: str | None = None
    only: str | None = None

    def __post_init__(self) -> None:
        """Check that every source can be a file's name, and that the chosen one exists."""
        for source in self.sources:
            if not _PLAIN_NAME.fullmatch(source):
                raise InputError(f"a source that is written to a file needs a plain name, got {source!r}")
        for chosen in (self.two_stems, self.only):
            if chosen is not None and chosen not in self.sources:
                raise InputError(f"source must be one of {', '.join(self.sources)}, got {chosen!r}")

    def stems(self) -> tuple[str, ...]:
        """Return the names of the stems, without their samples."""
        if self.only is not None:
            return (self.only,)
        return self.sources if self.two_stems is None else (self.two_stems, f"no_{self.two_stems}")

    def samples(self, stem: str) -> tuple[str, ...]:
        """Return the names of the samples of a stem; none where it is a single estimate."""
        return tuple(f"{stem}_sample{number + 1}" for number in range(self.num_samples if self.num_samples > 1 else 0))

    def names(self) -> tuple[str, ...]:
        """Return the names of the files without suffix, in the order of :meth:`split`."""
        return tuple(name for stem in self.stems() for name in (stem, *self.samples(stem)))

    def split(self, mixture: np.ndarray, stems: np.ndarray) -> dict[str, np.ndarray]:
        """Split a block of stems (num_samples, source, channels, time) into {name: (channels, time)}, float32."""
        chosen = self.only or self.two_stems
        kept = stems if chosen is None else stems[:, [self.sources.index(chosen)]]
        if self.two_stems is not None and self.only is None:
            rest = mixture.astype(np.float64) - kept
            kept = np.concatenate([kept, rest.astype(np.float32)], axis=1)
        blocks: list[np.ndarray] = []
        for source in np.moveaxis(kept, 1, 0):
            blocks.append(source.mean(axis=0, dtype=np.float64).astype(np.float32))
            blocks.extend(source if self.num_samples > 1 else ())
        return dict(zip(self.names(), blocks, strict=True))


class StemFolder:
    """A context manager that writes the stems of one track; after a clean exit ``paths`` lists them.

    Args:
        folder: where the stems belong; it is made, with its parents.
        names: of the files, without suffix.
        sample_rate: Hz.
        channels: of each stem.
        stem_format: how they are written.
        overwrite: whether files of these names may be replaced.
        place: from a name to its file below ``folder``, without suffix; it may have a folder of its
            own.

    Raises:
        JobError: on entering, if a file is there already or the folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        names: Iterable[str],
        sample_rate: int,
        channels: int,
        stem_format: StemFormat,
        overwrite: bool = False,
        place: Callable[[str], str] = str,
    ) -> None:
        """Name the files; nothing is written before the context is entered."""
        self.folder, self.names, self.format, self._place = folder, tuple(names), stem_format, place
        self.paths = [folder / f"{place(name)}.{stem_format.format}" for name in self.names]
        self.peak = 0.0
        self.factor = 1.0
        self._rate, self._channels, self._overwrite = sample_rate, channels, overwrite
        self._staged = stem_format.clip_mode == "rescale" and not stem_format.unlimited
        self._writers: dict[str, files.Writer] = {}
        self._open_files = contextlib.ExitStack()
        self._folders = contextlib.ExitStack()
        self._made: list[Path] = []

    @property
    def clipped(self) -> bool:
        """Return whether a stem exceeded what its format can store."""
        return self.peak > 1.0 and not self.format.unlimited

    def __enter__(self) -> StemFolder:
        """Open a writer for each stem in a temporary folder."""
        refuse_existing(self.paths, self._overwrite)
        self._writer(self.folder, "stem", staged=False)
        parents = [self.folder.parent, *self.folder.parent.parents]
        self._made = [parent for parent in parents if not parent.exists()]
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            sweep_folders(self.folder.parent, PARTIAL_PREFIX)
            beside = self.folder if self.folder.is_dir() else self.folder.parent
            self._temporary = self._folders.enter_context(temporary_folder(beside))
        except OSError as error:
            self._remove_made()
            raise JobError(f"the output folder {self.folder} cannot be written: {error.strerror}") from error
        try:
            for name in self.names:
                self._writers[name] = self._open_files.enter_context(
                    self._writer(self._temporary, name, staged=self._staged)
                )
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def write(self, blocks: dict[str, np.ndarray]) -> None:
        """Append one block (channels, time) to each stem."""
        for name, block in blocks.items():
            self.peak = max(self.peak, float(np.max(np.abs(block), initial=0.0)))
            clamped = self.format.clip_mode == "clamp" and not self.format.unlimited
            self._writers[name].write(np.clip(block, -1.0, 1.0) if clamped else block)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the writers; move the stems into their folder, or remove them after an error."""
        try:
            self._open_files.__exit__(kind, error, trace)
            if kind is None:
                self._finish()
        except OSError as problem:
            raise JobError(f"the output folder {self.folder} cannot be written: {problem.strerror}") from problem
        finally:
            self._folders.close()
            self._remove_made()

    def _remove_made(self) -> None:
        """Remove the parent folders made here that are still empty."""
        with contextlib.suppress(OSError):
            for parent in self._made:
                parent.rmdir()

    def _writer(self, folder: Path, name: str, staged: bool) -> files.Writer:
        """Return a writer for a stem, of floats where it is converted later."""
        if staged:
            path = folder / f"{self._place(name)}.staged.wav"
            return files.Writer(path, self._rate, self._channels, bits="32f", format="wav")
        path = folder / f"{self._place(name)}.{self.format.format}"
        try:
            return files.Writer(path, self._rate, self._channels, bits=self.format.bits, format=self.format.format)
        except ValueError as error:
            raise JobError(str(error)) from error

    def _finish(self) -> None:
        """Convert staged stems by one factor, then move all files into the folder, or none of them."""
        if self._staged:
            self.factor = _FULL_SCALE / self.peak if self.peak > 1.0 else 1.0
            for name in self.names:
                self._convert(name)
        if not self.folder.exists():
            try:
                self._temporary.rename(self.folder)
                return
            except OSError:
                if not self.folder.is_dir():
                    raise
        moved: list[Path] = []
        try:
            for path in self.paths:
                path.parent.mkdir(parents=True, exist_ok=True)
                (os.replace if self._overwrite else publish)(self._temporary / path.relative_to(self.folder), path)
                moved.append(path)
        except BaseException as error:
            for done in () if self._overwrite else moved:
                done.unlink(missing_ok=True)
            if isinstance(error, FileExistsError):
                raise _there_already(path) from error
            raise

    def _convert(self, name: str) -> None:
        """Convert one staged stem to its format, by the common factor."""
        staged = self._temporary / f"{self._place(name)}.staged.wav"
        with self._writer(self._temporary, name, staged=False) as writer:
            for block in files.blocks(staged, _COPY_FRAMES):
                writer.write(np.float32(self.factor) * block)
        staged.unlink()


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    """Check that no file would be overwritten unasked.

    Raises:
        JobError: for the first of ``paths`` that is there already, unless ``overwrite`` is set.
    """
    for path in paths:
        if os.path.lexists(path) and not overwrite:
            raise _there_already(path)


def _there_already(path: Path) -> JobError:
    return JobError(f"{path} is there already; --overwrite replaces it")
