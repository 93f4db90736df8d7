"""What the scores of flows over waves are worth to a sampler: gradients, conditionals, gradients trained to denoise.

    python -m benchmarks.priors.flow_scores [--train] [--runs=runs/flow_scores] [--only=FLOW ...]
        [--num_examples=128] [--num_pairs=4] [--num_mixtures=8] [--seed=0] [--output=DIR]

Each flow is a gin file over the toy data, trained shortly and alike (:data:`SHORT`), and then
further by score matching (``gin/ablations/score_matched_wave.gin`` with :data:`SHORT_MATCHING`).
With ``--train`` what has not been trained in ``--runs`` is, and goes on where it stood; else flows
without a model there are left out, which is said. The same weights give the row of the gradient and
that of the conditionals, where a flow has them. Measured are the errors of the denoiser on held-out
excerpts; two sources from noise, in the mean over the six pairs; and four sources, from noise and
from the masks of the model ``toy``. All by the same Gibbs updates. The last rows have no prior: a
Wiener filter, and the masks alone. Writes ``benchmarks/results/flow_scores.json`` and
``flow_scores.md``.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import records as results
from benchmarks.quality.sources import FOUR, Row, examples
from benchmarks.records import RESULTS, Record
from tfsep.cli import runner, train
from tfsep.errors import InputError, JobError

if TYPE_CHECKING:
    from tfsep.evaluation.prior_set import PriorSet
    from tfsep.posteriors.base import Posterior
    from tfsep.priors.base import Prior

GRADIENT, CONDITIONALS, MATCHED = "gradient", "conditionals", "score-matched gradient"
#: Steps of a training that cost every kind less than the gin files' own do.
SHORT: Record = {
    **{"num_steps": 120, "batch_size": 16, "learning_rate": 3e-3, "warmup_steps": 20, "ema_decay": 0.96},
    **{"checkpoint_every": 60, "preview_every": 0, "deterministic": False, "jit_compile": False},
}
#: The same of the score matching behind it.
SHORT_MATCHING: Record = {"num_steps": 80, "learning_rate": 1e-3, "ema_decay": 0.95, "checkpoint_every": 40}
COLD: Record = {"largest_sigma": 8.0, "smallest_sigma": 0.05, "num_levels": 12, "num_restarts": 2}
WARM: Record = {"largest_sigma": 0.2, "start_sigma": 0.2, "smallest_sigma": 0.02, "num_levels": 8, "num_restarts": 1}
MASKS = "toy"
_KEYS = 88
_BATCH = 16


@dataclass(frozen=True)
class Flow:
    """A gin file of a flow, and what its weights are measured by.

    Attributes:
        name: the gin file, without its ending.
        scores: of the rows; the score-matched gradient is that of further training.
    """

    name: str
    scores: tuple[str, ...] = (GRADIENT, MATCHED)


FLOWS = (
    Flow("nice_wave"),
    Flow("nice_ordered", (GRADIENT, CONDITIONALS)),
    Flow("realnvp_wave"),
    Flow("realnvp_ordered", (GRADIENT, CONDITIONALS)),
    Flow("glow_wave"),
    Flow("glow_ordered", (GRADIENT, CONDITIONALS)),
    Flow("flowavenet_wave"),
    Flow("waveglow_wave"),
    Flow("lifting_conditionals", (GRADIENT, CONDITIONALS, MATCHED)),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_measure, argv)


def _measure(argv: Sequence[str]) -> int:
    parse = runner.Parser(prog="flow_scores", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [flow.name for flow in FLOWS]
    parse.add_argument("--only", action="append", choices=names, help="one of the flows, repeatable (default: all)")
    parse.add_argument("--train", action="store_true", help="train what --runs lacks")
    parse.add_argument("--runs", default="runs/flow_scores", metavar="DIR", help="where the trainings are")
    parse.add_argument("--num_examples", type=int, default=128, metavar="N", help="excerpts a source (default: 128)")
    parse.add_argument("--num_pairs", type=int, default=4, metavar="N", help="mixtures of each pair (default: 4)")
    parse.add_argument("--num_mixtures", type=int, default=8, metavar="N", help="mixtures of four (default: 8)")
    parse.add_argument("--seed", type=int, default=0, metavar="N", help="of excerpts, mixtures and samplers")
    parse.add_argument("--output", default=str(RESULTS), metavar="DIR", help="where the two files go")
    args = parse.parse_args(argv)
    for name in ("num_examples", "num_pairs", "num_mixtures"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name} must be at least 1, got {getattr(args, name)}")
    runner.start_tensorflow()
    chosen, runs = [flow for flow in FLOWS if not args.only or flow.name in args.only], Path(args.runs)
    sizes = {"num_examples": args.num_examples, "num_pairs": args.num_pairs, "num_mixtures": args.num_mixtures}
    measured, text = False, ""
    for flow, score in rows(chosen):
        folder = folder_of(flow, score, runs)
        if args.train:
            trained(flow, score, runs)
        if not (folder / "model").is_dir():
            print(f"{flow.name}, {score}: left out, as {folder} has no model (--train makes it)", file=sys.stderr)
            continue
        record = measure(flow, score, folder, args.seed, sizes)
        text = results.keep(args.output, "flow_scores", [record], ("flow", "score"), table)
        print(f"{flow.name}, {score}: done", file=sys.stderr, flush=True)
        measured = True
    if not measured:
        raise InputError(f"--runs must hold a trained flow, or --train be given; found none in {runs}")
    text = results.keep(args.output, "flow_scores", [masks_alone(args.seed, sizes)], ("flow", "score"), table)
    print(text)
    return 0


def folder_of(flow: Flow, score: str, runs: Path) -> Path:
    """Return the folder of the run whose model a row measures."""
    return runs / (f"{flow.name}_matched" if score == MATCHED else flow.name)


def trained(flow: Flow, score: str, runs: Path) -> None:
    """Train a flow, and further where the row is of its score-matched gradient, as far as that is not done.

    Raises:
        JobError: if the command ends in an error.
    """
    jobs = [(runs / flow.name, [f"--gin_file=gin/{flow.name}.gin", *_params("prior/fit", SHORT)])]
    if score == MATCHED:
        start = f"--gin_param=match_scores.model='{runs / flow.name / 'model'}'"
        given = ["--gin_file=gin/score_matched_wave.gin", start, *_params("matching/fit", SHORT_MATCHING)]
        jobs.append((folder_of(flow, score, runs), given))
    for save_dir, arguments in jobs:
        code = train.main([*arguments, f"--save_dir={save_dir}"])
        if code != 0:
            raise JobError(f"the training of {save_dir} ended with exit code {code}")


def _params(name: str, settings: Record) -> list[str]:
    return [f"--gin_param={name}.{setting}={value!r}" for setting, value in settings.items()]


def measure(flow: Flow, score: str, folder: Path, seed: int, sizes: Record) -> Record:
    """Measure one row.

    Args:
        flow: the flow.
        score: what its priors give.
        folder: of its run.
        seed: of excerpts, mixtures and samplers.
        sizes: ``num_examples`` excerpts a source, ``num_pairs`` mixtures of each pair and
            ``num_mixtures`` of four sources.
    """
    from tfsep.evaluation import excerpts, prior_set
    from tfsep.evaluation.prior_scorer import scorers_of
    from tfsep.prior_test import denoising

    tested = prior_set.load(str(folder / "model"))
    for prior in tested.priors.values():
        set_score(prior, CONDITIONALS if score == CONDITIONALS else GRADIENT)
    data = excerpts.toy_excerpts(tested.sources, tested.sample_rate, tested.length, seed, free=False)
    errors = denoising.table(tested, data, scorers_of(tested.priors), None, sizes["num_examples"])
    return {
        "flow": flow.name,
        "score": score,
        **about(tested),
        "seed": seed,
        **sizes,
        "sigmas": errors["sigmas"],
        "rmse": errors["mean"]["prior"],
        "wiener": errors["mean"]["wiener"],
        **separated(tested, seed, sizes),
    }


def set_score(prior: Prior, score_of: str) -> None:
    """Choose what a flow's score is taken from; gradients exist always.

    Raises:
        InputError: for the conditionals of a flow that has none.
    """
    from tfsep.priors.flows.flow import FlowPrior
    from tfsep.priors.flows.orderings import OrderedFlow

    if not isinstance(prior, FlowPrior) or (score_of == CONDITIONALS and not isinstance(prior, OrderedFlow)):
        raise InputError(f"the prior must be a flow with {score_of}, got {prior.describe()}")
    prior.score_of = score_of


def about(tested: PriorSet) -> Record:
    """Count the parameters of one prior and describe it."""
    import keras

    prior = next(iter(tested.priors.values()))
    assert isinstance(prior, keras.Model)
    return {"kind": prior.kind, "parameters": prior.count_params(), "description": prior.describe()}


def separated(tested: PriorSet, seed: int, sizes: Record) -> Record:
    """Separate two sources and four with the priors of a set: SI-SDRi in dB over the mixture as the estimate."""
    from tfsep import posteriors

    compiled = {source: compiled_prior(prior) for source, prior in tested.priors.items()}
    largest = min(COLD["largest_sigma"], *(prior.largest_sigma for prior in compiled.values()))
    began = time.process_time()

    def gain(kinds: Sequence[str], settings: Record, num: int, start: Posterior | None = None) -> float:
        sampler = posteriors.build("gibbs", [compiled[kind] for kind in kinds], **settings)
        return mean_gain(sampler, kinds, tested.sample_rate, seed, num, start)

    cold = {**COLD, "largest_sigma": largest}
    pairs = {", ".join(pair): gain(pair, cold, sizes["num_pairs"]) for pair in itertools.combinations(FOUR, 2)}
    return {
        "pairs": pairs,
        "two_sources": sum(pairs.values()) / len(pairs),
        "four_from_noise": gain(FOUR, cold, sizes["num_mixtures"]),
        "four_from_masks": gain(FOUR, WARM, sizes["num_mixtures"], masks_of()),
        "cpu_seconds": time.process_time() - began,
    }


def masks_of() -> Posterior:
    """Load the masks from which four sources start."""
    from tfsep.models import store

    return store.load_model(MASKS, "amortised").posterior


def masks_alone(seed: int, sizes: Record) -> Record:
    """Measure the masks alone on the same mixtures of four sources."""
    from tfsep.models import store

    gained = mean_gain(masks_of(), FOUR, store.describe(MASKS)["sample_rate"], seed, sizes["num_mixtures"])
    return {"flow": f"masks of {MASKS} alone", "score": "-", "seed": seed, **sizes, "four_from_masks": gained}


def mean_gain(
    posterior: Posterior, kinds: Sequence[str], sample_rate: int, seed: int, num: int, start: Posterior | None = None
) -> float:
    """Return the mean SI-SDRi of the sources of held-out mixtures, each clipped to +-100 dB.

    Args:
        posterior: separates them.
        kinds: classes of the sources.
        sample_rate: in Hz.
        seed: of the mixtures and the sampler.
        num: of mixtures.
        start: what gives the sampler its start; None is from noise.
    """
    import numpy as np

    from tfsep.metrics.si_sdr import si_sdri

    row = Row("", tuple((kind, 0, _KEYS) for kind in kinds))
    sources = examples(row, num, posterior.segment, sample_rate, seed)
    mixture, parts = sources.mean(axis=1), []
    for first in range(0, num, _BATCH):
        batch = mixture[first : first + _BATCH]
        begun = None if start is None else start.sample(batch, 1, (seed, first))[0]
        parts.append(posterior.sample(batch, 1, (seed, first), begun)[0].numpy())
    gained = si_sdri(np.concatenate(parts), sources, mixture[:, np.newaxis])
    return float(np.mean(np.clip(gained, -100.0, 100.0)))


def compiled_prior(prior: Prior) -> Prior:
    """Give a prior a graph of its denoiser that all samplers share, as tracing a gradient takes longer than running it.

    Args:
        prior: over waves; changed in place.
    """
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *prior.event_shape), tf.float32), tf.TensorSpec((None,), tf.float32)]
    graph = tf.function(prior.denoise, input_signature=signature, autograph=False)

    def denoise(x: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
        x = tf.cast(x, tf.float32)
        return graph(x, tf.broadcast_to(tf.cast(sigma, tf.float32), tf.shape(x)[:1]))

    prior.denoise = denoise  # type: ignore[method-assign]
    return prior


def table(records: Sequence[Record]) -> str:
    """Write the records as a Markdown table, in the order of :data:`FLOWS`; metrics in dB."""
    sigmas: Sequence[float] = next((record["sigmas"] for record in records if "sigmas" in record), [])
    heads = " | ".join(f"rmse at sigma {sigma:g}" for sigma in sigmas)
    lines = [
        f"| flow | score | {heads} | two sources from noise | four from noise | four from masks |",
        "|---" * (5 + len(sigmas)) + "|",
    ]
    order = {(flow.name, score): number for number, (flow, score) in enumerate(rows(FLOWS))}
    known = sorted((record for record in records if "rmse" in record), key=lambda r: order[r["flow"], r["score"]])
    for record in known:
        errors = ["-" if value is None else f"{value:.3f}" for value in record["rmse"]]
        gained = [f"{record[key]:.1f}" for key in ("two_sources", "four_from_noise", "four_from_masks")]
        lines.append("| " + " | ".join([f"`{record['flow']}`", record["score"], *errors, *gained]) + " |")
    if known:
        errors = [f"{value:.3f}" for value in known[0]["wiener"]]
        lines.append("| " + " | ".join(["Wiener filter", "-", *errors, "-", "-", "-"]) + " |")
    for record in records:
        if "rmse" not in record:
            cells = [record["flow"], "-", *["-"] * len(sigmas), "-", "-", f"{record['four_from_masks']:.1f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def rows(flows: Sequence[Flow]) -> list[tuple[Flow, str]]:
    """List the rows of some flows in order."""
    return [(flow, score) for flow in flows for score in flow.scores]


if __name__ == "__main__":
    raise SystemExit(main())
