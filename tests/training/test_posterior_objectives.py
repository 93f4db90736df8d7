"""The objectives by name: their settings, their annealing, and what they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.training.gaussian_sources import PRIORS, SEED, TIME, Free, Gaussian, sources
from tfsep.errors import InputError
from tfsep.training import pair_objectives, posterior_objectives
from tfsep.training.evidence_lower_bound import negative_elbo
from tfsep.training.posterior_objectives import ObjectiveSettings


@pytest.mark.parametrize(
    ("progress", "sigma", "beta"), [(0.0, 1.0, 0.2), (0.05, 10 ** (-0.1), 0.6), (0.25, 10**-0.5, 1.0), (1.0, 0.1, 1.0)]
)
def test_sigma_falls_and_beta_rises(progress: float, sigma: float, beta: float) -> None:
    settings = ObjectiveSettings(annealed=0.5, warmed_up=0.1, first_beta=0.2)
    found = posterior_objectives.annealed(tf.constant(progress), settings)
    np.testing.assert_allclose(found, (sigma, beta), rtol=1e-5)


def test_both_is_the_weighted_sum() -> None:
    model, batch = Free(), (sources(), tf.fill([40], 0.5))
    settings = ObjectiveSettings(kind="both", pairs_weight=2.0, elbo_weight=0.3)
    loss, metrics = posterior_objectives.build(settings, PRIORS)(model, batch, SEED)
    one, _ = negative_elbo(model, PRIORS, batch[0], *posterior_objectives.annealed(tf.constant(0.5), settings), SEED)
    other, _ = pair_objectives.simulated_pairs(model, batch[0], SEED)
    assert float(loss) == pytest.approx(0.3 * float(one) + 2.0 * float(other), rel=1e-5)
    assert {"elbo_per_dim", "prior_sigma", "mse"} <= set(metrics)
    alone, _ = posterior_objectives.build(ObjectiveSettings(kind="elbo"), PRIORS)(model, batch, SEED)
    assert float(alone) == pytest.approx(float(one), rel=1e-5)


def test_pairs_may_be_simulated_from_the_priors() -> None:
    """Sources of variance 1 and 4 drawn from the priors replace the recorded ones, which are silent here."""
    settings = ObjectiveSettings(pairs_from="priors")
    assert settings.needs_priors
    seed, silence = tf.constant(SEED), tf.zeros((4000, 2, TIME))
    drawn = posterior_objectives.simulated_sources(PRIORS, 4000, seed).numpy()
    np.testing.assert_allclose(drawn.var(axis=(0, 2)), (1.0, 4.0), rtol=0.05)
    assert abs(np.corrcoef(drawn[:, 0].ravel(), drawn[:, 1].ravel())[0, 1]) < 0.03
    loss, _ = posterior_objectives.build(settings, PRIORS)(Free(), (silence, tf.zeros(4000)), seed)
    expected, _ = pair_objectives.simulated_pairs(Free(), tf.constant(drawn), seed)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_pairs_alone_ask_for_no_priors() -> None:
    expected, _ = pair_objectives.simulated_pairs(Free(), sources(), SEED)
    found, _ = posterior_objectives.build(ObjectiveSettings(), None)(Free(), sources(), SEED)
    assert float(found) == pytest.approx(float(expected))


def test_the_weight_of_the_plain_error_is_a_setting() -> None:
    (light, metrics), (heavy, _) = (
        posterior_objectives.build(ObjectiveSettings(mse_weight=weight), None)(Free(), sources(), SEED)
        for weight in (1.0, 5.0)
    )
    assert float(heavy - light) == pytest.approx(4.0 * float(metrics["mse"]), rel=1e-4)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"kind": "vae"}, "objective.kind must be one of simulated_pairs, elbo, mean_field, both, got 'vae'"),
        (
            {"kind": "both", "mse_weight": 1.0},
            "objective.mse_weight is for kind 'simulated_pairs' from data, got 'both'",
        ),
        ({"mse_weight": 0.0}, "objective.mse_weight must be above 0, got 0"),
        ({"pairs_from": "songs"}, "objective.pairs_from must be data or priors, got 'songs'"),
        ({"largest_sigma": 0.05}, "objective needs 0 < smallest_sigma <= largest_sigma, got 0.1 and 0.05"),
        ({"annealed": 1.5}, "objective.annealed must lie in 0..1, got 1.5"),
        ({"num_samples": 0}, "objective.num_samples must be above 0, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        ObjectiveSettings(**settings)


def test_a_bound_without_priors_is_refused() -> None:
    with pytest.raises(InputError, match=r"posterior 'amortised \(elbo\)' needs a prior for each source"):
        posterior_objectives.build(ObjectiveSettings(kind="elbo"), None)


def test_a_bound_over_what_has_no_score_is_refused() -> None:
    prior = Gaussian(0.5, has_log_prob=False)
    prior.has_score = False
    with pytest.raises(InputError, match=r"'amortised \(elbo\)' follows scores .* among other sounds"):
        posterior_objectives.build(ObjectiveSettings(kind="elbo"), [prior, prior])
    posterior_objectives.build(ObjectiveSettings(kind="mean_field"), [prior, prior])
