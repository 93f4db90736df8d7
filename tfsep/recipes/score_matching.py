"""Score matching on the gradients of a model's flows, from its folder into another: a gin file's ``match_scores``."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from tfsep.data import pipeline
from tfsep.data.pipeline import SourceData
from tfsep.errors import InputError
from tfsep.evaluation import prior_set
from tfsep.models import store
from tfsep.models.schema import Entry
from tfsep.priors.base import Prior
from tfsep.training.loop import fit
from tfsep.training.prior_objectives import gradient_matching
from tfsep.training.task import FitSettings, Task

_VALIDATION_STEP = -1


def match_scores(
    save_dir: str | Path,
    model: str,
    data: SourceData,
    fit_settings: FitSettings,
    likelihood: float = 0.2,
    half: bool = False,
    seed: int = 0,
    resume: bool = True,
) -> None:
    """Train each of a model's flows further, so that the gradient of its log-density denoises.

    A flow trained by maximum likelihood has a gradient that may point anywhere between the events
    it has met; a few hundred steps of :func:`tfsep.training.prior_objectives.gradient_matching`
    mend that. The flows, each trained alone, and the model's samplers are written to
    ``<save_dir>/model``; learned posteriors, and compositions, are not.

    Args:
        save_dir: folder of the run.
        model: name or folder of a model whose priors are noise-conditional flows.
        data: isolated sources, those of the model, to train on.
        fit_settings: how.
        likelihood: weight of the likelihood beside score matching, at least 0.
        half: store weights as float16.
        seed: of everything random.
        resume: go on from checkpoints.

    Raises:
        InputError: for priors that are no such flows or recompute what second derivatives need, or
            data with other sources or another rate.
    """
    tested = prior_set.load(model)
    for source, prior in tested.priors.items():
        _check(source, prior)
    if (tuple(data.sources), data.sample_rate) != (tested.sources, tested.sample_rate):
        raise InputError(
            f"match_scores.data must have the sources {', '.join(tested.sources)} at {tested.sample_rate} Hz, got "
            f"{', '.join(data.sources)} at {data.sample_rate} Hz"
        )
    description = store.describe(model)
    matched: dict[str, tuple[Entry, Prior]] = {}
    for source in tested.sources:
        task = matching_task(model, source, tested.length, data, fit_settings, likelihood, seed)
        entry = {name: value for name, value in description["priors"][source].items() if name != "weights"}
        matched[source] = (entry, fit(task, save_dir, fit_settings, seed, resume))
    samplers = [each for each in description["posteriors"] if not {"weights", "stages"} & each.keys()]
    store.save_model(
        Path(save_dir) / "model",
        description["sources"],
        tested.sample_rate,
        description["segment"],
        description["gains"],
        matched,
        [(each, None) for each in samplers],
        description["settings"],
        half,
    )


def matching_task(
    model: str, source: str, length: int, data: SourceData, settings: FitSettings, likelihood: float, seed: int
) -> Task:
    """Return the further training of a model's flow of one source on excerpts of ``length`` samples."""
    objective = gradient_matching(likelihood)
    held_out = next(iter(pipeline.excerpts(data, source, length, settings.batch_size, seed, _VALIDATION_STEP)))

    def validate(prior: Prior) -> dict[str, float]:
        found = objective(prior, held_out, tf.constant([seed, 0]))[1]
        return {name: float(value) for name, value in found.items()}

    return Task(
        name=source,
        build=lambda: store.load_prior(model, source),
        objective=objective,
        dataset=lambda step: pipeline.excerpts(data, source, length, settings.batch_size, seed, step),
        sample_rate=data.sample_rate,
        validate=validate,
    )


def _check(source: str, prior: Prior) -> None:
    """Refuse a prior that cannot be trained so."""
    if not (prior.has_latents and prior.has_log_prob and prior.sigma_range):
        raise InputError(
            f"match_scores.model must have noise-conditional flows, its prior of {source!r} is {prior.describe()}"
        )
    kept = (prior.settings or {}).get("recompute", "none")
    if kept != "none":
        raise InputError(
            f"match_scores needs the second derivatives of recompute = 'none'; the prior of {source!r} has {kept!r}"
        )
