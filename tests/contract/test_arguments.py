"""What no prior can compute with is refused in one line, whatever the kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.errors import InputError
from tfsep.priors import arguments

SEED = r"seed must be two whole numbers in -2147483648..4294967295, got"


@pytest.mark.parametrize("num", [2.0, -1, 0, "2", None, True, np.float64(2.0), 2**31])
def test_a_number_of_events_is_whole(prior: Any, num: Any) -> None:
    with pytest.raises(InputError, match="num must be a whole number in 1..2147483647, got"):
        prior.sample(num, (0, 0))


@pytest.mark.parametrize(
    "seed", [1.5, 1, (0.5, 1), (1,), (1, 2, 3), "ab", None, (True, False), (2**32, 0), ((1, 2), (3, 4)), (1, None)]
)
def test_a_seed_is_two_whole_numbers(prior: Any, seed: Any) -> None:
    with pytest.raises(InputError, match=SEED):
        prior.sample(2, seed)
    with pytest.raises(InputError, match=SEED):
        prior.sample(2, seed=tf.constant(1.5))


def test_seeds_and_numbers_of_other_types_are_the_same(prior: Any) -> None:
    expected = prior.sample(2, (1, 2)).numpy()
    for num, seed in ((np.int64(2), [1, 2]), (tf.constant(2), np.array([1, 2])), (2, tf.constant([1, 2]))):
        np.testing.assert_array_equal(prior.sample(num, seed), expected)


def test_events_and_noise_are_real_numbers(prior: Any, answers: Any, noise_events: Any) -> None:
    events = noise_events(prior, 2).astype(np.float32)
    for method in answers(prior):
        for name, wrong in (("complex", events + 1j), ("text", "abc"), ("none", None), ("uneven", [[1.0, 2.0], [3.0]])):
            with pytest.raises(InputError, match="x must be an array of real numbers, got"):
                method(wrong, 0.1)
                pytest.fail(name)
        for sigma in ("x", 1j, [["a"]]):
            with pytest.raises(InputError, match="sigma must be an array of real numbers, got"):
                method(events, sigma)
        with pytest.raises(InputError, match="x must be an array of real numbers, got the type complex64"):
            tf.function(method, autograph=False)(tf.constant(events + 1j, tf.complex64), 0.1)


def test_every_method_of_a_kind_is_checked(prior: Any, noise_events: Any) -> None:
    """Those too that a kind inherits, or has beside the others."""
    wrong = noise_events(prior, 2) + 1j
    more: dict[str, tuple[Any, ...]] = {"posterior_sample": (0.1, (0, 0)), "denoise_beside": (0.1, wrong)}
    for name in set(arguments.METHODS) - {"sample"}:
        with pytest.raises(InputError):
            getattr(prior, name)(wrong, *more.get(name, (0.1,)))
    if prior.has_posterior_sample:
        rule = SEED.replace(", got", ", or two for each event, got")
        with pytest.raises(InputError, match=rule):
            prior.posterior_sample(wrong.real, 0.1, (0.5, 1))
