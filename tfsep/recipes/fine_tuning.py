"""Contrastive fine-tuning of a model's priors, from its folder into another: what a gin file's ``fine_tune`` binds."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from tfsep.data import pipeline
from tfsep.data.pipeline import SourceData
from tfsep.errors import InputError
from tfsep.evaluation import prior_set
from tfsep.models import store
from tfsep.models.schema import Entry
from tfsep.training.contrastive import PriorEnsemble, contrastive
from tfsep.training.loop import fit
from tfsep.training.task import FitSettings, Task

_VALIDATION_STEP = -1


def fine_tune(
    save_dir: str | Path,
    model: str,
    data: SourceData,
    fit_settings: FitSettings,
    weight: float = 1.0,
    beta: float = 20.0,
    half: bool = False,
    seed: int = 0,
    resume: bool = True,
) -> None:
    """Train a model's priors together and write them, and nothing else of the model, to ``<save_dir>/model``.

    Args:
        save_dir: folder of the run.
        model: name or folder of a model whose priors are networks with densities over the same
            events.
        data: isolated sources, those of the model, to train on.
        fit_settings: how.
        weight, beta: of :func:`tfsep.training.contrastive.contrastive`.
        half: store weights as float16.
        seed: of everything random.
        resume: go on from checkpoints.

    Raises:
        InputError: for priors without a density or weights, or data with other sources or another
            rate.
    """
    tested = prior_set.load(model)
    trainable = {s for s, p in tested.priors.items() if isinstance(p, keras.Model) and p.trainable_variables}
    unfit = [s for s, p in tested.priors.items() if not (p.has_log_prob and s in trainable)]
    if unfit:
        raise InputError(
            f"fine_tune.model must have trained densities for all sources; {model!r} has none for: {', '.join(unfit)}"
        )
    if (tuple(data.sources), data.sample_rate) != (tested.sources, tested.sample_rate):
        raise InputError(
            f"fine_tune.data must have the sources {', '.join(tested.sources)} at {tested.sample_rate} Hz, got "
            f"{', '.join(data.sources)} at {data.sample_rate} Hz"
        )
    task = ensemble_task(model, tested.length, data, fit_settings, weight, beta, seed)
    trained = fit(task, save_dir, fit_settings, seed, resume)
    description = store.describe(model)
    entries = {source: _without_weights(description["priors"][source]) for source in tested.sources}
    pairs = {source: (entries[source], prior) for source, prior in zip(trained.sources, trained.members, strict=True)}
    gains = dict(zip(description["sources"], description["gains"], strict=True))
    store.save_model(
        Path(save_dir) / "model",
        tested.sources,
        tested.sample_rate,
        description["segment"],
        [gains.get(source, 1.0) for source in tested.sources],
        pairs,
        half=half,
    )


def ensemble_task(
    model: str, length: int, data: SourceData, settings: FitSettings, weight: float, beta: float, seed: int
) -> Task:
    """Return the training of all priors of a model at once on excerpts of ``length`` samples."""
    objective = contrastive(weight, beta)
    held_out = next(iter(pipeline.remixes(data, length, settings.batch_size, seed, _VALIDATION_STEP)))

    def validate(ensemble: PriorEnsemble) -> dict[str, float]:
        found = objective(ensemble, held_out, tf.constant([seed, 0]))[1]
        return {name: float(value) for name, value in found.items()}

    return Task(
        name="contrastive",
        build=lambda: PriorEnsemble(prior_set.load(model).priors),
        objective=objective,
        dataset=lambda step: pipeline.remixes(data, length, settings.batch_size, seed, step),
        sample_rate=data.sample_rate,
        validate=validate,
    )


def _without_weights(entry: Entry) -> Entry:
    return {name: value for name, value in entry.items() if name != "weights"}
