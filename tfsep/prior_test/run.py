"""The prior test: can the priors of a model discriminate its sources, and how sharp are they?

One record of numbers: cross-likelihoods at several noise levels, out-of-distribution inputs, Gibbs'
bound, the heat equation, detection scores, denoising errors, and the ideal prior where the data are
the toy's grid; further studies on demand. Priors that only have a score take part in what needs a score and are
named under ``without_density``; clean priors, which have no noise level, in what needs a density,
and are named under ``without_noise``.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfsep.errors import InputError
from tfsep.evaluation.excerpts import IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer, covered, scorers_of
from tfsep.evaluation.prior_set import PriorSet, ideal
from tfsep.models import store
from tfsep.prior_test import (
    cross_likelihood,
    curvature,
    denoising,
    detection_scores,
    heat_equation,
    single_signals,
    without_log_det,
)
from tfsep.prior_test.cross_likelihood import SILENCE, Table
from tfsep.prior_test.gibbs_bound import gibbs_rows
from tfsep.prior_test.record import (
    STUDIES,
    CurvatureStudy,
    DetectionScore,
    IdealCrossLikelihood,
    Record,
    ReferenceClassifierStudy,
    WithoutLogDet,
)
from tfsep.prior_test.reference_classifier import ReferenceClassifier
from tfsep.separation.separator import Separator

#: Noise levels of the cross-likelihoods: those of Frank (2020), and one at which flows are compared.
SIGMAS: tuple[float | None, ...] = (None, 0.01, 0.02, 0.027, 0.077, 0.129, 0.359)
HEADLINE_SIGMA = 0.02
_SCORE_SIGMAS = (0.03, 0.1, 0.3, 1.0)
_OUT_OF_DISTRIBUTION, _SCORED, _CLASSIFIED, _STEMS, _HEATED = 32, 64, 256, 64, 4
Report = Callable[[str], object]


@dataclass(frozen=True)
class PriorTestSettings:
    """How priors are tested.

    Attributes:
        num_examples: held-out excerpts of each source.
        num_small: held-out excerpts of each source for curvature and single signals, which evaluate
            each many times.
        num_probes: directions in which each event of the heat equation is probed, at least 2; 0
            leaves it out.
        sigmas: noise levels, the first being that of the headline; None takes those of
            :data:`SIGMAS` that every prior supports, and the one nearest to 0.02 for the headline.
        with_ideal: test the ideal prior too, where the data are the toy's grid; it takes longer
            than most priors do.
        studies: those of :data:`~tfsep.prior_test.record.STUDIES` to do, each an entry of the
            record.
        model: from which the study ``reference_classifier`` loads a separator; None for none.
    """

    num_examples: int = 256
    num_small: int = 16
    num_probes: int = 4
    sigmas: Sequence[float | None] | None = None
    with_ideal: bool = True
    studies: Sequence[str] = ()
    model: str | None = None


@dataclass(frozen=True)
class Subject:
    """What is tested.

    Attributes:
        tested: the priors.
        scorers: their scorers.
        data: excerpts of all of their sources.
        sigma: the headline's noise level.
        settings: of the test.
        ideal: the ideal priors and their scorers, where there are any.
    """

    tested: PriorSet
    scorers: Mapping[str, PriorScorer]
    data: IsolatedExcerpts
    sigma: float | None
    settings: PriorTestSettings
    ideal: tuple[PriorSet, Mapping[str, PriorScorer]] | None = None

    def part(self, names: Sequence[str]) -> Subject | None:
        """Keep some of the priors; None where they are too few to compare."""
        if len(names) < 2:
            return None
        priors = {name: self.tested.priors[name] for name in names}
        scorers = {name: self.scorers[name] for name in names}
        return dataclasses.replace(self, tested=dataclasses.replace(self.tested, priors=priors), scorers=scorers)


def run(
    tested: PriorSet,
    data: IsolatedExcerpts,
    settings: PriorTestSettings | None = None,
    report: Report = lambda part: None,
) -> Record:
    """Test the priors of a model.

    Args:
        tested: the priors.
        data: excerpts of all of their sources.
        settings: of the test.
        report: called with the name of each part as it begins.

    Returns:
        The record that bin/prior-test writes, in nats per dimension of the domain.

    Raises:
        InputError: for data that the priors are not about, or a noise level that one lacks.
    """
    began = time.monotonic()
    settings = settings or PriorTestSettings()
    tested.check_data(data)
    scorers = scorers_of(tested.priors)
    levels, headline = noise_levels(scorers, settings.sigmas)
    subject = Subject(tested, scorers, data, headline, settings)
    record = _about(subject)
    dense = subject.part([name for name, scorer in scorers.items() if scorer.has_log_prob])
    noisy = subject.part([name for name, scorer in scorers.items() if scorer.knows_noise])
    if dense is not None:
        record |= _with_density(dense, levels, report)
    if noisy is not None:
        report("scores over noise levels")
        record["scores"] = {**record.get("scores", {}), **_from_scores(noisy)}
    if dense is None:
        record |= _headline_of_scores(record.get("scores", {}))
    if settings.num_probes:
        report("heat equation")
        size = (min(settings.num_small, _HEATED), settings.num_probes)
        record["heat_residual"], record["heat_equation"] = heat_equation.study(tested, scorers, data, *size)
    if settings.with_ideal and data.name == "toy" and data.level is None:
        report("ideal prior")
        best = ideal(tested)
        subject = dataclasses.replace(subject, ideal=(best, scorers_of(best.priors)))
        record["ideal"] = _ideal(best, subject)
    report("denoising")
    own = subject.ideal[1] if subject.ideal is not None and tested.domain == "wave" else None
    record["denoising"] = denoising.table(tested, data, scorers, own, min(settings.num_examples, 4 * _SCORED))
    for study in settings.studies:
        report(study)
        record |= _study(study, subject)
    record["seconds"] = time.monotonic() - began
    return record


def _about(subject: Subject) -> Record:
    """Describe what is tested on what."""
    tested, data, scorers = subject.tested, subject.data, subject.scorers
    return {
        "model": tested.name,
        "data": data.name,
        "seed": data.seed,
        "num_examples": subject.settings.num_examples,
        "domain": tested.domain,
        "dimensions": next(iter(tested.priors.values())).dimensions,
        "excerpt_samples": data.length,
        "level": data.level,
        "kinds": {name: prior.kind for name, prior in tested.priors.items()},
        "without_density": [name for name, scorer in scorers.items() if not scorer.has_log_prob],
        "without_noise": [name for name, scorer in scorers.items() if not scorer.knows_noise],
        "sigma": subject.sigma,
        "num_small": subject.settings.num_small,
    }


def noise_levels(
    scorers: Mapping[str, PriorScorer], wanted: Sequence[float | None] | None
) -> tuple[list[float | None], float | None]:
    """Choose the noise levels to test at, and the headline's.

    Raises:
        InputError: for a wanted level outside of a prior's range.
    """
    if wanted is None:
        levels = [s for s in SIGMAS if all(scorer.covers(s) for scorer in scorers.values())]
        noisy = [s for s in levels if s is not None]
        nearest = min(noisy, key=lambda s: abs(math.log(s / HEADLINE_SIGMA)), default=None)
        return levels, nearest
    for name, scorer in scorers.items():
        for sigma in wanted:
            if not scorer.covers(sigma):
                low, high = scorer.prior.smallest_sigma, scorer.prior.largest_sigma
                raise InputError(f"sigma must be in {low:g}..{high:g} for the prior of {name!r}, got {sigma:g}")
    return list(wanted), wanted[0]


def _with_density(subject: Subject, sigmas: Sequence[float | None], report: Report) -> Record:
    """Measure all that needs log-densities."""
    tested, scorers, data, headline = subject.tested, subject.scorers, subject.data, subject.sigma
    names, num = tested.sources, subject.settings.num_examples
    report("cross-likelihood")
    own = cross_likelihood.source_inputs(data, names, num)
    found = cross_likelihood.tables(tested, scorers, own, sigmas, data.seed)
    report("out of distribution")
    others = cross_likelihood.out_of_distribution_inputs(data, names, _OUT_OF_DISTRIBUTION)
    table: Table = found[headline] | cross_likelihood.tables(tested, scorers, others, [headline], data.seed)[headline]
    scores = detection_scores.from_density(tested, scorers, data, own | others, table, headline, num)
    report("gibbs bound")
    return {
        "method": "log_prob",
        "log_prob": cross_likelihood.means(table, names, names),
        **cross_likelihood.discrimination(table, names),
        "by_sigma": [
            {
                "sigma": sigma,
                "log_prob": cross_likelihood.means(each, names, names),
                **cross_likelihood.discrimination(each, names),
            }
            for sigma, each in found.items()
        ],
        "out_of_distribution": cross_likelihood.out_of_distribution(table, names),
        "silence_is_likelier": cross_likelihood.silence_is_likelier(table, names),
        "histograms": cross_likelihood.histograms(table, names, names),
        "gibbs_bound": {name: gibbs_rows(scorer, _SCORED, data.seed) for name, scorer in scorers.items()},
        "scores": {name: detection_scores.summarise(values, names) for name, values in scores.items()},
    }


def _from_scores(subject: Subject) -> dict[str, DetectionScore]:
    """Measure the detection scores that need only scores of the priors."""
    tested, data, num = subject.tested, subject.data, min(subject.settings.num_examples, _SCORED)
    sigmas = [sigma for sigma in _SCORE_SIGMAS if all(covered(sigma, prior) for prior in tested.priors.values())]
    if not sigmas:
        return {}
    inputs = cross_likelihood.source_inputs(data, tested.sources, num)
    inputs[SILENCE] = cross_likelihood.out_of_distribution_inputs(data, (), _OUT_OF_DISTRIBUTION)[SILENCE]
    scores = detection_scores.from_score(tested, subject.scorers, data, inputs, sigmas, num)
    return {name: detection_scores.summarise(values, tested.sources) for name, values in scores.items()}


def _headline_of_scores(scores: Mapping[str, DetectionScore]) -> Record:
    """Give priors without densities the denoising errors' figures as their headline."""
    method = "denoising_error"
    record: Record = {"method": method, "log_prob": {}, "gibbs_bound": {}}
    if method in scores:
        return {**record, **scores[method]}
    missing: Record = {
        "accuracy": None,
        "accuracy_per_source": None,
        "auroc": None,
        "mean_auroc": None,
        "confusion": None,
        "silence_is_likelier": None,
    }
    return {**record, **missing}


def _ideal(best: PriorSet, subject: Subject) -> IdealCrossLikelihood:
    """Test the ideal priors on the same excerpts, as waveforms, at the headline's noise level."""
    assert subject.ideal is not None
    data, sigma = subject.data, subject.sigma
    inputs = cross_likelihood.source_inputs(data, best.sources, subject.settings.num_examples)
    table = cross_likelihood.tables(best, subject.ideal[1], inputs, [sigma], data.seed)[sigma]
    return {
        "domain": best.domain,
        "sigma": sigma,
        "log_prob": cross_likelihood.means(table, best.sources, best.sources),
        **cross_likelihood.discrimination(table, best.sources),
    }


def suited(wanted: Sequence[str], tested: PriorSet) -> tuple[str, ...]:
    """Choose the studies to do for what was asked, "all" being those that the priors are suited to.

    Raises:
        InputError: for cross-likelihoods without log-determinant of priors that are not flows.
    """
    flows = sum(without_log_det.has_latents(prior) for prior in tested.priors.values())
    if "without_log_det" in wanted and flows < 2:
        raise InputError(f"the study without_log_det needs at least two flows, {tested.name!r} has {flows}")
    if "all" in wanted:
        return tuple(name for name in STUDIES if name != "without_log_det" or flows >= 2)
    return tuple(dict.fromkeys(wanted))


def _study(name: str, subject: Subject) -> Record:
    """Do one of :data:`~tfsep.prior_test.record.STUDIES`."""
    if name == "without_log_det":
        return {"without_log_det": study_without_log_det(subject)}
    if name == "curvature":
        return {"curvature": study_curvature(subject)}
    if name == "single":
        rows = single_signals.table(subject.tested, subject.scorers, subject.data, subject.settings.num_small)
        return {"single": {"rows": rows}}
    if name == "reference_classifier":
        return {"reference_classifier": study_reference_classifier(subject)}
    raise InputError(f"a study must be one of {', '.join(STUDIES)}, got {name!r}")


def study_without_log_det(subject: Subject) -> WithoutLogDet:
    """Compare cross-likelihoods without the log-determinant, with a quarter of it and with all; flows only."""
    flows = subject.part([name for name, scorer in subject.scorers.items() if without_log_det.is_codec(scorer)])
    if flows is None:
        raise InputError(f"the study without_log_det needs at least two flows in {subject.tested.name!r}")
    tested, scorers, sigma, seed = flows.tested, flows.scorers, flows.sigma, flows.data.seed
    inputs = cross_likelihood.source_inputs(flows.data, tested.sources, flows.settings.num_examples)
    table = cross_likelihood.tables(tested, scorers, inputs, [sigma], seed)[sigma]
    return {"sigma": sigma, "by_weight": without_log_det.by_weight(tested, scorers, inputs, table, sigma, seed)}


def study_curvature(subject: Subject) -> CurvatureStudy:
    """Measure the curvature of the priors, and of the ideal ones over waveforms."""
    data, num = subject.data, subject.settings.num_small
    rows = {"priors": curvature.study(subject.tested, subject.scorers, data, num)}
    if subject.ideal is not None and subject.tested.domain == "wave":
        rows["ideal"] = curvature.study(*subject.ideal, data, num)
    found: CurvatureStudy = {"priors": rows["priors"]}
    if "ideal" in rows:
        found["ideal"] = rows["ideal"]
    found["mean_curvature"] = {name: curvature.mean_curvatures(each) for name, each in rows.items()}
    return found


def study_reference_classifier(subject: Subject) -> ReferenceClassifierStudy:
    """Classify held-out excerpts and, where the model separates, its stems of mixtures of those excerpts."""
    names, data, num = subject.tested.sources, subject.data, subject.settings.num_examples
    classifier = ReferenceClassifier(data, names, min(num, _CLASSIFIED))
    table = classifier.table(cross_likelihood.source_inputs(data, names, num))
    found: ReferenceClassifierStudy = {"excerpts": cross_likelihood.discrimination(table, names)}
    model = subject.settings.model
    if model is not None and store.describe(model)["posteriors"]:
        separator = Separator.load(model)
        if set(names) <= set(separator.sources):
            found["posterior"] = separator.model.posterior.kind
            found["stems"] = classifier.classify_stems(separated(separator, data, min(num, _STEMS)))
    return found


def separated(separator: Separator, data: IsolatedExcerpts, num: int) -> dict[str, np.ndarray]:
    """Separate mixtures of unpaired held-out excerpts; returns {source: (mixture, time)}, before gains."""
    sources = np.stack([data.excerpts(source, num) for source in separator.sources], axis=1)
    mixtures = np.einsum("bnt,n->bt", sources, separator.gains).astype(np.float32)
    stems = separator.separate_batch(mixtures, seed=[(data.seed + k) % 2**31 for k in range(num)])[0]
    gains = dict(zip(separator.sources, separator.gains, strict=True))
    return {name: stems[:, k] / gain for k, (name, gain) in enumerate(gains.items())}
