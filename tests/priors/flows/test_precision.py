"""Networks in bfloat16: a score close to float32's, and a chain that stays in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep import priors
from tfsep.errors import InputError

PLANE: dict[str, Any] = {"domain": "log_stft", "event_shape": (4, 8, 1), "squeeze": 2, "width": 16, "num_steps": 2}
LINE: dict[str, Any] = {"length": 64, "width": 16, "num_steps": 2, "num_layers": 2}
KINDS: dict[str, dict[str, Any]] = {
    "glow": {"kind": "glow", **PLANE, "num_levels": 2, "num_layers": 2},
    "glow_wavenet": {"kind": "glow", **PLANE, "num_levels": 1, "network": "wavenet", "num_layers": 2},
    "realnvp": {"kind": "realnvp", **PLANE, "num_levels": 2, "num_layers": 2, "conditioning": "film"},
    "lifting": {"kind": "lifting", **PLANE, "num_levels": 1, "num_blocks": 1, "trunk": {"width": 8}},
    "flowavenet_wave": {"kind": "flowavenet", **LINE, "num_levels": 2},
    "glow_wave": {"kind": "glow", **LINE, "squeeze": 4, "num_levels": 1, "conditioning": "film"},
    "nice_wave": {"kind": "nice", **LINE, "squeeze": 4},
    "waveglow_wave": {"kind": "waveglow", **LINE, "squeeze": 4},
}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_score_is_within_a_hundredth_of_single_precision(name: str) -> None:
    """Relative L2 over a batch, at weights off the identity."""
    single: Any = priors.build(**KINDS[name])
    half: Any = priors.build(**KINDS[name], precision="bfloat16")
    random = np.random.default_rng(1)
    for weight in single.trainable_variables:
        weight.assign_add(0.05 * random.normal(size=weight.shape))
    half.set_weights(single.get_weights())
    assert all(weight.dtype == "float32" for weight in half.weights)
    x = random.normal(size=(16, *single.event_shape))
    expected, found = single.score(x, 0.3).numpy(), half.score(x, 0.3)
    assert found.dtype == tf.float32 and half.log_prob(x, 0.3).dtype == tf.float32
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert 0.0 < error < 0.01


@pytest.mark.parametrize(
    "changes",
    [{"precision": "float16"}, {"precision": "bfloat16", "dtype": "float64"}],
    ids=["name", "dtype"],
)
def test_another_precision_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="precision must be None, or 'bfloat16'"):
        priors.build(**KINDS["glow"], **changes)


def test_lifting_over_waves_keeps_single_precision() -> None:
    with pytest.raises(InputError, match="precision must be None over waves"):
        priors.build("lifting", length=64, squeeze=4, num_levels=1, precision="bfloat16")
