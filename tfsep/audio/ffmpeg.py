"""Decoding of files that libsndfile cannot read, by the ``ffmpeg`` program where it is installed.

The program sees the file alone: no network and no playlist formats, which could name other files.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tfsep.audio.suffixes import DECODED_SUFFIXES
from tfsep.errors import JobError

DEMUXERS = "mov,mp4,aac,ac3,eac3,asf,matroska,webm,ogg,amr,ape,wv,tta,dts,caf,aiff,wav,flac,mp3"


@contextlib.contextmanager
def decode(path: Path, max_seconds: float | None, reason: str) -> Iterator[Path]:
    """Decode the first audio stream of a file to a WAV of float samples, which is removed at the end.

    Args:
        path: The file, which libsndfile refused.
        max_seconds: At most one second more than this is decoded; None: all of it.
        reason: Why libsndfile refused it, for the message.

    Yields:
        The path of the WAV, at the rate and with the channels of the stream.

    Raises:
        JobError: for a suffix of no sound file, if there is no ``ffmpeg`` on the path, or for a
            file that ffmpeg refuses too.
    """
    if path.suffix.lower() not in DECODED_SUFFIXES:
        raise JobError(f"not a sound file ({reason.rstrip('.')}): {path}")
    program = shutil.which("ffmpeg")
    if program is None:
        known = reason.rstrip(".")
        raise JobError(f"not a sound file ({known}) unless ffmpeg knows it, which is not installed: {path}")
    with tempfile.TemporaryDirectory(prefix="tfsep-") as folder:
        target = Path(folder) / "decoded.wav"
        command = [program, "-nostdin", "-v", "error", "-protocol_whitelist", "file", "-format_whitelist", DEMUXERS]
        command += ["-i", f"file:{path.absolute()}", "-map", "0:a:0", "-vn", "-c:a", "pcm_f32le", "-rf64", "auto"]
        command += [] if max_seconds is None else ["-t", str(max_seconds + 1.0)]
        finished = subprocess.run([*command, str(target)], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if finished.returncode or not target.exists():
            lines = finished.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise JobError(f"not a sound file, ffmpeg cannot decode it ({lines[-1].strip()}): {path}")
        yield target
