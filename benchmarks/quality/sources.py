"""Any number of sources from the priors given: two, four and eight of them, and a source that is not there.

    python -m benchmarks.quality.sources [--model=toy] [--num_mixtures=64] [--seed=0] [--only=WORD] [--output=DIR]

Nothing is trained for it: the priors of one model are handed to Gibbs updates in other numbers.
Eight sources are two families of four, the lower and the upper half of the piano; each family's
prior is the model's with the pitches of the other half given no weight. Where a source is absent,
its stem should be near silence: its level under the mixture is what counts. Writes
``benchmarks/results/sources.json`` and ``sources.md``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import records as results
from benchmarks.records import RESULTS, Record
from tfsep.cli import runner
from tfsep.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from tfsep.priors.wavetable.prior import WavetablePrior

SETTINGS: Record = {"largest_sigma": 8.0, "num_levels": 16, "polish_levels": 6, "polish_sigma": 0.02}
_HALF = 44
_BATCH = 16


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what the table calls it.
        sources: (class, first key, last key + 1) of each source.
        absent: how many of the first sources do not sound.
        settings: of the Gibbs updates, besides :data:`SETTINGS`.
    """

    name: str
    sources: tuple[tuple[str, int, int], ...]
    absent: int = 0
    settings: Record = field(default_factory=dict)


def _all(*kinds: str, first: int = 0, last: int = 88) -> tuple[tuple[str, int, int], ...]:
    return tuple((kind, first, last) for kind in kinds)


FOUR = ("sine", "sawtooth", "square", "triangle")
ROWS = (
    Row("two sources: sine, square", _all("sine", "square")),
    Row("two sources: sawtooth, triangle", _all("sawtooth", "triangle")),
    Row("four sources", _all(*FOUR)),
    Row("eight sources, two families", _all(*FOUR, last=_HALF) + _all(*FOUR, first=_HALF)),
    Row("four sources, the first absent", _all(*FOUR), 1, {"silence_probability": 0.1}),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="sources", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--model", default="toy", metavar="NAME|DIR", help="wavetable priors of the grid (default: toy)")
    parse.add_argument("--num_mixtures", type=int, default=64, metavar="N", help="of each row (default: 64)")
    parse.add_argument("--seed", type=int, default=0, metavar="N", help="of the mixtures and the sampler")
    parse.add_argument("--only", metavar="WORD", help="rows whose name contains this word")
    parse.add_argument("--output", default=str(RESULTS), metavar="DIR", help="where the two files go")
    args = parse.parse_args(argv)
    runner.start_tensorflow()
    records = []
    for row in ROWS:
        if not args.only or args.only in row.name:
            records.append(measure(row, args.model, args.num_mixtures, args.seed))
            print(f"{row.name}: done", file=sys.stderr, flush=True)
    print(results.keep(args.output, "sources", records, ("name",), table))
    return 0


def prior_of(model: str, kind: str, first: int, last: int) -> WavetablePrior:
    """Load a model's prior of one class, its pitches confined to the keys ``first`` to ``last`` - 1."""
    import numpy as np

    import tfsep
    from tfsep.data import toy
    from tfsep.priors.wavetable.prior import WavetablePrior

    prior = tfsep.load_prior(model, kind)
    if not isinstance(prior, WavetablePrior):
        raise InputError(f"--model must have wavetable priors, {model} has a prior of kind {prior.kind!r}")
    if (first, last) != (0, toy.NUM_KEYS):
        edges = toy.LOWEST_KEY * 2.0 ** ((np.array([first, last]) - 0.5) / 12.0)
        frequency, weight = prior.frequency.numpy(), prior.pitch_weight.numpy()
        weight = np.where((frequency > edges[0]) & (frequency < edges[1]), weight, 0.0)
        prior.pitch_weight.assign(weight / weight.sum())
    return prior


def examples(row: Row, num: int, length: int, sample_rate: int, seed: int) -> np.ndarray:
    """Draw held-out sources (num, source, time) of a row, the absent ones silent."""
    import numpy as np

    from tfsep.data import toy

    rng = np.random.default_rng([seed, 8])
    waves = []
    for kind, first, last in row.sources:
        frequency = toy.key_frequencies()[rng.integers(first, last, num)]
        phase, amplitude = rng.uniform(size=num), rng.uniform(*toy.AMPLITUDES, size=num)
        waves.append(toy.render(kind, frequency, phase, amplitude, length, sample_rate).numpy())
    sources = np.stack(waves, axis=1).astype(np.float32)
    sources[:, : row.absent] = 0.0
    return sources


def measure(row: Row, model: str, num: int, seed: int) -> Record:
    """Separate ``num`` mixtures of a row; SI-SDRi in dB, over the mixture as the estimate.

    Args:
        row: the sources.
        model: whose priors are used.
        num: mixtures.
        seed: of the mixtures and the sampler.
    """
    import numpy as np

    from tfsep import posteriors
    from tfsep.metrics.si_sdr import si_sdr, si_sdri

    each = [prior_of(model, *source) for source in row.sources]
    sampler = posteriors.build("gibbs", each, **SETTINGS, **row.settings)
    sources = examples(row, num, each[0].event_shape[0], each[0].sample_rate, seed)
    mixture = sources.mean(axis=1)
    began = time.monotonic()
    parts = [sampler.sample(mixture[i : i + _BATCH], 1, (seed, i))[0].numpy() for i in range(0, num, _BATCH)]
    estimate, seconds = np.concatenate(parts), time.monotonic() - began
    audible = slice(row.absent, None)
    gained = np.clip(si_sdri(estimate, sources, mixture[:, np.newaxis])[:, audible], -100.0, 100.0)
    power = np.mean(estimate[:, : row.absent] ** 2, axis=-1) / np.mean(mixture**2, axis=-1, keepdims=True)
    names = [f"{kind} {first + 1}-{last}" for kind, first, last in row.sources[audible]]
    power /= len(row.sources) ** 2
    return {
        "name": row.name,
        "num_mixtures": num,
        "seed": seed,
        "mean_si_sdri": float(gained.mean()),
        "median_si_sdri": float(np.median(gained)),
        "fraction_above_10db": float(np.mean(si_sdr(estimate, sources)[:, audible] > 10.0)),
        "sources": dict(zip(names, gained.mean(axis=0).tolist(), strict=True)),
        "absent_level_db": float(np.median(10.0 * np.log10(power + 1e-12))) if row.absent else None,
        "seconds_per_mixture": seconds / num,
    }


def table(records: Sequence[Record]) -> str:
    """Write the records as a Markdown table; metrics in dB, seconds with the compilation of the graph."""
    lines = [
        "| sources | mixtures | SI-SDRi mean | median | sources > 10 dB | per source, keys | absent stem, median level "
        "under the mixture | seconds a mixture |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        each = ", ".join(f"{name} {value:.1f}" for name, value in record["sources"].items())
        level = record["absent_level_db"]
        lines.append(
            f"| {record['name']} | {record['num_mixtures']} | {record['mean_si_sdri']:.1f} "
            f"| {record['median_si_sdri']:.1f} | {100 * record['fraction_above_10db']:.0f} % | {each} "
            f"| {'-' if level is None else f'{level:.0f} dB'} | {record['seconds_per_mixture']:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
