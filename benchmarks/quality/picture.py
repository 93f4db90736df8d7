"""The picture in the README: what ``make demo`` separated, drawn from the files it wrote.

make demo && python -m benchmarks.quality.picture [--demo=separated/demo]
[--output=docs/separation.png]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfsep.cli import runner
from tfsep.errors import JobError

_EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "test"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_draw, argv)


def _draw(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="picture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--demo", default="separated/demo", metavar="DIR", help="what make demo wrote")
    parse.add_argument("--toy", default="toy_4", metavar="NAME", help="which toy mixture (default: toy_4)")
    parse.add_argument("--output", default="docs/separation.png", metavar="FILE", help="the PNG")
    args = parse.parse_args(argv)
    runner.start_tensorflow()
    from tfsep.audio import files
    from tfsep.evaluation import figures

    demo = Path(args.demo)
    song = next(iter(sorted(_EXAMPLE.glob("*/mixture.flac"))))
    inputs = {"toy": demo / "inputs" / f"{args.toy}.wav", "songs": song}
    columns: dict[str, dict[str, np.ndarray]] = {}
    rates: dict[str, int] = {}
    for model, mixture in inputs.items():
        stems = sorted((demo / model / mixture.stem).glob("*.wav"))
        if not stems:
            raise JobError(f"no stems in {demo / model / mixture.stem}: run `make demo` first")
        title = {"toy": "a toy mixture", "songs": f"{song.parent.name} (CC0)"}[model]
        signals = {}
        for name, path in {"mixture": mixture, **{stem.stem: stem for stem in stems}}.items():
            wave, rates[title] = files.read(path)
            signals[name] = wave.mean(axis=0)
        columns[title] = signals
    Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    figures.separation_picture(columns, rates, args.output)
    print(args.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
