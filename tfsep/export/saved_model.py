"""A separator as a SavedModel: what TensorFlow Serving, a C program or another Python loads without tfsep.

``BASE/<version>/`` holds the signatures of :mod:`tfsep.export.signatures`, whose graphs have none
but the operations of :mod:`tfsep.export.operations`. Beside the graphs and the weights there are
``assets/labels.json``, the sources in order; ``assets.extra/tfsep.json``, what a client must know
beside the signatures; ``assets.extra/card.md``, the model's card; and the requests that warm a
server up (:mod:`tfsep.export.warmup`).
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfsep import __version__
from tfsep.errors import InputError, JobError
from tfsep.export import warmup
from tfsep.export.operations import refuse_unservable
from tfsep.export.signatures import ServedModel
from tfsep.locks import temporary_folder
from tfsep.models import store
from tfsep.separation.names import plain_name
from tfsep.separation.separator import Separator

_CARD = "card.md"


def export(
    separator: Separator,
    base: str | Path,
    version: int | None = None,
    max_seconds: float = 120.0,
    num_samples: int = 8,
) -> Path:
    """Write a version of a model under ``base`` and return its folder.

    The folder appears complete or not at all: it is written under a temporary name, which servers
    pass over, and then renamed. A version that is there is never replaced.

    Args:
        separator: of the model.
        base: folder of the versions.
        version: its number, at least 1; None is one more than the highest.
        max_seconds: of sound in a request, all rows together; at least one segment.
        num_samples: posterior samples of ``samples`` and ``uncertainty``, at least 2.

    Raises:
        InputError: for an argument out of range, or if the posterior's graph needs what a server has
            not, such as Python or the XLA compiler.
        JobError: if ``base`` cannot be written, or the version is there already.
    """
    base = Path(base)
    if version is not None and not 1 <= version < 2**63:
        raise InputError(f"a version must be at least 1 and below 2^63, got {version}")
    if version is not None and (base / str(version)).exists():
        raise JobError(f"version {version} is in {base} already and is never replaced")
    served = ServedModel(separator, max_seconds, num_samples)
    for signature in served.graphs.values():
        refuse_unservable(signature)
    with contextlib.ExitStack() as stack:
        try:
            base.mkdir(parents=True, exist_ok=True)
            temporary = stack.enter_context(temporary_folder(base))
        except OSError as error:
            raise JobError(f"the output folder {base} cannot be written: {error.strerror}") from error
        try:
            temporary.chmod(base.stat().st_mode & 0o777)
            saved = tf.Module()
            saved.variables_of_graphs = served.variables
            tf.saved_model.save(saved, str(temporary), signatures=served.graphs)
            _show_shapes(temporary / "saved_model.pb", served)
            _write_beside(temporary, separator, served)
            return _publish(temporary, base, version)
        except (OSError, tf.errors.OpError) as error:
            raise JobError(f"the SavedModel cannot be written to {base}: {error}") from error


def next_version(base: Path) -> int:
    """Return one more than the highest version under ``base``; 1 for the first."""
    taken = [int(path.name) for path in base.iterdir() if path.name.isdecimal()]
    return max(taken, default=0) + 1


def _show_shapes(path: Path, served: ServedModel) -> None:
    """Write the shapes of the inputs into the signatures, where the graphs have none."""
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for name, inputs in served.inputs.items():
        for key, spec in inputs.items():
            shape = model.meta_graphs[0].signature_def[name].inputs[key].tensor_shape
            shape.CopyFrom(spec.shape.as_proto())
    path.write_bytes(model.SerializeToString(deterministic=True))


def _write_beside(folder: Path, separator: Separator, served: ServedModel) -> None:
    """Write what is neither graph nor weights."""
    (folder / "assets").mkdir(exist_ok=True)
    labels = json.dumps(list(separator.sources)) + "\n"
    (folder / "assets" / "labels.json").write_text(labels, encoding="utf-8")
    extra = folder / "assets.extra"
    extra.mkdir()
    (extra / "tfsep.json").write_text(json.dumps(_description(separator, served), indent=2) + "\n", encoding="utf-8")
    name, most = plain_name(separator.name), served.bound.most
    warmup.write(folder, name, served.inputs, separator.segment, separator.hop, most)
    card = _card(separator.name)
    if card is not None:
        shutil.copyfile(card, extra / _CARD)


def _card(name: str) -> Path | None:
    """Return the card of a model on disk, where it has one."""
    try:
        card = store.find_model(name) / _CARD
    except InputError:
        return None
    return card if card.is_file() else None


def _publish(temporary: Path, base: Path, version: int | None) -> Path:
    """Rename to a version, or to the next one that no other process has written meanwhile."""
    number = next_version(base) if version is None else version
    while True:
        try:
            return temporary.rename(base / str(number))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            if version is not None:
                raise JobError(f"version {version} is in {base} already and is never replaced") from error
        number += 1


def _description(separator: Separator, served: ServedModel) -> dict[str, object]:
    """Return what a client must know beside the signatures."""
    return {
        "model": separator.name,
        "sources": list(separator.sources),
        "sample_rate": separator.sample_rate,
        "segment": separator.segment,
        "hop": separator.hop,
        "stereo": separator.stereo,
        "max_seconds": served.max_seconds,
        "most_samples": served.bound.most,
        "num_samples": served.num_samples,
        "signatures": list(served.graphs),
        "tfsep": __version__,
    }
