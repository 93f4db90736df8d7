"""A model on disk: which sources, their priors, the posteriors that use them, and the weights of each.

A model folder holds ``model.json`` (everything needed to build the parts again, as plain data), ``priors/`` and
``posteriors/`` (weights as safetensors, in files of at most 8 MB) and ``card.md``. Loading one builds the named kinds
with the stored settings and reads numbers into them; no code comes out of a folder.

What ``model.json`` holds is written in description.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from tfsep import posteriors as posterior_kinds
from tfsep import priors as prior_kinds
from tfsep.bundled import bundled_folder
from tfsep.errors import InputError
from tfsep.models import stages, weights
from tfsep.models.schema import ENTRIES, FORMAT, MODEL_FILE, read_description
from tfsep.models.segment_length import resized_segment
from tfsep.models.subset import PRESENT, load_reduced, mean_gains, without_sources
from tfsep.posteriors.base import Posterior
from tfsep.posteriors.registry import LEARNED
from tfsep.priors.base import Prior

_STEPS = {
    "diffusion": "num_levels",
    "gibbs": "num_levels",
    "langevin": "num_steps",
    "latent": "num_steps",
    "stochastic_gibbs": "num_levels",
}


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


def models_folder() -> Path:
    """Return where models are found by name: ``$TFSEP_MODELS``, or the models that come with tfsep."""
    return Path(os.environ.get("TFSEP_MODELS") or bundled_folder("models"))


def list_models() -> list[str]:
    """Names of the models in :func:`models_folder`."""
    folder = models_folder()
    return sorted(path.parent.name for path in folder.glob(f"*/{MODEL_FILE}")) if folder.is_dir() else []


def find_model(name: str | Path) -> Path:
    """The folder of a model given by name or by path.

    Raises:
        InputError: if there is none, listing the names there are.
    """
    for folder in (Path(name), models_folder() / str(name)):
        if (folder / MODEL_FILE).is_file():
            return folder
    known = ", ".join(list_models()) or "none"
    raise InputError(f"no model {str(name)!r}: neither a folder with a {MODEL_FILE} nor one of the models {known}")


def label(folder: Path) -> str:
    """What a model's folder is called: its name, that of the run for ``<run>/model``."""
    folder = folder.resolve()
    return folder.parent.name if folder.name == "model" else folder.name


def describe(name: str | Path) -> dict[str, Any]:
    """The contents of a model's ``model.json``.

    Raises:
        InputError: if it is not one that this version understands.
    """
    return read_description(find_model(name) / MODEL_FILE)


def load_prior(name: str | Path, source: str) -> Prior:
    """The trained prior of one source of a model.

    Raises:
        InputError: if the model has no such prior or its weights are missing or of another model.
    """
    known = describe(name)["priors"]
    if source not in known:
        raise InputError(f"model {str(name)!r} has priors for {', '.join(known) or 'no source'}, not for {source!r}")
    arguments = dict(known[source])
    file = arguments.pop("weights", None)
    try:
        prior = prior_kinds.build(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"{find_model(name) / MODEL_FILE}: the prior of {source!r}: {error}") from error
    if file is not None:
        weights.load(prior, find_model(name) / file)
    return prior


def load_model(
    name: str | Path,
    posterior: str | None = None,
    priors: Mapping[str, str] | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    silence: float | None = None,
    without: Sequence[str] = (),
) -> Model:
    """Load a model with one of its posteriors.

    Args:
        name: under :func:`models_folder`, or a folder.
        posterior: its kind, "full" the composition; None is the model's first, or, where ``priors`` is given, the
            first that uses priors and, where they add a source, nothing else.
        priors: {source: model folder} from which priors are taken instead; further sources are added to the model's.
        steps: iterations of an iterative posterior (levels of gibbs, say, steps per level of langevin).
        seconds: length of a segment in place of the model's own, for a learned posterior (resized.py).
        silence: how likely each source is absent, in place of what samplers were built with.
        without: sources of the model that the mixtures do not have (present.py).

    Raises:
        InputError: for anything that is missing, unknown or does not fit together.
    """
    folder = find_model(name)
    description = without_sources(describe(folder), without)
    sources = list(description["sources"])
    gains: list[float] = list(description["gains"])
    for source in priors or {}:
        if source in without:
            raise InputError(f"a prior was given for {source!r}, which is to be left out")
        if source not in sources:
            sources.append(source)
            gains = [1.0 / len(sources)] * len(sources) if mean_gains(gains) else [*gains, 1.0]
    added = not set(priors or {}) <= set(description["sources"])
    entry = dict(stages.chosen(description, posterior, bool(priors), added, folder.name))
    if steps is not None:
        if entry["kind"] not in _STEPS:
            raise InputError(f"posterior {entry['kind']!r} has no steps to set; those of {', '.join(_STEPS)} can be")
        entry[_STEPS[entry["kind"]]] = steps
    if silence is not None:
        entry = stages.with_silence(entry, stages.by_kind(description), silence)
    segment = int(description["segment"])
    if seconds is not None:
        segment = resized_segment(entry, seconds, int(description["sample_rate"]))
    loaded = None
    if stages.needs_priors(entry, stages.by_kind(description)):
        folders = {source: (priors or {}).get(source, folder) for source in sources}
        _check_rates({place: describe(place)["sample_rate"] for place in dict.fromkeys([folder, *folders.values()])})
        own = entry.get("priors", {})
        loaded = [
            load_prior(place, source if source in (priors or {}) else own.get(source, source))
            for source, place in folders.items()
        ]
    built = _load_posterior(entry, folder, {**description, "segment": segment}, gains, loaded)
    return Model(
        name=label(folder),
        sources=tuple(sources),
        sample_rate=int(description["sample_rate"]),
        segment=built.segment,
        gains=tuple(gains),
        posterior=built,
        settings=dict(description["settings"]),
    )


def load_learned(model: Posterior, name: str | Path) -> None:
    """Give a learned posterior the weights that a model's posterior of its kind, which may lack later stages, has.

    Raises:
        InputError: if the model has none of the kind, or it has other sources or settings.
    """
    description = describe(folder := find_model(name))
    found = stages.by_kind(description).get(model.kind)
    if (has := len(description["sources"])) != model.num_sources:
        raise InputError(f"model {str(name)!r} is no start for {model.num_sources} sources, it has {has}")
    if found is None or "weights" not in found:
        raise InputError(f"model {str(name)!r} has no learned posterior of kind {model.kind!r} to start from")
    weights.load(model, folder / found["weights"], leading=True)


def _load_posterior(
    entry: Mapping[str, Any],
    folder: Path,
    description: Mapping[str, Any],
    gains: Sequence[float],
    loaded: Sequence[Prior] | None,
) -> Posterior:
    """Build a posterior of a model folder with its weights, or the stages of a composition with theirs."""
    arguments = {**entry, "gains": gains}
    file, present, _ = (arguments.pop(name, None) for name in ("weights", PRESENT, "priors"))
    if entry["kind"] in LEARNED:
        arguments |= {"num_sources": len(gains), "segment": description["segment"]}
    else:
        arguments["priors"] = loaded
    if entry["kind"] == stages.COMPOSITION:
        known = stages.by_kind(description)
        arguments = stages.built_stages(
            arguments, known, lambda stage: _load_posterior(stage, folder, description, gains, loaded)
        )
    if present is not None and file is not None:
        return load_reduced(present, arguments, posterior_kinds.build, lambda whole: weights.load(whole, folder / file))
    built = posterior_kinds.build(**arguments)
    if file is not None:
        weights.load(built, folder / file)
    return built


def _check_rates(rates: Mapping[str | Path, int]) -> None:
    """Refuse priors of waveforms at different sample rates."""
    if len(set(rates.values())) > 1:
        found = ", ".join(f"{rate} Hz ({place})" for place, rate in rates.items())
        raise InputError(f"the priors of one model must be at its own sample rate, got {found}")


def save_model(
    folder: str | Path,
    sources: Sequence[str],
    sample_rate: int,
    segment: int,
    gains: Sequence[float],
    priors: Mapping[str, tuple[Mapping[str, Any], Prior]] | None = None,
    posteriors: Sequence[tuple[Mapping[str, Any], Posterior | None]] = (),
    settings: Mapping[str, Any] | None = None,
    half: bool = False,
) -> None:
    """Write a model folder.

    Args:
        folder: created if absent; files of an earlier model there are replaced, ``model.json`` last.
        sources, sample_rate, segment, gains, settings: as in :class:`Model`.
        priors: {source: (arguments of ``priors.build``, the trained prior)}.
        posteriors: (arguments of ``posteriors.build`` without the model's own, the trained posterior or None).
        half: store weights as float16, but for priors that need full precision.
    """
    folder = Path(folder)
    description: dict[str, Any] = {
        "format": FORMAT,
        "sources": list(sources),
        "sample_rate": sample_rate,
        "segment": segment,
        "gains": list(gains),
        "priors": {},
        "posteriors": [],
        "settings": dict(settings or {}),
    }
    for source, (arguments, prior) in (priors or {}).items():
        file = f"priors/{source}.safetensors"
        description["priors"][source] = {**arguments, **_store(prior, folder, file, half)}
    for arguments, posterior in posteriors:
        file = f"posteriors/{arguments['kind']}.safetensors"
        description["posteriors"].append({**arguments, **_store(posterior, folder, file, half)})
    write_description(folder, description)


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write ``model.json`` whole or not at all; the folder is created if absent."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / (MODEL_FILE + ".part")
    ordered = {name: description[name] for name in ENTRIES if name in description}
    temporary.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, folder / MODEL_FILE)


def _store(part: Any, folder: Path, file: str, half: bool) -> dict[str, str]:
    """Write the weights of a learned part; returns the entry that names them."""
    if not isinstance(part, keras.Model):
        return {}
    weights.save(part, folder / file, half and not getattr(part, "full_precision", False))
    return {"weights": file}
