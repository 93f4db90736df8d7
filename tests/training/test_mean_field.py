"""The bound over tilted priors against closed forms, and the natural gradient against the bound's own."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.training import gaussian_sources
from tfsep import mixing, priors
from tfsep.errors import InputError
from tfsep.training import mean_field, posterior_objectives
from tfsep.training.posterior_objectives import ObjectiveSettings

TIME, GAINS, SIGMA = 6, (0.5, 0.25), 0.7
VARIANCES = (1.0, 4.0)


class Free(gaussian_sources.Free):
    """A posterior whose mean is a number of its own times the mixture, which starts at ``share``."""

    gains = GAINS

    def __init__(self, share: Any = (0.3, 0.2)) -> None:
        super().__init__()
        self.share.assign(share)


@pytest.fixture(scope="module")
def gaussians() -> list[Any]:
    return [priors.build("gaussian", event_shape=(TIME, 1), variances=v, dtype="float64") for v in VARIANCES]


def sources(batch: int = 40) -> tf.Tensor:
    scale = np.sqrt(VARIANCES)[:, np.newaxis]
    return tf.constant(scale * np.random.default_rng(0).normal(size=(batch, 2, TIME)))


def fixed_point(mixture: np.ndarray, rounds: int = 300) -> np.ndarray:
    """Pseudo-observations that are what the other sources leave, by damped Jacobi rounds in NumPy."""
    gains = np.array(GAINS)
    sigmas = SIGMA * np.sqrt(np.mean(gains**2)) / gains
    shrink = np.array(VARIANCES) / (np.array(VARIANCES) + sigmas**2)
    observed = np.zeros((len(mixture), 2, TIME))
    for _ in range(rounds):
        means = shrink[:, np.newaxis] * observed
        left = mixture - np.einsum("k,bkt->bt", gains, means)
        observed += 0.3 * (means + left[:, np.newaxis] / gains[:, np.newaxis] - observed)
    return observed


def test_the_bound_at_its_best_is_the_evidence_less_what_a_factorised_posterior_loses(gaussians: list[Any]) -> None:
    mixture, gains = mixing.mix(sources(), GAINS).numpy(), np.array(GAINS)
    sigma = tf.constant(SIGMA, "float64")
    found = mean_field.bound(gaussians, mixture, tf.constant(fixed_point(mixture)), GAINS, sigma)
    gamma = SIGMA * np.sqrt(np.mean(gains**2))
    total = np.sum(gains**2 * VARIANCES) + gamma**2
    evidence = np.sum(-0.5 * mixture**2 / total - 0.5 * np.log(math.tau * total), axis=-1)
    precision = np.diag(1 / np.array(VARIANCES)) + np.outer(gains, gains) / gamma**2
    gap = 0.5 * TIME * np.log(np.prod(np.diag(precision)) / np.linalg.det(precision))
    np.testing.assert_allclose(found, evidence - gap, rtol=1e-8)


def test_its_gradient_is_the_way_to_what_is_offered_times_the_variance(gaussians: list[Any]) -> None:
    mixture, gains = mixing.mix(sources(), GAINS), np.array(GAINS)
    observed = tf.constant(np.random.default_rng(1).normal(size=(40, 2, TIME)))
    sigma = tf.constant(SIGMA, "float64")
    with tf.GradientTape() as tape:
        tape.watch(observed)
        total = tf.reduce_sum(mean_field.bound(gaussians, mixture, observed, GAINS, sigma))
    sigmas = np.array([float(each) for each in mean_field.levels(GAINS, sigma)[1]])
    shrink = np.array(VARIANCES) / (np.array(VARIANCES) + sigmas**2)
    means = shrink[:, np.newaxis] * observed.numpy()
    left = mixture.numpy() - np.einsum("k,bkt->bt", gains, means)
    offered = means + left[:, np.newaxis] / gains[:, np.newaxis]
    expected = (shrink / sigmas**2)[:, np.newaxis] * (offered - observed)
    np.testing.assert_allclose(tape.gradient(total, observed), expected, rtol=1e-6, atol=1e-8)


def test_the_loss_is_still_at_the_fixed_point_and_falls_towards_it(gaussians: list[Any]) -> None:
    batch = tf.cast(sources(), tf.float32)
    mixture = mixing.mix(batch, GAINS).numpy()
    share = np.array(GAINS) * (fixed_point(mixture) / mixture[:, np.newaxis]).mean(axis=(0, 2))
    single = [priors.build("gaussian", event_shape=(TIME, 1), variances=v) for v in VARIANCES]

    def loss_and_gradient(share: Any) -> tuple[float, np.ndarray]:
        model = Free(share)
        with tf.GradientTape() as tape:
            loss, _ = mean_field.natural_gradient(model, single, batch, tf.constant(SIGMA), tf.constant([0, 0]))
        return float(loss), np.asarray(tape.gradient(loss, model.share.value))

    (best, still), (worse, moving) = loss_and_gradient(share), loss_and_gradient(share + 0.1)
    assert best < worse
    assert np.abs(still).max() < 1e-3 < 0.1 < moving.min()


def test_it_is_reached_through_the_settings() -> None:
    settings = ObjectiveSettings(kind="mean_field", largest_sigma=4.0, smallest_sigma=1.0, annealed=1.0)
    assert settings.needs_priors
    single = [priors.build("gaussian", event_shape=(TIME, 1), variances=v) for v in VARIANCES]
    objective = posterior_objectives.build(settings, single)
    batch = tf.cast(sources(), tf.float32)
    _, metrics = objective(Free(), (batch, tf.fill([40], 0.5)), tf.constant([0, 0]))
    assert float(metrics["prior_sigma"]) == pytest.approx(2.0)
    with pytest.raises(InputError, match="needs a prior for each source"):
        posterior_objectives.build(settings, None)


def test_a_family_that_it_would_not_train_is_refused(gaussians: list[Any]) -> None:
    model = Free()
    model.family = "flow"
    with pytest.raises(InputError, match="trains posteriors of family 'gaussian', got 'flow'"):
        mean_field.natural_gradient(model, gaussians, sources(), tf.constant(SIGMA), tf.constant([0, 0]))


def test_a_pair_is_exchanged_where_that_raises_the_bound(gaussians: list[Any]) -> None:
    mixture, sigma = mixing.mix(sources(), GAINS), tf.constant(SIGMA, "float64")
    quiet, loud = (np.random.default_rng(k).normal(scale=scale, size=(40, TIME)) for k, scale in ((1, 0.5), (2, 4.0)))
    observed = tf.constant(np.stack([np.where(np.arange(40)[:, None] % 2, loud, quiet), quiet], axis=1))
    sigmas = mean_field.levels(GAINS, sigma)[1]
    means = mean_field.means_of(gaussians, observed, sigmas)
    kept, found, moved = mean_field.exchanged(gaussians, mixture, observed, means, GAINS, sigma, (0, 1))
    other = observed[:, ::-1]
    before = mean_field.bound(gaussians, mixture, observed, GAINS, sigma)
    after = mean_field.bound(gaussians, mixture, other, GAINS, sigma)
    np.testing.assert_array_equal(moved, after > before)
    assert 0 < int(tf.reduce_sum(tf.cast(moved, tf.int32))) < 40
    expected = tf.where(moved[:, None, None], mean_field.means_of(gaussians, other, sigmas), means)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_allclose(kept, tf.where(moved[:, None, None], other, observed))


def test_the_assignment_of_the_highest_bound_is_kept() -> None:
    three = [priors.build("gaussian", event_shape=(TIME, 1), variances=v, dtype="float64") for v in (0.01, 1.0, 100.0)]
    gains, sigma = (0.5, -0.25, 0.2), tf.constant(0.3, "float64")
    rng = np.random.default_rng(0)
    levels = rng.permuted(np.tile([10.0, 1.0, 0.1], (30, 1)), axis=1)[..., np.newaxis]
    observed = tf.constant(levels * rng.normal(size=(30, 3, TIME)))
    column = np.array(gains)[:, np.newaxis]
    mixture = tf.reduce_sum(column * observed, axis=1)
    orders = list(itertools.permutations(range(3)))
    offers = [tf.gather(column * observed, order, axis=1) / column for order in orders]
    bounds = np.stack([mean_field.bound(three, mixture, offer, gains, sigma) for offer in offers], axis=1)
    best = bounds.argmax(axis=1)
    assert len(set(best)) == len(orders)
    kept, means, moved = mean_field.reassigned(three, mixture, observed, gains, sigma)
    np.testing.assert_allclose(kept, np.stack(offers)[best, np.arange(30)])
    np.testing.assert_allclose(means, mean_field.means_of(three, kept, mean_field.levels(gains, sigma)[1]))
    np.testing.assert_array_equal(moved, best > 0)


def test_after_many_rounds_the_network_follows_the_fixed_point() -> None:
    batch = tf.cast(sources(), tf.float32)
    mixture, model = mixing.mix(batch, GAINS).numpy(), Free()
    single = [priors.build("gaussian", event_shape=(TIME, 1), variances=v) for v in VARIANCES]
    shares = model(mixture)[0].numpy()
    error = np.array(GAINS)[:, np.newaxis] * fixed_point(mixture) - shares
    expected = np.mean(error**2 / np.mean(mixture**2, axis=-1)[:, np.newaxis, np.newaxis])
    seed, found = tf.constant([0, 0]), []
    for rounds in (1, 40):
        how = (model, single, batch, tf.constant(SIGMA), seed, [(0, 1)])
        _, metrics = mean_field.natural_gradient(*how, rounds=rounds)
        found.append(float(metrics["offer_mse"]))
    assert found[1] == pytest.approx(expected, rel=1e-3)
    assert abs(found[0] / expected - 1.0) > 0.1


def test_every_pair_gets_its_turn() -> None:
    three = [priors.build("gaussian", event_shape=(TIME, 1), variances=v, dtype="float64") for v in (0.01, 1.0, 100.0)]
    levels = np.array([10.0, 1.0, 0.1])[:, np.newaxis]
    observed = tf.constant(levels * np.random.default_rng(0).normal(size=(8, 3, TIME)))
    mixture, sigma, gains = tf.reduce_mean(observed, axis=1), tf.constant(0.1, "float64"), (1 / 3, 1 / 3, 1 / 3)
    means = mean_field.means_of(three, observed, mean_field.levels(gains, sigma)[1])
    changed = set()
    for seed in range(30):

        def exchange(pair: tuple[int, int]) -> Any:
            return mean_field.exchanged(three, mixture, observed, means, gains, sigma, pair)

        _, found, moved = mean_field.any_pair(3, tf.constant([seed, 0]), exchange)
        assert bool(tf.reduce_any(moved))
        changed.add(tuple(np.abs(found - means).max(axis=(0, 2)) > 1e-9))
    assert changed == {(True, True, False), (True, False, True), (False, True, True)}


def test_pairs_of_every_step_are_exchanged_whatever_the_seed() -> None:
    three = [priors.build("gaussian", event_shape=(TIME, 1), variances=v) for v in (0.01, 100.0, 1.0)]
    gains = (1 / 3, 1 / 3, 1 / 3)

    class Told(Free):
        def call(self, mixture: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            means = tf.stack([mixture, 0.01 * mixture, 0.1 * mixture], axis=1)
            return means, tf.zeros_like(means)

    model = Told()
    model.gains = gains
    waves = tf.constant(3.0 * np.random.default_rng(0).normal(size=(8, 3, TIME)), tf.float32)
    for seed in range(3):
        drawn = tf.constant([seed, 0])
        _, metrics = mean_field.natural_gradient(model, three, waves, tf.constant(0.1), drawn, [(0, 1)])
        assert float(metrics["exchanged"]) == 1.0


@pytest.mark.parametrize("pairs", [((0,),), ((0, 1), (1, 2)), ((-1, 0),), ((0, 2),)])
def test_pairs_that_are_none_are_refused(pairs: Any) -> None:
    single = [priors.build("gaussian", event_shape=(TIME, 1), variances=v) for v in VARIANCES]
    with pytest.raises(InputError, match=r"objective.exchanges (must be pairs|are indices of 2 sources)"):
        posterior_objectives.build(ObjectiveSettings(kind="mean_field", exchanges=pairs), single)


@pytest.mark.parametrize(("name", "value"), [("exchanges", ((0, 1),)), ("reassign", True), ("rounds", 2)])
def test_exchanges_and_rounds_belong_to_this_objective(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"objective.{name} is for kind 'mean_field', got 'elbo'"):
        ObjectiveSettings(kind="elbo", **{name: value})


def test_more_assignments_than_can_be_tried_are_refused() -> None:
    seven = [priors.build("gaussian", event_shape=(TIME, 1), variances=1.0)] * 7
    with pytest.raises(InputError, match=r"every assignment, of at most 6 sources, got 7; set it to False"):
        posterior_objectives.build(ObjectiveSettings(kind="mean_field", reassign=True), seven)
    with pytest.raises(InputError, match="tries all exchanges; set objective.exchanges to"):
        ObjectiveSettings(kind="mean_field", reassign=True, exchanges=((0, 1),))
