r"""A model of a subset of its sources, for mixtures in which the others are absent for certain.

A sampler over priors loses the prior of an absent source, and the others sum to the mixture without
it. A learned posterior loses its network: the masks that are left, :math:`\mathrm{softmax}_k(l_k)`
over the sources of the subset, share its part of the mixture in proportion to themselves. Gains
that were the mean of all sources are the mean of the subset; others stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfsep.errors import InputError
from tfsep.models.schema import SOURCE_SUBSET, Entry, ModelDescription, SourceSubset
from tfsep.posteriors.kinds import LEARNED

if TYPE_CHECKING:
    from tfsep.posteriors.amortised import Amortised


def mean_gains(gains: Sequence[float]) -> bool:
    """Tell whether a mixture with these gains is the mean of its sources."""
    return len(set(gains)) == 1 and abs(sum(gains) - 1.0) < 1e-6


def without_sources(description: ModelDescription, absent: Sequence[str]) -> ModelDescription:
    """Return the description of a model as if it had never had some of its sources.

    The entry of a learned posterior gets a :class:`tfsep.models.schema.SourceSubset`.

    Args:
        description: the contents of its ``model.json``.
        absent: names of sources.

    Raises:
        InputError: for a source that the model does not have, or where less than two stay.
    """
    sources = description["sources"]
    unknown = [name for name in absent if name not in sources]
    if unknown:
        raise InputError(f"only sources of the model can be left out ({', '.join(sources)}), got {unknown[0]!r}")
    indices = [index for index, name in enumerate(sources) if name not in absent]
    if len(indices) < min(2, len(sources)):
        raise InputError(f"two sources at least must stay to be separated, got without {', '.join(absent)}")
    gains = description["gains"]
    kept = [1.0 / len(indices)] * len(indices) if mean_gains(gains) else [gains[index] for index in indices]
    posteriors = [_reduced(entry, len(sources), indices) for entry in description["posteriors"]]
    names = [sources[index] for index in indices]
    return {**description, "sources": names, "gains": kept, "posteriors": posteriors}


def _reduced(entry: Entry, num_sources: int, indices: list[int]) -> Entry:
    """Return the entry of a posterior with only the sources at ``indices``."""
    if entry["kind"] not in LEARNED or len(indices) == num_sources:
        return dict(entry)
    fitted = {"temperature": [entry["temperature"][k] for k in indices]} if entry.get("temperature") else {}
    subset: SourceSubset = {"num_sources": num_sources, "indices": indices}
    return {**entry, **fitted, SOURCE_SUBSET: subset}


def load_subset(
    subset: SourceSubset,
    arguments: Mapping[str, Any],
    build: Callable[..., Any],
    load: Callable[[Amortised], None],
) -> Amortised:
    """Build a learned posterior of the sources that stay, with the networks that were trained for them.

    Args:
        subset: what :func:`without_sources` wrote into the entry.
        arguments: of the posterior of the sources that stay.
        build: makes a posterior.
        load: reads the stored weights into one of all sources.

    Raises:
        InputError: for a waveform refinement, which is one network for all sources.
    """
    if arguments.get("refine") is not None:
        rule = "no source can be left out of a posterior with a waveform refinement"
        raise InputError(f"{rule}, whose input is all of them")
    all_sources = {"num_sources": subset["num_sources"], "gains": None, "temperature": None}
    whole: Amortised = build(**{**arguments, **all_sources})
    load(whole)
    kept: Amortised = build(**arguments)
    for index, trained in enumerate(subset["indices"]):
        kept.networks[index].set_weights(whole.networks[trained].get_weights())
        if whole.flows:
            kept.flows[index].set_weights(whole.flows[trained].get_weights())
    return kept
