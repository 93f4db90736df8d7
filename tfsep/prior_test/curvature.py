r"""How peaked a prior is: its log-density between samples and under changes that leave a sound what it is.

Straight lines and, for flows, lines between latents (kept at the norm of a normal draw) go from one held-out event to
another; shifts in time, pitch and gain move one event about. Noise is drawn once for a whole path, so that only the
path is seen. All values are nats per dimension, for each source under its own prior.

The curvature is the largest absolute eigenvalue of the Hessian H of :math:`\log p_\sigma`, by power iteration
:math:`v \leftarrow Hv / \|Hv\|` on products that central differences of the score give,
:math:`Hv \approx [s(y + hv) - s(y - hv)] / 2h` with h = sigma / 20. As
:math:`H = (\mathrm{Cov}[x|y] / \sigma^2 - I) / \sigma^2`, a true noised density never bends down by more than
:math:`1 / \sigma^2`: values are given times :math:`\sigma^2`, 1 being that of noise around a point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from tfsep.evaluation.excerpts import IsolatedExcerpts
from tfsep.evaluation.prior_scorer import PriorScorer, noise_like
from tfsep.evaluation.prior_set import PriorSet
from tfsep.prior_test.without_log_det import Codec, is_codec

SIGMAS = (0.02, 0.1, 0.5)
POSITIONS = tuple(float(t) for t in np.linspace(0.0, 1.0, 9))
DELAYS = (0, 1, 2, 4, 8, 16)
CENTS = (0.0, 5.0, 10.0, 20.0, 50.0, 100.0)
DECIBELS = (-6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0)
_STEP = 0.05
_ROUNDS = 12


def study(
    tested: PriorSet,
    judges: Mapping[str, PriorScorer],
    cuts: IsolatedExcerpts,
    num: int = 16,
    sigmas: Sequence[float] = SIGMAS,
) -> list[dict[str, Any]]:
    """One row for each source and noise level that its prior knows.

    Returns:
        ``source``, ``sigma``; ``curvature``, the mean over events of the largest absolute eigenvalue times sigma^2; and
        for priors with a density ``paths`` {path: {"at": positions, "nats": means}} with the paths ``line``,
        ``latent`` (flows), ``delay`` (samples), ``cents`` and ``decibels``; ``dip``, by how much the lowest mean of the
        straight line lies below its ends; ``latent_dip``, the same between latents, None where there are none.
    """
    found = []
    for source in tested.sources:
        judge, paths = judges[source], shifts(tested, cuts, source, num)
        events = tested.events(cuts.cuts(source, 2 * num))
        for sigma in sigmas:
            if not (judge.knows_noise and judge.covers(sigma)):
                continue
            noise = noise_like(events, cuts.seed, f"path/{source}")
            row: dict[str, Any] = {"source": source, "sigma": sigma}
            noised = events[:num] + np.float32(sigma) * noise[:num]
            row["curvature"] = float(np.mean(np.abs(curvature(judge, noised, sigma, cuts.seed)))) * sigma**2
            if judge.has_log_prob:
                row |= _profiles(judge, events, noise, paths, sigma, num)
            found.append(row)
    return found


def _profiles(
    judge: PriorScorer, events: np.ndarray, noise: np.ndarray, paths: Mapping[str, Any], sigma: float, num: int
) -> dict[str, Any]:
    """All paths of one source at one noise level."""
    first, second = events[:num], events[num : 2 * num]
    lines = ((1.0 - t) * first + t * second + sigma * noise[:num] for t in POSITIONS)
    found = {"line": {"at": list(POSITIONS), "nats": profile(judge, lines, sigma)}}
    if is_codec(judge):
        ends = (first + sigma * noise[:num], second + sigma * noise[num : 2 * num])
        found["latent"] = {"at": list(POSITIONS), "nats": profile(judge, between_latents(judge, *ends, sigma), sigma)}
    for path, (positions, moved) in paths.items():
        shown = (each + sigma * noise[: len(each)] for each in moved)
        found[path] = {"at": list(positions), "nats": profile(judge, shown, sigma)}
    latent_dip = dip(found["latent"]["nats"]) if "latent" in found else None
    return {"paths": found, "dip": dip(found["line"]["nats"]), "latent_dip": latent_dip}


def profile(judge: PriorScorer, path: Iterable[np.ndarray], sigma: float) -> list[float]:
    """Mean log-density per dimension at each point (num,) + event_shape of a path of noised events."""
    return [float(np.mean(judge.log_prob(events, sigma))) / judge.prior.dimensions for events in path]


def dip(nats: Sequence[float]) -> float:
    """How far the lowest point of a path lies below the mean of its ends."""
    return 0.5 * (nats[0] + nats[-1]) - min(nats)


def shifts(
    tested: PriorSet, cuts: IsolatedExcerpts, source: str, num: int
) -> dict[str, tuple[Sequence[float], list[np.ndarray]]]:
    """The paths that leave a sound what it is: {path: (positions, the events at each)}; one window a cut."""
    longer = replace(cuts, length=tested.length + max(DELAYS)).cuts(source, num)
    delayed = [tested.events(longer[:, delay : delay + tested.length]) for delay in DELAYS]
    plain = replace(cuts, length=tested.length)
    bent = [tested.events(np.concatenate(list(plain.shifted(source, num, cents)))) for cents in CENTS]
    waves = plain.cuts(source, num)
    louder = [tested.events(10.0 ** (decibels / 20.0) * waves) for decibels in DECIBELS]
    return {"delay": (DELAYS, delayed), "cents": (CENTS, bent), "decibels": (DECIBELS, louder)}


def between_latents(judge: PriorScorer, first: np.ndarray, second: np.ndarray, sigma: float) -> Iterable[np.ndarray]:
    """Events along the line between the latents of two noised events, scaled to the norm of a normal draw."""
    prior = judge.prior
    assert isinstance(prior, Codec)

    def encode(x: tf.Tensor, level: tf.Tensor | None) -> tf.Tensor:
        return prior.encode(x, level)[0]

    ends = [judge.run("encode", encode, events, sigma) for events in (first, second)]
    for t in POSITIONS:
        latents = ((1.0 - t) * ends[0] + t * ends[1]) / np.sqrt((1.0 - t) ** 2 + t**2)
        yield judge.run("decode", prior.decode, latents, sigma)


def curvature(judge: PriorScorer, events: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """Eigenvalue of largest absolute value of the Hessian of log p_sigma at each noised event: (num,)."""
    direction = _unit(noise_like(events, seed, "curvature").astype(np.float64))
    step, value = _STEP * sigma, np.zeros(len(events))
    for _ in range(_ROUNDS):
        change = judge.score(events + step * direction, sigma) - judge.score(events - step * direction, sigma)
        product = change / (2.0 * step)
        value = np.sum(direction * product, axis=tuple(range(1, events.ndim)))
        direction = _unit(product)
    return value


def _unit(x: np.ndarray) -> np.ndarray:
    norm = np.sqrt(np.sum(x**2, axis=tuple(range(1, x.ndim)), keepdims=True))
    return x / np.maximum(norm, np.finfo(np.float64).tiny)


def mean_curvatures(rows: Sequence[Mapping[str, Any]]) -> dict[float, float]:
    """{sigma: mean over sources of the curvature times sigma^2}."""
    sigmas = dict.fromkeys(row["sigma"] for row in rows)
    return {s: float(np.mean([row["curvature"] for row in rows if row["sigma"] == s])) for s in sigmas}
