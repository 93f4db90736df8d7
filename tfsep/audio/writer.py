"""Write sound files block by block, whole or not at all.

libsndfile encodes, into a file of ours: so an error of the disk keeps its reason, and the header of
a WAV is ours too. On finish the samples that the file announces are compared with those that were
written.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile

from tfsep.atomic import replacing
from tfsep.audio import wav_header
from tfsep.audio.formats import FORMATS, check_format
from tfsep.errors import JobError

# Larger pieces of Vorbis overflow the stack in libsndfile.
_PIECE = 4096


class _Target:
    """What libsndfile writes to. Its callbacks cannot raise, so the first error is kept."""

    def __init__(self, file: RawIOBase, offset: int) -> None:
        self.error: OSError | None = None
        self._file, self._offset = file, offset
        file.seek(offset)

    def write(self, data: bytes) -> int:
        """Append bytes; after an error nothing more is written."""
        if self.error is None:
            try:
                _write_all(self._file, data)
                return len(data)
            except OSError as error:
                self.error = error
        return 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; positions are counted behind the header."""
        return self._file.seek(offset + self._offset if whence == os.SEEK_SET else offset, whence) - self._offset

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell() - self._offset

    def put_in_front(self, header: bytes) -> None:
        """Write the header, and make the number of bytes behind it even."""
        if self._file.seek(0, os.SEEK_END) - self._offset & 1:
            _write_all(self._file, b"\0")
        self._file.seek(0)
        _write_all(self._file, header)


def _write_all(file: RawIOBase, data: bytes) -> None:
    """Write all of some bytes, a part at a time if need be."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) or 0 :]


class Writer:
    """Write a sound file block by block: a context manager, and the file exists only after a clean exit.

    A WAV beyond 4 GiB is an RF64. Equal samples give equal bytes.

    Attributes:
        path: Where the file will be; missing folders above it are made.
        frames: Samples of each channel written so far.
        peak: The largest magnitude written so far.
        clipped: How many samples beyond full scale were written to a format that cannot hold them.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        channels: int,
        bits: str | None = None,
        format: str = "wav",
        riff_limit: int = wav_header.RIFF_LIMIT,
    ) -> None:
        """Check the properties of the file; nothing is written before the ``with`` block is entered.

        Args:
            path: Where the file will be; a file that is there is replaced.
            sample_rate: In Hz, in 1000..384000 and as the format allows.
            channels: Number of channels, 1..8 (MP3: 1..2).
            bits: "32f" (wav only), "24" or "16"; None: "32f" for wav, "24" for flac. Ignored for
                ogg and mp3, which have no bits.
            format: "wav", "flac", "ogg" or "mp3".
            riff_limit: Bytes of sound from which on a wav is an RF64.

        Raises:
            ValueError: for a property outside its range.
        """
        if format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}")
        subtypes = FORMATS[format]
        bits = next(iter(subtypes)) if bits is None or "lossy" in subtypes else bits
        if bits not in subtypes:
            raise ValueError(f"bits of {format} must be one of {', '.join(subtypes)}, got {bits!r}")
        check_format(format, sample_rate, channels)
        self.path, self.sample_rate, self.channels, self.format = Path(path), int(sample_rate), channels, format
        self.frames, self.peak, self.clipped = 0, 0.0, 0
        self._subtype, self._riff_limit = subtypes[bits], riff_limit
        self._stack = contextlib.ExitStack()
        self._sound: soundfile.SoundFile | None = None
        self._target: _Target | None = None

    def __enter__(self) -> Writer:
        """Make the folder and open the temporary file."""
        with self._stack:
            self._temporary = self._stack.enter_context(replacing(self.path))
            with self._explained():
                raw = self._stack.enter_context(open(self._temporary, "r+b", buffering=0))
                self._target = _Target(raw, len(self._header()))
                properties = (self.sample_rate, self.channels, self._subtype)
                container, order = ("RAW", "LITTLE") if self.format == "wav" else (self.format.upper(), None)
                self._sound = soundfile.SoundFile(self._target, "w", *properties, order, container)
            self._stack.push(self._close)
            self._stack = self._stack.pop_all()
        return self

    def write(self, block: np.ndarray) -> None:
        """Append (channels, time) samples; values beyond -1..1 are clipped unless the file is "32f".

        Raises:
            JobError: for a sample that is not finite, or if the disk is full.
            ValueError: for a block of another number of channels, or if the writer is not open.
        """
        if self._sound is None:
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
            for start in range(0, block.shape[1], _PIECE):
                self._sound.write(np.ascontiguousarray(block[:, start : start + _PIECE].T))
        self.frames += block.shape[1]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the temporary file and rename it, or remove it after an exception."""
        self._stack.__exit__(kind, error, traceback)

    def _header(self) -> bytes:
        """Return the bytes in front of libsndfile's."""
        if self.format != "wav":
            return b""
        return wav_header.wav_header(self.sample_rate, self.channels, self._subtype, self.frames, self._riff_limit)

    def _close(self, kind: type[BaseException] | None, *_: object) -> None:
        sound, self._sound = self._sound, None
        if sound is None:
            return
        if kind is not None:
            with contextlib.suppress(OSError, soundfile.SoundFileError):
                sound.close()
            return
        with self._explained():
            sound.close()
        if self.frames == 0:
            raise JobError(f"a sound file must hold at least 1 sample, got none: {self.path} is not written")
        with self._explained():
            self._finish()

    def _finish(self) -> None:
        """Write the header of a WAV and check that the file holds what was written to it."""
        if self.format == "wav" and self._target is not None:
            self._target.put_in_front(self._header())
        with soundfile.SoundFile(os.fsencode(self._temporary)) as again:
            if again.frames != self.frames:
                raise OSError(f"{self.frames} samples were written, got {again.frames}")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error of the disk or of libsndfile into a ``JobError`` that names the file."""
        try:
            yield
            if self._target is not None and self._target.error is not None:
                raise self._target.error
        except (OSError, soundfile.SoundFileError, AssertionError) as error:
            cause = (self._target and self._target.error) or error
            reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
            raise JobError(f"cannot write {self.path}: {reason}") from error
