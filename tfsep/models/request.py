"""What a caller asks of a model, checked against its description before anything is loaded.

Unknown models, sources and posteriors are refused here without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfsep.arguments import real_number, whole_number
from tfsep.errors import InputError
from tfsep.models import stages
from tfsep.models.listing import describe, find_model
from tfsep.models.schema import Entry, ModelDescription
from tfsep.models.source_subset import mean_gains, without_sources
from tfsep.posteriors.kinds import ITERATIONS


@dataclass(frozen=True)
class Selection:
    """A model with one of its posteriors, not loaded yet.

    Attributes:
        folder: of the model.
        description: of the model, without the sources that were left out.
        sources: names, in the order of the source axis.
        gains: a_1..a_N.
        segment: samples of a segment.
        posterior: the entry of the posterior.
        priors: {source: (model folder, name of the prior there)}; empty where the posterior needs
            none.
    """

    folder: Path
    description: ModelDescription
    sources: tuple[str, ...]
    gains: tuple[float, ...]
    segment: int
    posterior: Entry
    priors: Mapping[str, tuple[str | Path, str]]


def select(
    name: str | Path,
    posterior: str | None = None,
    priors: Mapping[str, str] | None = None,
    steps: int | None = None,
    segment: float | None = None,
    silence: float | None = None,
    without: Sequence[str] = (),
) -> Selection:
    """Choose a model and one of its posteriors; the arguments are those of :func:`tfsep.models.store.load_model`.

    Raises:
        InputError: for anything that is missing, unknown or does not fit together.
    """
    if posterior is not None and not isinstance(posterior, str):
        raise InputError(f"posterior must be the name of a kind, got {posterior!r}")
    if priors is not None and not isinstance(priors, Mapping):
        raise InputError(f"priors must be a mapping from sources to models, got {priors!r}")
    if isinstance(without, str) or not isinstance(without, Sequence):
        raise InputError(f"without must be a sequence of sources, got {without!r}")
    folder = find_model(name)
    description = without_sources(describe(folder), without)
    given = priors or {}
    sources, gains = list(description["sources"]), list(description["gains"])
    for source in given:
        if source in without:
            raise InputError(f"a prior was given for {source!r}, which is to be left out")
        if source not in sources:
            sources.append(source)
            gains = [1.0 / len(sources)] * len(sources) if mean_gains(gains) else [*gains, 1.0]
    added = not set(given) <= set(description["sources"])
    known = stages.by_kind(description)
    directions = all(prior_entry(where, source)["kind"] in stages.WITH_DIRECTIONS for source, where in given.items())
    entry = dict(stages.chosen(description, posterior, bool(given), added, folder.name, directions))
    if steps is not None:
        if entry["kind"] not in ITERATIONS:
            rule = f"those of {', '.join(ITERATIONS)} can be"
            raise InputError(f"posterior {entry['kind']!r} has no steps to set; {rule}")
        entry[ITERATIONS[entry["kind"]]] = whole_number("steps", steps, 1)
    if silence is not None:
        entry = stages.with_silence(entry, known, real_number("silence", silence))
    samples = description["segment"]
    if segment is not None:
        from tfsep.models.segment_length import resized_segment

        samples = resized_segment(entry, real_number("segment", segment), description["sample_rate"])
    entry = dict(stages.expanded(entry))
    found: dict[str, tuple[str | Path, str]] = {}
    if stages.needs_priors(entry, known):
        own: Mapping[str, str] = entry.get("priors", {})
        found = {
            source: (given[source], source) if source in given else (folder, own.get(source, source))
            for source in sources
        }
        _check_priors(folder, found)
    return Selection(folder, description, tuple(sources), tuple(gains), samples, entry, found)


def _check_priors(folder: Path, priors: Mapping[str, tuple[str | Path, str]]) -> None:
    """Refuse priors that their models do not have, or that are at different sample rates."""
    for where, source in priors.values():
        prior_entry(where, source)
    folders = dict.fromkeys([folder, *(where for where, _ in priors.values())])
    rates = {where: describe(where)["sample_rate"] for where in folders}
    if len(set(rates.values())) > 1:
        found = ", ".join(f"{rate} Hz ({where})" for where, rate in rates.items())
        raise InputError(f"the priors of one model must be at its own sample rate, got {found}")


def prior_entry(name: str | Path, source: str) -> Entry:
    """Return the entry of the prior of one source of a model.

    Raises:
        InputError: if the model has no such prior.
    """
    known = describe(name)["priors"]
    if not isinstance(source, str) or source not in known:
        raise InputError(f"model {str(name)!r} has priors for {', '.join(known) or 'no source'}, not for {source!r}")
    return known[source]
