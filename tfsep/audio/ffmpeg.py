"""Decoding of files that libsndfile cannot read, by the ``ffmpeg`` program where it is installed.

The program sees the file alone: no network and no playlist formats, which could name other files.
``ffprobe``, which comes with it, tells first what the file announces; a file is decoded once in a
process, and one that lacks a part of what it announces, or has errors, is refused.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, BinaryIO

from tfsep.audio import asf_length, chunks
from tfsep.audio.formats import TooLongError
from tfsep.audio.suffixes import SOUND_SUFFIXES
from tfsep.errors import JobError
from tfsep.locks import folder_of_process

DEMUXERS = "mov,mp4,aac,ac3,eac3,asf,matroska,webm,ogg,amr,ape,wv,tta,dts,caf,aiff,wav,flac,mp3"
#: Containers that keep their length; of the others ffprobe gives guesses.
_WITH_LENGTH = {"mov", "mp4", "asf", "matroska", "webm", "ape", "wv", "tta", "caf", "aiff", "ogg"}
_WITH_CHECKSUMS = {"tta", "wv", "ape"}
#: The longest sound that is decoded where the caller sets no bound, seconds.
LONGEST = 36000.0
#: Seconds after which a program that gives nothing is stopped.
STALL_SECONDS = 30.0
#: Bytes of decoded sound that are kept at most; the sound used least recently is dropped first.
KEPT_BYTES = 4_000_000_000
_SPARE_BYTES = 64_000_000
_TOLERANCE = 0.1
_ASF_TOLERANCE = 0.2  # ASF announces the time before its first sample too
_SAMPLE_BYTES = 4
_HEADER_BYTES = 200


@dataclass(frozen=True)
class Announced:
    """What a container says of its first audio stream.

    Attributes:
        seconds: its duration; None where the container does not keep it.
        sample_rate: Hz.
        channels: how many.
        tolerance: seconds by which the decoded sound may be shorter.
        has_checksums: whether each frame has a checksum that its writers get right.
    """

    seconds: float | None
    sample_rate: int
    channels: int
    tolerance: float = _TOLERANCE
    has_checksums: bool = False


class _Decoded:
    """Sounds that are decoded already, in temporary files that end with the process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._files: dict[tuple[str, int, int], Path] = {}
        self._folder: Path | None = None

    def folder(self) -> Path:
        """Return the folder of the decoded files; it is made when it is first needed."""
        if self._folder is None or not self._folder.is_dir():
            self._folder = folder_of_process()
        return self._folder

    def get(self, key: tuple[str, int, int]) -> BinaryIO | None:
        """Open the decoded file of a sound, if there is one."""
        if key not in self._files or not self._files[key].is_file():
            return None
        self._files[key] = self._files.pop(key)
        return self._files[key].open("rb")

    def keep(self, key: tuple[str, int, int], path: Path) -> BinaryIO:
        """Keep a decoded file, drop others if there are too many bytes, and open it."""
        self._files[key] = path
        file = path.open("rb")
        sizes = {each: kept.stat().st_size if kept.is_file() else 0 for each, kept in self._files.items()}
        total = sum(sizes.values())
        for each in list(self._files)[:-1]:
            if total > KEPT_BYTES:
                total -= sizes[each]
                self._files.pop(each).unlink(missing_ok=True)
        return file


_DECODED = _Decoded()


def decode(path: Path, max_seconds: float | None, reason: str) -> BinaryIO:
    """Decode the first audio stream of a file, or open what was decoded of it before.

    Args:
        path: The file, which libsndfile refused.
        max_seconds: The longest duration that is accepted; None: 10 hours.
        reason: Why libsndfile refused it, for the message.

    Returns:
        A WAV of float samples at the rate and with the channels of the stream, to be closed.

    Raises:
        JobError: for a suffix of no sound file, without ``ffmpeg`` and ``ffprobe`` on the path, for
            a file without sound, that is truncated, broken or too long, and where the temporary
            folder has no space for it.
    """
    if path.suffix.lower() not in SOUND_SUFFIXES:
        raise JobError(f"not a sound file ({reason.rstrip('.')}): {path}")
    for program in ("ffmpeg", "ffprobe"):
        if shutil.which(program) is None:
            which = "which" if program == "ffmpeg" else "whose ffprobe"
            unknown = f"not a sound file ({reason.rstrip('.')}) unless ffmpeg knows it"
            raise JobError(f"{unknown}, {which} is not installed: {path}")
    status = path.stat()
    key = (os.path.realpath(path), status.st_size, status.st_mtime_ns)
    with _DECODED.lock:
        return _DECODED.get(key) or _DECODED.keep(key, _decoded(path, LONGEST if max_seconds is None else max_seconds))


def probe(path: Path, stream: int = 0) -> Announced:
    """Return what a container announces of an audio stream, without decoding it.

    Args:
        path: The file.
        stream: Number of the stream among those of sound.

    Raises:
        JobError: if ffprobe refuses the file or takes too long, or it holds no such sound.
    """
    fields = "stream=sample_rate,channels,duration,start_time:stream_tags=DURATION:format=duration,format_name"
    command = [*_program("ffprobe"), "-show_entries", fields, "-select_streams", "a", "-of", "json", _named(path)]
    try:
        finished = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=STALL_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise JobError(f"ffprobe gives nothing for {STALL_SECONDS:g} s: {path}") from error
    if finished.returncode:
        raise JobError(f"not a sound file, ffmpeg cannot decode it ({_first_line(finished.stderr, path)}): {path}")
    try:
        found = json.loads(finished.stdout)
        streams, container = found.get("streams", []), found.get("format", {})
        if len(streams) <= stream:
            raise JobError(f"a sound file must hold sound, got one that holds no sound: {path}")
        return _announced(streams[stream], container)
    except (ValueError, KeyError, AttributeError) as error:
        raise JobError(f"not a sound file, ffprobe does not understand it: {path}") from error


def _announced(stream: dict[str, object], container: dict[str, object]) -> Announced:
    """Read the answer of ffprobe."""
    names = str(container.get("format_name", "")).split(",")
    seconds = None
    if _WITH_LENGTH & set(names):
        tags = stream.get("tags", {})
        tagged = str(tags.get("DURATION", "")) if isinstance(tags, dict) else ""
        began = _number(stream.get("start_time")) or 0.0
        if _number(stream.get("duration")) is not None:
            seconds = _number(stream.get("duration"))
        elif tagged.count(":") == 2:
            hours, minutes, rest = map(float, tagged.split(":"))
            seconds = 3600.0 * hours + 60.0 * minutes + rest - max(0.0, began)
        else:
            whole = _number(container.get("duration"))
            seconds = None if whole is None else whole - max(0.0, began)
    tolerance = _ASF_TOLERANCE if "asf" in names else _TOLERANCE
    rate, channels = int(str(stream["sample_rate"])), int(str(stream["channels"]))
    return Announced(seconds, rate, channels, tolerance, bool(_WITH_CHECKSUMS & set(names)))


def _number(text: object) -> float | None:
    """Read a number of ffprobe; None where there is none."""
    try:
        return float(str(text))
    except ValueError:
        return None


def _decoded(path: Path, max_seconds: float) -> Path:
    """Decode a file into the temporary folder, and return the path of the WAV."""
    announced = probe(path)
    if asf_length.is_broadcast(path):
        announced = replace(announced, seconds=None)
    frame = announced.channels * _SAMPLE_BYTES
    if announced.seconds is not None:
        if announced.seconds > max_seconds:
            raise TooLongError(path, max_seconds, announced.seconds)
        needed = round(announced.seconds * announced.sample_rate) * frame
        free = shutil.disk_usage(_DECODED.folder()).free
        if needed + _SPARE_BYTES > free:
            raise _no_space(path, f"{needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free")
    handle, name = tempfile.mkstemp(suffix=".wav", dir=_DECODED.folder())
    target = Path(name)
    try:
        with open(handle, "wb") as file:
            _run(path, file, announced, max_seconds)
        _check_length(path, target, announced)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _no_space(path, error.strerror or str(error)) from error
        raise
    return target


def _no_space(path: Path, reason: str) -> JobError:
    return JobError(f"the decoded sound cannot be kept in {tempfile.gettempdir()} ({reason}): {path}")


def _run(path: Path, target: BinaryIO, announced: Announced, max_seconds: float) -> None:
    """Run ffmpeg and write what it gives; refuse errors, too much, and a program that gives nothing."""
    detected = "explode+crccheck" if announced.has_checksums else "explode"
    command = [*_program("ffmpeg"), "-nostdin", "-xerror", "-err_detect", detected, "-i", _named(path)]
    command += ["-map", "0:a:0", "-vn", "-sn", "-dn", "-c:a", "pcm_f32le"]
    command += ["-ar", str(announced.sample_rate), "-ac", str(announced.channels), "-f", "wav", "-"]
    rate, frame, written = announced.sample_rate, announced.channels * _SAMPLE_BYTES, 0
    most_bytes = round((max_seconds + 1.0) * rate) * frame
    with (
        tempfile.TemporaryFile() as messages,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages) as process,
    ):
        try:
            assert process.stdout is not None
            for block in _blocks(process.stdout, path):
                written += len(block)
                if written > most_bytes:
                    raise TooLongError(path, max_seconds, None)
                target.write(block)
            process.wait(STALL_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise JobError(f"ffmpeg does not end: {path}") from error
        finally:
            process.kill()
        messages.seek(0)
        said = messages.read(1 << 16)
    if process.returncode or said.strip():
        what = "not a sound file" if written <= _HEADER_BYTES else f"broken file after {written / frame / rate:.2f} s"
        raise JobError(f"{what}, ffmpeg cannot decode it ({_first_line(said, path)}): {path}")


def _blocks(pipe: IO[bytes], path: Path) -> Iterator[bytes]:
    """Yield what comes out of a pipe; refuse one out of which nothing comes for long."""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        descriptor = pipe.fileno()
        while True:
            began = time.monotonic()
            if not selector.select(STALL_SECONDS):
                raise JobError(f"ffmpeg gives nothing for {time.monotonic() - began:.0f} s: {path}")
            block = os.read(descriptor, 1 << 16)
            if not block:
                return
            yield block


def _check_length(path: Path, decoded: Path, announced: Announced) -> None:
    """Refuse a file of which less was decoded than its container announces."""
    found = chunks.bytes_of_sound(decoded)
    if not found:
        raise JobError(f"not a sound file, ffmpeg gives no sound of it: {path}")
    seconds = found / (_SAMPLE_BYTES * announced.channels * announced.sample_rate)
    if announced.seconds is not None and seconds < announced.seconds - announced.tolerance:
        lost = announced.seconds - seconds
        raise JobError(
            f"truncated file: it announces {announced.seconds:.2f} s, of which {lost:.2f} s are missing: {path}"
        )


def _program(name: str) -> list[str]:
    """Return a program with the options that keep it to one file."""
    found = shutil.which(name)
    if found is None:
        raise JobError(f"{name} is not installed")
    return [found, "-v", "error", "-protocol_whitelist", "file", "-format_whitelist", DEMUXERS]


def _named(path: Path) -> str:
    return f"file:{path.absolute()}"


def _first_line(said: bytes, path: Path) -> str:
    """Return the first line that a program printed, without the file's name and addresses."""
    lines = said.decode(errors="replace").strip().splitlines() or ["it gives no reason"]
    line = lines[0].strip().replace(f"{_named(path)}: ", "")
    return line.partition("] ")[2] if line.startswith("[") and "] " in line else line
