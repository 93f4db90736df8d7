"""Weights on disk: the same numbers back, and only into the model that they belong to."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tfsep.errors import InputError
from tfsep.models import weights


def network(*units: int, seed: int = 0, dtype: str = "float32") -> keras.Sequential:
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(each, bias_initializer="normal", dtype=dtype) for each in units]
    return keras.Sequential([keras.layers.Input((4,), dtype=dtype), *layers])


def refusal(model: keras.Model, file: Path) -> str:
    """The one line with which a file is refused; the model keeps its weights."""
    before = model.get_weights()
    with pytest.raises(InputError) as refused:
        weights.load(model, file)
    for old, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
    assert "\n" not in str(refused.value) and str(refused.value).startswith(f"{file}: ")
    return str(refused.value).removeprefix(f"{file}: ")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_come_back_bit_for_bit(tmp_path: Path, dtype: str) -> None:
    saved, other = network(3, 2, dtype=dtype), network(3, 2, seed=1, dtype=dtype)
    weights.save(saved, tmp_path / "below" / "here" / "net.safetensors")
    weights.load(other, tmp_path / "below" / "here" / "net.safetensors")
    for one, back in zip(saved.get_weights(), other.get_weights(), strict=True):
        assert back.dtype == dtype
        np.testing.assert_array_equal(one, back)


@pytest.mark.parametrize("half", [False, True])
def test_scalars_stay_scalars(tmp_path: Path, half: bool) -> None:
    class Scaled(keras.Model):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.scale = self.add_weight(shape=(), initializer=keras.initializers.Constant(value), name="scale")

    weights.save(Scaled(0.5), tmp_path / "scale.safetensors", half)
    assert load_file(tmp_path / "scale.safetensors")["0000"].shape == ()
    other = Scaled(2.0)
    weights.load(other, tmp_path / "scale.safetensors")
    assert float(other.scale) == 0.5


def test_half_precision_takes_half_the_space(tmp_path: Path) -> None:
    saved, other = network(50, 50), network(50, 50, seed=1)
    weights.save(saved, tmp_path / "whole.safetensors")
    weights.save(saved, tmp_path / "half.safetensors", half=True)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (tmp_path / "whole.safetensors").stat().st_size
    assert {array.dtype for array in load_file(tmp_path / "half.safetensors").values()} == {np.dtype(np.float16)}
    weights.load(other, tmp_path / "half.safetensors")
    for one, back in zip(saved.get_weights(), other.get_weights(), strict=True):
        assert back.dtype == np.float32
        np.testing.assert_allclose(back, one, rtol=1e-3, atol=1e-7)


def test_nothing_but_the_file_is_left(tmp_path: Path) -> None:
    for seed in (0, 1):
        weights.save(network(3, seed=seed), tmp_path / "net.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]
    model = network(3)
    weights.load(model, tmp_path / "net.safetensors")
    np.testing.assert_array_equal(model.get_weights()[0], network(3, seed=1).get_weights()[0])


def test_arrays_are_named_by_position(tmp_path: Path) -> None:
    weights.save(network(3, 2), tmp_path / "net.safetensors")
    assert sorted(load_file(tmp_path / "net.safetensors")) == ["0000", "0001", "0002", "0003"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(network(3), tmp_path / "net.safetensors") == "the weights of this model are missing"
    (tmp_path / "folder").mkdir()
    assert refusal(network(3), tmp_path / "folder") == "the weights of this model are missing"


@pytest.mark.parametrize("content", [b"", b"RIFF\x00\x00\x00\x00WAVE", b"\x80\x04K\x01.", b"\xff" * 64])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.safetensors").write_bytes(content)
    assert refusal(network(3), tmp_path / "net.safetensors").startswith("not a safetensors file (")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    weights.save(network(3), tmp_path / "net.safetensors")
    whole = (tmp_path / "net.safetensors").read_bytes()
    (tmp_path / "net.safetensors").write_bytes(whole[:-5])
    assert refusal(network(3), tmp_path / "net.safetensors").startswith("not a safetensors file (")


def test_numbers_that_numpy_does_not_know_are_refused(tmp_path: Path) -> None:
    header = json.dumps({"0000": {"dtype": "F8_E5M2", "shape": [2], "data_offsets": [0, 2]}}).encode()
    (tmp_path / "net.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")
    assert refusal(network(3), tmp_path / "net.safetensors").startswith("not a safetensors file (")


@pytest.mark.parametrize(
    ("units", "found"),
    [
        ((5, 2), "4 arrays of given shapes are needed, 4 were found and 1 fit"),
        ((3,), "4 arrays of given shapes are needed, 2 were found and 2 fit"),
        ((3, 2, 1), "4 arrays of given shapes are needed, 6 were found and 4 fit"),
    ],
)
def test_weights_of_another_model_are_refused(tmp_path: Path, units: tuple[int, ...], found: str) -> None:
    weights.save(network(*units), tmp_path / "net.safetensors")
    expected = f"the weights are of another model: {found}"
    assert refusal(network(3, 2), tmp_path / "net.safetensors") == expected


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    model = network(3)
    arrays = {f"{place:04d}": array for place, array in enumerate(model.get_weights())}
    arrays["0001"] = np.array([0.0, value, 1.0], np.float32)
    save_file(arrays, tmp_path / "net.safetensors")
    assert refusal(model, tmp_path / "net.safetensors") == "weights must be finite"


def test_large_weights_go_into_parts_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "MAX_BYTES", 100)
    model = keras.Sequential([keras.layers.Dense(5), keras.layers.Dense(4), keras.layers.Dense(3)])
    model.build((None, 6))
    kept = [np.array(value) for value in model.get_weights()]
    file = tmp_path / "large.safetensors"
    weights.save(model, file)
    assert (tmp_path / "large.1.safetensors").is_file()
    model.set_weights([value + 1.0 for value in kept])
    weights.load(model, file)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), kept, strict=True))
    (tmp_path / "large.1.safetensors").unlink()
    with pytest.raises(InputError, match=r"large\.1\.safetensors: the weights of this model are missing"):
        weights.load(model, file)


def test_the_first_weights_of_a_model_alone(tmp_path: Path) -> None:
    masks, whole = network(3, 2), network(3, 2, 5, seed=1)
    weights.save(masks, tmp_path / "masks.safetensors")
    assert "weights are of another model" in refusal(whole, tmp_path / "masks.safetensors")
    last = whole.get_weights()[4:]
    weights.load(whole, tmp_path / "masks.safetensors", leading=True)
    for found, wanted in zip(whole.get_weights(), [*masks.get_weights(), *last], strict=True):
        np.testing.assert_array_equal(found, wanted)
    weights.save(whole, tmp_path / "whole.safetensors")
    with pytest.raises(InputError, match="4 arrays of given shapes are needed, 6 were found"):
        weights.load(masks, tmp_path / "whole.safetensors", leading=True)
