"""Which samplers find the sources: with the ideal prior, so that what fails is the sampler's, and with learned priors.

    python -m benchmarks.quality.samplers [--model=ideal ...] [--masks=toy] [--num_mixtures=64] [--segment=512]
        [--seed=0] [--only=REGEX] [--output=DIR]

``--model=ideal``, the default, is the toy generator's own density (priors/ideal_toy.py, on a coarse
grid of phases, finer where the answer is polished): every sampler on four sources of ``--segment``
samples. Langevin and diffusion start from noise and from the true sources plus noise, the others
from noise alone. Samplers that can go on at their last level are then diagnosed there
(posteriors/diagnostics.py): four chains on four of the mixtures, fifty draws each, ten steps apart;
"R-hat" is the median over samples of the four sources, 1 where chains agree, and "effective draws"
the median of what the two hundred draws are worth.

Any other ``--model`` is a folder with priors of the four classes; it may be repeated. Langevin
dynamics with its defaults, its published soft form (BASIS) and Gibbs updates separate two sources
from noise, all six pairs with a sixth of the mixtures each, and four sources from the masks of
``--masks`` and from noise, in segments of the model's own length. Writes
``benchmarks/results/samplers.json`` and ``samplers.md``.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks import records as results
from benchmarks.quality import toy_samplers
from benchmarks.quality.toy_samplers import IDEAL
from benchmarks.records import RESULTS, Record
from tfsep.cli import runner

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

    from tfsep.axes import Sigma, TensorLike
    from tfsep.priors.base import Prior

SAMPLE_RATE = 16000
GRID: Record = {"num_phases": 16, "num_refined": 1, "num_subcells": 16}
_SHORT = {"consistent": False, "num_restarts": 1, "num_levels": 10, "num_steps": 25, "delta": 1e-3}
_SOFT: Record = {"exact": False, "largest_sigma": 4.0, "smallest_sigma": 0.05, **_SHORT}
_EXACT = {**_SOFT, "exact": True}
# As published, but for a last level that all priors know; the step is the same 0.3 of the noise's variance.
_BASIS = {"exact": False, "consistent": False, "num_restarts": 1, "largest_sigma": 1.0, "smallest_sigma": 0.02}
_PUBLISHED: Record = {**_BASIS, "num_levels": 10, "num_steps": 100, "delta": 1.2e-4}
_WARM: Record = {"largest_sigma": 0.5, "start_sigma": 0.5, "smallest_sigma": 0.02, "num_levels": 13, "num_restarts": 2}
_TRACE: dict[str, int] = {"num_draws": 50, "num_chains": 4, "thin": 10}
_TRACED = 4
_WIDEST = 100.0
_POLISH = {"polish_sigma": 0.03, "polish_levels": 8}


NOISE, TRUTH, MASKS = "noise", "truth plus noise", "masks"
FIELDS = ("priors", "num_sources", "sampler", "start")


@dataclass(frozen=True)
class Row:
    """One line of the table: a sampler, and on what it is tried.

    Attributes:
        name: what the table calls it.
        kind: of ``posteriors.build``; None is the start itself.
        settings: of ``posteriors.build``.
        start: "noise", "truth plus noise" or "masks".
        num_sources: 4, or 2 for every pair of them.
        num_rounds: how often the prior divides its cells of phase, 16-fold each time.
    """

    name: str
    kind: str | None
    settings: Record = field(default_factory=dict)
    start: str = NOISE
    num_sources: int = 4
    num_rounds: int = 1


ROWS = (
    Row("Langevin", "langevin", num_sources=2),
    Row("Langevin", "langevin", start=TRUTH),
    Row("Langevin, soft", "langevin", _SOFT),
    Row("Langevin, exact constraint", "langevin", _EXACT),
    Row("Langevin, exact constraint", "langevin", {**_EXACT, "start_sigma": 0.5}, TRUTH),
    Row(
        "Langevin, exact, Metropolis-adjusted",
        "langevin",
        {**_EXACT, "metropolis": True, "start_sigma": 0.5, "delta": 1e-4},
        TRUTH,
    ),
    Row("diffusion, projection", "diffusion", {"num_levels": 30}),
    Row(
        "diffusion, last source, churned",
        "diffusion",
        {"num_levels": 30, "constraint": "last_source", "churn": 8.0},
    ),
    Row("diffusion, projection", "diffusion", {"num_levels": 30, "start_sigma": 1.0}, TRUTH),
    Row("Gibbs, 1 start", "gibbs", {"num_restarts": 1}),
    Row("Gibbs, 12 restarts", "gibbs", {"num_restarts": 12}),
    Row("Jacobi, 12 restarts", "gibbs", {"update": "jacobi", "largest_sigma": 12.0, "num_restarts": 12}),
    Row("Gibbs, 12 restarts, polish", "gibbs", {"num_restarts": 12, **_POLISH}, num_rounds=2),
    Row("Gibbs sampler", "stochastic_gibbs"),
)
MODEL_ROWS = (
    Row("Langevin", "langevin", num_sources=2),
    Row("Langevin, soft as published", "langevin", _PUBLISHED, num_sources=2),
    Row("Gibbs, 4 restarts", "gibbs", {"smallest_sigma": 0.05}, num_sources=2),
    Row("none", None, start=MASKS),
    Row("Langevin", "langevin", start=MASKS),
    Row("Langevin, soft as published", "langevin", {**_PUBLISHED, "start_sigma": 0.2}, MASKS),
    Row("Gibbs, 2 restarts", "gibbs", _WARM, MASKS),
    Row("Langevin", "langevin"),
    Row("Gibbs, 4 restarts", "gibbs", {"smallest_sigma": 0.05}),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="samplers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parse.add_argument
    add("--model", action="append", default=[], metavar="NAME|DIR", help=f"whose priors (default: {IDEAL})")
    add("--masks", default="toy", metavar="NAME|DIR", help="a model with masks to start from (default: toy)")
    add("--num_mixtures", type=int, default=64, metavar="N", help="held-out toy mixtures (default: 64)")
    add("--segment", type=int, default=512, metavar="N", help="samples of a mixture at 16 kHz, for the ideal prior")
    add("--seed", type=int, default=0, metavar="N", help="of the mixtures and the samplers")
    add("--only", metavar="REGEX", help="rows whose sampler matches, such as 'Langevin$'")
    add("--output", default=str(RESULTS), metavar="DIR", help="where samplers.json and samplers.md go")
    args = parse.parse_args(argv)
    runner.start_tensorflow()
    for model in args.model or [IDEAL]:
        for row in ROWS if model == IDEAL else MODEL_ROWS:
            if args.only and not re.search(args.only, row.name, re.IGNORECASE):
                continue
            record = measure(row, model, args.masks, args.num_mixtures, args.segment, args.seed)
            results.keep(args.output, "samplers", [record], FIELDS, table)
            print(f"{model}: {row.name}, {row.num_sources} from {row.start}: done", file=sys.stderr, flush=True)
    print(results.keep(args.output, "samplers", [], FIELDS, table))
    return 0


def priors_of(model: str, row: Row, segment: int) -> tuple[str, list[Prior]]:
    """Load priors of the four classes.

    Args:
        model: "ideal", or a model folder.
        row: whose rounds the ideal prior takes.
        segment: samples of an event of the ideal prior.

    Returns:
        What the table calls them, and the priors in the order of the toy's classes.
    """
    from tfsep import priors
    from tfsep.data import toy
    from tfsep.models import store

    if model != IDEAL:
        each = learned(model)
        return f"{each[0].kind} ({store.label(store.find_model(model))})", each
    fixed = {"length": segment, "sample_rate": SAMPLE_RATE, "num_rounds": row.num_rounds, **GRID}
    return IDEAL, [priors.build("ideal_toy", source=kind, **fixed) for kind in toy.oscillators.KINDS]


@functools.cache
def learned(model: str) -> list[Prior]:
    """Load a model's priors of the four classes once for all rows; flows share the graph of their score."""
    import tfsep
    from tfsep.data import toy
    from tfsep.priors.flows.flow import FlowPrior

    each = [tfsep.load_prior(model, kind) for kind in toy.oscillators.KINDS]
    return [traced_once(prior) if isinstance(prior, FlowPrior) else prior for prior in each]


def traced_once(prior: Prior) -> Prior:
    """Give a prior one graph of its score for all samplers, as tracing a flow takes longer than a few mixtures.

    Args:
        prior: over waves; changed in place.
    """
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *prior.event_shape), tf.float32), tf.TensorSpec((None,), tf.float32)]
    graph = tf.function(prior.score, input_signature=signature, autograph=False)
    graph.get_concrete_function()

    def score(x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        x = tf.cast(x, tf.float32)
        sigma = prior.smallest_sigma if sigma is None else sigma
        return graph(x, tf.broadcast_to(tf.cast(sigma, tf.float32), tf.shape(x)[:1]))

    prior.score = score  # type: ignore[method-assign]
    return prior


def examples(num_sources: int, num_mixtures: int, segment: int, seed: int) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """Draw held-out sources: all four classes, or every pair of them with a sixth of the mixtures each.

    Returns:
        The classes of each group and its sources (mixture, source, segment), to be mixed by their mean.
    """
    from tfsep.data import toy

    count = len(toy.oscillators.KINDS)
    groups = list(itertools.combinations(range(count), num_sources))
    each = max(1, num_mixtures // len(groups))
    _, sources = toy.mixtures(each, segment, SAMPLE_RATE, seed)
    return [(group, sources[:, list(group)]) for group in groups]


def measure(row: Row, model: str, masks: str, num_mixtures: int, segment: int, seed: int) -> Record:
    """Separate held-out mixtures with one sampler; SI-SDRi in dB, over the mixture as the estimate.

    Args:
        row: the sampler.
        model: whose priors it uses, or "ideal".
        masks: a model with an amortised posterior of four sources, where the row starts from masks.
        num_mixtures: at least 1.
        segment: samples of each, for the ideal prior; a model has its own.
        seed: of the mixtures and the sampler.
    """
    import numpy as np

    from tfsep import posteriors
    from tfsep.data import toy
    from tfsep.metrics.si_sdr import si_sdr, si_sdri
    from tfsep.models import store

    label, each = priors_of(model, row, segment)
    segment = each[0].event_shape[0]
    gained, above, seconds, kinds = [], [], 0.0, {}
    found: Record = {}
    for group, sources in examples(row.num_sources, num_mixtures, segment, seed):
        mixture = sources.mean(axis=1)
        start = sources if row.start == TRUTH else None
        if row.start == MASKS:
            start = store.load_model(masks, "amortised").posterior.sample(mixture, 1, (seed, 0))[0].numpy()
        estimate = start
        if row.kind is not None:
            chosen = [each[index] for index in group]
            sampler = posteriors.build(priors=chosen, **settings_of(row, model, chosen))
            begun = time.process_time()
            estimate = sampler.sample(mixture, 1, (seed, 0), start=start)[0].numpy()
            seconds += time.process_time() - begun
            if model == IDEAL and row.num_sources == len(each):
                found = diagnosed(row, each, mixture[:_TRACED], sources[:_TRACED], seed)
            found["draws_posterior"] = sampler.is_sampler
        assert estimate is not None
        gained.append(np.clip(si_sdri(estimate, sources, mixture[:, np.newaxis]), -_WIDEST, _WIDEST))
        above.append(si_sdr(estimate, sources) > 10.0)
        kinds[" + ".join(toy.oscillators.KINDS[index] for index in group)] = float(gained[-1].mean())
    count = sum(len(part) for part in gained)
    return {
        "sampler": row.name,
        "priors": label,
        "num_sources": row.num_sources,
        "start": row.start,
        "settings": {"kind": row.kind, **row.settings},
        "num_mixtures": count,
        "segment": segment,
        "seed": seed,
        "mean_si_sdri": float(np.mean(gained)),
        "median_si_sdri": float(np.median(gained)),
        "fraction_above_10db": float(np.mean(above)),
        "groups": kinds,
        "cpu_seconds": seconds,
        **found,
    }


def settings_of(row: Row, model: str, priors: Sequence[Prior]) -> Record:
    """Return the kind and the settings of a row's sampler, within the noise levels that learned priors know."""
    entry: Record = {"kind": row.kind, **row.settings}
    return entry if model == IDEAL else toy_samplers.fitted(entry, priors)


def diagnosed(row: Row, each: Sequence[Prior], mixture: np.ndarray, sources: np.ndarray, seed: int) -> dict[str, float]:
    """Return acceptance rate, split R-hat and effective sample size of chains that can go on at the last level."""
    import numpy as np

    from tfsep import posteriors
    from tfsep.posteriors import diagnostics

    undenoised = {"final_denoise": False} if row.kind == "langevin" else {}
    sampler: Any = posteriors.build(str(row.kind), each, **{**row.settings, **undenoised})
    if not hasattr(sampler, "walk"):
        return {}
    trace = diagnostics.trace(sampler, mixture, seed=(seed, 1), start=sources if row.start == TRUTH else None, **_TRACE)
    return {
        "acceptance": float(np.mean(trace.acceptance)),
        "split_r_hat": float(np.median(trace.split_r_hat())),
        "effective_sample_size": float(np.median(trace.effective_sample_size())),
    }


def table(records: Sequence[Record]) -> str:
    """Write the records as a Markdown table; metrics in dB, processor seconds a mixture.

    Seconds include what the sampler itself takes to trace and compile, for learned flows not the
    trace of the flow, which all samplers share.
    """
    lines = [
        "| priors | sources | sampler | start | mixtures | SI-SDRi mean | median | sources > 10 dB "
        "| CPU seconds a mixture | acceptance rate | R-hat | effective draws of 200 |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        diagnosis = ["-", "-", "-"]
        if "split_r_hat" in record:
            diagnosis = [f"{100 * record['acceptance']:.0f} %", f"{record['split_r_hat']:.2f}"]
            diagnosis.append(f"{record['effective_sample_size']:.0f}")
        lines.append(
            f"| {record['priors']} | {record['num_sources']} | {record['sampler']} | {record['start']} "
            f"| {record['num_mixtures']} | {record['mean_si_sdri']:.1f} "
            f"| {record['median_si_sdri']:.1f} | {100 * record['fraction_above_10db']:.0f} % "
            f"| {record['cpu_seconds'] / record['num_mixtures']:.2f} | {' | '.join(diagnosis)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
