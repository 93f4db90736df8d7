"""A flow with weights that differ from their start, events to evaluate, and both as a file that PyTorch can load.

The file is an ``.npz`` with the names of a PyTorch state dict and the layouts of Keras, input
channels before output channels: ``steps.3.network.gated.0.weight`` is (tap * in, out), or (height,
width, in, out). ``events`` and ``sigma`` are what its densities are evaluated at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from benchmarks.records import Setting
from tfsep import priors
from tfsep.axes import TensorLike
from tfsep.errors import InputError
from tfsep.priors.flows.flow import FlowPrior
from tfsep.priors.flows.flow_layers import (
    ActNormLayer,
    CouplingLayer,
    FlowLayer,
    InvertibleConvLayer,
    MultiscaleLayer,
    SequenceLayer,
)

Weights: TypeAlias = "dict[str, TensorLike | keras.Variable]"
_SHAKE = 0.02
_LOUDNESS = 0.3


def build(prior: Setting, variant: Setting, seed: int) -> FlowPrior:
    """Build a flow whose last layers are not zero, unlike those of a new one, with weights that float16 can hold.

    Args:
        prior: architecture, which PyTorch's model shares.
        variant: settings of tfsep alone, which change how it is computed and not what.
        seed: of the weights.

    Raises:
        InputError: if it is no flow.
    """
    keras.utils.set_random_seed(seed)
    built = priors.build(**prior, **variant)
    if not isinstance(built, FlowPrior):
        raise InputError(f"PyTorch has flows alone, got a prior of kind {built.kind!r}")
    random = np.random.default_rng(seed)
    for weight in built.trainable_variables:
        shaken = np.asarray(weight) + _SHAKE * random.standard_normal(weight.shape)
        weight.assign(tf.cast(shaken.astype(np.float16), weight.dtype))
    return built


def in_full_precision(model: FlowPrior, prior: Setting, variant: Setting) -> FlowPrior:
    """Return the float32 model with the weights of one in another precision; what PyTorch must agree with."""
    if "precision" not in variant:
        return model
    twin = build(prior, {name: value for name, value in variant.items() if name != "precision"}, seed=0)
    for weight, other in zip(twin.weights, model.weights, strict=True):
        weight.assign(other)
    return twin


def rise(once: Callable[[], object]) -> int:
    """Return the bytes by which memory rises within a call, by the count of TensorFlow's allocator.

    TensorFlow keeps freed memory, so that the resident set says nothing; what it counts is pieces
    of 256 KB and more.
    """
    device = "GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"
    tf.config.experimental.reset_memory_stats(device)
    rest = tf.config.experimental.get_memory_info(device)["current"]
    once()
    return int(tf.config.experimental.get_memory_info(device)["peak"] - rest)


def events(prior: FlowPrior, batch: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw events (batch,) + event_shape of noise, and noise levels (batch,) through the prior's range."""
    random = np.random.default_rng(seed)
    x = _LOUDNESS * random.standard_normal((batch, *prior.event_shape))
    sigma = np.geomspace(prior.smallest_sigma, prior.largest_sigma, batch + 2)[1:-1]
    return x.astype(np.float32), sigma.astype(np.float32)


def save(prior: FlowPrior, x: np.ndarray, sigma: np.ndarray, file: str | Path) -> None:
    """Write weights and events for PyTorch."""
    arrays = {"events": x, "sigma": sigma, **weights(prior)}
    np.savez(file, allow_pickle=False, **arrays)


def nats(prior: FlowPrior, x: np.ndarray, sigma: np.ndarray) -> list[float]:
    """Return nats per dimension of each event, which every reference must share."""
    return (prior.log_prob(x, sigma).numpy() / prior.dimensions).tolist()


def weights(prior: FlowPrior) -> dict[str, np.ndarray]:
    """Return all weights by name."""
    found: Weights = {"data_std": prior.data_std, **_dense("embedding", prior.embedding)}
    for number, layer in enumerate(_steps(prior.flow)):
        name = f"steps.{number}"
        if isinstance(layer, ActNormLayer):
            found |= {f"{name}.shift": layer.shift, f"{name}.log_scale": layer.log_scale}
        elif isinstance(layer, InvertibleConvLayer):
            found |= {f"{name}.{key}": value for key, value in layer.factors.items()}
        else:
            found |= _network(f"{name}.network", layer.network)
    return {name: np.asarray(tf.convert_to_tensor(value)) for name, value in found.items()}


def _steps(layer: FlowLayer) -> Iterator[FlowLayer]:
    """Yield steps with weights in order; a split comes before what follows it."""
    if isinstance(layer, SequenceLayer):
        for each in layer.layers:
            yield from _steps(each)
    elif isinstance(layer, MultiscaleLayer):
        yield layer
        yield from _steps(layer.inner)
    elif isinstance(layer, ActNormLayer | InvertibleConvLayer | CouplingLayer):
        yield layer


def _network(name: str, network: keras.layers.Layer) -> Weights:
    found = {**_dense(f"{name}.first", network.first), **_dense(f"{name}.last", network.last)}
    for part in ("gated", "outlets", "conditions"):
        for number, layer in enumerate(getattr(network, part)):
            found |= _dense(f"{name}.{part}.{number}", layer)
    return found


def _dense(name: str, layer: keras.layers.Layer | None) -> Weights:
    """Return kernel and bias of a layer, or of the dense layer within it."""
    if layer is None:
        return {}
    inner = getattr(layer, "dense", layer)
    found = {f"{name}.weight": inner.kernel}
    return found if inner.bias is None else {**found, f"{name}.bias": inner.bias}
