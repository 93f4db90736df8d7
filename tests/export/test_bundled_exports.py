"""Every bundled model exported: C against Python, and rows against rows alone, as a table (pytest -s)."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfsep
from tests.export.served_by_c import ask, signatures_of
from tests.export.test_signatures import decibels
from tfsep.data import toy
from tfsep.export import operations, saved_model

pytestmark = pytest.mark.slow
LEAST_DECIBELS = 100.0
# Samplers do not come to rest in every excerpt, and rounding grows.
LEAST_ALONE = {"toy-flow": 90.0, "toy-score": 95.0}


def waveforms(model: str, shape: tuple[int, ...], sample_rate: int) -> np.ndarray:
    """Return what a model is for: toy mixtures, with which the second channel is the first at half the level; or noise.

    On noise, or a part of a segment with zeros behind it, samplers do not come to rest, and rounding grows further.
    """
    if model == "songs":
        return np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)
    mixture, _ = toy.mixtures(shape[0], shape[1], sample_rate)
    return mixture if len(shape) == 2 else np.stack([mixture, 0.5 * mixture], axis=-1)


@pytest.mark.parametrize("model", ["songs", "toy", "toy-flow", "toy-free", "toy-score"])
def test_c_answers_as_python_does(model: str, tmp_path: Path) -> None:
    separator = tfsep.Separator.load(model)
    before = time.perf_counter()
    folder = saved_model.export(separator, tmp_path / "base", max_seconds=30.0, num_samples=2)
    seconds = time.perf_counter() - before
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"\n{model}: exported in {seconds:.1f} s, {size / 1e6:.1f} MB")
    loaded = tf.saved_model.load(str(folder))
    for signature in loaded.signatures.values():
        operations.refuse_unservable(signature)
    whole = model != "songs"
    lengths = (separator.segment if whole else separator.segment // 2, separator.segment + separator.hop)
    names = sorted(set(signatures_of(folder)) - {"info"})
    asked = []
    for name in names:
        for length in lengths:
            shape = {"separate_stereo": (3, length, 2), "segments": (3, separator.segment)}.get(name, (3, length))
            inputs = {"waveform": waveforms(model, shape, separator.sample_rate)}
            if name in ("samples", "uncertainty"):
                inputs["seed"] = np.arange(3, dtype=np.int32)
            if name == "segments":
                inputs["seed"] = np.arange(6, dtype=np.int32).reshape(3, 2)
            asked += [(name, inputs), (name, {key: value[1:2] for key, value in inputs.items()})]
    answers = ask(folder, asked, tmp_path)
    lowest, lowest_alone = [], []
    for (name, inputs), answer in zip(asked, answers, strict=True):
        assert answer.code == 0, answer.message
        expected = loaded.signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
        same = min(decibels(answer.outputs[key], expected[key]) for key in answer.outputs)
        rows, length = inputs["waveform"].shape[:2]
        print(f"{model} {name}, batch {rows}, {length} samples: C and Python {same:.1f} dB, {answer.seconds:.2f} s")
        lowest.append(same)
    for (name, inputs), several, one in zip(asked[::2], answers[::2], answers[1::2], strict=True):
        alone = min(decibels(several.outputs[key][1:2], one.outputs[key]) for key in one.outputs)
        print(f"{model} {name}, {inputs['waveform'].shape[1]} samples: row of three and row alone {alone:.1f} dB")
        lowest_alone.append(alone)
    assert min(lowest) >= LEAST_DECIBELS
    assert min(lowest_alone) >= LEAST_ALONE.get(model, LEAST_DECIBELS)
