r"""Cross-likelihood: every prior on held-out excerpts of every source, and out of distribution.

With s drawn from a source, :math:`E_s[\log p_k(s)] = -H(s) - \mathrm{KL}(s \| p_k)`: the entropy is
the same for all priors, so numbers are compared **down a source's column**, never along a prior's
row, where a source of low entropy wins whatever the prior. All values are log-densities in nats per
dimension of the priors' domain, mean over the windows of an excerpt; noise is drawn once per
excerpt and shown to every prior.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from tfsep import metrics
from tfsep.evaluation.excerpts import BATCH, HELD_OUT, IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test.record import Discrimination, Histogram, MeanAndAuroc, Means

#: Standard deviations of white noise, the five levels of Frank (2020).
NOISE_LEVELS = (0.01, 0.027, 0.077, 0.129, 0.359)
SILENCE, REVERSED, SHIFTED = "silence", "time_reversed", "pitch_shifted"
#: By how many cents the pitch of a prior's own source is shifted: half a semitone, between two keys.
CENTS = 50.0
_EDGES = 40

#: {name: values (excerpt, prior)}; a name is that of a source, or of out-of-distribution inputs.
Table = dict[str, np.ndarray]
#: {name: what gives its batches of excerpts, (batch, time) each, as often as it is called}.
Inputs = dict[str, Callable[[], Iterable[np.ndarray]]]


def source_inputs(data: IsolatedExcerpts, sources: Sequence[str], num: int, split: str = HELD_OUT) -> Inputs:
    """Give ``num`` excerpts of each source."""
    return {source: functools.partial(data.batches, source, num, split) for source in sources}


def out_of_distribution_inputs(data: IsolatedExcerpts, sources: Sequence[str], num: int = BATCH) -> Inputs:
    """Give ``num`` excerpts each of silence, of white noise, and of each source backwards or between its pitches."""

    def silence() -> Iterator[np.ndarray]:
        yield np.zeros((num, data.length), np.float32)

    def noise(level: float) -> Iterator[np.ndarray]:
        yield level * noise_like(np.zeros((num, data.length), np.float32), data.seed, "noise")

    def backwards(source: str) -> Iterator[np.ndarray]:
        yield from (waves[:, ::-1] for waves in data.batches(source, num))

    inputs: Inputs = {SILENCE: silence}
    inputs |= {f"noise_{level:g}": functools.partial(noise, level) for level in NOISE_LEVELS}
    for source in sources:
        inputs[f"{REVERSED}/{source}"] = functools.partial(backwards, source)
        inputs[f"{SHIFTED}/{source}"] = functools.partial(data.shifted, source, num, CENTS)
    return inputs


def tables(
    tested: PriorSet,
    scorers: Mapping[str, PriorScorer],
    inputs: Inputs,
    sigmas: Sequence[float | None],
    seed: int,
    value: Callable[[PriorScorer, np.ndarray, float | None], np.ndarray] | None = None,
) -> dict[float | None, Table]:
    """Evaluate all priors on all inputs at all noise levels, in one pass over the excerpts.

    Args:
        tested: turns excerpts into events.
        scorers: in the order of the prior axis.
        inputs: what is evaluated.
        sigmas: standard deviations of the noise on the events; None is none.
        seed: of the noise.
        value: (scorer, noised events, sigma) -> (num,); None is the log-density in nats per
            dimension.

    Returns:
        {sigma: {name: (excerpt, prior)}}.
    """
    value = nats_per_dim if value is None else value
    found: dict[float | None, dict[str, list[np.ndarray]]] = {sigma: {name: [] for name in inputs} for sigma in sigmas}
    for name, batches in inputs.items():
        for part, waves in enumerate(batches()):
            events = tested.events(waves)
            noise = noise_like(events, seed, name, part)
            for sigma in sigmas:
                noised = events if sigma is None else events + sigma * noise
                values = np.stack([value(scorer, noised, sigma) for scorer in scorers.values()], axis=1)
                found[sigma][name].append(values.reshape(len(waves), -1, values.shape[1]).mean(axis=1))
    return {sigma: {name: np.concatenate(parts) for name, parts in each.items()} for sigma, each in found.items()}


def nats_per_dim(scorer: PriorScorer, events: np.ndarray, sigma: float | None) -> np.ndarray:
    """Compute the log-density per dimension: (num,)."""
    return scorer.log_prob(events, sigma) / scorer.prior.dimensions


def means(table: Table, sources: Sequence[str], priors: Sequence[str]) -> Means:
    """Average over excerpts: {prior: {source: mean}}, to be compared prior by prior for one source."""
    return {prior: {name: float(table[name][:, k].mean()) for name in sources} for k, prior in enumerate(priors)}


def discrimination(table: Table, sources: Sequence[str]) -> Discrimination:
    """Measure how well the columns of a table, higher meaning more own, discriminate the sources.

    Returns:
        ``accuracy``, ``accuracy_per_source`` and ``confusion`` {source: {prior: count}} of the
        argmax; ``auroc`` {prior: own excerpts against all others'} and its mean, ``mean_auroc``.
    """
    values = np.concatenate([table[source][:, : len(sources)] for source in sources])
    labels = np.repeat(np.arange(len(sources)), [len(table[source]) for source in sources])
    counts = metrics.confusion(values, labels)
    areas = {source: metrics.auroc(values[labels == k, k], values[labels != k, k]) for k, source in enumerate(sources)}
    shares = metrics.accuracy_per_source(counts)
    return {
        "accuracy": metrics.accuracy(counts),
        "accuracy_per_source": dict(zip(sources, map(float, shares), strict=True)),
        "auroc": areas,
        "mean_auroc": float(np.mean(list(areas.values()))),
        "confusion": {source: dict(zip(sources, map(int, counts[k]), strict=True)) for k, source in enumerate(sources)},
    }


def out_of_distribution(table: Table, sources: Sequence[str]) -> dict[str, dict[str, MeanAndAuroc]]:
    """Summarise out-of-distribution inputs under each prior.

    Returns:
        {input: {prior: {"mean", "auroc"}}}; inputs made of a source stand under that source's prior
        alone. ``auroc`` is the probability that a held-out excerpt of the prior's own source has a
        higher value than one of the input.
    """
    found: dict[str, dict[str, MeanAndAuroc]] = {}
    for name, values in table.items():
        kind, _, made_of = name.partition("/")
        for k, source in enumerate(sources):
            if name not in sources and made_of in ("", source):
                area = metrics.auroc(table[source][:, k], values[:, k])
                found.setdefault(kind, {})[source] = {"mean": float(values[:, k].mean()), "auroc": area}
    return found


def silence_is_likelier(table: Table, sources: Sequence[str]) -> list[str]:
    """List the priors under which silence has a higher mean than their own source."""
    return [s for k, s in enumerate(sources) if table[SILENCE][:, k].mean() > table[s][:, k].mean()]


def histograms(table: Table, sources: Sequence[str], priors: Sequence[str]) -> dict[str, Histogram]:
    """Count the values of each pair: {prior: edges and counts by source}, with one set of bins a prior."""
    found: dict[str, Histogram] = {}
    for k, prior in enumerate(priors):
        values = {source: table[source][:, k] for source in sources}
        finite = np.concatenate([value[np.isfinite(value)] for value in values.values()])
        edges = np.histogram_bin_edges(finite, _EDGES)
        counts = {source: np.histogram(value, edges)[0].tolist() for source, value in values.items()}
        found[prior] = {"edges": edges.tolist(), "counts": counts}
    return found
