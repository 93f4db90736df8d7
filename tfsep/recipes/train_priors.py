"""Train a source's prior on isolated excerpts: by gradients, or in one pass where a kind is learned so."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfsep import priors
from tfsep.atomic import write_text
from tfsep.data import pipeline
from tfsep.data.pipeline import SourceData
from tfsep.errors import InputError
from tfsep.models import weights
from tfsep.models.schema import Entry
from tfsep.priors.base import Prior
from tfsep.training import prior_objectives
from tfsep.training.task import FitSettings, Task

_VALIDATION_STEP = -1
_PREVIEWS = 4
_LEARNED = "learned.safetensors"
_SETTINGS = "learned.json"
_LOG = logging.getLogger(__name__)


def learned_prior(
    source: str,
    arguments: Entry,
    data: SourceData,
    num: int,
    save_dir: str | Path,
    seed: int,
    resume: bool = True,
) -> Prior:
    """Learn a prior of one source in one pass over isolated excerpts (:data:`tfsep.priors.LEARNERS`).

    Args:
        source: its name.
        arguments: of :func:`tfsep.priors.build`.
        data: isolated sources.
        num: number of excerpts to learn from, at least 1.
        save_dir: folder of the run; the weights are kept in ``<save_dir>/<source>``.
        seed: of the excerpts.
        resume: use the weights kept there, if they were learned with the same arguments.

    Raises:
        InputError: if ``num`` is below 1, or the weights kept there are of another training.
    """
    if num < 1:
        raise InputError(f"train.num_examples must be at least 1, got {num}")
    learn, events = priors.LEARNERS[arguments["kind"]]
    prior = priors.build(**arguments)
    folder = Path(save_dir) / source
    made_with = json.dumps({"prior": dict(arguments), "num_examples": num, "seed": seed}, sort_keys=True)
    if resume and (folder / _SETTINGS).is_file():
        if (folder / _SETTINGS).read_bytes() != made_with.encode():
            raise InputError(f"{folder} holds a prior learned otherwise; use another --save_dir or --noresume")
        try:
            weights.load(prior, folder / _LEARNED)
            return prior
        except InputError as error:
            _LOG.warning("%s; the prior is learned again", error)
    excerpts = data.draw(source, num, events * prior.event_shape[0], (seed, 0))
    found = learn(prior, excerpts.numpy())
    weights.save(prior, folder / _LEARNED)
    write_text(folder / _SETTINGS, made_with)
    text = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
    print(
        f"{source}: {prior.kind} over {prior.domain} learned from {num} excerpts: {text}", file=sys.stderr, flush=True
    )
    return prior


def prior_task(
    source: str,
    arguments: Entry,
    data: SourceData,
    settings: FitSettings,
    seed: int,
    validation: SourceData | None = None,
    background: SourceData | None = None,
    background_share: float = 0.9,
    denoising: float = 0.0,
) -> Task:
    """Return the training of one source's prior on isolated excerpts: by exact maximum likelihood, or as a denoiser.

    Args:
        source: its name.
        arguments: of :func:`tfsep.priors.build`.
        data: isolated sources.
        settings: of the training.
        seed: of everything random.
        validation: isolated sources on which it is validated while it trains; None takes excerpts
            that no step draws.
        background: isolated sounds that a denoiser learns to separate the source from; None is
            white noise.
        background_share: part of the examples that have them, in 0..1; the others have white noise.
        denoising: weight of the error of a flow's own denoiser beside its likelihood
            (:func:`tfsep.training.prior_objectives.denoising_likelihood`), 0 for the likelihood
            alone.

    Raises:
        InputError: for a background at another rate, without another source, or for a prior that
            learns no denoiser from it; for a negative ``denoising``, or a positive one of a score prior, which
            is trained so as it is.
    """
    if denoising < 0.0 or (denoising and arguments["kind"] == "score"):
        given = f"{denoising:g} for a prior {arguments['kind']!r}"
        raise InputError(f"train.prior_denoising must be at least 0, and 0 for a 'score' prior; got {given}")
    objective = prior_objectives.denoising_likelihood(denoising) if denoising else prior_objectives.prior_objective
    length = int(arguments.get("length") or arguments["event_shape"][0])
    if background is not None:
        _check_background(source, arguments, data, background, background_share, denoising)
    validated_on = data if validation is None else validation

    def batches(drawn: SourceData, step: int) -> tf.data.Dataset:
        if background is None:
            return pipeline.excerpts(drawn, source, length, settings.batch_size, seed, step)
        size = settings.batch_size
        return pipeline.excerpts_and_backgrounds(drawn, source, background, background_share, length, size, seed, step)

    held_out = next(iter(batches(validated_on, _VALIDATION_STEP)))
    clean = held_out if background is None else held_out[0]

    def preview(model: Prior) -> dict[str, np.ndarray]:
        if background is not None:
            _, noisy, sigma = prior_objectives.noised_pair(model, held_out, tf.constant([seed, 0]))
            found = {"noisy": noisy, "denoised": model.denoise(noisy, sigma)}
            return {name: wave[:_PREVIEWS, :, 0].numpy() for name, wave in found.items()}
        events = model.sample(_PREVIEWS, (seed, 0))
        samples = model.front_end.synthesise(events, None, length).numpy()
        return {"sample": samples, "data": clean[:_PREVIEWS].numpy()}

    def validate(model: Prior) -> dict[str, float]:
        found = objective(model, held_out, tf.constant([seed, 0]))[1]
        return {name: float(value) for name, value in found.items()}

    return Task(
        name=source,
        build=lambda: priors.build(**arguments),
        objective=objective,
        dataset=lambda step: batches(data, step),
        sample_rate=data.sample_rate,
        initialise=prior_objectives.initialise_prior,
        preview=preview,
        validate=validate,
    )


def learns_background(arguments: Entry, denoising: float) -> bool:
    """Tell whether a prior of these arguments can learn to denoise among other sounds; see :func:`prior_task`."""
    learns = arguments["kind"] == "score" or (arguments["kind"] == "spectral_realnvp" and denoising > 0.0)
    return learns and arguments.get("domain", "wave") == "wave"


def _check_background(
    source: str, arguments: Entry, data: SourceData, background: SourceData, share: float, denoising: float
) -> None:
    """Refuse a background that cannot serve; see :func:`prior_task`."""
    if not 0.0 <= share <= 1.0:
        raise InputError(f"train.background_share must lie in 0..1, got {share:g}")
    if background.sample_rate != data.sample_rate:
        rates = f"{data.sample_rate} and {background.sample_rate} Hz"
        raise InputError(f"train.background must have the sample rate of train.data, got {rates}")
    if set(background.sources) <= {source}:
        raise InputError(f"train.background must have a source besides {source!r}, got none")
    if not learns_background(arguments, denoising):
        given = f"{arguments['kind']!r} over {arguments.get('domain', 'wave')!r}"
        raise InputError(
            "train.background is for a 'score' prior over 'wave', or a 'spectral_realnvp' with train.prior_denoising, "
            f"got {given}"
        )
