"""Train the priors of stems that docs/prior_test.md is about, and test them song by song where each is left out.

    python -m benchmarks.priors.stems_priors --songs=DIR [--more=DIR]... [--real=DIR] [--only=JOB]... [--runs=DIR]

``priors`` trains gin/parts/stems_prior.gin on the training splits of --songs and of every --more,
by likelihood alone, and ``background`` gin/ablations/stems_background.gin, a prior of all sources
pooled; ``contrastive`` goes on from the first, by gin/ablations/contrastive_stems.gin. All end in
``<runs>/<job>/model``; the priors of the bundled ``songs`` are those of the last two. ``left_out``
takes the songs of ``<real>/train`` in turn and tests each under the priors of the sources it has,
after four trainings, each an entry of ``benchmarks/results/prior_test_left_out.json``: under
``priors`` (``likelihood``) and ``contrastive`` as they are, which were trained on no song of
--real, and under both trained further, as they were trained, on all of these songs but the one
(``likelihood_real``, gin/ablations/stems_further_likelihood.gin, and ``contrastive_real``,
gin/ablations/stems_further.gin). Each training resumes where it stood.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.records import RESULTS
from tfsep.cli import prior_test, runner, train
from tfsep.data.stems import track_folders
from tfsep.errors import InputError, JobError
from tfsep.prior_test import record as records

JOBS = ("priors", "background", "contrastive", "left_out")
TRAININGS = ("likelihood", "likelihood_real", "contrastive", "contrastive_real")
LEFT_OUT = "prior_test_left_out.json"
_SHARE = 10
_FURTHER = {"likelihood": "stems_further_likelihood", "contrastive": "stems_further"}
_KEPT = (
    "num_examples",
    "sigma",
    "accuracy",
    "mean_auroc",
    "accuracy_per_source",
    "by_sigma",
    "scores",
    "reference_classifier",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return runner.run(_make, argv)


def _make(argv: Sequence[str]) -> int:
    layout = argparse.RawDescriptionHelpFormatter
    parse = runner.Parser(prog="stems_priors", description=__doc__, formatter_class=layout)
    parse.add_argument("--songs", required=True, metavar="DIR", help="stems with a training split")
    parse.add_argument("--real", metavar="DIR", help="stems of real songs, of which each is left out once")
    parse.add_argument("--more", action="append", default=[], metavar="DIR", help="further stems, repeatable")
    parse.add_argument("--only", action="append", choices=JOBS, help="one of the jobs, repeatable")
    parse.add_argument("--song", action="append", metavar="WORD", help="songs to leave out: those named so, repeatable")
    flags = ("--training", "--way")  # the second is an alias
    parse.add_argument(*flags, action="append", choices=TRAININGS, help="to test, repeatable (default: all)")
    parse.add_argument("--num_examples", type=int, default=64, metavar="N", help="test excerpts a source (default: 64)")
    parse.add_argument("--runs", default="runs/stems_priors", metavar="DIR", help="where the trainings are")
    parse.add_argument("--results", default=str(RESULTS), metavar="DIR", help="where the record is")
    args = parse.parse_args(argv)
    jobs = args.only or [job for job in JOBS if job != "left_out" or args.real]
    if "left_out" in jobs and not args.real:
        raise InputError("left_out needs --real, a folder of stems")
    runs, roots = Path(args.runs), [args.songs, *args.more]
    if "priors" in jobs:
        _train("stems_prior", runs / "priors", roots, [])
    if "background" in jobs:
        _train("stems_background", runs / "background", roots, [])
    if "contrastive" in jobs:
        _train("contrastive_stems", runs / "contrastive", roots, [_from(runs / "priors")])
    for song in _chosen(args.real, args.song) if "left_out" in jobs else ():
        _leave_out(song, args, runs)
    return 0


def _chosen(real: str, words: Sequence[str] | None) -> list[str]:
    """Choose the songs to leave out by words of their names; None is all.

    Raises:
        InputError: if there are none.
    """
    songs = [track.name for track in track_folders(real, "train")]
    chosen = [song for song in songs if words is None or any(word in song for word in words)]
    if not chosen:
        raise InputError(f"--song must be in the name of one of {', '.join(songs)}, got {', '.join(words or ())}")
    return chosen


def _from(priors: Path) -> str:
    return f"fine_tune.model='{priors / 'model'}'"


def _train(gin: str, folder: Path, roots: Sequence[str], settings: Sequence[str]) -> None:
    """Train by a gin file on stems into ``<folder>/model``."""
    given = [f"--gin_param={setting}" for setting in (f"stems.roots={list(roots)!r}", *settings)]
    _call(train.main, [f"--gin_file=gin/{gin}.gin", f"--save_dir={folder}", *given])


def _leave_out(song: str, args: argparse.Namespace, runs: Path) -> None:
    """Test on a song, under priors trained on no real song and under those trained on all others; keep the records."""
    # Three real songs among hundreds would hardly count.
    roots = [args.songs, *args.more, *[args.real] * (_SHARE if args.more else 1)]
    found, sources = {}, [f"--source={source}" for source in _audible(args.real, song, runs / "priors" / "model")]
    for training in args.training or TRAININGS:
        started, _, real = training.partition("_")
        run = start = runs / {"likelihood": "priors"}.get(started, started)
        if real:
            run = runs / f"{training} without {song}"
            _train(_FURTHER[started], run, roots, [_from(start), f"stems.exclude={[song]!r}"])
        # The reference classifier is trained on the other real songs, as the priors were further.
        study = ["--study=reference_classifier"] if training == "contrastive_real" else []
        file = runs / f"{training} {song}.json"
        given = [f"--model={run / 'model'}", f"--data={args.real}", "--split=train", f"--track={song}", "--resample"]
        size = [f"--num_examples={args.num_examples}", f"--json={file}"]
        _call(prior_test.main, [*given, *size, *sources, *study])
        record = records.read(file)
        found[training] = record
        print(f"{song}, {training}: accuracy {record['accuracy']:.3f}", file=sys.stderr, flush=True)
    keep(Path(args.results), song, found)


def _audible(real: str, song: str, model: Path) -> list[str]:
    """List the sources of a model that a song has an audible stem of."""
    from tfsep.data.stems import StemsData
    from tfsep.models import store

    found, described = [], store.describe(str(model))
    for source in described["sources"]:
        with contextlib.suppress(InputError):
            StemsData((real,), sources=(source,), sample_rate=described["sample_rate"], only=(song,))
            found.append(source)
    return found


def keep(results: Path, song: str, tests: Mapping[str, Mapping[str, object]]) -> None:
    """Add the records of a song that was left out, {training: record}, in place of earlier ones of the same names."""
    file = results / LEFT_OUT
    songs = records.read_songs(file)
    kept = {
        training: {entry: value for entry, value in test.items() if entry in _KEPT} for training, test in tests.items()
    }
    results.mkdir(parents=True, exist_ok=True)
    known = {**songs, song: {**songs.get(song, {}), **kept}}
    file.write_text(json.dumps({"songs": known}, indent=1) + "\n", encoding="utf-8")


def _call(command: Callable[[Sequence[str]], int], arguments: list[str]) -> None:
    code = command(arguments)
    if code != 0:
        raise JobError(f"{' '.join(arguments)} ended with exit code {code}")


if __name__ == "__main__":
    raise SystemExit(main())
