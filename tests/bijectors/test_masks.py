"""Masks divide an event into two dense halves and put it together again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tfsep.bijectors import Coupling
from tfsep.bijectors.masks import KINDS, GivenMask, Mask

SHAPES = [(8, 4), (6, 8, 2)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_merge_undoes_split(
    kind: str, swap: bool, shape: tuple[int, ...], make_events: Callable[..., tf.Tensor]
) -> None:
    mask, x = Mask(kind, swap), make_events(shape)
    kept, changed = mask.split(x)
    assert kept.shape[1:] == changed.shape[1:] == mask.part_shape(shape)
    np.testing.assert_array_equal(mask.merge(kept, changed), x)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_swap_exchanges_the_parts(kind: str, shape: tuple[int, ...], make_events: Callable[..., tf.Tensor]) -> None:
    x = make_events(shape)
    kept, changed = Mask(kind).split(x)
    changed_too, kept_too = Mask(kind, swap=True).split(x)
    np.testing.assert_array_equal(kept, kept_too)
    np.testing.assert_array_equal(changed, changed_too)


def test_checkerboard_over_time_keeps_the_even_samples(make_events: Callable[..., tf.Tensor]) -> None:
    x = make_events((8, 4))
    kept, changed = Mask("checkerboard").split(x)
    np.testing.assert_array_equal(kept, x[:, 0::2])
    np.testing.assert_array_equal(changed, x[:, 1::2])


def test_checkerboard_over_a_plane_is_one() -> None:
    frames, bins = np.meshgrid(np.arange(6), np.arange(8), indexing="ij")
    colour = tf.constant(((frames + bins) % 2).astype(np.float64)[np.newaxis, :, :, np.newaxis])
    kept, changed = Mask("checkerboard").split(colour)
    assert np.all(kept == 0.0) and np.all(changed == 1.0)


def test_channel_and_half_masks_halve_their_axis(make_events: Callable[..., tf.Tensor]) -> None:
    x = make_events((6, 8, 2))
    np.testing.assert_array_equal(Mask("channel").split(x)[0], x[..., :1])
    np.testing.assert_array_equal(Mask("half").split(x)[1], x[:, :, 4:])


@pytest.mark.parametrize("kind", KINDS)
def test_batches_of_unknown_size_keep_their_static_shape(kind: str) -> None:
    mask = Mask(kind)

    @tf.function(input_signature=[tf.TensorSpec([None, 6, 8, 2], tf.float64)])
    def there_and_back(x: tf.Tensor) -> tf.Tensor:
        kept, changed = mask.split(x)
        assert kept.shape[1:] == mask.part_shape((6, 8, 2))
        merged = mask.merge(kept, changed)
        assert merged.shape[1:] == (6, 8, 2)
        return merged

    x = np.random.default_rng(0).normal(size=(5, 6, 8, 2))
    np.testing.assert_array_equal(there_and_back(x), x)


def test_bad_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="one of channel, checkerboard, half, got 'diagonal'"):
        Mask("diagonal")
    with pytest.raises(ValueError, match="channel mask halves axis -1"):
        Mask("channel").part_shape((8, 3))
    for kind in ("checkerboard", "half"):
        with pytest.raises(ValueError, match=f"{kind} mask halves axis -2"):
            Mask(kind).part_shape((7, 4))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_given_half_stands_beside_what_is_kept(
    kind: str, swap: bool, shape: tuple[int, ...], make_events: Callable[..., tf.Tensor]
) -> None:
    mask, mapped, given = GivenMask(kind, swap), make_events(shape, 1), make_events(shape, 2)
    both = tf.concat([mapped, given], axis=-1)
    kept, changed = mask.split(both)
    assert changed.shape[1:] == mask.part_shape(tuple(both.shape[1:])) == Mask(kind).part_shape(shape)
    assert kept.shape[-1] == mask.kept_channels(tuple(both.shape[1:])) == 3 * changed.shape[-1]
    np.testing.assert_array_equal(changed, Mask(kind, swap).split(mapped)[1])
    np.testing.assert_array_equal(
        kept, tf.concat([Mask(kind, swap).split(mapped)[0], *Mask(kind, swap).split(given)], -1)
    )
    np.testing.assert_array_equal(mask.merge(kept, changed), both)


@pytest.mark.parametrize("kind", KINDS)
def test_a_coupling_leaves_the_given_half_as_it_is(
    kind: str,
    make_events: Callable[..., tf.Tensor],
    make_conditioner: Callable[..., Callable[[tf.Tensor], tf.Tensor]],
    assert_bijective: Callable[..., None],
) -> None:
    mask, x = GivenMask(kind), make_events((4, 8))
    changed = mask.part_shape((4, 8))[-1]
    coupling = Coupling(make_conditioner(3 * changed, 2 * changed), mask, 2, tf.float64)
    assert_bijective(coupling, (4, 8))
    latent = coupling.inverse(x)
    np.testing.assert_array_equal(latent[..., 4:], x[..., 4:])
    other = coupling.inverse(tf.concat([x[..., :4], 1.0 + x[..., 4:]], axis=-1))
    assert np.abs(other[..., :4] - latent[..., :4]).max() > 0.01
