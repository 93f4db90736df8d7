"""Read sound files: no other module opens them (:mod:`tfsep.audio.writer` writes them).

Waveforms are float32 arrays (channels, time) in full scale 1 at the file's own sample rate. WAV,
FLAC, OGG, MP3 and the other formats of libsndfile are read block by block; further formats (M4A,
MP4, AAC, WMA, ...) are first decoded by the ``ffmpeg`` program, where it is installed. Whatever is
wrong with a file raises a ``JobError`` of one line. A file that lacks a part of its sound is refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from tfsep.audio import chunks, flac_length, ogg_pages
from tfsep.audio.formats import MAX_CHANNELS, MAX_RATE, MIN_RATE, TooLongError
from tfsep.audio.writer import Writer as Writer
from tfsep.errors import JobError

#: What libsndfile is trusted with: files whose length is checked here, or that ffmpeg does not know.
CONTAINERS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3")
#: The largest magnitude of a sample, full scale being 1; squares of larger ones overflow.
LARGEST_SAMPLE = 1e10
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
    except OSError as error:
        raise JobError(f"cannot read {path}: {error.strerror}") from error
    if status.st_size == 0:
        raise JobError(f"a sound file must hold something, got an empty file: {path}")
    with contextlib.ExitStack() as stack:
        file, container = _sound(path, max_seconds, stack)
        properties = (file.samplerate, file.channels, file.frames, file.subtype, container)
        described = AudioInfo(path, *properties)
        _check(described, max_seconds)
        yield file, described


def _sound(path: Path, max_seconds: float | None, stack: contextlib.ExitStack) -> tuple[soundfile.SoundFile, str]:
    """Open a regular file by libsndfile; return it and the name of its container."""
    try:
        ogg_pages.verify(path)
        corrected = chunks.verified(path) or flac_length.verified(path)
        if corrected is not None:
            file = stack.enter_context(soundfile.SoundFile(stack.enter_context(corrected)))
            return file, "WAV" if file.format == "RF64" else file.format
        file = stack.enter_context(soundfile.SoundFile(os.fsencode(path)))
        if file.subtype.startswith("MPEG"):
            from tfsep.audio import mp3_length
        if file.subtype == "MPEG_LAYER_III":
            counted = mp3_length.verified(path)
            if counted is not None:
                file = stack.enter_context(soundfile.SoundFile(stack.enter_context(counted)))
        elif file.subtype.startswith("MPEG"):
            counted_frames = mp3_length.count_frames(path, layer=2)
            if counted_frames is not None and counted_frames.cut:
                raise JobError(f"truncated file: it ends within a frame of MP2: {path}")
            raise soundfile.SoundFileError("libsndfile does not know the length of an MP2")
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a suffix of headerless samples, .raw
        from tfsep.audio import asf_length, dts_frames, joined_files, mp3_length
        from tfsep.audio.ffmpeg import decode

        for verify in (asf_length.verify, mp3_length.verify_announced, joined_files.verify, dts_frames.verify):
            verify(path)
        decoded = stack.enter_context(decode(path, max_seconds, getattr(error, "error_string", str(error))))
        corrected = chunks.verified(Path(decoded.name))
        if corrected is not None:
            decoded = stack.enter_context(corrected)
        return stack.enter_context(soundfile.SoundFile(decoded)), path.suffix[1:].upper()
    except OSError as error:
        raise JobError(f"cannot read {path}: {error.strerror}") from error
    if file.format not in CONTAINERS:
        raise JobError(f"a sound file must be one of {', '.join(CONTAINERS)}, got {file.format}: {path}")
    return file, file.format


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
        raise TooLongError(path, max_seconds, described.seconds)


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
    largest = np.abs(block).max(axis=1)
    if largest.max() > LARGEST_SAMPLE:
        second = (start + int(np.argmax(largest > LARGEST_SAMPLE))) / described.sample_rate
        raise JobError(
            f"samples must be at most {LARGEST_SAMPLE:g} times full scale, "
            f"got {largest.max():g} at or after {second:.6f} s: {described.path}"
        )
    return np.ascontiguousarray(block.T)
