"""The dilated convolution by both implementations, and which of them is used where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.signals import noise_tensor
from tfsep.networks import dilated
from tfsep.networks.dilated import CONVOLUTION, TAPS, DilatedConv
from tfsep.runtime import trace_context

Make = Callable[..., Any]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A table of a device of one's own, empty at first."""
    rows: list[dict[str, Any]] = []
    monkeypatch.setattr(dilated, "measured", lambda: rows)
    monkeypatch.setattr(dilated, "device", lambda: "abacus")
    yield rows


def row(context: str, in_channels: int, taps: float, convolution: float, **changes: Any) -> dict[str, Any]:
    about = {"device": "abacus", "context": context, "dtype": "float32", "in_channels": in_channels, "out_channels": 8}
    return {**about, "ms": {TAPS: taps, CONVOLUTION: convolution}, **changes}


@pytest.mark.parametrize("implementation", dilated.IMPLEMENTATIONS)
@pytest.mark.parametrize(("kernel_size", "dilation"), [(1, 1), (3, 1), (3, 4), (5, 2)])
def test_dilated_conv_is_the_sum_of_its_taps(
    implementation: str, kernel_size: int, dilation: int, scrambled: Make
) -> None:
    layer = scrambled(DilatedConv(4, 6, kernel_size, dilation, implementation=implementation))
    kernel, bias = layer.get_weights()
    x, reach = noise_tensor(2, 19, 4).numpy(), kernel_size // 2 * dilation
    padded = np.pad(x, [(0, 0), (reach, reach), (0, 0)])
    taps = kernel.reshape(kernel_size, 4, 6)
    expected = bias + sum(padded[:, i * dilation : i * dilation + 19] @ tap for i, tap in enumerate(taps))
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


@pytest.mark.usefixtures("gradient_of_convolutions")
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_gradients_do_not_depend_on_the_implementation(kernel_size: int, scrambled: Make) -> None:
    layer, x, found = scrambled(DilatedConv(3, 4, kernel_size, 2)), noise_tensor(2, 12, 3), {}
    for layer.implementation in dilated.IMPLEMENTATIONS:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.tanh(layer(x)) ** 2)
        found[layer.implementation] = tape.gradient(loss, [x, *(weight.value for weight in layer.trainable_variables)])
    for one, other in zip(*found.values(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("implementation", dilated.IMPLEMENTATIONS)
def test_dilated_conv_takes_events_of_unknown_length(implementation: str, scrambled: Make) -> None:
    layer = scrambled(DilatedConv(1, 2, 3, 2, implementation=implementation))
    call = tf.function(layer, input_signature=[tf.TensorSpec([None, None, 1], tf.float32)])
    for time in (1, 7, 16):
        np.testing.assert_allclose(call(noise_tensor(2, time, 1)), layer(noise_tensor(2, time, 1)), atol=1e-6)


def test_an_even_kernel_and_another_implementation_are_refused() -> None:
    with pytest.raises(ValueError, match="kernel_size must be odd for a non-causal convolution, got 4"):
        DilatedConv(1, 1, 4, 1)
    with pytest.raises(ValueError, match="implementation must be None, 'taps' or 'convolution', got 'magic'"):
        DilatedConv(1, 1, 3, 1, implementation="magic")


def test_the_nearest_measured_channels_decide(here: list[dict[str, Any]]) -> None:
    here += [row("graph", 4, 1.0, 2.0), row("graph", 64, 2.0, 1.0), row("xla", 64, 1.0, 2.0)]
    found = [dilated.fastest("graph", "float32", channels, 8) for channels in (1, 8, 32, 500)]
    assert found == [TAPS, TAPS, CONVOLUTION, CONVOLUTION]
    assert dilated.fastest("xla", "float32", 64, 8) == TAPS


def test_taps_are_used_where_nothing_was_measured(here: list[dict[str, Any]]) -> None:
    here += [row("graph", 4, 2.0, 1.0), row("graph", 4, 2.0, 1.0, device="CPU"), row("xla", 4, 2.0, 1.0, dtype="half")]
    assert dilated.fastest("graph", "float32", 4, 8) == CONVOLUTION
    for context, dtype in (("xla", "float32"), ("stacked", "float32"), ("graph", "float64")):
        assert dilated.fastest(context, dtype, 4, 8) == TAPS


def test_the_target_device_of_a_program_decides(here: list[dict[str, Any]]) -> None:
    here += [row("xla", 4, 2.0, 1.0), row("xla", 4, 1.0, 2.0, device="GPU")]
    assert dilated.fastest("xla", "float32", 4, 8) == CONVOLUTION
    with trace_context.targeting("GPU"):
        assert dilated.fastest("xla", "float32", 4, 8) == TAPS
    with trace_context.targeting("moon"):
        assert dilated.fastest("xla", "float32", 4, 8) == TAPS


def test_a_layer_is_traced_by_the_implementation_of_its_context(here: list[dict[str, Any]]) -> None:
    here += [row("graph", 4, 2.0, 1.0), row("xla loop", 4, 1.0, 2.0)]
    layer = DilatedConv(4, 8, 3, 1)

    def kinds(context: str) -> set[str]:
        with trace_context.entering(context):
            graph = tf.function(layer.call).get_concrete_function(tf.TensorSpec([2, 8, 4], tf.float32)).graph
        return {operation.type for operation in graph.get_operations()}

    assert "Conv2D" in kinds(trace_context.GRAPH) and "Conv2D" not in kinds(trace_context.XLA_LOOP) | kinds(
        trace_context.STACKED
    )


def test_the_table_has_both_implementations_for_every_context_of_a_cpu() -> None:
    rows = dilated.measured()
    assert {row["context"] for row in rows if row["device"] == "CPU"} == {"graph", "xla", "xla loop"}
    assert all(set(row["ms"]) == set(dilated.IMPLEMENTATIONS) and min(row["ms"].values()) > 0.0 for row in rows)
