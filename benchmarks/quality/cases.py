"""Where a toy model does best and worst: pictures, sounds, and what the failures come from.

    python -m benchmarks.quality.cases [--model=toy] [--posterior=KIND] [--num_mixtures=48] [--num_cases=3]
        [--seed=0] [--output=DIR]

Of held-out mixtures of one second, those whose worst source is best and worst separated. Each is
written as a picture, found stems beside true ones, and as a sound: the mixture, each found stem,
each true one. The table says what remains of a failure with the *ideal prior*, the toy generator's
own density, in the same posterior, and with the last stage of the posterior started at the true
sources: a failure that the first mends is the prior's, one that the second mends is the search's.
Both are run on full segments without overlap. Writes ``<output>/cases.md`` as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.quality import toy_samplers
from tfsep.cli import runner
from tfsep.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from tfsep.separation.separator import Separator

_SECONDS, _GAP = 1.0, 0.1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_show, argv)


def _show(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="cases", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--model", default="toy", metavar="NAME|DIR", help="a toy model (default: toy)")
    parse.add_argument(
        "--posterior", metavar="KIND", help="the model's own of this kind (default: its first for the ideal prior)"
    )
    parse.add_argument("--free", action="store_true", help="mixtures of the free variant")
    parse.add_argument("--num_mixtures", type=int, default=48, metavar="N", help="to choose from (default: 48)")
    parse.add_argument("--num_cases", type=int, default=3, metavar="N", help="of each sort (default: 3)")
    parse.add_argument("--seed", type=int, default=0, metavar="N", help="of the mixtures and the sampler")
    parse.add_argument("--output", default="docs/cases", metavar="DIR", help="where pictures and sounds go")
    args = parse.parse_args(argv)
    if not 0 < 2 * args.num_cases <= args.num_mixtures:
        raise InputError(f"--num_cases must lie in 1..{args.num_mixtures // 2}, got {args.num_cases}")
    runner.start_tensorflow()
    counts, output = (args.num_mixtures, args.num_cases), Path(args.output)
    print(show(args.model, args.posterior, args.free, *counts, args.seed, output))
    return 0


def show(
    model: str, posterior: str | None, free: bool, num_mixtures: int, num_cases: int, seed: int, output: Path
) -> str:
    """Write the cases of a model and return the table.

    Args:
        model: a name or a folder.
        posterior: kind of one of its posteriors; None is its first that the ideal prior can serve.
        free: mixtures of the free variant of the toy.
        num_mixtures: to choose from.
        num_cases: best, and as many worst.
        seed: of mixtures and sampler.
        output: the folder.
    """
    import numpy as np

    from tfsep.evaluation import mixtures
    from tfsep.metrics.si_sdr import si_sdr
    from tfsep.models import stages, store
    from tfsep.separation.separator import Separator

    entry = stages.chosen(store.describe(model), posterior, True, False, model, directions=False)
    separator = Separator.load(model, posterior=entry["kind"])
    length = round(_SECONDS * separator.sample_rate)
    batches = list(mixtures.toy_batches(separator, num_mixtures, seed, free, length))
    mixture, true = (np.concatenate([getattr(each, name) for each in batches]) for name in ("mixture", "references"))
    found = separator.separate_batch(mixture, seed=seed)[0]
    ratios = si_sdr(found, true)
    order = np.argsort(-ratios.min(axis=-1))
    chosen = {f"success_{n + 1}": order[n] for n in range(num_cases)}
    chosen |= {f"failure_{n + 1}": order[-1 - n] for n in range(num_cases)}
    places = list(chosen.values())
    last = getattr(separator.model.posterior, "stages", [separator.model.posterior])[-1]
    ideal = toy_samplers.separator(entry, toy_samplers.loaded(toy_samplers.IDEAL, model), model)
    columns = {
        "answer": ratios[places],
        "ideal prior": _by_segments(ideal.model.posterior, true[places], False, seed),
        "true start": _by_segments(last, true[places], True, seed),
    }
    output.mkdir(parents=True, exist_ok=True)
    for name, place in chosen.items():
        _write(output / name, separator, mixture[place], found[place], true[place])
    text = "\n\n".join([_table(list(chosen), separator.sources, columns), *map(_shown, chosen)])
    (output / "cases.md").write_text(text + "\n", encoding="utf-8")
    return text


def _by_segments(posterior: Any, true: np.ndarray, warm: bool, seed: int) -> np.ndarray:
    """Separate stems (mixture, source, time) in segments, end to end; SI-SDR in dB (mixture, source)."""
    import numpy as np

    from tfsep.metrics.si_sdr import si_sdr

    count, sources, _ = true.shape
    segments = true.shape[-1] // posterior.segment
    whole = true[..., : segments * posterior.segment]
    parts = np.moveaxis(whole.reshape(count, sources, segments, posterior.segment), 2, 1)
    excerpts = parts.reshape(count * segments, sources, posterior.segment)
    gains = np.array(posterior.gains, np.float32)[:, np.newaxis]
    start = excerpts / gains if warm else None
    found = posterior.sample(excerpts.sum(axis=1), 1, (seed, 0), start=start)[0].numpy() * gains
    stems = np.moveaxis(found.reshape(count, segments, sources, -1), 1, 2).reshape(count, sources, -1)
    return si_sdr(stems, whole)


def _write(path: Path, separator: Separator, mixture: np.ndarray, found: np.ndarray, true: np.ndarray) -> None:
    """Write a picture and a sound of one case: mixture (time,), stems (source, time)."""
    import numpy as np
    import soundfile

    from tfsep.evaluation import figures

    signals = {
        title: {"mixture": mixture, **dict(zip(separator.sources, stems, strict=True))}
        for title, stems in ((f"{path.name}: found", found), ("true", true))
    }
    rates = dict.fromkeys(signals, separator.sample_rate)
    figures.separation_picture(signals, rates, path.with_suffix(".png"))
    gap = np.zeros(round(_GAP * separator.sample_rate), np.float32)
    parts = [part for wave in (mixture, *found, *true) for part in (wave, gap)]
    soundfile.write(path.with_suffix(".flac"), np.concatenate(parts), separator.sample_rate)


def _table(names: Sequence[str], sources: Sequence[str], columns: dict[str, np.ndarray]) -> str:
    heads = [f"case, SI-SDR in dB of {', '.join(sources)}", *columns]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for place, name in enumerate(names):
        cells = [", ".join(f"{value:.1f}" for value in column[place]) for column in columns.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(name: str) -> str:
    """Show the picture of a case, and a link to its sound."""
    sound = f"[The mixture, each found stem in the order of the table, each true one]({name}.flac)."
    return f"## {name}\n\n![{name}]({name}.png)\n\n{sound}"


if __name__ == "__main__":
    raise SystemExit(main())
