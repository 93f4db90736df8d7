"""Pipelines: a pure function of (seed, step), built in the graph, of unpaired sources."""

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
    """Toy data that count how often Python draws."""

    calls: list[str] = []

    def draw(self, source: str, num: int, length: int, seed: Any) -> tf.Tensor:
        self.calls.append(source)
        return super().draw(source, num, length, seed)


class TooShort(ToyData):
    """A data set whose draws are refused."""

    def draw(self, source: str, num: int, length: int, seed: Any) -> tf.Tensor:
        raise InputError(f"excerpts must be shorter than {length}")


def excerpts(seed: int = 0, first_step: int = 0, data: ToyData | None = None, **settings: Any) -> tf.data.Dataset:
    return pipeline.excerpts(data or ToyData(), "sawtooth", LENGTH, BATCH, seed, first_step, **settings)


def remixes(seed: int = 0, first_step: int = 0, data: ToyData | None = None, **settings: Any) -> tf.data.Dataset:
    return pipeline.remixes(data or ToyData(), LENGTH, BATCH, seed, first_step, **settings)


both = pytest.mark.parametrize("make", [excerpts, remixes])


def first(dataset: tf.data.Dataset, num: int) -> Iterator[np.ndarray]:
    return itertools.islice(dataset.as_numpy_iterator(), num)


def test_batches_have_static_shapes_and_never_end() -> None:
    assert excerpts().element_spec == tf.TensorSpec((BATCH, LENGTH), tf.float32)
    assert remixes().element_spec == tf.TensorSpec((BATCH, 4, LENGTH), tf.float32)
    assert excerpts().cardinality() == tf.data.INFINITE_CARDINALITY


def test_batches_are_the_draws_of_their_steps() -> None:
    data = ToyData()
    for step, (single, mixed) in enumerate(zip(first(excerpts(9), 3), first(remixes(9), 3), strict=True)):
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
    assert str(refused.value) == "excerpts must be shorter than 64"


def backed(share: float, seed: int = 0, first_step: int = 0) -> tf.data.Dataset:
    data = ToyData()
    return pipeline.excerpts_and_backgrounds(data, "sawtooth", data, share, LENGTH, 64, seed, first_step)


def test_backgrounds_have_unit_level_and_do_not_hold_the_source() -> None:
    wave, background = next(backed(1.0).as_numpy_iterator())
    np.testing.assert_array_equal(wave, ToyData().draw("sawtooth", 64, LENGTH, (0, 0)))
    np.testing.assert_allclose(np.sqrt(np.mean(background**2, axis=-1)), 1.0, rtol=1e-4)
    others = [ToyData().draw(name, 64, LENGTH, (1, 0)).numpy() for name in ToyData().sources if name != "sawtooth"]
    for example in range(64):
        parts = np.stack([each[example] for each in others], axis=1)
        weights, *_ = np.linalg.lstsq(parts, background[example], rcond=None)
        np.testing.assert_allclose(parts @ weights, background[example], atol=1e-3)
        used = weights[np.abs(weights) > 1e-3]
        np.testing.assert_allclose(used, used[0], rtol=1e-2)


def test_the_share_of_backgrounds_is_kept_and_the_rest_is_white_noise() -> None:
    none, some = (next(backed(share).as_numpy_iterator())[1] for share in (0.0, 0.5))
    assert abs(np.mean(none)) < 0.05 and np.std(none) == pytest.approx(1.0, abs=0.05)
    flat = np.abs(np.corrcoef(none[:, 1:].ravel(), none[:, :-1].ravel())[0, 1])
    assert flat < 0.06
    same = np.all(some == none, axis=-1)
    assert 16 < same.sum() < 48


def test_backgrounds_start_anywhere() -> None:
    batches = list(itertools.islice(backed(0.5).as_numpy_iterator(), 3))
    for one, other in zip(next(backed(0.5, first_step=2).as_numpy_iterator()), batches[2], strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(batches[1][1] - batches[2][1]).max() > 0.1
