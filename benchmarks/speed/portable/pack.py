"""Packs training steps and samplers as portable XLA programs, with all that a machine without TensorFlow needs.

    python -m benchmarks.speed.portable.pack --output=DIR [--only=WORD]... [--device=GPU]

The programs are what ``jit_compile=True`` hands to XLA, before XLA optimises it for a device;
layers use the implementations that are the faster ones on ``--device``. Each comes with its
arguments, with its results here in the first call, and with a second program of log-likelihoods
(and scores) that every reference must share. ``python -m benchmarks.speed.portable.speed`` times
them elsewhere. Needs ``make pytorch``, whose JAX brings programs into a form that other versions of
XLA read.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import lzma
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.records import Record, Setting
from benchmarks.speed.portable.rows import ROWS, packed
from benchmarks.speed.portable.store import Packing
from benchmarks.speed.rows import Participant
from benchmarks.speed.worker import PYTORCH, REPOSITORY
from tfsep.cli import runner
from tfsep.errors import InputError, JobError
from tfsep.runtime import trace_context

if TYPE_CHECKING:
    from tfsep.priors.flows.flow import FlowPrior

_SHOWN = 16
_PATTERN = 32


@dataclasses.dataclass(frozen=True)
class Packed:
    """What is packed of a row.

    Attributes:
        function: a tf.function that XLA compiles.
        arguments: of its calls; what it captures is packed too.
        facts: a tf.function of the numbers that all participants share, in float32 throughout, and
            its arguments; None where they share none.
        check: those numbers, as TensorFlow has them here.
        weights: {file: {name: array}} for PyTorch.
        per_call: units of work in a call.
        tried: whether it is called here, so that its results elsewhere can be compared with these.
    """

    function: Any
    arguments: Sequence[Any]
    facts: tuple[Any, Sequence[Any]] | None = None
    check: Sequence[float] = ()
    weights: Mapping[str, Mapping[str, np.ndarray]] = dataclasses.field(default_factory=dict)
    per_call: int = 1
    tried: bool = True


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return runner.run(_pack, argv)


def _pack(argv: Sequence[str]) -> int:
    layout = argparse.RawDescriptionHelpFormatter
    parse = runner.Parser(prog="pack", description=__doc__, formatter_class=layout)
    parse.add_argument("--output", required=True, metavar="DIR", help="where everything goes")
    parse.add_argument("--only", action="append", metavar="WORD", help="rows whose name contains this word; repeatable")
    parse.add_argument(
        "--pytorch", "--peers", default=str(PYTORCH), metavar="FILE", help="Python that has JAX (alias: --peers)"
    )
    parse.add_argument("--device", default="GPU", choices=("GPU", "CPU"), help="the target device (default: GPU)")
    args = parse.parse_args(argv)
    rows = [row for row in ROWS if not args.only or any(word in row.name for word in args.only)]
    if not rows:
        raise InputError(f"--only must leave one of {'; '.join(row.name for row in ROWS)}, got {args.only}")
    folder, packing = Path(args.output), Packing()
    if shutil.which(args.pytorch) is None:
        raise JobError(f"{args.pytorch} cannot be started; `make pytorch` sets it up")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"--output must be a new folder or an empty one, got {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    runner.start_tensorflow()
    import keras

    found: dict[str, Record] = {}
    for row in rows:
        for name, side in packed(row).items():
            print(name, file=sys.stderr, flush=True)
            with trace_context.targeting(args.device):
                found[name] = entry(row.shared, side, packing, folder, f"{len(found)}")
            keras.backend.clear_session()
            gc.collect()
    finish(folder, found, packing, args.pytorch)
    return 0


def finish(folder: Path, found: Mapping[str, Record], packing: Packing, python: str | Path) -> None:
    """Write the arrays and the entries, and bring the programs into their portable form.

    Raises:
        JobError: if PyTorch's interpreter cannot do that.
    """
    packing.write(folder / "arrays.npz")
    (folder / "rows.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    command = [str(python), "-m", "benchmarks.speed.portable.portable", str(folder.resolve())]
    if code := subprocess.run(command, cwd=REPOSITORY).returncode:
        raise JobError(f"{' '.join(command)} ended with code {code}")


def entry(shared: Setting, side: Participant, packing: Packing, folder: Path, name: str) -> Record:
    """Pack a participant, its programs as files and its arrays in the packing; return where they are."""
    made: Packed = globals()[side.call.partition(":")[2]](**shared, **side.setting)
    calls = {} if made.facts is None else {"facts": (*made.facts, True)}
    calls["step"] = (made.function, made.arguments, False)
    arrays: dict[str, np.ndarray] = {}
    for part, (function, arguments, _) in calls.items():
        arrays |= {f"{part} {n}": np.asarray(each) for n, each in enumerate(inputs(function, arguments))}
    arrays |= {f"{file} {key}": value for file, known in made.weights.items() for key, value in known.items()}
    kept = packing.put_all(arrays)
    found: Record = {"check": list(made.check), "per_call": made.per_call}
    found["weights"] = {file: {key: kept[f"{file} {key}"] for key in known} for file, known in made.weights.items()}
    for part, (function, arguments, exact) in calls.items():
        parameters = [kept[name] for name in arrays if name.startswith(f"{part} ")]
        file = folder / f"{name}_{part}.hlo.xz"
        about = program(function, arguments, file, exact, made.tried)
        found[part] = {"file": f"{name}_{part}.mlir.xz", "parameters": parameters, **about}
    return found


def inputs(function: Any, arguments: Sequence[Any]) -> list[Any]:
    """Return what a program takes: its arguments, and what it captures, as they are now."""
    traced = function.get_concrete_function(*arguments)
    variables = {id(variable.handle): variable for variable in traced.graph.variables}
    return [*arguments, *(variables.get(id(each), each) for each in traced.captured_inputs)]


def program(function: Any, arguments: Sequence[Any], file: Path, exact: bool, tried: bool) -> Record:
    """Write what XLA is handed, and perhaps call it once here.

    Args:
        function: a tf.function that XLA compiles.
        arguments: of its calls.
        file: to write.
        exact: float32 products may not be rounded as a GPU's matrix units round them.
        tried: whether to call it.

    Returns:
        ``state``, {output: parameter}: which outputs are parameters of the next call. ``results``:
            the first numbers of each other output, empty where the program was not called.

    Raises:
        JobError: if they are not in this order.
    """
    import tensorflow as tf

    lower = function.experimental_get_compiler_ir(*arguments)
    rounded = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(rounded and not exact)
    try:
        file.write_bytes(lzma.compress(lower(stage="hlo_serialized")))
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(rounded)
    state = aliases(lower(stage="hlo").partition("\n")[0])
    outputs = tf.nest.flatten(function(*arguments) if tried else function.get_concrete_function(*arguments).outputs)
    results = [np.asarray(each).ravel()[:_SHOWN].tolist() if tried else [] for each in outputs]
    if set(range(len(results))) & state.keys():
        raise JobError(f"{file.name}: results must come before the state, got the outputs {sorted(state)} as state")
    return {"state": state, "results": results}


def aliases(head: str) -> dict[int, int]:
    """Read which outputs take the place of parameters, {output: parameter}, off the first line of a program."""
    return {int(output): int(parameter) for output, parameter in re.findall(r"\{(\d+)\}: \((\d+), \{\}", head)}


def training(
    prior: Setting,
    batch: int,
    variant: Setting,
    fit: Setting,
    implementation: str | None = None,
) -> Packed:
    """Pack a step of the trainer: gradient, clipping, update and averages as one program."""
    import tensorflow as tf

    from benchmarks.speed.tfsep_process import example
    from benchmarks.speed.tfsep_process import training as trainers

    model = example.build(prior, variant, seed=0)
    twin = example.in_full_precision(model, prior, variant)
    for each in (model, twin):
        _choose(each, implementation)
    x, sigma = example.events(model, batch, seed=1)
    weights = {"events": x, "sigma": sigma, **example.weights(model)}
    facts = _facts([(twin, x, sigma)], scores=False)
    check = example.nats(twin, x, sigma)
    trainer = trainers.trainer(model, x, fit)
    trainer.iterator()
    trainer.packed.pack()

    def step(events: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return trainer.one_step(events)

    function = tf.function(step, jit_compile=True, autograph=False)
    return Packed(function, [tf.constant(x)], facts, check, {"model.npz": weights})


def langevin(
    prior: Setting,
    num_sources: int,
    chains: int,
    steps: int,
    sigma: float,
    variant: Setting,
) -> Packed:
    """Pack the loop of SGLD over stacked priors, all steps in one program."""
    import tensorflow as tf

    from benchmarks.speed.tfsep_process import example, samplers

    with tempfile.TemporaryDirectory(prefix="tfsep-pack-") as folder:
        pattern = f"{folder}/model_{{k}}.npz"
        known, check = samplers.priors_of(prior, num_sources, chains, sigma, pattern, variant)
        files = [Path(pattern.format(k=k)) for k in range(num_sources)]
        weights = {file.name: dict(np.load(file)) for file in files}
    built = samplers.one_level(known, sigma, steps, jit_compile=True)
    exact = [example.in_full_precision(each, prior, variant) for each in known]
    pairs = zip(exact, files, strict=True)
    given = [(each, weights[file.name]["events"], weights[file.name]["sigma"]) for each, file in pairs]
    facts = _facts(given, scores=True)
    mixtures = tf.tile(samplers.mixture_for(known[0]), [chains, 1])
    noise = tf.random.stateless_normal((chains, num_sources, built.segment), samplers.SEED)
    start = built.cold(mixtures, noise)
    arguments = [mixtures, start, tf.constant(built.sigmas), tf.constant(samplers.SEED), tf.constant([0, 1])]
    return Packed(built.programs.compiled, arguments, facts, check, weights, steps)


def convolution(
    context: str, dtype: str, channels: tuple[int, int], batch: int, length: int, implementation: str
) -> Packed:
    """Pack gradients of one dilated convolution (convolutions.py) of a pattern that is repeated in time."""
    import keras
    import tensorflow as tf

    from benchmarks.speed import convolutions

    keras.utils.set_random_seed(0)
    work = convolutions.evaluations(implementation, context, dtype, channels)
    random = np.random.default_rng(0)
    patterns = [tf.constant(random.standard_normal((batch, _PATTERN, each)), tf.float32) for each in channels]

    def repeated(*given: tf.Tensor) -> tf.Tensor:
        x, outward = (tf.cast(tf.tile(each, [1, length // _PATTERN, 1]), dtype) for each in given)
        return tf.reduce_sum(tf.cast(work(x, outward), tf.float32))

    function = tf.function(repeated, jit_compile=True, autograph=False)
    # A processor takes minutes where a GPU takes milliseconds.
    return Packed(function, patterns, per_call=convolutions.EVALUATIONS, tried=False)


def _choose(model: FlowPrior, implementation: str | None) -> None:
    from tfsep.networks.dilated import DilatedConv

    for layer in model._flatten_layers():
        if isinstance(layer, DilatedConv) and implementation is not None:
            layer.implementation = implementation


def _facts(given: Sequence[tuple[Any, np.ndarray, np.ndarray]], scores: bool) -> tuple[Any, list[Any]]:
    """Compute nats per dimension of events, and the scores' root mean squares times sigma, as ``pytorch`` does."""
    import tensorflow as tf

    def facts(*events: tf.Tensor) -> tf.Tensor:
        found = []
        with trace_context.entering(trace_context.XLA):
            for (prior, _, sigma), x in zip(given, events, strict=True):
                found.append(prior.log_prob(x, sigma) / prior.dimensions)
                if scores:
                    score = prior.score(x, sigma)
                    found.append(tf.reshape(sigma[0] * tf.sqrt(tf.reduce_mean(score**2)), [1]))
        return tf.concat(found, axis=0)

    return tf.function(facts, jit_compile=True, autograph=False), [tf.constant(x) for _, x, _ in given]


if __name__ == "__main__":
    raise SystemExit(main())
