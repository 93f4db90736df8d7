"""Separate bundled input and measure the stems: eight toy mixtures and ten seconds of a real song.

The toy mixtures are separated twice: by flow priors (the model toy-flow), then by wavetable priors (toy).
Writes the toy mixtures and all stems below OUTPUT and prints, for both, SI-SDR per source beside the mixture as the
estimate and an ideal ratio mask. The songs model was trained on isolated stems of this song, and never on the song.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tfsep.bundled import bundled_folder
from tfsep.cli import runner, separate
from tfsep.errors import JobError

NUM_MIXTURES = 8
TOY_MODELS = ("toy-flow", "toy")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parse = runner.Parser(prog="demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--output", default="separated/demo", metavar="DIR", help="default: separated/demo")
    parse.add_argument("--seed", type=int, default=0, metavar="N", help="of the toy mixtures (default: 0)")
    return parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_demo, argv)


def _demo(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    examples = bundled_folder("examples")
    songs = sorted(examples.glob("test/*/mixture.flac"))
    if not songs:
        raise JobError(f"the bundled song must lie below {examples}, found none")
    runner.start_tensorflow()
    with runner.quiet_stderr():
        from tfsep.audio import files
        from tfsep.data import toy
        from tfsep.evaluation import separation
        from tfsep.separation.separator import Separator
    output = Path(args.output)
    toys = [Separator.load(name) for name in TOY_MODELS]
    rate = toys[0].sample_rate
    mixture, _ = toy.mixtures(NUM_MIXTURES, toys[0].segment, rate, args.seed)
    inputs = [output / "inputs" / f"toy_{number}.wav" for number in range(1, NUM_MIXTURES + 1)]
    for path, wave in zip(inputs, mixture, strict=True):
        with files.Writer(path, rate, 1) as writer:
            writer.write(wave[None])
    common = ["--output", str(output), "--overwrite"]
    code = 0
    for name in TOY_MODELS:
        code = separate.main([*map(str, inputs), "--model", name, *common]) or code
    code = separate.main([*map(str, songs), "--model", "songs", *common]) or code
    for each in toys:
        settings = separation.EvaluationSettings("toy", num_mixtures=NUM_MIXTURES, seed=args.seed)
        print("\n" + separation.as_text(separation.evaluate(each, settings)))
    settings = separation.EvaluationSettings(str(examples), seed=args.seed, name="examples")
    print("\n" + separation.as_text(separation.evaluate(Separator.load("songs"), settings)))
    folders = " and ".join(str(output / name) for name in (*TOY_MODELS, "songs"))
    print(f"\nListen: {folders}; the toy mixtures are in {output / 'inputs'}.")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
