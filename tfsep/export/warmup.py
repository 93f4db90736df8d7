"""Warm-up requests: what a server answers before it says that it is ready, so that no client waits for it.

TensorFlow Serving reads ``assets.extra/tf_serving_warmup_requests``, TFRecords of PredictionLog. Each
signature is asked for one row of one segment and for two rows of two segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfsep.client import protos

#: The path that servers read, below a version's folder.
PATH = Path("assets.extra") / "tf_serving_warmup_requests"
_LOUDNESS = 0.1


def write(
    folder: Path,
    model: str,
    signatures: Mapping[str, Mapping[str, tf.TensorSpec]],
    segment: int,
    hop: int,
    most: int,
) -> None:
    """Write the requests of all signatures below a version's folder.

    Args:
        folder: of the version.
        model: its name on the server.
        signatures: the inputs of each, by name.
        segment, hop: of the model, in samples.
        most: samples that a request may have.
    """
    path = folder / PATH
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, specs in signatures.items():
            for inputs in requests(specs, segment, hop, most):
                log = protos.PredictionLog()
                log.predict_log.request.CopyFrom(protos.request(model, name, inputs))
                writer.write(log.SerializeToString())


def requests(specs: Mapping[str, tf.TensorSpec], segment: int, hop: int, most: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield the inputs of each request of a signature: noise for waveforms, zeros for the rest."""
    for rows, time in ((1, min(segment, most)), (2, min(segment + hop, most))):
        inputs = {}
        for name, spec in specs.items():
            # Of a signature over single segments the length is known.
            free = iter((rows, time))
            shape = [next(free) if size is None else size for size in spec.shape]
            generator = np.random.default_rng(0)
            noise = _LOUDNESS * generator.standard_normal(shape)
            inputs[name] = (noise if spec.dtype == tf.float32 else np.zeros(shape)).astype(spec.dtype.as_numpy_dtype)
        yield inputs
