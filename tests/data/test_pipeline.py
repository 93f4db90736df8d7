"""Pipelines: a pure function of (seed, step), built in the graph, of sources that do not belong together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.data import pipeline
from tfsep.data.toy import ToyData
from tfsep.errors import InputError

Make = Callable[..., tf.data.Dataset]
LENGTH, BATCH = 64, 5


class CountedToy(ToyData):
    """Toy data that know how often Python came by."""

    calls: list[str] = []

    def draw(self, source: str, num: int, length: int, seed: Any) -> tf.Tensor:
        self.calls.append(source)
        return super().draw(source, num, length, seed)


class TooShort(ToyData):
    """A data set whose draws are refused."""

    def draw(self, source: str, num: int, length: int, seed: Any) -> tf.Tensor:
        raise InputError(f"cuts must be shorter than {length}")


def cuts(seed: int = 0, first_step: int = 0, data: ToyData | None = None, **settings: Any) -> tf.data.Dataset:
    return pipeline.cuts(data or ToyData(), "sawtooth", LENGTH, BATCH, seed, first_step, **settings)


def remixes(seed: int = 0, first_step: int = 0, data: ToyData | None = None, **settings: Any) -> tf.data.Dataset:
    return pipeline.remixes(data or ToyData(), LENGTH, BATCH, seed, first_step, **settings)


both = pytest.mark.parametrize("make", [cuts, remixes])


def first(dataset: tf.data.Dataset, num: int) -> Iterator[np.ndarray]:
    return itertools.islice(dataset.as_numpy_iterator(), num)


def test_batches_have_static_shapes_and_never_end() -> None:
    assert cuts().element_spec == tf.TensorSpec((BATCH, LENGTH), tf.float32)
    assert remixes().element_spec == tf.TensorSpec((BATCH, 4, LENGTH), tf.float32)
    assert cuts().cardinality() == tf.data.INFINITE_CARDINALITY


def test_batches_are_the_draws_of_their_steps() -> None:
    data = ToyData()
    for step, (single, mixed) in enumerate(zip(first(cuts(9), 3), first(remixes(9), 3), strict=True)):
        np.testing.assert_array_equal(single, data.draw("sawtooth", BATCH, LENGTH, (9, step)))
        for k, source in enumerate(data.sources):
            np.testing.assert_array_equal(mixed[:, k], data.draw(source, BATCH, LENGTH, (9, step)))


@both
def test_a_pipeline_resumed_at_step_n_gives_what_an_uninterrupted_one_gives(make: Make) -> None:
    whole = list(first(make(3), 7))
    for step, batch in enumerate(first(make(3, first_step=4), 3), start=4):
        np.testing.assert_array_equal(batch, whole[step])
    np.testing.assert_array_equal(list(first(make(3, parallel_calls=2), 7)), whole)


@both
def test_steps_and_seeds_differ(make: Make) -> None:
    batches = [*first(make(0), 4), *first(make(1), 4), *first(make(2**32 - 1), 2), *first(make(0, first_step=-1), 1)]
    for one, other in itertools.combinations(batches, 2):
        assert np.abs(one - other).max() > 0.1


@both
def test_python_runs_while_a_pipeline_is_built_and_never_again(make: Make) -> None:
    data = CountedToy()
    data.calls.clear()
    batches = iter(make(0, data=data))
    next(batches)
    traced = len(data.calls)
    assert traced <= 2 * len(data.sources)
    for _ in range(50):
        next(batches)
    assert len(data.calls) == traced


@both
def test_a_refusal_of_the_data_stays_one_line(make: Make) -> None:
    with pytest.raises(InputError) as refused:
        make(0, data=TooShort())
    assert str(refused.value) == "cuts must be shorter than 64"
