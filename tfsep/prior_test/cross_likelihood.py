r"""Cross-likelihood: every prior on every source's held-out cuts, and on what is no source at all.

With s drawn from a source, :math:`E_s[\log p_k(s)] = -H(s) - \mathrm{KL}(s \| p_k)`: the entropy is the same for all
priors, so numbers are compared **down a source's column**, never along a prior's row, where a source of low entropy
wins whatever the prior. All values are log-densities in nats per dimension of the priors' domain, mean over the windows
of a cut; noise is drawn once per cut and shown to every prior.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfsep import metrics
from tfsep.evaluation.excerpts import BATCH, IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like
from tfsep.evaluation.prior_set import PriorSet

#: Standard deviations of white noise, the five levels of the study.
NOISE_LEVELS = (0.01, 0.027, 0.077, 0.129, 0.359)
SILENCE, REVERSED, SHIFTED = "silence", "time_reversed", "pitch_shifted"
#: By how many cents the pitch of an own source is shifted: half a semitone, between two keys.
CENTS = 50.0
_EDGES = 40

#: {row: (cut, prior) values}; a row is a source, or something that is none.
Table = dict[str, np.ndarray]
#: {row: what gives its batches of cuts, (batch, time) each, as often as it is asked}.
Rows = dict[str, Callable[[], Iterable[np.ndarray]]]


def source_rows(cuts: IsolatedExcerpts, sources: Sequence[str], num: int, split: str = "held_out") -> Rows:
    """One row of cuts for each source."""
    return {source: functools.partial(cuts.batches, source, num, split) for source in sources}


def out_of_distribution_rows(cuts: IsolatedExcerpts, sources: Sequence[str], num: int = BATCH) -> Rows:
    """Rows out of distribution: silence, white noise, and each source played backwards or between its pitches."""

    def silence() -> Iterator[np.ndarray]:
        yield np.zeros((num, cuts.length), np.float32)

    def noise(level: float) -> Iterator[np.ndarray]:
        yield level * noise_like(np.zeros((num, cuts.length), np.float32), cuts.seed, "noise")

    def backwards(source: str) -> Iterator[np.ndarray]:
        yield from (waves[:, ::-1] for waves in cuts.batches(source, num))

    rows: Rows = {SILENCE: silence}
    rows |= {f"noise_{level:g}": functools.partial(noise, level) for level in NOISE_LEVELS}
    for source in sources:
        rows[f"{REVERSED}/{source}"] = functools.partial(backwards, source)
        rows[f"{SHIFTED}/{source}"] = functools.partial(cuts.shifted, source, num, CENTS)
    return rows


def tables(
    tested: PriorSet,
    judges: Mapping[str, PriorScorer],
    rows: Rows,
    sigmas: Sequence[float | None],
    seed: int,
    value: Callable[[PriorScorer, np.ndarray, float | None], np.ndarray] | None = None,
) -> dict[float | None, Table]:
    """Score all rows under all priors at all noise levels, in one pass over the cuts.

    Args:
        tested: turns cuts into events.
        judges: the scorers, in the order of the prior axis.
        rows: what is scored.
        sigmas: standard deviations of the noise on the events; None is none.
        seed: of the noise.
        value: (scorer, noised events, sigma) -> (num,); None is the log-density in nats per dimension.

    Returns:
        {sigma: {row: (cut, prior)}}.
    """
    value = nats_per_dim if value is None else value
    found: dict[float | None, dict[str, list[np.ndarray]]] = {sigma: {row: [] for row in rows} for sigma in sigmas}
    for row, batches in rows.items():
        for part, waves in enumerate(batches()):
            events = tested.events(waves)
            noise = noise_like(events, seed, row, part)
            for sigma in sigmas:
                noised = events if sigma is None else events + sigma * noise
                values = np.stack([value(judge, noised, sigma) for judge in judges.values()], axis=1)
                found[sigma][row].append(values.reshape(len(waves), -1, values.shape[1]).mean(axis=1))
    return {sigma: {row: np.concatenate(parts) for row, parts in each.items()} for sigma, each in found.items()}


def nats_per_dim(judge: PriorScorer, events: np.ndarray, sigma: float | None) -> np.ndarray:
    """Log-density per dimension: (num,)."""
    return judge.log_prob(events, sigma) / judge.prior.dimensions


def means(table: Table, sources: Sequence[str], priors: Sequence[str]) -> dict[str, dict[str, float]]:
    """{prior: {source: mean}}: read it down, prior by prior, for one source."""
    return {name: {row: float(table[row][:, k].mean()) for row in sources} for k, name in enumerate(priors)}


def discrimination(table: Table, sources: Sequence[str]) -> dict[str, Any]:
    """How well the columns of a table (higher is more own) tell the sources apart.

    Returns:
        ``accuracy``, ``accuracy_per_source`` and ``confusion`` {source: {prior: count}} of the argmax; ``auroc``
        {prior: own cuts against all others'} and its mean, ``mean_auroc``.
    """
    scores = np.concatenate([table[source][:, : len(sources)] for source in sources])
    labels = np.repeat(np.arange(len(sources)), [len(table[source]) for source in sources])
    counts = metrics.confusion(scores, labels)
    areas = {source: metrics.auroc(scores[labels == k, k], scores[labels != k, k]) for k, source in enumerate(sources)}
    shares = metrics.accuracy_per_source(counts)
    return {
        "accuracy": metrics.accuracy(counts),
        "accuracy_per_source": dict(zip(sources, map(float, shares), strict=True)),
        "auroc": areas,
        "mean_auroc": float(np.mean(list(areas.values()))),
        "confusion": {source: dict(zip(sources, map(int, counts[k]), strict=True)) for k, source in enumerate(sources)},
    }


def strangeness(table: Table, sources: Sequence[str]) -> dict[str, Any]:
    """Means of the rows out of distribution under each prior, and how surely its own cuts score above them.

    Returns:
        {row: {prior: {"mean", "auroc"}}}; rows made of a source stand under that source's prior alone. ``auroc`` is
        the probability that a held-out cut of the prior's own source scores above one of the row.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row, values in table.items():
        kind, _, made_of = row.partition("/")
        for k, source in enumerate(sources):
            if row not in sources and made_of in ("", source):
                area = metrics.auroc(table[source][:, k], values[:, k])
                found.setdefault(kind, {})[source] = {"mean": float(values[:, k].mean()), "auroc": area}
    return found


def silence_is_likelier(table: Table, sources: Sequence[str]) -> list[str]:
    """The priors under which silence scores above the mean of their own source."""
    return [s for k, s in enumerate(sources) if table[SILENCE][:, k].mean() > table[s][:, k].mean()]


def histograms(table: Table, sources: Sequence[str], priors: Sequence[str]) -> dict[str, Any]:
    """Counts of each pair's values: {prior: {"edges": [...], "counts": {source: [...]}}}; one set of bins a prior."""
    found = {}
    for k, prior in enumerate(priors):
        values = {source: table[source][:, k] for source in sources}
        finite = np.concatenate([value[np.isfinite(value)] for value in values.values()])
        edges = np.histogram_bin_edges(finite, _EDGES)
        counts = {source: np.histogram(value, edges)[0].tolist() for source, value in values.items()}
        found[prior] = {"edges": edges.tolist(), "counts": counts}
    return found
