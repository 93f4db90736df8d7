r"""Detection scores: numbers that say how surely an excerpt is of a prior's source, read off the same densities.

Each turns excerpts into one column per prior, higher meaning more own, for the sources and for
out-of-distribution inputs. Those after the log-density are what the literature proposes where a
likelihood alone does not discriminate.

``log_prob``           the log-density itself.
``likelihood_ratio``   :math:`\log p_k - \log p_0` with p_0 a prior of all sources pooled, or, where
                       the model has none, the even mixture of its priors (Ren et al., 2019). The
                       argmax cannot change, the AUROC can.
``ratio_with_silence`` the same with one class more in the denominator: an absent source, silence,
                       whose noised density is :math:`\mathcal{N}(x; x_{silence}, \sigma^2 I)`. No
                       noised density exceeds its peak, so that silence, however likely under a
                       prior, is an absent source rather than its own.
``input_complexity``   :math:`\log p_k + L(x)` with L the zlib code length of the 8-bit waveform
                       (Serra et al., 2020). Again the argmax cannot change.
``typicality``         :math:`-|\log p_k(x) + \hat H_k|` with :math:`\hat H_k` the mean code length
                       of training excerpts (Nalisnick et al., 2019).
``loudness``           the log-density of excerpts brought to one RMS level, the mean of training
                       excerpts.
``denoising_error``    minus :math:`\|D_k(x + \sigma\epsilon, \sigma) - x\|^2 / \sigma^2 D`, mean over
                       noise levels: the evidence bound of a diffusion classifier (Li et al., 2023);
                       needs a score only.
``score_norms``        the log of :math:`\sigma^2 \|\nabla \log p_k\|^2 / D` at several noise levels
                       (Mahmood et al., 2021), then a logistic regression on training excerpts with
                       their labels; needs a score only.

Densities are in nats per dimension. The noise on events is that of cross_likelihood.py.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import logsumexp

from tfsep.evaluation.excerpts import TRAINING, IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test import cross_likelihood
from tfsep.prior_test.cross_likelihood import Inputs, Table
from tfsep.prior_test.record import DetectionScore
from tfsep.prior_test.reference_classifier import LogisticRegression

_SMALLEST_NORM = 1e-12


def likelihood_ratio(table: Table, dimensions: int, silence: Table | None = None) -> Table:
    """Subtract the log-density of the even mixture of all priors, in nats per dimension.

    Args:
        table: log-densities in nats per dimension.
        dimensions: of an event.
        silence: those of an absent source, one column, as one class more of the mixture; None leaves it out.
    """
    found = {}
    for name, values in table.items():
        classes = values if silence is None else np.concatenate([values, silence[name]], axis=1)
        mixture = logsumexp(classes * dimensions, axis=1, keepdims=True) - np.log(classes.shape[1])
        found[name] = values - mixture / dimensions
    return found


def absent(tested: PriorSet, scorers: Mapping[str, PriorScorer], inputs: Inputs, sigma: float, seed: int) -> Table:
    """Compute the log-density per dimension of an absent source, silence noised at level sigma: (excerpt, 1)."""
    silence = tested.events(np.zeros((1, tested.length), np.float32))[:1]

    def value(scorer: PriorScorer, events: np.ndarray, _: float | None) -> np.ndarray:
        del scorer
        distance = np.mean((events - silence) ** 2, axis=tuple(range(1, events.ndim)))
        return -0.5 * distance / sigma**2 - np.log(sigma) - 0.5 * math.log(math.tau)

    one = dict(list(scorers.items())[:1])
    return cross_likelihood.tables(tested, one, inputs, [sigma], seed, value)[sigma]


def code_length(waves: np.ndarray) -> np.ndarray:
    """Count the nats per sample that zlib needs for the waveform in 8 bits: (batch, time) -> (batch,)."""
    steps = np.clip(np.round(waves * 127.0), -128, 127).astype(np.int8)
    return np.array([8.0 * np.log(2.0) * len(zlib.compress(wave.tobytes(), 9)) / wave.size for wave in steps])


def input_complexity(table: Table, inputs: Inputs, event_samples: float) -> Table:
    """Add the code length to the log-density.

    Args:
        table: log-densities in nats per dimension.
        inputs: the excerpts.
        event_samples: samples of a waveform per dimension of its event.
    """
    found = {}
    for name, values in table.items():
        lengths = np.concatenate([code_length(waves) for waves in inputs[name]()])
        found[name] = values + event_samples * lengths[:, np.newaxis]
    return found


def typicality(table: Table, calibration: Table, sources: Sequence[str]) -> Table:
    """Negate the distance of the log-density from its mean on its own source's training excerpts."""
    typical = np.array([calibration[source][:, k].mean() for k, source in enumerate(sources)])
    return {name: -np.abs(values - typical) for name, values in table.items()}


def over_noise_levels(
    tested: PriorSet, scorers: Mapping[str, PriorScorer], inputs: Inputs, sigmas: Sequence[float], seed: int
) -> tuple[Table, Table]:
    r"""Denoise noised excerpts at several noise levels.

    Returns:
        Relative square errors :math:`\|D - x\|^2 / \sigma^2 D`, their mean over noise levels:
        {name: (excerpt, prior)}; and logs of score norms :math:`\|D - y\|^2 / \sigma^2 D`, all levels
        behind each other: {name: (excerpt, level * prior)}.
    """
    errors: dict[str, list[np.ndarray]] = {name: [] for name in inputs}
    norms: dict[str, list[np.ndarray]] = {name: [] for name in inputs}
    for name, batches in inputs.items():
        for part, waves in enumerate(batches()):
            events = tested.events(waves)
            noise = noise_like(events, seed, name, part)
            each = [_error_and_norm(scorer, events, noise, sigma) for sigma in sigmas for scorer in scorers.values()]
            shape = (2, len(waves), -1, len(sigmas), len(scorers))
            error, norm = np.moveaxis(np.array(each), 0, -1).reshape(shape).mean(axis=2)
            errors[name].append(error.mean(axis=1))
            norms[name].append(np.log(norm.reshape(len(waves), -1) + _SMALLEST_NORM))
    return _joined(errors), _joined(norms)


def _joined(parts: Mapping[str, Sequence[np.ndarray]]) -> Table:
    return {name: np.concatenate(each) for name, each in parts.items()}


def _error_and_norm(scorer: PriorScorer, events: np.ndarray, noise: np.ndarray, sigma: float) -> np.ndarray:
    """Compute the relative square error and the score norm of a denoiser: (2, num)."""
    noised = events + sigma * noise
    denoised = scorer.denoise(noised, sigma)
    axes = tuple(range(1, events.ndim))
    return np.stack([np.mean((denoised - wanted) ** 2, axis=axes) for wanted in (events, noised)]) / sigma**2


def classified(features: Table, training: Table, sources: Sequence[str]) -> Table:
    """Compute class log-probabilities of a logistic regression that is fitted to features of training excerpts."""
    labels = np.repeat(np.arange(len(sources)), [len(training[source]) for source in sources])
    model = LogisticRegression(np.concatenate([training[s] for s in sources]), labels, len(sources))
    return {name: model.log_prob(values) for name, values in features.items()}


def summarise(table: Table, sources: Sequence[str]) -> DetectionScore:
    """Measure accuracy and AUROC, and list the priors under which silence scores above its own source."""
    silent = cross_likelihood.silence_is_likelier(table, sources)
    return {**cross_likelihood.discrimination(table, sources), "silence_is_likelier": silent}


def from_density(
    tested: PriorSet,
    scorers: Mapping[str, PriorScorer],
    data: IsolatedExcerpts,
    inputs: Inputs,
    table: Table,
    sigma: float | None,
    num: int,
) -> dict[str, Table]:
    """Compute the detection scores that need densities, at one noise level, from the table of log-densities there.

    Args:
        tested, scorers, data: the priors and the data.
        inputs: the excerpts of the table.
        table: log-densities in nats per dimension.
        sigma: their noise level.
        num: training excerpts a source, and held-out ones for ``loudness``.

    Returns:
        {detection score: {name: (excerpt, prior)}}.
    """
    dimensions = next(iter(scorers.values())).prior.dimensions
    training = cross_likelihood.source_inputs(data, tested.sources, num, TRAINING)
    calibration = cross_likelihood.tables(tested, scorers, training, [sigma], data.seed + 1)[sigma]
    even = cross_likelihood.source_inputs(replace(data, level=data.mean_level(num)), tested.sources, num)
    levelled = cross_likelihood.tables(tested, scorers, even, [sigma], data.seed)[sigma]
    found = {
        "log_prob": table,
        "likelihood_ratio": likelihood_ratio(table, dimensions),
        "input_complexity": input_complexity(table, inputs, tested.length / dimensions),
        "typicality": typicality(table, calibration, tested.sources),
        "loudness": {**table, **levelled},
    }
    if sigma is not None:
        silence = absent(tested, scorers, inputs, sigma, data.seed)
        found["ratio_with_silence"] = likelihood_ratio(table, dimensions, silence)
    if tested.background is not None and tested.background.has_log_prob:
        pooled = {"background": PriorScorer("background", tested.background)}
        background = cross_likelihood.tables(tested, pooled, inputs, [sigma], data.seed)[sigma]
        found["ratio_with_background"] = {name: values - background[name] for name, values in table.items()}
    return found


def from_score(
    tested: PriorSet,
    scorers: Mapping[str, PriorScorer],
    data: IsolatedExcerpts,
    inputs: Inputs,
    sigmas: Sequence[float],
    num: int,
) -> dict[str, Table]:
    """Compute the detection scores that need only scores, over several noise levels.

    Args:
        tested, scorers, data: the priors and the data.
        inputs: the excerpts.
        sigmas: noise levels.
        num: training excerpts a source.

    Returns:
        {detection score: {name: (excerpt, prior)}}.
    """
    training = cross_likelihood.source_inputs(data, tested.sources, num, TRAINING)
    errors, norms = over_noise_levels(tested, scorers, inputs, sigmas, data.seed)
    known = over_noise_levels(tested, scorers, training, sigmas, data.seed + 1)[1]
    return {
        "denoising_error": {name: -values for name, values in errors.items()},
        "score_norms": classified(norms, known, tested.sources),
    }
