"""A separator as a SavedModel: what TensorFlow Serving, a C program or another Python loads without tfsep.

``BASE/<version>/`` holds one signature, ``serving_default``: waveform [batch, time] float32 at the
model's sample rate to one output [batch, time] for each source, at mixture scale, so that the
outputs sum to the waveform. Both sizes are free; every waveform of a batch is separated on its own.
The result is that of ``Separator.separate_batch`` for seed 0: channels of one song are separated
independently, whatever the model's stereo mode. What a client must know beside the signature is
written in ``assets.extra/tfsep.json``.
"""

from __future__ import annotations

import contextlib
import errno
import json
from pathlib import Path

import tensorflow as tf

from tfsep import __version__
from tfsep.axes import Waves
from tfsep.errors import InputError, JobError
from tfsep.locks import temporary_folder
from tfsep.separation import segments
from tfsep.separation.separator import Separator

_PYTHON_OPERATIONS = frozenset(("PyFunc", "PyFuncStateless", "EagerPyFunc"))
_XLA_ATTRIBUTE = "_XlaMustCompile"


class ServedModel(tf.Module):
    """The graph that is served, and the variables that tracing captured."""

    def __init__(self, separator: Separator) -> None:
        """Trace the graph."""
        super().__init__()
        self._separator = separator
        waveform = tf.TensorSpec([None, None], tf.float32, name="waveform")
        self.serve = tf.function(self._serve, input_signature=[waveform], autograph=False)
        self.signature = self.serve.get_concrete_function()
        self.captured = list(self.signature.graph.variables)

    def _serve(self, waveform: Waves) -> dict[str, Waves]:
        """Separate waveforms (batch, time) into {source: stem} of the same shape."""
        separator = self._separator
        scale = tf.constant(1.0)
        if separator.normalise:
            scale = separator.level_scales(waveform)
        stems = segments.separate_waveform(
            separator.model.posterior, scale * waveform, separator.hop, 1, (0, 0), separator.chunk_size()
        )
        stems = stems[0] / scale[..., tf.newaxis] if separator.normalise else stems[0]
        return {name: stems[:, k] for k, name in enumerate(separator.sources)}


def export(separator: Separator, base: str | Path) -> Path:
    """Write the next version of a model under ``base`` and return its folder.

    The folder appears complete or not at all: it is written under a temporary name, which servers
    pass over, and then renamed.

    Raises:
        InputError: if the posterior's graph needs Python or the XLA compiler, which a server has
            not.
        JobError: if ``base`` cannot be written.
    """
    base = Path(base)
    served = ServedModel(separator)
    refuse_unservable(served.signature)
    with contextlib.ExitStack() as stack:
        try:
            base.mkdir(parents=True, exist_ok=True)
            temporary = stack.enter_context(temporary_folder(base))
        except OSError as error:
            raise JobError(f"the output folder {base} cannot be written: {error.strerror}") from error
        try:
            temporary.chmod(base.stat().st_mode & 0o777)
            tf.saved_model.save(served, str(temporary), signatures={"serving_default": served.signature})
            notes = temporary / "assets.extra" / "tfsep.json"
            notes.parent.mkdir()
            notes.write_text(json.dumps(_description(separator), indent=2) + "\n", encoding="utf-8")
            return _publish(temporary, base)
        except (OSError, tf.errors.OpError) as error:
            raise JobError(f"the SavedModel cannot be written to {base}: {error}") from error


def refuse_unservable(signature: tf.types.experimental.ConcreteFunction) -> None:
    """Check that TensorFlow Serving can run a concrete function.

    Raises:
        InputError: if it calls Python or demands compilation by XLA.
    """
    graph = signature.graph.as_graph_def()
    bodies = [graph.node, *(function.node_def for function in graph.library.function)]
    operations = {node.op for body in bodies for node in body}
    if operations & _PYTHON_OPERATIONS:
        raise InputError("a served graph must not call Python, this posterior's does (tf.py_function)")
    attributes = [function.attr for function in graph.library.function]
    attributes += [node.attr for body in bodies for node in body]
    if any(_XLA_ATTRIBUTE in attribute and attribute[_XLA_ATTRIBUTE].b for attribute in attributes):
        raise InputError("a served graph must not ask for XLA, this posterior's does (jit_compile=True)")


def next_version(base: Path) -> int:
    """Return one more than the highest version under ``base``; 1 for the first."""
    taken = [int(path.name) for path in base.iterdir() if path.name.isdecimal()]
    return max(taken, default=0) + 1


def _publish(temporary: Path, base: Path) -> Path:
    """Rename to the next version, or to the one after it where another process has written that meanwhile."""
    version = next_version(base)
    while True:
        try:
            return temporary.rename(base / str(version))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        version += 1


def _description(separator: Separator) -> dict[str, object]:
    """Return what a client must know beside the signature."""
    return {
        "model": separator.name,
        "sources": list(separator.sources),
        "sample_rate": separator.sample_rate,
        "segment": separator.segment,
        "hop": separator.hop,
        "tfsep": __version__,
    }
