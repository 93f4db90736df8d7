"""Warm-up requests: what a server answers before it says that it is ready, so that no client waits for it.

TensorFlow Serving reads ``assets.extra/tf_serving_warmup_requests``, TFRecords of PredictionLog. Each
signature is asked for one row of one segment, and for two rows of two segments where a request may
be as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
        most: samples that a request may have, all rows together; at least one segment.
    """
    path = folder / PATH
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, specs in signatures.items():
            for inputs in requests(specs, segment, hop, most):
                log = protos.PredictionLog()
                message = log.predict_log.request
                message.CopyFrom(protos.request(model, name, {}))
                for key, tensor in inputs.items():
                    message.inputs[key].CopyFrom(tensor)
                writer.write(log.SerializeToString())


def read(folder: Path) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yield the signature and the inputs of each request below a version's folder, as a server reads them."""
    for record in tf.data.TFRecordDataset(str(folder / PATH)):
        request = protos.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: protos.to_array(tensor) for name, tensor in request.inputs.items()}
        yield request.model_spec.signature_name, inputs


def requests(specs: Mapping[str, tf.TensorSpec], segment: int, hop: int, most: int) -> Iterator[dict[str, Any]]:
    """Yield the inputs of each request of a signature, TensorProtos: a constant for waveforms, zeros for the rest."""
    for rows, time in ((1, segment), (2, min(segment + hop, most // 2))):
        if time < segment:
            continue
        inputs = {}
        for name, spec in specs.items():
            # Of a signature over single segments the length is known.
            free = iter((rows, time))
            shape = [next(free) if size is None else size for size in spec.shape]
            value = _LOUDNESS if spec.dtype == tf.float32 else 0.0
            inputs[name] = protos.filled(shape, np.dtype(spec.dtype.as_numpy_dtype), value)
        yield inputs
