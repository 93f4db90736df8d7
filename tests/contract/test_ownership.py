"""A prior owns every weight that it uses, and its weights travel: files, checkpoints, exported graphs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.errors import InputError
from tfsep.models import weights

Events = Callable[..., np.ndarray]


def identities(variables: Any) -> set[int]:
    return {id(variable) for variable in variables}


def test_the_tape_watches_exactly_the_trainable_variables(core: Any, noise_events: Events) -> None:
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(core.nats_per_dim(noise_events(core, 4), 0.3))
    owned = [variable.value for variable in core.trainable_variables]
    assert len(owned) == len(identities(owned)) > 0
    assert identities(tape.watched_variables()) == identities(owned)
    gradients = tape.gradient(loss, owned)
    assert all(gradient is not None and np.isfinite(gradient).all() for gradient in gradients)


def test_every_trainable_variable_has_an_influence(flow: Any, noise_events: Events) -> None:
    """But for the residual half of a network's last layer, which nothing follows, gradients are not all zero."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(flow.nats_per_dim(noise_events(flow, 4), 0.3))
    owned = flow.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in owned])
    silent = [v.path for v, g in zip(owned, gradients, strict=True) if not np.abs(g).max() > 0.0]
    assert silent == []


def test_fixed_weights_are_saved_and_not_trained(flow: Any) -> None:
    fixed = sorted({variable.name for variable in flow.non_trainable_variables})
    rotated = ["permutation", "sign"] if flow.kind in ("glow", "lifting", "waveglow") else []
    assert fixed == sorted(["data_std", *rotated, *(["data_mean"] if flow.data_mean is not None else [])])


def test_weights_survive_a_file_bit_by_bit(flow_case: Any, flow: Any, noise_events: Events, tmp_path: Path) -> None:
    weights.save(flow, tmp_path / "prior.safetensors")
    other = flow_case.build()
    weights.load(other, tmp_path / "prior.safetensors")
    for mine, its in zip(flow.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)
    x = noise_events(flow, 4)
    np.testing.assert_array_equal(other.log_prob(x, 0.3), flow.log_prob(x, 0.3))


def test_weights_survive_a_checkpoint_bit_by_bit(
    flow_case: Any, flow: Any, noise_events: Events, tmp_path: Path
) -> None:
    place = tf.train.Checkpoint(model=flow).write(str(tmp_path / "checkpoint"))
    other = flow_case.build()
    tf.train.Checkpoint(model=other).read(place).assert_existing_objects_matched()
    for mine, its in zip(flow.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)
    x = noise_events(flow, 4)
    np.testing.assert_array_equal(other.score(x, 0.3), flow.score(x, 0.3))


@pytest.mark.parametrize("name", ["score_log_stft", "score_wave", "template_wave", "wavetable_grid"])
def test_what_is_no_flow_survives_a_checkpoint_bit_by_bit(
    name: str, case_named: Callable[[str], Any], noise_events: Events, tmp_path: Path
) -> None:
    prior, other = case_named(name).scrambled(), case_named(name).build()
    place = tf.train.Checkpoint(model=prior).write(str(tmp_path / "checkpoint"))
    for weight in other.weights:
        weight.assign(0.0 * weight.value)
    tf.train.Checkpoint(model=other).read(place).assert_existing_objects_matched()
    for mine, its in zip(prior.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)
    x = noise_events(prior, 2)
    np.testing.assert_array_equal(other.score(x, 0.3), prior.score(x, 0.3))


class Served(tf.Module):
    """A prior's score and, where it has one, density for a server."""

    def __init__(self, prior: Any) -> None:
        super().__init__()
        self.prior = prior
        batch = tf.TensorSpec([None, *prior.event_shape], tf.float32)
        signature = [batch, tf.TensorSpec([], tf.float32)]
        self.density = tf.function(self._density, input_signature=signature, autograph=False)

    def _density(self, x: tf.Tensor, sigma: tf.Tensor) -> dict[str, tf.Tensor]:
        numbers = {"score": self.prior.score(x, sigma)}
        return {**numbers, "log_prob": self.prior.log_prob(x, sigma)} if self.prior.has_log_prob else numbers


def test_an_exported_graph_gives_the_same_numbers(some_case: Any, noise_events: Events, tmp_path: Path) -> None:
    prior = some_case.scrambled()
    served = Served(prior)
    tf.saved_model.save(served, str(tmp_path), signatures=served.density)
    loaded = tf.saved_model.load(str(tmp_path))
    for num in (1, 5):
        x = tf.constant(noise_events(prior, num), tf.float32)
        found, expected = loaded.density(x, 0.3), served.density(x, tf.constant(0.3))
        assert set(found) == set(expected)
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5)


def test_a_file_of_another_flow_is_refused(flow_case: Any, flow: Any, tmp_path: Path) -> None:
    weights.save(flow, tmp_path / "prior.safetensors")
    with pytest.raises(InputError, match="the weights are of another model"):
        weights.load(flow_case.build(width=5), tmp_path / "prior.safetensors")
