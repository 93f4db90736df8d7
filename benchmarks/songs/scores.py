"""Score a songs model on every set of stems by its role: what trained it, what chose its settings, what reports.

    python -m benchmarks.songs.scores --model=songs --stems=../shared/data [--only=NAME ...] [--output=DIR]

Of each set: SI-SDRi in dB, means over sources that are not silent, at the songs' own levels and with
levels within 2 dB of their median; the ideal ratio mask on the same mixtures; medians of museval's
SDR. In ``real_voices`` only the voice is known: the model's vocals are scored, and the sum of its
other stems against the accompaniment. Records go to ``benchmarks/results/songs.json`` and ``.md``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import records
from benchmarks.records import Record
from tfsep.cli import runner
from tfsep.errors import InputError
from tfsep.evaluation import mixtures, separation
from tfsep.evaluation.mixtures import Batch
from tfsep.metrics.si_sdr import si_sdr
from tfsep.separation.separator import Separator

TRAINS, CHOOSES, REPORTS = "trains", "chooses", "reports"
VOICE, ACCOMPANIMENT = "vocals", "accompaniment"
BALANCE_DB = 2.0
FIELDS = ("model", "data", "levels")
_COLUMNS = ("drums", "bass", "other", "vocals", ACCOMPANIMENT)


@dataclass(frozen=True)
class Set:
    """A set of stems.

    Attributes:
        name: of its folder.
        split: of the folder.
        role: "trains", "chooses" or "reports".
        bss_eval: whether museval measures it, too.
    """

    name: str
    split: str
    role: str
    bss_eval: bool = True


SETS = (
    Set("rendered", "test", REPORTS),
    Set("musdb_sample", "train", REPORTS),
    Set("modules", "test", CHOOSES),
    Set("lmms", "test", CHOOSES),
    Set("real_voices", "test", CHOOSES, bss_eval=False),
    Set("everything_is_free", "train", TRAINS, bss_eval=False),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return runner.run(_score, argv)


def _score(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="scores", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--model", default="songs", help="bundled model or model folder (songs)")
    parse.add_argument("--name", metavar="NAME", help="of the model in the table (default: its folder's)")
    parse.add_argument("--posterior", metavar="KIND", help="posterior of the model (default: its first)")
    parse.add_argument("--stems", required=True, metavar="DIR", help="folder of the sets of stems")
    parse.add_argument("--only", action="append", default=[], metavar="NAME", help="these sets; may be repeated")
    parse.add_argument("--output", default=str(records.RESULTS), metavar="DIR", help="where the records go")
    args = parse.parse_args(argv)
    unknown = set(args.only) - {each.name for each in SETS}
    if unknown:
        known = ", ".join(each.name for each in SETS)
        raise InputError(f"--only must be one of {known}, got {', '.join(sorted(unknown))}")
    separator = Separator.load(args.model, posterior=args.posterior)
    name = args.name or separator.name
    for each in SETS:
        if args.only and each.name not in args.only:
            continue
        found = list(scored(separator, name, each, Path(args.stems)))
        print(records.keep(args.output, "songs", found, FIELDS, as_table), flush=True)
    return 0


def scored(separator: Separator, name: str, each: Set, stems: Path) -> Iterator[Record]:
    """Yield the records of one set, at each kind of levels.

    Args:
        separator: the model.
        name: of the model in the table.
        each: the set.
        stems: the folder of all sets.
    """
    if each.name == "real_voices":
        yield {"model": name, "data": f"{each.name}/{each.split}", "role": each.role, **voices(separator, stems, each)}
        return
    settings = separation.EvaluationSettings(str(stems / each.name), each.split, bss_eval=each.bss_eval)
    for levels, balance_db in (("own", None), ("balanced", BALANCE_DB)):
        bss_eval = each.bss_eval and balance_db is None
        found = separation.evaluate(separator, replace(settings, balance_db=balance_db, bss_eval=bss_eval))
        record: Record = {
            "model": name,
            "data": f"{each.name}/{each.split}",
            "role": each.role,
            "levels": levels,
            "tracks": found["num_mixtures"],
            "sources": {source: value["si_sdri"] for source, value in found["sources"].items()},
            "counts": {source: value["count"] for source, value in found["sources"].items()},
            "mean": found["mean_si_sdri"],
            "ideal": found["baselines"]["ideal_ratio_mask"]["mean_si_sdri"],
            "real_time_factor": found["real_time_factor"],
        }
        if "bss_eval" in found:
            record["sdr"] = found["bss_eval"]["model"]["sdr"]
        yield record


def voices(separator: Separator, stems: Path, each: Set) -> Record:
    """Score vocals, and the sum of all other stems, of tracks with a voice and its accompaniment."""
    names = (VOICE, ACCOMPANIMENT)
    gained, ideal = [], []
    tracks = [
        mixtures.read_track(track, names) for track in mixtures.stems.track_folders(stems / each.name, each.split)
    ]
    for batch in tracks:
        stem = dict(zip(separator.sources, np.moveaxis(separation.separate(separator, batch, 0), 1, 0), strict=True))
        voice = stem.pop(VOICE)
        gained.append(improvement(np.stack([voice, sum(stem.values())], axis=1), batch))
        ideal.append(improvement(separation.oracle_mask(batch), batch))
    means = np.nanmean(np.concatenate(gained), axis=0)
    return {
        "levels": "own",
        "tracks": len(tracks),
        "sources": dict(zip(names, map(float, means), strict=True)),
        "counts": dict.fromkeys(names, len(tracks)),
        "mean": float(np.mean(means)),
        "ideal": float(np.nanmean(np.concatenate(ideal))),
    }


def improvement(estimates: np.ndarray, batch: Batch) -> np.ndarray:
    """Return SI-SDRi in dB of estimates (channel, source, time): (channel, source)."""
    whole = np.broadcast_to(batch.mixture[:, np.newaxis], batch.references.shape)
    return np.asarray(si_sdr(estimates, batch.references) - si_sdr(whole, batch.references))


def as_table(found: Sequence[Record]) -> str:
    """Return all records as Markdown, grouped by set and levels."""
    lines = [
        "SI-SDRi in dB, means over channels of tracks and over sources that are not silent.",
        "",
        f"| data | role | levels | model | tracks | {' | '.join(_COLUMNS)} | mean | ideal mask | museval SDR |",
        f"|{'---|' * (len(_COLUMNS) + 8)}",
    ]
    order = [f"{each.name}/{each.split}" for each in SETS]
    for record in sorted(found, key=lambda each: (order.index(each["data"]), each["levels"] != "own")):
        cells = [_decibels(record["sources"].get(source)) for source in _COLUMNS]
        sdr = ", ".join(f"{source} {_decibels(value)}" for source, value in record.get("sdr", {}).items()) or "-"
        about = f"{record['data']} | {record['role']} | {record['levels']} | {record['model']} | {record['tracks']}"
        means = f"{_decibels(record['mean'])} | {_decibels(record['ideal'])}"
        lines.append(f"| {about} | {' | '.join(cells)} | {means} | {sdr} |")
    return "\n".join(lines) + "\n"


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    sys.exit(main())
