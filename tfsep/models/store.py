"""A model on disk: which sources, their priors, the posteriors that use them, and the weights of each.

A model folder holds ``model.json`` (everything needed to build the parts again, as plain data),
``priors/`` and ``posteriors/`` (weights as safetensors, in files of at most 8 MB) and ``card.md``.
Loading one builds the named kinds with the stored settings and reads numbers into them; no code
comes out of a folder.

What ``model.json`` holds is written in :mod:`tfsep.models.schema`. What needs no TensorFlow,
finding and listing models (:mod:`tfsep.models.listing`) among it, can be imported from here too.
"""

from __future__ import annotations

import gc
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from tfsep import posteriors as posterior_kinds
from tfsep import priors as prior_kinds
from tfsep.errors import InputError
from tfsep.models import stages, weights
from tfsep.models.building import build_part, digests, weights_path
from tfsep.models.listing import describe, find_model, label, model_names, models_folder
from tfsep.models.request import prior_entry, select
from tfsep.models.schema import FORMAT, SOURCE_SUBSET, Entry, ModelDescription, write_description
from tfsep.models.source_subset import load_subset
from tfsep.posteriors.base import Posterior
from tfsep.posteriors.kinds import LEARNED
from tfsep.priors.base import Prior
from tfsep.runtime.layer_names import counted_anew

__all__ = [
    "Model",
    "describe",
    "find_model",
    "label",
    "load_learned",
    "load_model",
    "load_prior",
    "model_names",
    "models_folder",
    "save_model",
    "write_description",
]


_LOADS = itertools.count()


@dataclass(frozen=True)
class Model:
    """A loaded model.

    Attributes:
        name: of its folder.
        sources: names, in the order of the source axis.
        sample_rate: Hz.
        segment: samples of a segment.
        gains: a_1..a_N of the mixtures it separates.
        posterior: the posterior in use.
        settings: of the separator.
    """

    name: str
    sources: tuple[str, ...]
    sample_rate: int
    segment: int
    gains: tuple[float, ...]
    posterior: Posterior
    settings: dict[str, Any] = field(default_factory=dict)


def load_prior(name: str | Path, source: str) -> Prior:
    """Load the trained prior of one source of a model.

    Raises:
        InputError: if the model has no such prior or its weights are missing or of another model.
    """
    with counted_anew():
        return _load_prior(name, source)


def _load_prior(name: str | Path, source: str) -> Prior:
    """Load a prior, its layers named on."""
    folder = find_model(name)
    arguments = dict(prior_entry(name, source))
    file = arguments.pop("weights", None)
    prior: Prior = build_part(prior_kinds.build, arguments, folder, f"the prior of {source!r}", file)
    if file is not None:
        weights.load(prior, weights_path(folder, file), digests=digests(folder))
    return prior


def load_model(
    name: str | Path,
    posterior: str | None = None,
    priors: Mapping[str, str] | None = None,
    steps: int | None = None,
    segment: float | None = None,
    silence: float | None = None,
    without: Sequence[str] = (),
) -> Model:
    """Load a model with one of its posteriors.

    Args:
        name: under :func:`models_folder`, or a folder.
        posterior: its kind, "full" the composition; None is the model's first, or, where ``priors``
            is given, the first that uses priors and, where they add a source, nothing else.
        priors: {source: model folder} from which priors are taken instead; further sources are
            added to the model's.
        steps: iterations of an iterative posterior (levels of gibbs, say, steps per level of
            langevin).
        segment: length of a segment in seconds, in place of the model's own, for a learned posterior
            (:mod:`tfsep.models.segment_length`).
        silence: probability that each source is absent, in place of what samplers were built with.
        without: sources of the model that the mixtures do not have (:mod:`tfsep.models.source_subset`).

    Raises:
        InputError: for anything that is missing, unknown or does not fit together.
    """
    chosen = select(name, posterior, priors, steps, segment, silence, without)
    if next(_LOADS):
        # Keras models are cycles of few objects with large arrays, which Python would keep for many loads to come.
        gc.collect()
    description: ModelDescription = {**chosen.description, "segment": chosen.segment}
    with counted_anew():
        loaded = [_load_prior(where, prior) for where, prior in chosen.priors.values()] or None
        built = _load_posterior(chosen.posterior, chosen.folder, description, chosen.gains, loaded)
    return Model(
        name=label(chosen.folder),
        sources=chosen.sources,
        sample_rate=description["sample_rate"],
        segment=built.segment,
        gains=chosen.gains,
        posterior=built,
        settings=dict(description["settings"]),
    )


def load_learned(model: Posterior, name: str | Path) -> None:
    """Load into a learned posterior the weights of a model's posterior of its kind, which may lack later stages.

    Raises:
        InputError: if the model has none of the kind, or it has other sources or settings.
    """
    description = describe(folder := find_model(name))
    found = stages.by_kind(description).get(model.kind)
    if (has := len(description["sources"])) != (wanted := model.num_sources):
        raise InputError(f"model {str(name)!r} cannot initialise a posterior of {wanted} sources: it has {has}")
    if found is None or "weights" not in found:
        raise InputError(f"model {str(name)!r} has no learned posterior of kind {model.kind!r} to start from")
    weights.load(model, weights_path(folder, found["weights"]), leading=True, digests=digests(folder))


def _load_posterior(
    entry: Entry,
    folder: Path,
    description: ModelDescription,
    gains: Sequence[float],
    loaded: Sequence[Prior] | None,
) -> Posterior:
    """Build a posterior of a model folder with its weights, or the stages of a composition with theirs."""
    arguments: dict[str, Any] = {**entry, "gains": gains}
    file, subset, _ = (arguments.pop(name, None) for name in ("weights", SOURCE_SUBSET, "priors"))
    if entry["kind"] in LEARNED:
        arguments |= {"num_sources": len(gains), "segment": description["segment"]}
    else:
        arguments["priors"] = loaded
    if entry["kind"] == stages.COMPOSITION:
        known = stages.by_kind(description)
        arguments = stages.built_stages(
            arguments, known, lambda stage: _load_posterior(stage, folder, description, gains, loaded)
        )
    what = f"the posterior {entry['kind']!r}"

    def build(**settings: Any) -> Any:
        return build_part(posterior_kinds.build, settings, folder, what, file)

    def load(whole: Posterior) -> None:
        weights.load(whole, weights_path(folder, str(file)), digests=digests(folder))

    if subset is not None and file is not None:
        return load_subset(subset, arguments, build, load)
    built: Posterior = build(**arguments)
    if file is not None:
        load(built)
    return built


def save_model(
    folder: str | Path,
    sources: Sequence[str],
    sample_rate: int,
    segment: int,
    gains: Sequence[float],
    priors: Mapping[str, tuple[Entry, Prior]] | None = None,
    posteriors: Sequence[tuple[Entry, Posterior | None]] = (),
    settings: Mapping[str, Any] | None = None,
    half: bool = False,
) -> None:
    """Write a model folder.

    Args:
        folder: created if absent; files of an earlier model there are replaced, ``model.json``
            last.
        sources, sample_rate, segment, gains, settings: as in :class:`Model`.
        priors: {source: (arguments of ``priors.build``, the trained prior)}.
        posteriors: (arguments of ``posteriors.build`` without the model's own, the trained
            posterior or None).
        half: store weights as float16, but for priors that need full precision.
    """
    folder = Path(folder)
    description: ModelDescription = {
        "format": FORMAT,
        "sources": list(sources),
        "sample_rate": sample_rate,
        "segment": segment,
        "gains": list(gains),
        "priors": {
            source: {**arguments, **_store(prior, folder, f"priors/{source}.safetensors", half)}
            for source, (arguments, prior) in (priors or {}).items()
        },
        "posteriors": [
            {**arguments, **_store(posterior, folder, f"posteriors/{arguments['kind']}.safetensors", half)}
            for arguments, posterior in posteriors
        ],
        "settings": dict(settings or {}),
    }
    write_description(folder, description)


def _store(part: Prior | Posterior | None, folder: Path, file: str, half: bool) -> dict[str, str]:
    """Write the weights of a learned part and return the entry that names them."""
    if not isinstance(part, keras.Model):
        return {}
    weights.save(part, folder / file, half and not getattr(part, "full_precision", False))
    return {"weights": file}
