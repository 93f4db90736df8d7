"""Studies that a prior test does on demand, each by name, and each an entry of its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfsep.errors import InputError
from tfsep.evaluation.excerpts import IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer
from tfsep.evaluation.prior_set import PriorSet
from tfsep.models import store
from tfsep.prior_test import cross_likelihood, curvature, single_signals, without_log_det
from tfsep.prior_test.reference_classifier import Referee
from tfsep.separation.separator import Separator

_STEMS = 64


@dataclass(frozen=True)
class Subject:
    """What is studied.

    Attributes:
        tested: the priors.
        judges: their scorers.
        oracle: the ideal priors and their scorers, where there are any.
        cuts: the data.
        num: held-out cuts a source.
        sigma: the headline's noise level.
        model: where the separator of the same model is loaded from; None for none.
        small: held-out cuts a source for what takes many evaluations of each.
    """

    tested: PriorSet
    judges: Mapping[str, PriorScorer]
    oracle: tuple[PriorSet, Mapping[str, PriorScorer]] | None
    cuts: IsolatedExcerpts
    num: int
    sigma: float | None
    model: str | None = None
    small: int = 16


def published(subject: Subject) -> dict[str, Any]:
    """Cross-likelihoods without the log-determinant and with a quarter of it (published_reading.py); flows only."""
    flows = {name: judge for name, judge in subject.judges.items() if without_log_det.is_codec(judge)}
    tested = replace(subject.tested, priors={name: subject.tested.priors[name] for name in flows})
    rows = cross_likelihood.source_rows(subject.cuts, tested.sources, subject.num)
    sigma, seed = subject.sigma, subject.cuts.seed
    table = cross_likelihood.tables(tested, flows, rows, [sigma], seed)[sigma]
    readings = without_log_det.read(tested, flows, rows, table, sigma, seed)
    return {"sigma": sigma, "readings": readings}


def peaks(subject: Subject) -> dict[str, Any]:
    """Peakedness of the priors (peakedness.py), and of the ideal ones over waveforms."""
    found = {"priors": curvature.study(subject.tested, subject.judges, subject.cuts, subject.small)}
    if subject.oracle is not None and subject.tested.domain == "wave":
        found["ideal"] = curvature.study(*subject.oracle, subject.cuts, subject.small)
    return {**found, "curvature": {name: _by_sigma(rows) for name, rows in found.items()}}


def _by_sigma(rows: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    return [[sigma, value] for sigma, value in curvature.mean_curvatures(rows).items()]


def single(subject: Subject) -> dict[str, Any]:
    """SNR gains of denoising one signal with its own prior (single_signals.py)."""
    return {"rows": single_signals.table(subject.tested, subject.judges, subject.cuts, subject.small)}


def referee(subject: Subject) -> dict[str, Any]:
    """A classifier on held-out cuts and, where the model separates, on its stems of mixtures of those cuts."""
    names, cuts = subject.tested.sources, subject.cuts
    judge = Referee(cuts, names, min(subject.num, 256))
    table = judge.table(cross_likelihood.source_rows(cuts, names, subject.num))
    found: dict[str, Any] = {"cuts": cross_likelihood.discrimination(table, names)}
    if subject.model is not None and store.describe(subject.model)["posteriors"]:
        separator = Separator.load(subject.model)
        if set(names) <= set(separator.sources):
            found["posterior"] = separator.model.posterior.kind
            found["stems"] = judge.judge(separated(separator, cuts, min(subject.num, _STEMS)))
    return found


def separated(separator: Separator, cuts: IsolatedExcerpts, num: int) -> dict[str, np.ndarray]:
    """Sources {source: (mixture, time)}, before gains, found in mixtures of unpaired held-out cuts."""
    sources = np.stack([cuts.cuts(source, num) for source in separator.sources], axis=1)
    mixtures = np.einsum("bnt,n->bt", sources, separator.gains).astype(np.float32)
    stems = separator.separate_batch(mixtures, seed=cuts.seed)[0]
    gains = dict(zip(separator.sources, separator.gains, strict=True))
    return {name: stems[:, k] / gain for k, (name, gain) in enumerate(gains.items())}


STUDIES: dict[str, Callable[[Subject], dict[str, Any]]] = {
    "published": published,
    "peakedness": peaks,
    "single": single,
    "referee": referee,
}


def suited(wanted: Sequence[str], tested: PriorSet) -> tuple[str, ...]:
    """The studies to do for what was asked, "all" being those that the priors are suited to.

    Raises:
        InputError: for the published reading of priors that are not flows.
    """
    flows = sum(without_log_det.has_latents(prior) for prior in tested.priors.values())
    if "published" in wanted and flows < 2:
        raise InputError(f"the published reading needs at least two flows, {tested.name!r} has {flows}")
    if "all" in wanted:
        return tuple(name for name in STUDIES if name != "published" or flows >= 2)
    return tuple(dict.fromkeys(wanted))
