"""Train a whole model: a prior for each source, each trained alone, then posteriors, into one model folder.

``bin/train`` calls :func:`train` with what the gin files bind. The parts are trained one after the
other, each in its own folder under the save folder and each resumable; ``<save_dir>/model`` is
written again after each of them, so that what is ready can be used at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import keras

from tfsep import mixing, posteriors, priors
from tfsep.axes import Settings
from tfsep.data.pipeline import SourceData
from tfsep.errors import InputError
from tfsep.models import stages
from tfsep.models.schema import Entry
from tfsep.models.store import save_model
from tfsep.posteriors.base import Posterior
from tfsep.posteriors.composition import Composition
from tfsep.posteriors.kinds import LEARNED
from tfsep.priors.base import Prior
from tfsep.recipes.train_posteriors import VALIDATION, calibrate, choose_restarts, choose_stages, posterior_task
from tfsep.recipes.train_priors import learned_prior, learns_background, prior_task
from tfsep.training.loop import fit
from tfsep.training.posterior_objectives import ObjectiveSettings
from tfsep.training.task import FitSettings

#: A posterior's arguments and what was trained of it, None where nothing is learned.
Trained: TypeAlias = tuple[Entry, Posterior | None]


def train(
    save_dir: str | Path,
    data: SourceData,
    segment: int,
    prior: Entry | None = None,
    posteriors: Sequence[Entry] = (),
    prior_fit: FitSettings | None = None,
    posterior_fit: FitSettings | None = None,
    validation: SourceData | None = None,
    sources: Sequence[str] | None = None,
    settings: Settings | None = None,
    half: bool = False,
    posterior_objective: ObjectiveSettings | None = None,
    paired: bool = False,
    posterior_start: str | None = None,
    posterior_precision: str | None = None,
    num_validation: int = 64,
    num_examples: int = 1024,
    background: SourceData | None = None,
    background_share: float = 0.9,
    posterior_data: SourceData | None = None,
    prior_denoising: float = 0.0,
    seed: int = 0,
    resume: bool = True,
) -> None:
    """Train a model and write it to ``<save_dir>/model``.

    Args:
        save_dir: folder of the run.
        data: isolated sources to train on.
        segment: samples of a segment; also the length of the priors' events where they do not say.
        prior: arguments of :func:`tfsep.priors.build` for each source; None for a model without
            priors.
        posteriors: arguments of :func:`tfsep.posteriors.build`, the default first. A composition
            comes after the posteriors that its stages name. It keeps those of its stages that win
            on validation mixtures; Gibbs updates with ``choice`` "validation" so choose the
            criterion for their restarts.
        prior_fit, posterior_fit: how priors and learned posteriors are trained.
        validation: isolated sources never trained on, on which the parts are validated while they
            train. They must be the data's sources at the data's rate. None takes excerpts of the
            data that no step draws.
        sources: train priors for these only; None is all of the data's. The model separates these,
            or all of the data's where it has a learned posterior.
        settings: of the separator, kept in the model folder.
        half: store weights as float16.
        posterior_objective: what learned posteriors are trained on; None is simulated pairs. The
            evidence lower bound takes the priors trained here.
        paired: train learned posteriors on sources that belong together: the supervised baseline.
        posterior_start: a model whose learned posterior gives the first weights, to be trained
            further on other data. Its kind and settings must be the same, except that it may lack
            the stages behind its masks.
        posterior_precision: what the networks of amortised posteriors compute in while they train,
            "mixed_bfloat16" or None for float32; weights are float32 all the same.
        num_validation: validation mixtures on which intervals are calibrated and a composition's
            stages are chosen.
        num_examples: excerpts of each source from which priors are learned that need one pass only.
        background: isolated sounds from which denoisers separate their source, instead of from
            white noise alone; among flows, the spectral RealNVP with ``prior_denoising``. The model
            folder says so, and samplers that need scores refuse such priors.
        background_share: part of the examples that have a background, from 0 to 1.
        posterior_data: isolated sources of the mixtures that learned posteriors train on, drawn in
            another way than those of the priors; None is ``data``.
        prior_denoising: weight of the error of a flow's own denoiser beside its likelihood, at
            least 0.
        seed: of everything random.
        resume: go on from checkpoints.

    Raises:
        InputError: if there is nothing to train, or a part is described wrongly.
    """
    learned = any(entry["kind"] in LEARNED for entry in posteriors)
    if prior is None and not learned:
        raise InputError("train needs a prior or a learned posterior, got neither")
    names = chosen_sources(data, sources)
    separated = tuple(data.sources) if learned else names
    gains = mixing_gains(data, separated)
    held_out = data if validation is None else validation
    mixed = data if posterior_data is None else posterior_data
    for name, other in (("validation", held_out), ("posterior_data", mixed)):
        if (tuple(other.sources), other.sample_rate) != (tuple(data.sources), data.sample_rate):
            raise InputError(f"train.{name} must have the sources and the sample rate of train.data")
    arguments = None if prior is None else {**({} if "event_shape" in prior else {"length": segment}), **prior}
    if arguments is not None and background is not None and learns_background(arguments, prior_denoising):
        arguments["background"] = True
    if prior_denoising and (arguments is None or arguments["kind"] in priors.LEARNERS):
        got = "no prior" if arguments is None else f"prior {arguments['kind']!r}, which is learned in one pass"
        raise InputError(f"train.prior_denoising is for priors that are trained by gradients, got {got}")
    objective = posterior_objective or ObjectiveSettings()
    if learned and objective.needs_priors and (prior is None or set(names) != set(separated)):
        raise InputError(f"objective.kind {objective.kind!r} needs a prior for each of {', '.join(separated)}")
    check_parts(arguments, posteriors, separated, segment, gains)
    trained_priors: dict[str, tuple[Entry, Prior]] = {}
    made: dict[int, Trained] = {}

    def write() -> None:
        rate, ready = data.sample_rate, [made[index] for index in sorted(made)]
        save_model(Path(save_dir) / "model", separated, rate, segment, gains, trained_priors, ready, settings, half)

    if arguments is not None:
        for name in names:
            if arguments["kind"] in priors.LEARNERS:
                trained = learned_prior(name, arguments, data, num_examples, save_dir, seed, resume)
            else:
                how = prior_fit or FitSettings()
                given = (background, background_share, prior_denoising)
                task = prior_task(name, arguments, data, how, seed, held_out, *given)
                trained = fit(task, save_dir, prior_fit or FitSettings(), seed, resume)
            trained_priors[name] = (arguments, trained)
            write()
    in_order = [trained_priors[name][1] for name in separated if name in trained_priors]
    for index in building_order(posteriors):
        entry, model = posteriors[index], None
        if entry["kind"] in LEARNED:
            how = posterior_fit or FitSettings()
            task = posterior_task(
                entry,
                mixed,
                segment,
                how,
                seed,
                held_out,
                objective=objective,
                priors=in_order,
                paired=paired,
                start=posterior_start,
                precision=posterior_precision,
            )
            model = fit(task, save_dir, how, seed, resume)
            entry = calibrate(entry, model, held_out, segment, seed, num_validation)
        elif entry["kind"] == "gibbs" and entry.get("choice") == VALIDATION:
            entry = choose_restarts(entry, in_order, held_out, separated, gains, seed, num_validation)
        elif entry["kind"] == stages.COMPOSITION:
            whole = build_composition(entry, list(made.values()), in_order, gains)
            entry = choose_stages(entry, whole, held_out, separated, seed, num_validation)
        made[index] = (entry, model)
        write()


def building_order(entries: Sequence[Entry]) -> list[int]:
    """Return the indices of posteriors in the order in which they are built: behind their starts and stages."""

    def rank(index: int) -> tuple[bool, bool, int]:
        entry = entries[index]
        return entry["kind"] == stages.COMPOSITION, entry.get("start") is not None, index

    return sorted(range(len(entries)), key=rank)


def build_composition(
    entry: Entry, ready: Sequence[Trained], trained: Sequence[Prior], gains: Sequence[float]
) -> Composition:
    """Build a composition with all of its stages, learned ones as they were trained before it.

    Args:
        entry: arguments of the composition.
        ready: the posteriors before it.
        trained: priors of all sources.
        gains: a_1..a_N.
    """
    models = {kept["kind"]: model for kept, model in ready if model is not None}

    def build(stage: Entry) -> Posterior:
        found = models.get(stage["kind"])
        return posteriors.build(**{**stage, "priors": trained, "gains": gains}) if found is None else found

    known = {kept["kind"]: kept for kept, _ in ready}
    arguments = stages.built_stages({**entry, "keep": None}, known, build)
    built = posteriors.build(**{**arguments, "priors": trained, "gains": gains})
    assert isinstance(built, Composition)
    return built


def chosen_sources(data: SourceData, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the sources to train priors for.

    Args:
        data: isolated sources.
        wanted: names of some of them; None is all.

    Raises:
        InputError: for none, one that the data do not have, or one named twice.
    """
    names = tuple(data.sources if wanted is None else wanted)
    if not names or len(set(names)) < len(names) or not set(names) <= set(data.sources):
        raise InputError(
            f"train.sources must be different ones of {', '.join(data.sources)}, got {', '.join(names) or 'none'}"
        )
    return names


def mixing_gains(data: SourceData, names: Sequence[str]) -> tuple[float, ...]:
    """Return the gains with which some of a data set's sources are mixed: its own, or a mean where its are a mean."""
    gains = dict(zip(data.sources, data.mixing_gains, strict=True))
    if set(gains.values()) == {1.0 / len(gains)}:
        return mixing.gain_vector(len(names))
    return tuple(gains[name] for name in names)


def check_parts(
    prior: Entry | None,
    entries: Sequence[Entry],
    names: Sequence[str],
    segment: int,
    gains: Sequence[float],
) -> None:
    """Build every part once, so that wrong settings are refused before hours of training, not after.

    Args:
        prior: arguments of the priors, None where there are none.
        entries: arguments of the posteriors.
        names: the sources that are separated.
        segment: samples of a segment.
        gains: a_1..a_N.

    Raises:
        InputError: for a part that cannot be built or trained.
    """
    built = None
    if prior is not None:
        example = priors.build(**prior)
        if not isinstance(example, keras.Model):
            raise InputError(f"prior {prior['kind']!r} has nothing to train")
        if example.domain != "wave" and "length" not in prior:
            raise InputError(
                f"a prior over {example.domain!r} needs prior.length, the samples of an excerpt, to be trained"
            )
        built = [example] * len(names)
    ready: list[Trained] = []
    for index in building_order(entries):
        entry, model = entries[index], None
        if entry["kind"] in LEARNED:
            model = posteriors.build(**{**entry, "num_sources": len(names), "segment": segment, "gains": gains})
        else:
            later = {"choice": "residual"} if (entry["kind"], entry.get("choice")) == ("gibbs", VALIDATION) else {}
            whole = stages.expanded({**entry, **later})
            if whole["kind"] == stages.COMPOSITION:
                build_composition(whole, ready, built or [], gains)
            else:
                posteriors.build(**{**whole, "priors": built, "gains": gains})
        ready.append((entry, model))
