"""Isolated sounds for the songs model out of Debian packages: speakers for ``bin/render --voices``, loops, guitars.

    python -m benchmarks.priors.songs_data --output=DIR [--root=/usr/share] [--seconds=60]

Writes ``DIR/voices/<speaker>/*.wav`` (one folder a speaker, up to ``--seconds`` of each, those of
less than 14 s left out), ``DIR/loops/train/<loop>/drums.flac`` and
``DIR/guitars/train/<song>/other.flac`` (its loudest 70 s). Packages that are not installed are
passed over and named. Debian: fillets-ng-data-cs, fillets-ng-data-nl, ktuberling-data,
klettres-data, tuxpaint-stamps-default, asterisk-core-sounds-{en,es,fr,it,ru}-g722 (with ffmpeg),
sonic-pi-samples, fretsonfire-songs-sectoid, fretsonfire-songs-muldjord; voices that speak by
program: flite, espeak-ng.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfsep.audio import files
from tfsep.audio.resample import resample
from tfsep.cli import runner
from tfsep.errors import InputError, JobError

RATE = 22050
LEAST_SECONDS, LOOP_SECONDS, GUITAR_SECONDS = 14.0, 12.0, 70.0
PEAK = 0.8
SENTENCES = (
    "The river runs slowly under the old stone bridge, and nobody remembers who built it.",
    "Oh, we were singing all night long until the morning came over the hills.",
    "Every summer the children gather apples, plums and wild strawberries.",
    "La la la, na na na, hey hey, oh oh, down the long and winding road.",
    "Quiet machines are moving through a valley of electric light.",
    "Where have you been, where will you go, and who will follow you home?",
)
FLITE = ("kal16", "awb", "rms", "slt")
ESPEAK = ("en-us+m3", "en-gb+f2", "it+f4", "es+m7", "fr+f5", "de+m1", "pt+f3", "sv+m8")


@dataclass(frozen=True)
class Package:
    """Recorded speech of a package: where it lies below the root, and which speaker a path belongs to, if any."""

    name: str
    folder: str
    suffix: str
    speaker: Callable[[str], str | None]


def _fillets(path: str) -> str | None:
    """Name the two fish (m, v) and each level's other actors: ``<level>/<language>/<level>-<who>-<line>.ogg``."""
    found = re.search(r"([^/]+)/(cs|nl)/[^/]*?-([^-/]+)-[^/]*$", path)
    if found is None:
        return None
    level, language, who = found.groups()
    return f"fillets_{language}_{who}" if who in ("m", "v") else f"fillets_{language}_{level}_{who}"


def _language(package: str, pattern: str) -> Callable[[str], str | None]:
    """Make the function that names a speaker for each language of a package."""

    def speaker(path: str) -> str | None:
        found = re.search(pattern, path)
        return f"{package}_{found[1]}" if found else None

    return speaker


PACKAGES = (
    Package("fillets-ng-data-cs, -nl", "games/fillets-ng/sound", ".ogg", _fillets),
    Package("ktuberling-data", "ktuberling", ".ogg", _language("ktuberling", r"/sounds/([a-z]{2,3}(?:_[A-Z]+)?)/")),
    Package("klettres-data", "klettres", ".ogg", _language("klettres", r"/klettres/([a-z]{2,3}(?:_[A-Z]+)?)/")),
    Package("tuxpaint-stamps-default", "tuxpaint/stamps", ".ogg", _language("tuxpaint", r"_desc_([A-Za-z_]+)\.ogg$")),
    Package("asterisk-core-sounds-*-g722", "asterisk/sounds", ".g722", _language("asterisk", r"/(\w+_[fm]_\w+)/")),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return runner.run(_collect, argv)


def _collect(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="songs_data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--output", required=True, metavar="DIR", help="where the sounds go")
    parse.add_argument("--root", default="/usr/share", metavar="DIR", help="where packages lie (default: /usr/share)")
    parse.add_argument("--seconds", type=float, default=60.0, metavar="S", help="of each speaker, at least 14 (60)")
    args = parse.parse_args(argv)
    if args.seconds < LEAST_SECONDS:
        raise InputError(f"--seconds must be at least {LEAST_SECONDS:g}, got {args.seconds:g}")
    root, output = Path(args.root), Path(args.output)
    for package in PACKAGES:
        _say(package.name, recorded(package, root, output / "voices", args.seconds))
    _say("flite, espeak-ng", spoken(output / "voices"))
    _say("sonic-pi-samples", loops(root / "sonic-pi" / "samples", output / "loops"))
    _say("fretsonfire-songs-*", guitars(root / "games" / "fretsonfire" / "data" / "songs", output / "guitars"))
    return 0


def _say(package: str, count: int) -> None:
    print(f"{package}: {f'{count} folders' if count else 'none found, passed over'}", file=sys.stderr)


def recorded(package: Package, root: Path, output: Path, seconds: float) -> int:
    """Write the speakers of a package; returns how many."""
    speakers: dict[str, list[Path]] = {}
    for path in sorted((root / package.folder).rglob(f"*{package.suffix}")):
        if (speaker := package.speaker(str(path))) is not None:
            speakers.setdefault(speaker, []).append(path)
    count = 0
    for speaker, paths in speakers.items():
        order = np.random.default_rng(len(paths)).permutation(len(paths))
        sounds, total = [], 0.0
        for path in (paths[index] for index in order):
            if total >= seconds:
                break
            if (sound := _read(path)) is not None:
                sounds.append(sound)
                total += len(sound) / RATE
        if total >= LEAST_SECONDS:
            for number, sound in enumerate(sounds):
                _write(output / speaker / f"{number:03d}.wav", sound)
            count += 1
    return count


def _read(path: Path) -> np.ndarray | None:
    """Read a file as (time,) at 22,050 Hz; None for what cannot be read. Telephone files (.g722) go through ffmpeg."""
    if path.suffix == ".g722":
        if shutil.which("ffmpeg") is None:
            return None
        command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "f32le", "-ac", "1", "-ar", str(RATE), "-"]
        sound = np.frombuffer(subprocess.run(command, capture_output=True, check=False).stdout, np.float32)
        return sound if sound.size else None
    try:
        sound, rate = files.read(path)
    except JobError:
        return None
    return resample(sound.mean(axis=0, keepdims=True), rate, RATE)[0]


def spoken(output: Path) -> int:
    """Let the voices of flite and espeak-ng speak a few sentences; returns how many could."""
    commands = {f"flite_{voice}": ["flite", "-voice", voice, "-o", "{}", "-t"] for voice in FLITE}
    commands |= {f"espeak_{voice}": ["espeak-ng", "-v", voice, "-s", "140", "-w", "{}"] for voice in ESPEAK}
    found = {speaker: words for speaker, words in commands.items() if shutil.which(words[0]) is not None}
    count = 0
    for speaker, words in found.items():
        (output / speaker).mkdir(parents=True, exist_ok=True)
        codes = []
        for number, sentence in enumerate(SENTENCES):
            target = str(output / speaker / f"{number:03d}.wav")
            command = [*(target if word == "{}" else word for word in words), sentence]
            codes.append(subprocess.run(command, capture_output=True, check=False).returncode)
        count += not any(codes)
    return count


def loops(folder: Path, output: Path) -> int:
    """Repeat drum loops to 12 s or more, but for those with tones in them; returns how many could be read."""
    chosen = [path for path in _sorted(folder, "loop_*.flac") if not re.search("drone|garzul|perc", path.name)]
    count = 0
    for path in chosen:
        sound = _read(path)
        if sound is not None:
            times = int(np.ceil(LOOP_SECONDS * RATE / len(sound)))
            _write(output / "train" / path.stem / "drums.flac", np.tile(sound, times))
            count += 1
    return count


def guitars(folder: Path, output: Path) -> int:
    """Take the guitars of songs, the 70 s whose median second is loudest; returns how many could be read."""
    count = 0
    for path in _sorted(folder, "*/*/guitar.ogg"):
        sound = _read(path)
        whole = 0 if sound is None else len(sound) // RATE
        if sound is None or whole < 1:
            continue
        power = np.mean(sound[: whole * RATE].reshape(whole, RATE) ** 2, axis=1)
        length = min(round(GUITAR_SECONDS), whole)
        first = max(range(whole - length + 1), key=lambda second: float(np.median(power[second : second + length])))
        song = path.parent.name.replace(" ", "_")
        _write(output / "train" / song / "other.flac", sound[first * RATE : (first + length) * RATE])
        count += 1
    return count


def _sorted(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern)) if folder.is_dir() else []


def _write(path: Path, sound: np.ndarray) -> None:
    """Write (time,) at a peak of 0.8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scaled = np.asarray(sound * (PEAK / max(float(np.abs(sound).max()), 1e-6)), np.float32)
    with files.Writer(path, RATE, 1, "16", path.suffix[1:]) as writer:
        writer.write(scaled[np.newaxis])


if __name__ == "__main__":
    raise SystemExit(main())
