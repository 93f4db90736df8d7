r"""Ways to read a source off its priors, each on the same cuts: what mends a likelihood that does not discriminate.

Every method turns cuts into one column per prior, higher meaning more own, for the sources and for rows that are none.

``log_prob``           the log-density itself.
``likelihood_ratio``   :math:`\log p_k - \log p_0` with p_0 a prior of all sources pooled, or, where the model has none,
                       the even mixture of its priors (Ren et al., 2019). The argmax cannot change, the AUROC can.
``ratio_with_silence`` the same with one class more below the line: an absent source, silence, whose noised density is
                       :math:`\mathcal{N}(x; x_{silence}, \sigma^2 I)`. No noised density exceeds its peak, so that
                       silence, however likely a prior finds it, is an absent source rather than its own.
``input_complexity``   :math:`\log p_k + L(x)` with L the zlib code length of the 8-bit waveform (Serra et al., 2020).
                       Again the argmax cannot change.
``typicality``         :math:`-|\log p_k(x) + \hat H_k|` with :math:`\hat H_k` the mean code length of training cuts
                       (Nalisnick et al., 2019).
``loudness``           the log-density of cuts brought to one loudness, the training cuts' mean.
``denoising_error``    minus :math:`\|D_k(x + \sigma\epsilon, \sigma) - x\|^2 / \sigma^2 D`, mean over noise levels: the
                       evidence bound of a diffusion classifier (Li et al., 2023); needs a score only.
``score_norms``        the log of :math:`\sigma^2 \|\nabla \log p_k\|^2 / D` at several noise levels (Mahmood et al.,
                       2021), then a logistic regression on training cuts with their labels; needs a score only.

Densities are in nats per dimension. The noise on events is that of cross_likelihood.py.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import logsumexp

from tfsep.evaluation.excerpts import TRAINING, IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test import cross_likelihood
from tfsep.prior_test.cross_likelihood import Rows, Table
from tfsep.prior_test.logistic import LogisticRegression

_SMALLEST_NORM = 1e-12


def likelihood_ratio(table: Table, dimensions: int, silence: Table | None = None) -> Table:
    """Log-density less that of the even mixture of all priors, in nats per dimension: every row (cut, prior).

    Args:
        table: log-densities in nats per dimension.
        dimensions: of an event.
        silence: those of an absent source, one column, as one class more of the mixture; None leaves it out.
    """
    found = {}
    for row, values in table.items():
        classes = values if silence is None else np.concatenate([values, silence[row]], axis=1)
        mixture = logsumexp(classes * dimensions, axis=1, keepdims=True) - np.log(classes.shape[1])
        found[row] = values - mixture / dimensions
    return found


def absent(tested: PriorSet, judges: Mapping[str, PriorScorer], rows: Rows, sigma: float, seed: int) -> Table:
    """Log-density per dimension of an absent source, silence with noise of level sigma, on noised rows: (cut, 1)."""
    silence = tested.events(np.zeros((1, tested.length), np.float32))[:1]

    def value(judge: PriorScorer, events: np.ndarray, _: float | None) -> np.ndarray:
        del judge
        distance = np.mean((events - silence) ** 2, axis=tuple(range(1, events.ndim)))
        return -0.5 * distance / sigma**2 - np.log(sigma) - 0.5 * math.log(math.tau)

    one = dict(list(judges.items())[:1])
    return cross_likelihood.tables(tested, one, rows, [sigma], seed, value)[sigma]


def code_length(waves: np.ndarray) -> np.ndarray:
    """Nats per sample that zlib needs for the waveform in 8-bit steps of full scale: (batch, time) -> (batch,)."""
    steps = np.clip(np.round(waves * 127.0), -128, 127).astype(np.int8)
    return np.array([8.0 * np.log(2.0) * len(zlib.compress(wave.tobytes(), 9)) / wave.size for wave in steps])


def input_complexity(table: Table, rows: Rows, event_samples: float) -> Table:
    """Log-density plus the code length; ``event_samples`` is the samples of a waveform per dimension of its event."""
    found = {}
    for row, values in table.items():
        lengths = np.concatenate([code_length(waves) for waves in rows[row]()])
        found[row] = values + event_samples * lengths[:, np.newaxis]
    return found


def typicality(table: Table, calibration: Table, sources: Sequence[str]) -> Table:
    """Minus the distance of the log-density from its mean on the own source's training cuts."""
    typical = np.array([calibration[source][:, k].mean() for k, source in enumerate(sources)])
    return {row: -np.abs(values - typical) for row, values in table.items()}


def over_noise_levels(
    tested: PriorSet, judges: Mapping[str, PriorScorer], rows: Rows, sigmas: Sequence[float], seed: int
) -> tuple[Table, Table]:
    r"""What the denoisers do to noised cuts.

    Returns:
        Relative square errors :math:`\|D - x\|^2 / \sigma^2 D`, their mean over noise levels: {row: (cut, prior)}; and
        logs of score norms :math:`\|D - y\|^2 / \sigma^2 D`, all levels behind each other: {row: (cut, level * prior)}.
    """
    errors: dict[str, list[np.ndarray]] = {row: [] for row in rows}
    norms: dict[str, list[np.ndarray]] = {row: [] for row in rows}
    for row, batches in rows.items():
        for part, waves in enumerate(batches()):
            events = tested.events(waves)
            noise = noise_like(events, seed, row, part)
            each = [_reaction(judge, events, noise, sigma) for sigma in sigmas for judge in judges.values()]
            shape = (2, len(waves), -1, len(sigmas), len(judges))
            error, norm = np.moveaxis(np.array(each), 0, -1).reshape(shape).mean(axis=2)
            errors[row].append(error.mean(axis=1))
            norms[row].append(np.log(norm.reshape(len(waves), -1) + _SMALLEST_NORM))
    return _joined(errors), _joined(norms)


def _joined(parts: Mapping[str, Sequence[np.ndarray]]) -> Table:
    return {row: np.concatenate(each) for row, each in parts.items()}


def _reaction(judge: PriorScorer, events: np.ndarray, noise: np.ndarray, sigma: float) -> np.ndarray:
    """Relative square error and score norm of a denoiser: (2, num)."""
    noised = events + sigma * noise
    denoised = judge.denoise(noised, sigma)
    axes = tuple(range(1, events.ndim))
    return np.stack([np.mean((denoised - wanted) ** 2, axis=axes) for wanted in (events, noised)]) / sigma**2


def classified(features: Table, training: Table, sources: Sequence[str]) -> Table:
    """Class log-probabilities of a logistic regression on features, fitted to the sources' training cuts."""
    labels = np.repeat(np.arange(len(sources)), [len(training[source]) for source in sources])
    model = LogisticRegression(np.concatenate([training[s] for s in sources]), labels, len(sources))
    return {row: model.log_prob(values) for row, values in features.items()}


def summarise(table: Table, sources: Sequence[str]) -> dict[str, Any]:
    """Accuracy and AUROC of a method, and the priors under which silence scores above the own source."""
    found = cross_likelihood.discrimination(table, sources)
    found["silence_is_likelier"] = cross_likelihood.silence_is_likelier(table, sources)
    return found


def with_density(
    tested: PriorSet,
    judges: Mapping[str, PriorScorer],
    cuts: IsolatedExcerpts,
    rows: Rows,
    table: Table,
    sigma: float | None,
    num: int,
) -> dict[str, Table]:
    """The methods that need densities, at one noise level, from the table of log-densities there."""
    dimensions = next(iter(judges.values())).prior.dimensions
    training = cross_likelihood.source_rows(cuts, tested.sources, num, TRAINING)
    calibration = cross_likelihood.tables(tested, judges, training, [sigma], cuts.seed + 1)[sigma]
    even = cross_likelihood.source_rows(replace(cuts, level=cuts.mean_level(num)), tested.sources, num)
    levelled = cross_likelihood.tables(tested, judges, even, [sigma], cuts.seed)[sigma]
    found = {
        "log_prob": table,
        "likelihood_ratio": likelihood_ratio(table, dimensions),
        "input_complexity": input_complexity(table, rows, tested.length / dimensions),
        "typicality": typicality(table, calibration, tested.sources),
        "loudness": {**table, **levelled},
    }
    if sigma is not None:
        silence = absent(tested, judges, rows, sigma, cuts.seed)
        found["ratio_with_silence"] = likelihood_ratio(table, dimensions, silence)
    if tested.background is not None and tested.background.has_log_prob:
        pooled = {"background": PriorScorer("background", tested.background)}
        background = cross_likelihood.tables(tested, pooled, rows, [sigma], cuts.seed)[sigma]
        found["ratio_with_background"] = {row: values - background[row] for row, values in table.items()}
    return found


def with_score(
    tested: PriorSet,
    judges: Mapping[str, PriorScorer],
    cuts: IsolatedExcerpts,
    rows: Rows,
    sigmas: Sequence[float],
    num: int,
) -> dict[str, Table]:
    """The methods that need scores only, over several noise levels."""
    training = cross_likelihood.source_rows(cuts, tested.sources, num, TRAINING)
    errors, norms = over_noise_levels(tested, judges, rows, sigmas, cuts.seed)
    known = over_noise_levels(tested, judges, training, sigmas, cuts.seed + 1)[1]
    return {
        "denoising_error": {row: -values for row, values in errors.items()},
        "score_norms": classified(norms, known, tested.sources),
    }
