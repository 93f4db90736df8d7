"""What inaudible sound and band limits cost a songs model: SI-SDRi of the same songs as they are and changed.

    python -m benchmarks.songs.conditions --model=songs --stems=../shared/data [--set=rendered/test]

- *constant*: 0.1 is added to the mixture; *5 Hz*: a sine of 0.2. Neither is part of a source, so the
  estimates are scored without what lies below 15 Hz.
- *16 kHz*, *11 kHz*: the song and its sources at that sample rate, nothing above half of it.
- *codec*: nothing above 9 kHz, as after a codec of low rate.

Prints a table, and writes ``benchmarks/results/songs_conditions.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import signal

from benchmarks import records
from benchmarks.records import Record
from tfsep.audio.resample import resample
from tfsep.cli import runner
from tfsep.errors import InputError
from tfsep.evaluation import mixtures, separation
from tfsep.evaluation.mixtures import Batch
from tfsep.metrics.si_sdr import si_sdr
from tfsep.separation.separator import Separator

LOWEST_HZ, CODEC_HZ = 15.0, 9000.0
FIELDS = ("model", "data", "condition")

#: What changes a song.
Change = Callable[[Batch], Batch]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="conditions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--model", default="songs", help="bundled model or model folder (songs)")
    parse.add_argument("--name", metavar="NAME", help="of the model in the table (default: its folder's)")
    parse.add_argument("--stems", required=True, metavar="DIR", help="folder of the sets of stems")
    parse.add_argument("--set", default="rendered/test", metavar="SET/SPLIT", help="which songs (rendered/test)")
    parse.add_argument("--output", default=str(records.RESULTS), metavar="DIR", help="where the records go")
    args = parse.parse_args(argv)
    name, slash, split = args.set.partition("/")
    if not slash:
        raise InputError(f"--set must be SET/SPLIT, such as rendered/test, got {args.set!r}")
    separator = Separator.load(args.model)
    songs = list(mixtures.song_batches(separator, Path(args.stems) / name, split))
    found: list[Record] = []
    for condition, change in CONDITIONS.items():
        gained = np.concatenate([improvement(separator, change(song)) for song in songs])
        each = {"model": args.name or separator.name, "data": args.set, "condition": condition}
        found.append({**each, "tracks": len(songs), "mean": float(np.nanmean(gained))})
    print(records.keep(args.output, "songs_conditions", found, FIELDS, as_table), flush=True)
    return 0


def improvement(separator: Separator, song: Batch) -> np.ndarray:
    """Return the SI-SDRi of a song's sources above 15 Hz, in dB: (channel, source)."""
    estimates = above_rumble(separation.separate(separator, song, 0), song.sample_rate)
    references = above_rumble(song.references, song.sample_rate)
    whole = np.broadcast_to(above_rumble(song.mixture, song.sample_rate)[:, np.newaxis], references.shape)
    return np.asarray(si_sdr(estimates, references) - si_sdr(whole, references))


def above_rumble(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return sounds (..., time) without what lies below 15 Hz."""
    sections = signal.butter(4, LOWEST_HZ, "highpass", fs=sample_rate, output="sos")
    return np.asarray(signal.sosfiltfilt(sections, sound, axis=-1), np.float32)


def unchanged(song: Batch) -> Batch:
    """Return the song as it is."""
    return song


def constant(song: Batch) -> Batch:
    """Add 0.1 to the mixture."""
    return replace(song, mixture=song.mixture + np.float32(0.1))


def rumble(song: Batch) -> Batch:
    """Add a sine of 5 Hz and amplitude 0.2 to the mixture."""
    time = np.arange(song.mixture.shape[-1]) / song.sample_rate
    return replace(song, mixture=song.mixture + (0.2 * np.sin(2.0 * np.pi * 5.0 * time)).astype(np.float32))


def at_rate(sample_rate: int) -> Change:
    """Return the change to another sample rate."""

    def change(song: Batch) -> Batch:
        shape = song.references.shape
        flat = resample(song.references.reshape(-1, shape[-1]), song.sample_rate, sample_rate)
        references = flat.reshape(*shape[:-1], -1)
        mixture = resample(song.mixture, song.sample_rate, sample_rate)
        return replace(song, mixture=mixture, references=references, sample_rate=sample_rate)

    return change


def codec(song: Batch) -> Batch:
    """Remove what lies above 9 kHz from the song and its sources."""
    sections = signal.butter(12, CODEC_HZ, fs=song.sample_rate, output="sos")
    mixture, references = (
        np.asarray(signal.sosfiltfilt(sections, sound, axis=-1), np.float32)
        for sound in (song.mixture, song.references)
    )
    return replace(song, mixture=mixture, references=references)


CONDITIONS: dict[str, Change] = {
    "as they are": unchanged,
    "constant": constant,
    "5 Hz": rumble,
    "16 kHz": at_rate(16000),
    "11 kHz": at_rate(11025),
    "codec": codec,
}


def as_table(found: Sequence[Record]) -> str:
    """Return all records as Markdown, with the difference to the songs as they are."""
    plain = {(each["model"], each["data"]): each["mean"] for each in found if each["condition"] == "as they are"}
    lines = ["| model | songs | condition | tracks | SI-SDRi, dB | difference |", "|---|---|---|---|---|---|"]
    for each in found:
        change = each["mean"] - plain[each["model"], each["data"]]
        about = f"{each['model']} | {each['data']} | {each['condition']} | {each['tracks']}"
        lines.append(f"| {about} | {each['mean']:.1f} | {change:+.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
