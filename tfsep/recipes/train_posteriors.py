"""Train a learned posterior, and fit what needs trained parts: temperatures, choices among restarts and stages.

All mixtures are made of sources drawn independently; only the supervised baseline (``paired``) is
trained on sources that belong together.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfsep import posteriors
from tfsep.baselines import supervised
from tfsep.data import pipeline
from tfsep.data.pipeline import SourceData
from tfsep.evaluation import calibration, stage_selection
from tfsep.metrics.si_sdr import si_sdri
from tfsep.models.schema import Entry
from tfsep.models.store import load_learned
from tfsep.posteriors.amortised import Amortised
from tfsep.posteriors.base import Posterior
from tfsep.posteriors.composition import Composition
from tfsep.posteriors.gibbs import CHOICES
from tfsep.priors.base import Prior
from tfsep.training import posterior_objectives
from tfsep.training.posterior_objectives import ObjectiveSettings
from tfsep.training.task import FitSettings, Task

VALIDATION = "validation"
_VALIDATION_STEP = -1
_CALIBRATION_STEP = -2


def validation_mixtures(
    data: SourceData, names: Sequence[str], gains: Sequence[float], segment: int, num: int, seed: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw mixtures of independent sources that no training step draws, and their scaled sources.

    Returns:
        (num, segment) and a_k s_k (num, source, segment), float32.
    """
    drawn = tf.stack([data.draw(name, num, segment, (seed, step)) for name in names], axis=1)
    scaled = drawn * tf.constant(gains)[:, tf.newaxis]
    return tf.reduce_sum(scaled, axis=1).numpy(), scaled.numpy()


def posterior_task(
    entry: Entry,
    data: SourceData,
    segment: int,
    settings: FitSettings,
    seed: int,
    validation: SourceData | None = None,
    num_validation: int = 128,
    objective: ObjectiveSettings | None = None,
    priors: Sequence[Prior] | None = None,
    paired: bool = False,
    start: str | None = None,
    precision: str | None = None,
) -> Task:
    """Return the training of an amortised posterior on mixtures of independent sources.

    Args:
        entry: arguments of :func:`tfsep.posteriors.build`.
        data: isolated sources.
        segment: samples.
        settings: of the training.
        seed: of everything random.
        validation: isolated sources on which it is validated while it trains; None takes excerpts
            that no step draws.
        num_validation: mixtures of that validation.
        objective: what is lowered; None is maximum likelihood on simulated pairs.
        priors: trained, one per source, where the objective needs them.
        paired: train on sources that belong together, as the supervised baseline does.
        start: a model whose posterior of this kind and these settings gives the first weights; None
            draws them.
        precision: what the networks compute in while they train; None is float32.
    """
    objective = objective or ObjectiveSettings()
    gains = data.mixing_gains
    arguments = entry if precision is None else {**entry, "precision": precision}
    new = functools.partial(posteriors.build, **arguments, num_sources=len(data.sources), segment=segment, gains=gains)

    def build() -> Posterior:
        model = new()
        if start is not None:
            load_learned(model, start)
        return model

    held_out = validation or data
    mixture, scaled = validation_mixtures(
        held_out, data.sources, gains, segment, num_validation, seed, _VALIDATION_STEP
    )

    def estimate(model: Posterior) -> np.ndarray:
        column = np.asarray(model.gains, np.float32)[:, np.newaxis]
        return model.sample(mixture, 1, (seed, 0))[0].numpy() * column

    def preview(model: Posterior) -> dict[str, np.ndarray]:
        stems = estimate(model)[0]
        return {"mixture": mixture[:1], **dict(zip(data.sources, stems[:, np.newaxis], strict=True))}

    def validate(model: Posterior) -> dict[str, float]:
        gained = si_sdri(estimate(model), scaled, mixture[:, np.newaxis])
        # Neither a silent source nor one that is the whole mixture has an improvement.
        gained = np.where(np.isfinite(gained), gained, np.nan)
        metrics = {f"si_sdri_{name}": float(np.nanmean(gained[:, k])) for k, name in enumerate(data.sources)}
        return {**metrics, "si_sdri": float(np.nanmean(gained))}

    def dataset(step: int) -> tf.data.Dataset:
        draw = supervised.pairs if paired else pipeline.remixes
        batches = draw(data, segment, settings.batch_size, seed, step)
        return with_progress(batches, step, settings) if objective.needs_priors else batches

    return Task(
        name="posterior",
        build=build,
        objective=posterior_objectives.build(objective, priors),
        dataset=dataset,
        sample_rate=data.sample_rate,
        preview=preview,
        validate=validate,
    )


def with_progress(batches: tf.data.Dataset, first_step: int, settings: FitSettings) -> tf.data.Dataset:
    """Return batches with the share of the training that was done before each: (sources, (batch,) float32)."""

    def pair(step: tf.Tensor, sources: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        done = tf.cast(step, tf.float32) / settings.num_steps
        return sources, tf.fill([settings.batch_size], done)

    steps = tf.data.Dataset.range(first_step, tf.int64.max)
    return tf.data.Dataset.zip((steps, batches)).map(tf.autograph.experimental.do_not_convert(pair))


def calibrate(entry: Entry, model: Amortised, data: SourceData, segment: int, seed: int, num: int) -> Entry:
    """Fit a learned posterior's temperatures on ``num`` validation mixtures and print the coverage of its intervals.

    Returns:
        Its arguments with the temperatures.
    """
    mixture, scaled = validation_mixtures(data, data.sources, data.mixing_gains, segment, num, seed, _VALIDATION_STEP)
    seed %= 2**31
    temperature = calibration.fit_temperature(model, mixture, scaled, seed)
    model.temperature = tuple(temperature)
    fresh, truth = validation_mixtures(data, data.sources, data.mixing_gains, segment, num, seed, _CALIBRATION_STEP)
    found = calibration.measure(lambda part: calibration.draws_of(model, part, seed), fresh, truth, data.sources)
    print(f"temperatures {', '.join(f'{value:g}' for value in temperature)}", file=sys.stderr)
    print(calibration.as_text(found), file=sys.stderr, flush=True)
    return {**entry, "temperature": temperature}


def choose_restarts(
    entry: Entry,
    trained: Sequence[Prior],
    data: SourceData,
    names: Sequence[str],
    gains: Sequence[float],
    seed: int,
    num: int,
) -> Entry:
    """Choose the criterion for restarts of Gibbs updates that wins on ``num`` validation mixtures, and print it.

    They start from noise, whatever ``start`` they have: from an estimate restarts differ little.

    Args:
        entry: arguments of the updates.
        trained: priors, one per source.
        data: isolated sources of the mixtures.
        names: the sources.
        gains: a_1..a_N.
        seed: of the mixtures and the samplers.
        num: number of mixtures.

    Returns:
        The arguments with the choice.
    """
    criteria = CHOICES if all(prior.has_log_prob for prior in trained) else CHOICES[:1]
    arguments = {**entry, "start": None, "priors": trained, "gains": gains}
    samplers = {choice: posteriors.build(**{**arguments, "choice": choice}) for choice in criteria}
    segment = samplers[criteria[0]].segment
    mixture, scaled = validation_mixtures(data, names, gains, segment, num, seed, _VALIDATION_STEP)
    choice, improvements = stage_selection.best_criterion(samplers, mixture, scaled, seed % 2**31)
    compared = ", ".join(f"{name} {value:.2f} dB" for name, value in improvements.items())
    print(f"gibbs: restarts by {compared} on {num} validation mixtures; keeps {choice}", file=sys.stderr, flush=True)
    return {**entry, "choice": choice}


def choose_stages(
    entry: Entry,
    composition: Composition,
    data: SourceData,
    names: Sequence[str],
    seed: int,
    num: int,
) -> Entry:
    """Choose the stages of a composition that win on ``num`` validation mixtures, and print them.

    Args:
        entry: arguments of the composition.
        composition: built with all of its stages.
        data: isolated sources of the mixtures.
        names: the sources.
        seed: of the mixtures and the samplers.
        num: number of mixtures.

    Returns:
        The arguments with the number of stages to keep, and the metric of each.
    """
    mixture, scaled = validation_mixtures(
        data, names, composition.gains, composition.segment, num, seed, _VALIDATION_STEP
    )
    choice = stage_selection.choose(composition, mixture, scaled, seed % 2**31)
    print(choice, file=sys.stderr, flush=True)
    return stage_selection.kept_entry(dict(entry), choice)
