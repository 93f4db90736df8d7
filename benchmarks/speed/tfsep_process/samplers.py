"""Steps of Langevin dynamics and levels of Gibbs updates, as the posteriors' own compiled loops take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.records import Record, Setting
from benchmarks.speed.tfsep_process import example
from benchmarks.speed.worker import Case
from tfsep import posteriors
from tfsep.posteriors.annealed import Annealed
from tfsep.posteriors.gibbs import Gibbs
from tfsep.posteriors.langevin import Langevin
from tfsep.priors.flows.flow import FlowPrior

SEED = (3, 4)


def langevin(
    prior: Setting,
    num_sources: int,
    chains: int,
    steps: int,
    sigma: float,
    file: str,
    variant: Setting | None = None,
    posterior: Setting | None = None,
) -> Case:
    """Build a case of ``steps`` steps of annealed SGLD at one noise level.

    Args:
        prior: architecture of every source's prior, shared with PyTorch.
        num_sources: N.
        chains: chains in the batch axis.
        steps: steps in one call.
        sigma: the noise level.
        file: where weights and events of source k go, with ``{k}`` in it.
        variant: settings of the priors that change how they are computed.
        posterior: settings of the posterior.
    """
    known, check = priors_of(prior, num_sources, chains, sigma, file, variant or {})
    built = one_level(known, sigma, steps, **(posterior or {}))
    return _case(built, mixture_for(known[0]), chains, steps, check)


def one_level(known: Sequence[FlowPrior], sigma: float, steps: int, **posterior: Any) -> Langevin:
    """Build SGLD of so many steps at one noise level, in the published form."""
    levels: Record = {"largest_sigma": sigma, "smallest_sigma": sigma, "num_levels": 1, "num_steps": steps}
    published: Record = {"exact": False, "consistent": False, "num_restarts": 1, "final_denoise": False}
    built = posteriors.build("langevin", known, **levels, delta=1e-4 * sigma**2, **{**published, **posterior})
    assert isinstance(built, Langevin)
    return built


def gibbs(
    prior: Setting,
    num_sources: int,
    chains: int,
    levels: int,
    sigma: float,
    file: str,
    variant: Setting | None = None,
    posterior: Setting | None = None,
) -> Case:
    """Build a case of ``levels`` sweeps of Gibbs updates, every source once a sweep; arguments as :func:`langevin`."""
    known, check = priors_of(prior, num_sources, chains, sigma, file, variant or {})
    schedule: Record = {"largest_sigma": sigma, "smallest_sigma": sigma, "num_levels": levels}
    bounds: Record = {"num_restarts": chains, "largest_amplitude": 1.0}
    built = posteriors.build("gibbs", known, **schedule, **bounds, **(posterior or {}))
    assert isinstance(built, Gibbs)
    mixture = mixture_for(known[0])
    return _case(built, mixture, chains, levels, check)


def _case(built: Annealed, mixture: tf.Tensor, chains: int, units: int, check: list[float]) -> Case:
    def once() -> object:
        return built.chains(mixture, chains, SEED).numpy()

    return Case(once, units, check, rise=lambda: example.rise(once))


def priors_of(
    prior: Setting, num_sources: int, chains: int, sigma: float, file: str, variant: Setting
) -> tuple[list[FlowPrior], list[float]]:
    """Build priors with weights of their own, written for PyTorch; return them and what it must share."""
    known: list[FlowPrior] = []
    check: list[float] = []
    for k in range(num_sources):
        known.append(example.build(prior, variant, seed=k))
        x, _ = example.events(known[k], chains, seed=num_sources + k)
        levels = np.full(chains, sigma, np.float32)
        example.save(known[k], x, levels, file.format(k=k))
        exact = example.in_full_precision(known[k], prior, variant)
        check += example.nats(exact, x, levels)
        check.append(float(sigma * np.sqrt(np.mean(exact.score(x, levels).numpy() ** 2))))
    return known, check


def mixture_for(prior: FlowPrior) -> tf.Tensor:
    """Draw a mixture (1, time) of noise."""
    return tf.constant(0.3 * np.random.default_rng(2).standard_normal((1, prior.event_shape[0])), tf.float32)
