"""Read and write sound files: no other module opens them.

Waveforms are float32 arrays (channels, time) in full scale 1 at the file's own sample rate. WAV,
FLAC, OGG, MP3 and the other formats of libsndfile are read block by block; further formats (M4A,
MP4, AAC, WMA, ...) are first decoded by the ``ffmpeg`` program, where it is installed. Whatever is
wrong with a file raises a ``JobError`` of one line, and no file is ever left half-written.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile

from tfsep.atomic import replacing
from tfsep.audio.riff import missing_bytes
from tfsep.errors import JobError

MAX_CHANNELS = 8
MIN_RATE, MAX_RATE = 1000, 384000
FORMATS: dict[str, dict[str, str]] = {
    "wav": {"32f": "FLOAT", "24": "PCM_24", "16": "PCM_16"},
    "flac": {"24": "PCM_24", "16": "PCM_16"},
    "ogg": {"lossy": "VORBIS"},
    "mp3": {"lossy": "MPEG_LAYER_III"},
}
PathLike = str | os.PathLike[str]


@dataclasses.dataclass(frozen=True)
class AudioInfo:
    """The properties that the header of a sound file announces.

    Attributes:
        path: Of the file.
        sample_rate: In Hz.
        channels: Number of channels, 1..8.
        frames: Samples of each channel, at least 1.
        subtype: The sample format, such as "PCM_16", "FLOAT" or "VORBIS".
        format: The container, such as "WAV", "FLAC", "OGG" or "MP3".
    """

    path: Path
    sample_rate: int
    channels: int
    frames: int
    subtype: str
    format: str

    @property
    def seconds(self) -> float:
        """Return the duration in seconds."""
        return self.frames / self.sample_rate


def info(path: PathLike, max_seconds: float | None = None) -> AudioInfo:
    """Read the header of a sound file.

    Args:
        path: The file.
        max_seconds: The longest duration that is accepted, in seconds; None: any.

    Returns:
        Its rate, channels and length. The samples may still turn out to be broken when they are
        read.

    Raises:
        JobError: if there is no such file, it is not a sound file, is truncated, is longer than
            ``max_seconds``, has no samples, more than 8 channels or a rate outside 1000..384000
            Hz, or if its format needs ffmpeg and there is none.
    """
    with _opened(path, max_seconds) as (_, described):
        return described


def read(
    path: PathLike, start: int = 0, frames: int | None = None, max_seconds: float | None = None
) -> tuple[np.ndarray, int]:
    """Read a sound file, or a part of it, into memory.

    Args:
        path: The file.
        start: The first sample wanted, in 0..frames of the file - 1.
        frames: How many samples; None, or more than there are: up to the end.
        max_seconds: The longest duration of the file that is accepted, in seconds; None: any.

    Returns:
        The samples (channels, time) float32, and the sample rate in Hz.

    Raises:
        JobError: for what ``info`` refuses, a file that breaks off, or a sample that is not finite.
        ValueError: for a start outside the file, or if fewer than one sample is wanted.
    """
    with _opened(path, max_seconds) as (file, described):
        if not 0 <= start < described.frames:
            raise ValueError(f"start must lie in 0..{described.frames - 1}, got {start}")
        if frames is not None and frames < 1:
            raise ValueError(f"frames must be at least 1, got {frames}")
        wanted = min(described.frames - start, frames or described.frames)
        return _next_block(file, described, start, wanted), described.sample_rate


def blocks(path: PathLike, block_frames: int, max_seconds: float | None = None) -> Iterator[np.ndarray]:
    """Read a sound file block by block, in memory that does not grow with its length.

    Args:
        path: The file.
        block_frames: Samples of a block, at least 1.
        max_seconds: The longest duration of the file that is accepted, in seconds; None: any.

    Yields:
        (channels, block_frames) float32; the last block is shorter where the length asks for it.

    Raises:
        JobError: as ``read``, at the first block or at the one that is broken.
        ValueError: for blocks of fewer than one sample.
    """
    if block_frames < 1:
        raise ValueError(f"block_frames must be at least 1, got {block_frames}")
    with _opened(path, max_seconds) as (file, described):
        for start in range(0, described.frames, block_frames):
            yield _next_block(file, described, start, min(block_frames, described.frames - start))


@contextlib.contextmanager
def _opened(path: PathLike, max_seconds: float | None) -> Iterator[tuple[soundfile.SoundFile, AudioInfo]]:
    """Open a sound file, decoded by ffmpeg if need be, and check its header."""
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise JobError(f"a sound file must be a regular file, got a folder or device: {path}")
        missing = missing_bytes(path)
    except OSError as error:
        raise JobError(f"cannot read {path}: {error.strerror}") from error
    if status.st_size == 0:
        raise JobError(f"a sound file must hold something, got an empty file: {path}")
    if missing:
        raise JobError(f"truncated file: its header announces {missing} bytes more than there are: {path}")
    with contextlib.ExitStack() as stack:
        container = None
        try:
            file = stack.enter_context(soundfile.SoundFile(os.fsencode(path)))
            if file.subtype == "MPEG_LAYER_III":
                from tfsep.audio.mp3_length import with_true_length

                file = stack.enter_context(soundfile.SoundFile(stack.enter_context(with_true_length(path))))
        except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a suffix of headerless samples, .raw
            from tfsep.audio.ffmpeg import decode

            decoded = stack.enter_context(decode(path, max_seconds, getattr(error, "error_string", str(error))))
            file = stack.enter_context(soundfile.SoundFile(decoded))
            container = path.suffix[1:].upper()
        properties = (file.samplerate, file.channels, file.frames, file.subtype, container or file.format)
        described = AudioInfo(path, *properties)
        _check(described, max_seconds)
        yield file, described


def _check(described: AudioInfo, max_seconds: float | None) -> None:
    """Refuse a header that announces no samples, or values outside their ranges."""
    path = described.path
    if described.frames < 1:
        raise JobError(f"a sound file must hold at least 1 sample, got {described.frames}: {path}")
    if not 1 <= described.channels <= MAX_CHANNELS:
        raise JobError(f"channels must lie in 1..{MAX_CHANNELS}, got {described.channels}: {path}")
    if not MIN_RATE <= described.sample_rate <= MAX_RATE:
        raise JobError(f"sample_rate must lie in {MIN_RATE}..{MAX_RATE} Hz, got {described.sample_rate}: {path}")
    if max_seconds is not None and described.seconds > max_seconds:
        raise JobError(f"a sound file must last at most {max_seconds:g} s, got {described.seconds:.1f} s: {path}")


def _next_block(file: soundfile.SoundFile, described: AudioInfo, start: int, frames: int) -> np.ndarray:
    """Read the samples (channels, frames) from ``start`` on; refuse missing and non-finite ones."""
    try:
        if file.tell() != start:
            file.seek(start)
        block = file.read(frames, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        second = start / described.sample_rate
        raise JobError(f"the file is broken after {second:.3f} s ({error}): {described.path}") from error
    if len(block) < frames:
        got = start + len(block)
        raise JobError(f"truncated file: its header announces {described.frames} samples, got {got}: {described.path}")
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        second = (start + int(np.argmin(finite))) / described.sample_rate
        raise JobError(f"samples must be finite, got NaN or infinity at {second:.6f} s: {described.path}")
    return np.ascontiguousarray(block.T)


class Writer:
    """Write a sound file block by block: a context manager, and the file exists only after a clean exit.

    Attributes:
        path: Where the file will be; missing folders above it are made.
        peak: The largest magnitude written so far.
        clipped: How many samples beyond full scale were written to a format that cannot hold them.
    """

    def __init__(
        self, path: PathLike, sample_rate: int, channels: int, bits: str | None = None, format: str = "wav"
    ) -> None:
        """Check the properties of the file; nothing is written before the ``with`` block is entered.

        Args:
            path: Where the file will be; a file that is there is replaced.
            sample_rate: In Hz, in 1000..384000.
            channels: Number of channels, 1..8 (MP3: 1..2).
            bits: "32f" (wav only), "24" or "16"; None: "32f" for wav, "24" for flac. Ignored for
                ogg and mp3, which have no bits.
            format: "wav", "flac", "ogg" or "mp3".

        Raises:
            ValueError: for a property outside its range.
        """
        if format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
        subtypes = FORMATS[format]
        bits = next(iter(subtypes)) if bits is None or "lossy" in subtypes else bits
        if bits not in subtypes:
            raise ValueError(f"bits of {format} must be one of {', '.join(subtypes)}, got {bits!r}")
        most = 2 if format == "mp3" else MAX_CHANNELS
        if not 1 <= channels <= most:
            raise ValueError(f"channels of {format} must lie in 1..{most}, got {channels}")
        if sample_rate != int(sample_rate) or not MIN_RATE <= sample_rate <= MAX_RATE:
            raise ValueError(f"sample_rate must lie in {MIN_RATE}..{MAX_RATE} Hz, got {sample_rate}")
        self.path, self.sample_rate, self.channels, self.format = Path(path), int(sample_rate), channels, format
        self.peak, self.clipped = 0.0, 0
        self._subtype = subtypes[bits]
        self._stack = contextlib.ExitStack()
        self._file: soundfile.SoundFile | None = None

    def __enter__(self) -> Writer:
        """Make the folder and open the temporary file."""
        with self._stack:
            temporary = self._stack.enter_context(replacing(self.path))
            properties = (self.sample_rate, self.channels, self._subtype)
            with self._explained():
                self._file = soundfile.SoundFile(temporary, "w", *properties, format=self.format.upper())
            self._stack.push(self._close)
            self._stack = self._stack.pop_all()
        return self

    def write(self, block: np.ndarray) -> None:
        """Append (channels, time) samples; values beyond -1..1 are clipped unless the file is "32f".

        Raises:
            JobError: for a sample that is not finite, or if the disk is full.
            ValueError: for a block of another number of channels, or if the writer is not open.
        """
        if self._file is None:
            raise ValueError("a writer must be entered before it writes, got a closed one")
        with np.errstate(over="ignore"):
            block = np.asarray(block, np.float32)
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise ValueError(f"block must be ({self.channels}, time), got shape {block.shape}")
        if not np.isfinite(block).all():
            raise JobError(f"samples must be finite, got NaN or infinity: {self.path} is not written")
        magnitude = np.abs(block)
        self.peak = max(self.peak, float(magnitude.max(initial=0.0)))
        if self._subtype != "FLOAT":
            self.clipped += int(np.count_nonzero(magnitude > 1.0))
        with self._explained():
            for start in range(0, block.shape[1], self.sample_rate):
                self._file.write(np.ascontiguousarray(block[:, start : start + self.sample_rate].T))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the temporary file and rename it, or remove it after an exception."""
        self._stack.__exit__(kind, error, traceback)

    def _close(self, kind: type[BaseException] | None, *_: object) -> None:
        file, self._file = self._file, None
        if file is not None:
            frames = file.frames
            with self._explained():
                file.close()
            if kind is None and frames == 0:
                raise JobError(f"a sound file must hold at least 1 sample, got none: {self.path} is not written")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, soundfile.SoundFileError) as error:
            raise JobError(f"cannot write {self.path}: {error}") from error
