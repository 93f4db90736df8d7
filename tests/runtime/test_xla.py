"""Samplers compiled by XLA: the same draws, the decision, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import posteriors, priors
from tfsep.errors import InputError
from tfsep.posteriors.annealed import Annealed
from tfsep.runtime import xla

Priors = Callable[..., list[Any]]
FEW: dict[str, dict[str, Any]] = {
    "langevin": {"num_levels": 2, "num_steps": 2, "smallest_sigma": 0.1, "delta": 1e-3, "num_restarts": 1},
    "diffusion": {"num_levels": 3, "num_corrections": 1, "churn": 0.5},
    "gibbs": {"update": "jacobi", "num_levels": 3, "num_restarts": 2},
}
TIME = 6


@pytest.fixture(scope="module")
def flows() -> list[Any]:
    """Two flows of one architecture with random weights."""
    small = {"num_levels": 1, "squeeze": 4, "num_steps": 1, "width": 4, "num_layers": 1, "condition_width": 4}
    pair: list[Any] = [priors.build("glow", length=16, sigma_range=(0.01, 8.0), **small) for _ in range(2)]
    rng = np.random.default_rng(0)
    for flow in pair:
        for weight in flow.trainable_variables:
            weight.assign_add(0.1 * rng.normal(size=weight.shape))
    return pair


def programs(sampler: Any) -> tuple[int, int]:
    """How many programs a sampler has compiled by XLA, and how many plain graphs it has traced."""
    found = sampler.programs
    return found.compiled.experimental_get_tracing_count(), found._plain.experimental_get_tracing_count()


def count_stacked_calls(flow: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows by the method's name whenever this flow is asked to evaluate several."""
    asked: list[str] = []
    evaluate_stacked = type(flow).evaluate_stacked

    def counted(self: Any, pair: Any, method: str, events: Any, sigma: Any) -> Any:
        asked.append(method)
        return evaluate_stacked(self, pair, method, events, sigma)

    monkeypatch.setattr(type(flow), "evaluate_stacked", counted)
    return asked


@pytest.mark.parametrize("seed", [(0, 0), pytest.param((-5, 3), marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("langevin", {}),
        ("langevin", {"exact": False, "num_chains": 2}),
        ("diffusion", {}),
        ("diffusion", {"constraint": "last_source", "order": "euler"}),
        ("gibbs", {}),
    ],
)
def test_xla_draws_what_the_plain_graph_draws(
    gaussian_priors: Priors, kind: str, settings: dict[str, Any], seed: tuple[int, int]
) -> None:
    pair = gaussian_priors(2, TIME)
    mixture = np.random.default_rng(1).normal(size=(3, TIME)).astype(np.float32)
    drawn = []
    for jit_compile in (False, True):
        sampler = posteriors.build(kind, pair, jit_compile=jit_compile, **FEW[kind], **settings)
        cold = sampler.sample(mixture, 2, seed)
        drawn.append(np.stack([cold, sampler.sample(mixture, 2, seed, start=cold[0])]))
        assert isinstance(sampler, Annealed)
        lengths = {len(sampler.sigmas), len(sampler.warm_sigmas)}
        assert programs(sampler) == ((len(lengths), 0) if jit_compile else (0, 1))
    np.testing.assert_allclose(drawn[1], drawn[0], rtol=0, atol=1e-4 * np.abs(drawn[0]).max())


@pytest.mark.parametrize(
    ("kind", "settings"),
    [pytest.param("langevin", {"metropolis": True}, marks=pytest.mark.slow), ("gibbs", {})],
)
def test_xla_draws_the_same_with_flows_which_it_stacks(
    flows: list[Any], kind: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    mixture = np.random.default_rng(2).normal(size=(2, 16)).astype(np.float32)
    drawn = []
    for jit_compile in (False, True):
        sampler = posteriors.build(kind, flows, jit_compile=jit_compile, **FEW[kind], **settings)
        asked = count_stacked_calls(flows[0], monkeypatch)
        drawn.append(sampler.sample(mixture, 2, (1, 2)).numpy())
        assert bool(asked) == jit_compile
    np.testing.assert_allclose(drawn[1], drawn[0], rtol=0, atol=1e-4 * np.abs(drawn[0]).max())


@pytest.mark.parametrize("stacked", [False, True])
def test_stacking_that_is_asked_for_holds_in_plain_graphs_too(flows: list[Any], stacked: bool) -> None:
    sampler = posteriors.build("langevin", flows, stacked=stacked, **FEW["langevin"])
    assert isinstance(sampler, Annealed) and sampler.stacked == stacked


def test_none_compiles_from_the_least_work_on(gaussian_priors: Priors, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 levels of 2 steps and the last denoising are 5 evaluations; 4 mixtures of 6 samples are 24."""
    monkeypatch.setattr(xla, "LEAST_WORK", 5 * 24)
    sampler = posteriors.build("langevin", gaussian_priors(2, TIME), start_sigma=0.1, **FEW["langevin"])
    for batch, expected in ((3, (0, 1)), (4, (1, 1)), (4, (1, 1)), (3, (1, 1)), (5, (2, 1))):
        assert sampler.compiles(1, batch) == (batch >= 4)
        sampler.sample(np.ones((batch, TIME), np.float32), 1, (0, 0))
        assert programs(sampler) == expected
    assert sampler.compiles(2, 2) and not sampler.compiles(1, 4, started=True)


def test_short_work_is_not_compiled(gaussian_priors: Priors) -> None:
    for kind, settings in FEW.items():
        assert not posteriors.build(kind, gaussian_priors(2, TIME), **settings).compiles(1, 64)
    assert posteriors.build("langevin", gaussian_priors(2, TIME), jit_compile=True).compiles(1, 1)


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("langevin", {}, 5),
        ("langevin", {"metropolis": True, "final_denoise": False}, 8),
        ("diffusion", {}, 2 * 3 + 1),
        ("gibbs", {}, 3),
    ],
)
def test_evaluations_are_counted(flows: list[Any], kind: str, settings: dict[str, Any], expected: int) -> None:
    sampler = posteriors.build(kind, flows, **{**FEW[kind], **settings})
    assert isinstance(sampler, Annealed) and sampler.evaluations(len(sampler.sigmas)) == expected


def test_within_a_graph_the_outer_graph_decides(gaussian_priors: Priors) -> None:
    sampler = posteriors.build("langevin", gaussian_priors(2, TIME), jit_compile=True, **FEW["langevin"])
    mixture = tf.ones([2, TIME])
    inside = tf.function(lambda wave: sampler.sample(wave, 1, (0, 0)), autograph=False)
    found = inside(mixture)
    assert programs(sampler) == (0, 1)
    np.testing.assert_allclose(found, sampler.sample(mixture, 1, (0, 0)), atol=1e-4)
    assert programs(sampler) == (1, 1)


def test_gibbs_updates_are_compiled_where_that_is_asked_for(
    gaussian_priors: Priors, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = gaussian_priors(2, TIME)
    monkeypatch.setattr(xla, "LEAST_WORK", 1)
    assert not posteriors.build("gibbs", pair).compiles(1, 8)
    assert posteriors.build("gibbs", pair, update="jacobi").compiles(1, 8)
    assert posteriors.build("gibbs", pair, jit_compile=True).compiles(1, 8)


@pytest.mark.parametrize("kind", ["langevin", "diffusion", "gibbs"])
def test_other_settings_are_refused(coin_priors: Priors, kind: str) -> None:
    with pytest.raises(InputError, match="jit_compile must be None, True or False, got 'yes'"):
        posteriors.build(kind, coin_priors((1.0, 0.5), 4), jit_compile="yes")
