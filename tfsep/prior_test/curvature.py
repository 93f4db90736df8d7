r"""Curvature of a prior: its log-density along paths between samples, and how sharply it bends.

Straight lines and, for flows, lines between latents (kept at the norm of a normal draw) go from one
held-out event to another; shifts in time, pitch and gain, which leave a sound what it is, move one
event about. Noise is drawn once for a whole path, so that only the path is seen. All values are
nats per dimension, for each source under its own prior.

The curvature is the largest absolute eigenvalue of the Hessian H of :math:`\log p_\sigma`, by power
iteration :math:`v \leftarrow Hv / \|Hv\|` on products that central differences of the score give,
:math:`Hv \approx [s(y + hv) - s(y - hv)] / 2h` with h = sigma / 20. As
:math:`H = (\mathrm{Cov}[x|y] / \sigma^2 - I) / \sigma^2`, a true noised density never bends down by
more than :math:`1 / \sigma^2`. Values are given times :math:`\sigma^2`, 1 being that of noise around
a point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tfsep.evaluation.excerpts import IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test.record import CurvatureRow, Profile
from tfsep.prior_test.without_log_det import Codec, is_codec

SIGMAS = (0.02, 0.1, 0.5)
POSITIONS = tuple(float(t) for t in np.linspace(0.0, 1.0, 9))
DELAYS = (0, 1, 2, 4, 8, 16)
CENTS = (0.0, 5.0, 10.0, 20.0, 50.0, 100.0)
DECIBELS = (-6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0)
_STEP = 0.05
_ITERATIONS = 12

#: Positions on a path, and the events (num,) + event_shape at each.
Shift: TypeAlias = tuple[Sequence[float], list[np.ndarray]]


def study(
    tested: PriorSet,
    scorers: Mapping[str, PriorScorer],
    data: IsolatedExcerpts,
    num: int = 16,
    sigmas: Sequence[float] = SIGMAS,
) -> list[CurvatureRow]:
    """Measure each source at each noise level that its prior supports, from ``num`` held-out excerpts.

    Returns:
        ``source``, ``sigma``; ``curvature``, the mean over events of the largest absolute
        eigenvalue times sigma^2; and for priors with a density ``paths`` {path: positions and mean
        log-densities} with the paths ``line``, ``latent`` (flows), ``delay`` (samples), ``cents``
        and ``decibels``; ``dip``, by how much the lowest mean of the straight line lies below its
        ends; ``latent_dip``, the same between latents, None where there are none.
    """
    found = []
    for source in tested.sources:
        scorer, paths = scorers[source], shifts(tested, data, source, num)
        events = tested.events(data.excerpts(source, 2 * num))
        for sigma in sigmas:
            if not (scorer.knows_noise and scorer.covers(sigma)):
                continue
            noise = noise_like(events, data.seed, f"path/{source}")
            noised = events[:num] + np.float32(sigma) * noise[:num]
            bend = float(np.mean(np.abs(curvature(scorer, noised, sigma, data.seed)))) * sigma**2
            row: CurvatureRow = {"source": source, "sigma": sigma, "curvature": bend}
            if scorer.has_log_prob:
                profiles = _profiles(scorer, events, noise, paths, sigma, num)
                row["paths"] = profiles
                row["dip"] = dip(profiles["line"]["nats"])
                row["latent_dip"] = dip(profiles["latent"]["nats"]) if "latent" in profiles else None
            found.append(row)
    return found


def _profiles(
    scorer: PriorScorer, events: np.ndarray, noise: np.ndarray, paths: Mapping[str, Shift], sigma: float, num: int
) -> dict[str, Profile]:
    """Evaluate all paths of one source at one noise level."""
    first, second = events[:num], events[num : 2 * num]
    lines = ((1.0 - t) * first + t * second + sigma * noise[:num] for t in POSITIONS)
    found: dict[str, Profile] = {"line": {"at": list(POSITIONS), "nats": profile(scorer, lines, sigma)}}
    if is_codec(scorer):
        ends = (first + sigma * noise[:num], second + sigma * noise[num : 2 * num])
        latents = between_latents(scorer, *ends, sigma)
        found["latent"] = {"at": list(POSITIONS), "nats": profile(scorer, latents, sigma)}
    for path, (positions, moved) in paths.items():
        shown = (each + sigma * noise[: len(each)] for each in moved)
        found[path] = {"at": list(positions), "nats": profile(scorer, shown, sigma)}
    return found


def profile(scorer: PriorScorer, path: Iterable[np.ndarray], sigma: float) -> list[float]:
    """Average the log-density per dimension at each point (num,) + event_shape of a path of noised events."""
    return [float(np.mean(scorer.log_prob(events, sigma))) / scorer.prior.dimensions for events in path]


def dip(nats: Sequence[float]) -> float:
    """Measure how far the lowest point of a path lies below the mean of its ends."""
    return 0.5 * (nats[0] + nats[-1]) - min(nats)


def shifts(tested: PriorSet, data: IsolatedExcerpts, source: str, num: int) -> dict[str, Shift]:
    """Make the paths that leave a sound what it is, one window an excerpt: {path: (positions, events at each)}."""
    longer = replace(data, length=tested.length + max(DELAYS)).excerpts(source, num)
    delayed = [tested.events(longer[:, delay : delay + tested.length]) for delay in DELAYS]
    plain = replace(data, length=tested.length)
    bent = [tested.events(np.concatenate(list(plain.shifted(source, num, cents)))) for cents in CENTS]
    waves = plain.excerpts(source, num)
    louder = [tested.events(10.0 ** (decibels / 20.0) * waves) for decibels in DECIBELS]
    return {"delay": (DELAYS, delayed), "cents": (CENTS, bent), "decibels": (DECIBELS, louder)}


def between_latents(scorer: PriorScorer, first: np.ndarray, second: np.ndarray, sigma: float) -> Iterable[np.ndarray]:
    """Yield events on the line between the latents of two noised events, scaled to the norm of a normal draw."""
    prior = scorer.prior
    assert isinstance(prior, Codec)

    def encode(x: tf.Tensor, level: tf.Tensor | None) -> tf.Tensor:
        return prior.encode(x, level)[0]

    ends = [scorer.run("encode", encode, events, sigma) for events in (first, second)]
    for t in POSITIONS:
        latents = ((1.0 - t) * ends[0] + t * ends[1]) / np.sqrt((1.0 - t) ** 2 + t**2)
        yield scorer.run("decode", prior.decode, latents, sigma)


def curvature(scorer: PriorScorer, events: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """Find the eigenvalue of largest absolute value of the Hessian of log p_sigma at each noised event: (num,)."""
    direction = _unit(noise_like(events, seed, "curvature").astype(np.float64))
    step, value = _STEP * sigma, np.zeros(len(events))
    for _ in range(_ITERATIONS):
        change = scorer.score(events + step * direction, sigma) - scorer.score(events - step * direction, sigma)
        product = change / (2.0 * step)
        value = np.sum(direction * product, axis=tuple(range(1, events.ndim)))
        direction = _unit(product)
    return value


def _unit(x: np.ndarray) -> np.ndarray:
    norm = np.sqrt(np.sum(x**2, axis=tuple(range(1, x.ndim)), keepdims=True))
    return x / np.maximum(norm, np.finfo(np.float64).tiny)


def mean_curvatures(rows: Sequence[CurvatureRow]) -> list[list[float]]:
    """Average the curvature times sigma^2 over sources: [[sigma, mean], ...]."""
    sigmas = dict.fromkeys(row["sigma"] for row in rows)
    return [[s, float(np.mean([row["curvature"] for row in rows if row["sigma"] == s]))] for s in sigmas]
