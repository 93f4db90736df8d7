"""Contrastive fine-tuning: the loss against numpy, and what training by it does to two flows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from tfsep import priors
from tfsep.errors import InputError
from tfsep.training.contrastive import PriorEnsemble, contrastive
from tfsep.training.prior_objectives import noised

SEED = np.array([4, 2])
GLOW: dict[str, Any] = {
    "kind": "glow", "domain": "wave", "length": 16, "squeeze": 4, "num_levels": 1, "num_steps": 1, "width": 4,
    "num_layers": 1, "sigma_range": (0.01, 1.0),
}  # fmt: skip


@pytest.fixture(scope="module")
def ensemble() -> PriorEnsemble:
    """Two flows that differ in their scale."""
    made = {source: priors.build(**GLOW) for source in ("sine", "square")}
    made["square"].data_std.assign(2.0)  # type: ignore[attr-defined]
    return PriorEnsemble(made)


def waves() -> tf.Tensor:
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(size=(5, 2, 16)) * [[[1.0], [2.0]]], tf.float32)


def test_the_loss_is_likelihood_and_cross_entropy(ensemble: PriorEnsemble) -> None:
    loss, metrics = contrastive(weight=3.0, beta=7.0)(ensemble, waves(), SEED)
    own, cross, right = [], [], []
    for k, prior in enumerate(ensemble.members):
        events, sigma = noised(prior, waves()[:, k], SEED + k)
        each = np.stack([member.nats_per_dim(events, sigma) for member in ensemble.members], axis=1)
        own.append(each[:, k].mean())
        cross.append(-log_softmax(7.0 * each, axis=1)[:, k].mean())
        right.append((each.argmax(axis=1) == k).mean())
    assert float(loss) == pytest.approx(3.0 * np.mean(cross) - np.mean(own), rel=1e-4)
    assert float(metrics["accuracy"]) == pytest.approx(np.mean(right))
    assert float(metrics["nats_per_dim"]) == pytest.approx(np.mean(own), rel=1e-5)
    assert float(metrics["cross_entropy"]) == pytest.approx(np.mean(cross), rel=1e-4)


def test_every_weight_of_every_prior_is_trained(ensemble: PriorEnsemble) -> None:
    members = [weight for prior in ensemble.members for weight in prior.trainable_variables]
    assert {id(weight) for weight in ensemble.trainable_variables} == {id(weight) for weight in members}
    assert len(ensemble.checkpointed.weights) == sum(len(prior.weights) for prior in ensemble.members)
    with tf.GradientTape() as tape:
        loss = contrastive()(ensemble, waves(), SEED)[0]
    watched = {id(variable) for variable in tape.watched_variables()}
    assert watched == {id(weight.value) for weight in members}
    assert np.isfinite(float(loss))


@pytest.mark.parametrize(("weight", "beta"), [(-1.0, 1.0), (1.0, 0.0), (float("nan"), 1.0)])
def test_settings_out_of_range_are_refused(weight: float, beta: float) -> None:
    with pytest.raises(InputError, match="weight must be at least 0 and beta above 0"):
        contrastive(weight, beta)
