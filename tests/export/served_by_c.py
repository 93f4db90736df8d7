"""A SavedModel asked by a C program: built from the headers of TensorFlow's own package, without Python and XLA."""

from __future__ import annotations

import functools
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

SOURCE = Path(__file__).parent / "c_program" / "serve.c"
TYPES = {1: np.float32, 3: np.int32, 9: np.int64, 10: np.bool_, 7: None}


@dataclass(frozen=True)
class Answer:
    """A status code, its message, the outputs by name, and the seconds of the run."""

    code: int
    message: str
    outputs: dict[str, np.ndarray]
    seconds: float


@functools.cache
def program() -> Path:
    """Return the compiled program; skip the test where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("needs a C compiler")
    package = Path(tf.sysconfig.get_lib())
    built = Path(_folder().name) / "serve"
    libraries = [str(path) for path in (package / "libtensorflow_cc.so.2", package / "libtensorflow_framework.so.2")]
    command = [compiler, "-O1", "-o", str(built), str(SOURCE), f"-I{tf.sysconfig.get_include()}", *libraries]
    subprocess.run([*command, f"-Wl,-rpath,{package}"], check=True, capture_output=True)
    return built


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tfsep-c-")


def signatures_of(model: Path) -> Mapping[str, Any]:
    """Return the signatures of a SavedModel as its file has them."""
    read = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes())
    return {name: value for name, value in read.meta_graphs[0].signature_def.items() if not name.startswith("__")}


def ask(model: Path, requests: Sequence[tuple[str, Mapping[str, np.ndarray]]], folder: Path) -> list[Answer]:
    """Ask a SavedModel several (signature, inputs) one after the other, in one process."""
    known = signatures_of(model)
    names = [sorted(known[signature].outputs) for signature, _ in requests]
    packed = [struct.pack("<q", len(requests))]
    for (signature, inputs), outputs in zip(requests, names, strict=True):
        definition = known[signature]
        packed.append(struct.pack("<qq", len(inputs), len(outputs)))
        for name, value in inputs.items():
            packed += [_named(definition.inputs[name].name), _tensor(value)]
        packed += [_named(definition.outputs[name].name) for name in outputs]
    (folder / "requests").write_bytes(b"".join(packed))
    command = [str(program()), str(model), str(folder / "requests"), str(folder / "answers")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    seconds = map(float, finished.stdout.split())
    data = _Reader((folder / "answers").read_bytes())
    return [_answer(data, outputs, next(seconds)) for outputs in names]


def _named(name: str) -> bytes:
    return struct.pack("<q", len(name)) + name.encode()


def _tensor(value: np.ndarray) -> bytes:
    number = next(number for number, dtype in TYPES.items() if dtype == value.dtype)
    return struct.pack(f"<{3 + value.ndim}q", number, value.ndim, *value.shape, value.nbytes) + value.tobytes()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def take(self, size: int) -> bytes:
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self) -> int:
        return int(struct.unpack("<q", self.take(8))[0])


def _answer(data: _Reader, outputs: Sequence[str], seconds: float) -> Answer:
    code = data.number()
    if code:
        return Answer(code, data.take(data.number()).decode(), {}, seconds)
    found = {}
    for name in outputs:
        dtype, rank = TYPES[data.number()], data.number()
        shape = [data.number() for _ in range(rank)]
        values = data.take(data.number())
        if dtype is None:
            found[name] = np.array(values.split(b"\n")[:-1], object).reshape(shape)
        else:
            found[name] = np.frombuffer(values, dtype).reshape(shape)
    return Answer(0, "", found, seconds)
