"""A bundled model over a waveform: as an exported SavedModel, and as the Separator it was exported from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

import tfsep
from benchmarks.speed.tfsep_process import example
from benchmarks.speed.worker import Case
from tfsep.export.saved_model import export


def exported(model: str, seconds: float, file: str) -> Case:
    """Run the signature of an exported model; the export itself is not timed."""
    separator = tfsep.Separator.load(model)
    folder = export(separator, Path(file).with_suffix(""))
    served = tf.saved_model.load(str(folder))
    waveform = tf.constant(_waveform(separator, seconds))[tf.newaxis]

    def once() -> dict[str, np.ndarray]:
        return {name: stem.numpy() for name, stem in served.signatures["serving_default"](waveform=waveform).items()}

    return Case(once, check=[_level(stem) for _, stem in sorted(once().items())], rise=lambda: example.rise(once))


def separator(model: str, seconds: float, file: str) -> Case:
    """Run the Separator in Python."""
    del file
    loaded = tfsep.Separator.load(model)
    waveform = _waveform(loaded, seconds)

    def once() -> dict[str, np.ndarray]:
        return loaded(waveform, sample_rate=loaded.sample_rate)

    return Case(once, check=[_level(stem) for _, stem in sorted(once().items())], rise=lambda: example.rise(once))


def _waveform(loaded: tfsep.Separator, seconds: float) -> np.ndarray:
    length = round(seconds * loaded.sample_rate)
    return (0.1 * np.random.default_rng(0).standard_normal(length)).astype(np.float32)


def _level(stem: np.ndarray) -> float:
    return float(np.sqrt(np.mean(stem**2)))
