"""Any number of sources from the priors given: two, four and eight of them, and a source that is not there.

    python -m benchmarks.quality.sources [--model=toy] [--posterior=KIND] [--num_mixtures=64] [--seed=0]
        [--free] [--pulse=DIR] [--only=WORD] [--output=DIR]

Nothing is trained for it: the priors of one model are handed to a sampler in other numbers, which
are Gibbs updates from noise, or with ``--posterior`` one of the model's own posteriors, of the
model without the other sources. Eight sources are two families of four, the lower and the upper
half of the piano; each family's prior is the model's with the pitches of the other half given no
weight, which only wavetable priors allow. With ``--pulse`` and ``--posterior``, a prior of a fifth
class, the pulse wave, is added from a model of its own (``gin/ablations/spectral_pulse.gin``), and
separated from each pair of the four. Where a source is absent, its stem should be near
silence: its level under the mixture is what counts. With ``--free`` the sources are those of the
toy data of free pitch, for models of these. Rows that a model cannot give are left out, which is
said. Seconds are those of the CPU, the compilation of the graph included. Writes
``benchmarks/results/sources.json`` and ``sources.md``.
"""

from __future__ import annotations

import argparse
import itertools
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

    from tfsep.posteriors.base import Posterior
    from tfsep.priors.base import Prior

SETTINGS: Record = {"largest_sigma": 8.0, "num_levels": 16, "polish_levels": 6, "polish_sigma": 0.02}
_HALF, _KEYS = 44, 88
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

    @property
    def adds(self) -> bool:
        """Tell whether a source is none of the model's."""
        return any(kind == FIFTH for kind, *_ in self.sources)

    @property
    def own(self) -> bool:
        """Tell whether any model of these classes can separate it: of all keys, and every source sounds."""
        return not self.absent and all(keys == [0, _KEYS] for _, *keys in self.sources)


def _all(*kinds: str, first: int = 0, last: int = _KEYS) -> tuple[tuple[str, int, int], ...]:
    return tuple((kind, first, last) for kind in kinds)


FOUR, FIFTH = ("sine", "sawtooth", "square", "triangle"), "pulse"
PAIRS = tuple(itertools.combinations(FOUR, 2))
ROWS = (
    *(Row(f"two sources: {', '.join(pair)}", _all(*pair)) for pair in PAIRS),
    *(Row(f"three sources, one added: {', '.join(pair)}, {FIFTH}", _all(*pair, FIFTH)) for pair in PAIRS),
    Row("four sources", _all(*FOUR)),
    Row("eight sources, two families", _all(*FOUR, last=_HALF) + _all(*FOUR, first=_HALF)),
    Row("four sources, the first absent", _all(*FOUR), 1, {"silence_probability": 0.1}),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="sources", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--model", default="toy", metavar="NAME|DIR", help="priors of the toy (default: toy)")
    parse.add_argument("--posterior", metavar="KIND", help="the model's own of this kind (default: gibbs, from noise)")
    parse.add_argument("--num_mixtures", type=int, default=64, metavar="N", help="of each row (default: 64)")
    parse.add_argument("--seed", type=int, default=0, metavar="N", help="of the mixtures and the sampler")
    parse.add_argument("--free", action="store_true", help="sources of any pitch with a decay, of all rows that sound")
    parse.add_argument("--pulse", metavar="DIR", help="a model with a prior of the pulse wave, for rows that add it")
    parse.add_argument("--only", metavar="WORD", help="rows whose name contains this word")
    parse.add_argument("--output", default=str(RESULTS), metavar="DIR", help="where the two files go")
    args = parse.parse_args(argv)
    runner.start_tensorflow()
    chosen = [row for row in ROWS if not args.only or args.only in row.name]
    records = []
    for row in chosen:
        if row.adds and not (args.pulse and args.posterior):
            print(f"{row.name}: left out, as it needs --pulse and --posterior", file=sys.stderr, flush=True)
        elif not (row.own or _flexible(args.model, args.posterior, args.free)):
            print(
                f"{row.name}: left out, as it needs wavetables of keys and no --posterior", file=sys.stderr, flush=True
            )
        else:
            pulse = args.pulse if row.adds else None
            records.append(measure(row, args.model, args.posterior, args.num_mixtures, args.seed, args.free, pulse))
            print(f"{row.name}: done", file=sys.stderr, flush=True)
    print(results.keep(args.output, "sources", records, ("name", "model", "posterior"), table))
    return 0


def _flexible(model: str, posterior: str | None, free: bool) -> bool:
    """Tell whether sources can be confined to some keys, or be absent."""
    from tfsep.models import store

    kinds = {entry["kind"] for entry in store.describe(model)["priors"].values()}
    return posterior is None and not free and kinds == {"wavetable"}


def prior_of(model: str, kind: str, first: int, last: int) -> Prior:
    """Load a model's prior of one class, its pitches confined to the keys ``first`` to ``last`` - 1.

    Raises:
        InputError: for some of the keys only, and a prior that is no wavetable.
    """
    import numpy as np

    import tfsep
    from tfsep.data import toy
    from tfsep.priors.wavetable.prior import WavetablePrior

    prior = tfsep.load_prior(model, kind)
    if (first, last) != (0, toy.NUM_KEYS):
        if not isinstance(prior, WavetablePrior):
            raise InputError(f"only wavetable priors can be confined to some keys, {model} has a {prior.kind!r}")
        edges = toy.LOWEST_KEY * 2.0 ** ((np.array([first, last]) - 0.5) / 12.0)
        frequency, weight = prior.frequency.numpy(), prior.pitch_weight.numpy()
        weight = np.where((frequency > edges[0]) & (frequency < edges[1]), weight, 0.0)
        prior.pitch_weight.assign(weight / weight.sum())
    return prior


def sampler_of(row: Row, model: str, posterior: str | None, pulse: str | None = None) -> tuple[Posterior, int]:
    """Return what separates a row, and the sample rate in Hz; see :func:`measure`."""
    from tfsep import posteriors
    from tfsep.models import store

    described = store.describe(model)
    if posterior is None:
        priors = [prior_of(model, *source) for source in row.sources]
        return posteriors.build("gibbs", priors, **SETTINGS, **row.settings), described["sample_rate"]
    absent = [name for name in described["sources"] if name not in [kind for kind, *_ in row.sources]]
    loaded = store.load_model(model, posterior, without=absent, priors={FIFTH: pulse} if pulse else None)
    order = [loaded.sources.index(kind) for kind, *_ in row.sources]
    if order != sorted(order) or len(set(loaded.gains)) > 1:
        raise InputError(f"--model must mix {', '.join(loaded.sources)} by their mean, in the order of the toy")
    return loaded.posterior, loaded.sample_rate


def examples(row: Row, num: int, length: int, sample_rate: int, seed: int, free: bool = False) -> np.ndarray:
    """Draw held-out sources (num, source, time) of a row, the absent ones silent; of any pitch where ``free``."""
    import numpy as np

    from tfsep.data import toy

    if free:
        return np.stack([toy.examples(kind, num, length, sample_rate, seed, free) for kind, *_ in row.sources], axis=1)
    rng = np.random.default_rng([seed, 8])
    waves = []
    for kind, first, last in row.sources:
        frequency = toy.key_frequencies()[rng.integers(first, last, num)]
        phase, amplitude = rng.uniform(size=num), rng.uniform(*toy.AMPLITUDES, size=num)
        waves.append(toy.render(kind, frequency, phase, amplitude, length, sample_rate).numpy())
    sources = np.stack(waves, axis=1).astype(np.float32)
    sources[:, : row.absent] = 0.0
    return sources


def measure(
    row: Row, model: str, posterior: str | None, num: int, seed: int, free: bool = False, pulse: str | None = None
) -> Record:
    """Separate ``num`` mixtures of a row; SI-SDRi in dB, over the mixture as the estimate.

    Args:
        row: the sources.
        model: whose priors are used.
        posterior: kind of one of the model's posteriors; None is Gibbs updates from noise.
        num: mixtures.
        seed: of the mixtures and the sampler.
        free: whether the sources are of any pitch, with a decay.
        pulse: model that has the prior of a source that is added; None where none is.
    """
    import numpy as np

    from tfsep.metrics.si_sdr import si_sdr, si_sdri
    from tfsep.models.listing import find_model, label

    sampler, rate = sampler_of(row, model, posterior, pulse)
    sources = examples(row, num, sampler.segment, rate, seed, free)
    mixture = sources.mean(axis=1)
    began = time.process_time()
    parts = [sampler.sample(mixture[i : i + _BATCH], 1, (seed, i))[0].numpy() for i in range(0, num, _BATCH)]
    estimate, seconds = np.concatenate(parts), time.process_time() - began
    audible = slice(row.absent, None)
    gained = np.clip(si_sdri(estimate, sources, mixture[:, np.newaxis])[:, audible], -100.0, 100.0)
    power = np.mean(estimate[:, : row.absent] ** 2, axis=-1) / np.mean(mixture**2, axis=-1, keepdims=True)
    keys = "" if free else " {}-{}"
    names = [kind + keys.format(first + 1, last) for kind, first, last in row.sources[audible]]
    power /= len(row.sources) ** 2
    return {
        "name": row.name + (", any pitch" if free else ""),
        "model": label(find_model(model)),
        "posterior": posterior or "gibbs, from noise",
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
    """Write the records as a Markdown table; metrics in dB, seconds of the CPU with the compilation of the graph."""
    lines = [
        "| sources | priors of | posterior | mixtures | SI-SDRi mean | median | sources > 10 dB | per source, keys "
        "| absent stem, median level under the mixture | CPU-seconds a mixture |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        each = ", ".join(f"{name} {value:.1f}" for name, value in record["sources"].items())
        level = record["absent_level_db"]
        cells = [record["name"], record["model"], record["posterior"], str(record["num_mixtures"])]
        cells += [f"{record[key]:.1f}" for key in ("mean_si_sdri", "median_si_sdri")]
        cells += [f"{100 * record['fraction_above_10db']:.0f} %", each, "-" if level is None else f"{level:.0f} dB"]
        lines.append("| " + " | ".join([*cells, f"{record['seconds_per_mixture']:.2f}"]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
