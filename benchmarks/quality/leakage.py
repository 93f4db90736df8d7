"""Leakage: how much of each true source every stem contains, and what part of a stem is none of them.

    python -m benchmarks.quality.leakage --songs=DIR [--model=songs] [--split=test]

Stems are written as sums of the true sources by least squares, track by track
(<DIR>/<split>/<track>/<source>, the sum of the sources being the mixture, in mono). Prints the mean
of the amplitudes, a row for each true source, and the range over tracks of the part of a stem's
energy that no such sum explains. Tracks without one of the sources are passed over.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from tfsep.cli import runner
from tfsep.errors import InputError


def shares(stems: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Explain stems (k, time) by sources (k, time): amplitudes (true source, stem), and unexplained energy (stem,)."""
    amplitudes = np.linalg.solve(sources @ sources.T, sources @ stems.T)
    rest = stems - amplitudes.T @ sources
    return amplitudes, np.sum(rest**2, axis=1) / np.sum(stems**2, axis=1)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="leakage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--songs", required=True, metavar="DIR", help="a folder of stems")
    parse.add_argument("--model", default="songs", metavar="NAME|DIR", help="the model (default: songs)")
    parse.add_argument("--split", default="test", help="of the folder (default: test)")
    args = parse.parse_args(argv)
    runner.start_tensorflow()
    from tfsep.evaluation.mixtures import song_batches
    from tfsep.separation.separator import Separator

    separator = Separator.load(args.model)
    every = []
    for batch in song_batches(separator, args.songs, args.split, linear=True):
        true = np.asarray(batch.references, np.float64).mean(axis=0)
        if np.all(np.sum(true**2, axis=1) > 0.0):
            found = separator(true.sum(axis=0).astype(np.float32), batch.sample_rate)
            every.append(shares(np.stack([found[name] for name in separator.sources]).astype(np.float64), true))
    if not every:
        raise InputError(f"{args.songs} has no track in {args.split!r} with all of {', '.join(separator.sources)}")
    mean, rest = np.mean([one for one, _ in every], axis=0), np.stack([part for _, part in every])
    print(f"| true source | {' | '.join(f'in {name}' for name in separator.sources)} |")
    print("|---|" + "---|" * len(separator.sources))
    for name, row in zip(separator.sources, mean, strict=True):
        print(f"| {name} | {' | '.join(f'{value:.2f}' for value in row)} |")
    for name, part in zip(separator.sources, rest.T, strict=True):
        print(f"{name}: {100 * part.min():.0f} to {100 * part.max():.0f} % of it is no source, {len(every)} tracks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
