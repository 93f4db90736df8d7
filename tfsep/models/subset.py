r"""A model of fewer sources: for mixtures in which some of those that it knows are absent for certain.

What a mixture does not have cannot be taken for anything in it. A sampler over priors loses the prior of an absent
source, and the others sum to the mixture without it. A learned posterior loses its network: the masks that are left,
:math:`\mathrm{softmax}_k(l_k)` over the sources that are there, share what went to it in proportion to themselves.
Gains that were the mean of all sources are the mean of those left; others stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfsep.errors import InputError
from tfsep.posteriors.amortised import Amortised
from tfsep.posteriors.registry import LEARNED

PRESENT = "present"


def mean_gains(gains: Sequence[float]) -> bool:
    """Whether a mixture with these gains is the mean of its sources."""
    return len(set(gains)) == 1 and abs(sum(gains) - 1.0) < 1e-6


def without_sources(description: Mapping[str, Any], absent: Sequence[str]) -> dict[str, Any]:
    """The description of a model (description.py) as if it had never had some of its sources.

    Learned posteriors are told by an entry ``present`` how many sources they were trained for and which of those stay.

    Args:
        description: the contents of its ``model.json``.
        absent: names of sources.

    Raises:
        InputError: for a source that the model does not have, or where less than two stay.
    """
    sources: list[str] = list(description["sources"])
    unknown = [name for name in absent if name not in sources]
    if unknown:
        raise InputError(f"only sources of the model can be left out ({', '.join(sources)}), got {unknown[0]!r}")
    places = [place for place, name in enumerate(sources) if name not in absent]
    if len(places) < min(2, len(sources)):
        raise InputError(f"two sources at least must stay to be told apart, got without {', '.join(absent)}")
    gains: list[float] = list(description["gains"])
    kept = [1.0 / len(places)] * len(places) if mean_gains(gains) else [gains[place] for place in places]
    posteriors = [_reduced(entry, len(sources), places) for entry in description["posteriors"]]
    names = [sources[place] for place in places]
    return {**description, "sources": names, "gains": kept, "posteriors": posteriors}


def _reduced(entry: Mapping[str, Any], num_sources: int, places: Sequence[int]) -> dict[str, Any]:
    if entry["kind"] not in LEARNED or len(places) == num_sources:
        return dict(entry)
    fitted = {"temperature": [entry["temperature"][k] for k in places]} if entry.get("temperature") else {}
    return {**entry, **fitted, PRESENT: {"num_sources": num_sources, "places": list(places)}}


def load_reduced(
    present: Mapping[str, Any], arguments: Mapping[str, Any], build: Callable[..., Any], load: Callable[[Any], None]
) -> Amortised:
    """A learned posterior of the sources that stay, with the networks that were trained for them.

    Args:
        present: what :func:`without_sources` wrote into the entry.
        arguments: of the posterior of the sources that stay.
        build: makes a posterior.
        load: reads the stored weights into one of all sources.

    Raises:
        InputError: for a waveform stage, one network for all sources at once.
    """
    if arguments.get("refine") is not None:
        raise InputError("no source can be left out of a posterior with a waveform stage, which hears all at once")
    everyone = {"num_sources": present["num_sources"], "gains": None, "temperature": None}
    whole: Amortised = build(**{**arguments, **everyone})
    load(whole)
    kept: Amortised = build(**arguments)
    for place, trained in enumerate(present["places"]):
        kept.networks[place].set_weights(whole.networks[trained].get_weights())
        if whole.flows:
            kept.flows[place].set_weights(whole.flows[trained].get_weights())
    return kept
