"""The prior test: can the priors of a model tell its sources apart, and how sharp are they?

One record of numbers: cross-likelihoods at several noise levels, rows out of distribution, Gibbs' bound, ways to read a
source off its priors, denoising errors, and the ideal prior where the data are the toy's grid. Priors that only have a
score take part in what needs a score and are named under ``without_density``; clean priors, which know no noise level,
in what needs a density, and are named under ``without_noise``.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfsep.errors import InputError
from tfsep.evaluation.excerpts import IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer, scorers, within
from tfsep.evaluation.prior_set import PriorSet, ideal
from tfsep.prior_test import cross_likelihood, denoising, detection_scores
from tfsep.prior_test import studies as prior_studies
from tfsep.prior_test.cross_likelihood import Table
from tfsep.prior_test.gibbs_bound import gibbs_rows

#: Noise levels of the cross-likelihoods: the study's five, and one at which flows are compared.
SIGMAS: tuple[float | None, ...] = (None, 0.01, 0.02, 0.027, 0.077, 0.129, 0.359)
HEADLINE_SIGMA = 0.02
_SCORE_SIGMAS = (0.03, 0.1, 0.3, 1.0)
_STRANGE, _SCORED = 32, 64
Report = Callable[[str], object]


def run(
    tested: PriorSet,
    cuts: IsolatedExcerpts,
    num: int,
    sigmas: Sequence[float | None] | None = None,
    with_ideal: bool = True,
    studies: Sequence[str] = (),
    model: str | None = None,
    report: Report = lambda stage: None,
    small: int = 16,
) -> dict[str, Any]:
    """Test the priors of a model.

    Args:
        tested: the priors.
        cuts: data with all of their sources.
        num: held-out cuts of each source.
        sigmas: noise levels, the first being that of the headline; None takes those of :data:`SIGMAS` that every prior
            knows, and the one nearest to 0.02 for the headline.
        with_ideal: set the ideal prior beside, where the data are the toy's grid; it takes longer than most priors do.
        studies: names of further studies (prior_studies.py), each an entry of the record.
        model: where the referee finds a separator.
        report: told what is under way.
        small: held-out cuts of each source for peakedness and single signals, which evaluate each many times.

    Returns:
        The record that bin/prior-test writes, in nats per dimension of the domain.

    Raises:
        InputError: for data that the priors are not about, or a noise level that one does not know.
    """
    began = time.monotonic()
    tested.check_data(cuts)
    judges = scorers(tested.priors)
    dense = _part(tested, [name for name, judge in judges.items() if judge.has_log_prob])
    noisy = _part(tested, [name for name, judge in judges.items() if judge.knows_noise])
    record = _about(tested, judges, cuts, num)
    levels, headline = noise_levels(judges, sigmas)
    record["sigma"], record["num_small"] = headline, small
    if dense is not None:
        record |= _with_density(dense, judges, cuts, num, levels, headline, report)
    if noisy is not None:
        report("scores over noise levels")
        record.setdefault("scores", {}).update(_with_score(noisy, judges, cuts, min(num, _SCORED)))
    if dense is None:
        record |= _headline_of_scores(record)
    oracle = ideal(tested) if with_ideal and cuts.name == "toy" and cuts.level is None else None
    ideal_judges = None if oracle is None else scorers(oracle.priors)
    if oracle is not None and ideal_judges is not None:
        report("ideal prior")
        record["ideal"] = _ideal(oracle, ideal_judges, cuts, num, headline)
    report("denoising")
    own = ideal_judges if tested.domain == "wave" else None
    record["denoising"] = denoising.table(tested, cuts, judges, own, min(num, 4 * _SCORED))
    pair = None if oracle is None or ideal_judges is None else (oracle, ideal_judges)
    subject = prior_studies.Subject(tested, judges, pair, cuts, num, headline, model, small)
    for study in studies:
        report(study)
        record[study] = prior_studies.STUDIES[study](subject)
    record["seconds"] = time.monotonic() - began
    return record


def _about(tested: PriorSet, judges: Mapping[str, PriorScorer], cuts: IsolatedExcerpts, num: int) -> dict[str, Any]:
    """What is tested on what."""
    return {
        "model": tested.name,
        "data": cuts.name,
        "seed": cuts.seed,
        "num_examples": num,
        "domain": tested.domain,
        "dimensions": next(iter(tested.priors.values())).dimensions,
        "cut_samples": cuts.length,
        "level": cuts.level,
        "kinds": {name: prior.kind for name, prior in tested.priors.items()},
        "without_density": [name for name, judge in judges.items() if not judge.has_log_prob],
        "without_noise": [name for name, judge in judges.items() if not judge.knows_noise],
    }


def noise_levels(
    judges: Mapping[str, PriorScorer], wanted: Sequence[float | None] | None
) -> tuple[list[float | None], float | None]:
    """The noise levels to test at, and the headline's.

    Raises:
        InputError: for a wanted level outside of a prior's range.
    """
    if wanted is None:
        levels = [s for s in SIGMAS if all(judge.covers(s) for judge in judges.values())]
        noisy = [s for s in levels if s is not None]
        nearest = min(noisy, key=lambda s: abs(math.log(s / HEADLINE_SIGMA)), default=None)
        return levels, nearest
    for name, judge in judges.items():
        for sigma in wanted:
            if not judge.covers(sigma):
                low, high = judge.prior.smallest_sigma, judge.prior.largest_sigma
                raise InputError(f"sigma must be in {low:g}..{high:g} for the prior of {name!r}, got {sigma:g}")
    return list(wanted), wanted[0]


def _part(tested: PriorSet, names: Sequence[str]) -> PriorSet | None:
    """Some of the priors, or None where they are too few to compare."""
    if len(names) < 2:
        return None
    return dataclasses.replace(tested, priors={name: tested.priors[name] for name in names})


def _with_density(
    tested: PriorSet,
    judges: Mapping[str, PriorScorer],
    cuts: IsolatedExcerpts,
    num: int,
    sigmas: Sequence[float | None],
    headline: float | None,
    report: Report,
) -> dict[str, Any]:
    """All that is read off log-densities."""
    judges = {name: judges[name] for name in tested.sources}
    names = tested.sources
    report("cross-likelihood")
    own = cross_likelihood.source_rows(cuts, names, num)
    found = cross_likelihood.tables(tested, judges, own, sigmas, cuts.seed)
    report("out of distribution")
    strange = cross_likelihood.out_of_distribution_rows(cuts, names, _STRANGE)
    table: Table = found[headline] | cross_likelihood.tables(tested, judges, strange, [headline], cuts.seed)[headline]
    by_sigma = [
        {
            "sigma": sigma,
            "log_prob": cross_likelihood.means(each, names, names),
            **cross_likelihood.discrimination(each, names),
        }
        for sigma, each in found.items()
    ]
    methods = detection_scores.with_density(tested, judges, cuts, own | strange, table, headline, num)
    report("gibbs bound")
    return {
        "method": "log_prob",
        "log_prob": cross_likelihood.means(table, names, names),
        **cross_likelihood.discrimination(table, names),
        "by_sigma": by_sigma,
        "out_of_distribution": cross_likelihood.strangeness(table, names),
        "silence_is_likelier": cross_likelihood.silence_is_likelier(table, names),
        "histograms": cross_likelihood.histograms(table, names, names),
        "gibbs_bound": {name: gibbs_rows(judge, _SCORED, cuts.seed) for name, judge in judges.items()},
        "scores": {method: detection_scores.summarise(values, names) for method, values in methods.items()},
    }


def _with_score(
    tested: PriorSet, judges: Mapping[str, PriorScorer], cuts: IsolatedExcerpts, num: int
) -> dict[str, Any]:
    """All that is read off scores."""
    judges = {name: judges[name] for name in tested.sources}
    sigmas = [sigma for sigma in _SCORE_SIGMAS if all(within(sigma, prior) for prior in tested.priors.values())]
    if not sigmas:
        return {}
    rows = dict(cross_likelihood.source_rows(cuts, tested.sources, num))
    silence = cross_likelihood.SILENCE
    rows[silence] = cross_likelihood.out_of_distribution_rows(cuts, (), _STRANGE)[silence]
    methods = detection_scores.with_score(tested, judges, cuts, rows, sigmas, num)
    return {method: detection_scores.summarise(values, tested.sources) for method, values in methods.items()}


def _headline_of_scores(record: Mapping[str, Any]) -> dict[str, Any]:
    """The headline of priors without densities: the denoising errors'."""
    method = "denoising_error"
    found = record.get("scores", {}).get(method, {})
    names = ("accuracy", "accuracy_per_source", "auroc", "mean_auroc", "confusion", "silence_is_likelier")
    return {"method": method, "log_prob": {}, "gibbs_bound": {}, **{name: found.get(name) for name in names}}


def _ideal(
    oracle: PriorSet, judges: Mapping[str, PriorScorer], cuts: IsolatedExcerpts, num: int, sigma: float | None
) -> dict[str, Any]:
    """The ideal priors on the same cuts, as waveforms."""
    rows = cross_likelihood.source_rows(cuts, oracle.sources, num)
    table = cross_likelihood.tables(oracle, judges, rows, [sigma], cuts.seed)[sigma]
    return {
        "domain": oracle.domain,
        "sigma": sigma,
        "log_prob": cross_likelihood.means(table, oracle.sources, oracle.sources),
        **cross_likelihood.discrimination(table, oracle.sources),
    }
