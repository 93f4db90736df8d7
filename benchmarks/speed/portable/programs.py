"""Packed programs as cases, compiled and run by JAX's client of XLA on what device it has, without TensorFlow.

JAX has no public way to compile a program that it did not trace: its client's methods are used, as
they are in JAX 0.10 and 0.11.
"""

from __future__ import annotations

import json
import lzma
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax._src import compiler
from jax._src.interpreters import mlir
from jaxlib import _jax

from benchmarks.records import Record, Setting
from benchmarks.speed.measure import refuse_unequal
from benchmarks.speed.portable.store import Unpacking
from benchmarks.speed.worker import Case

jax.config.update("jax_enable_x64", True)

_TOLERANCE = 1e-2


class Program:
    """A program on a device, with its arguments there.

    Args:
        folder: of what was packed.
        about: its entry.
        store: the arrays.
    """

    def __init__(self, folder: Path, about: Setting, store: Unpacking) -> None:
        """Compile it."""
        device = jax.devices()[0]
        options = compiler.get_compile_options(num_replicas=1, num_partitions=1)
        portable = lzma.decompress((folder / about["file"]).read_bytes())
        with mlir.make_ir_context() as context:
            module = _jax.mlir.deserialize_portable_artifact(portable, context)
            self._executable = device.client.compile_and_load(module, _jax.DeviceList((device,)), options)
        self._arguments = [jax.device_put(store.get(each), device) for each in about["parameters"]]
        self._state = {int(output): parameter for output, parameter in about["state"].items()}
        self._num_results = len(about["results"])

    def __call__(self) -> list[np.ndarray]:
        """Call it, wait for it, and take its state over into the next call."""
        outputs = self._executable.execute_sharded(self._arguments).disassemble_into_single_device_arrays()
        for output, parameter in self._state.items():
            self._arguments[parameter] = outputs[output][0]
        return [np.asarray(outputs[number][0]) for number in range(self._num_results)]

    def memory(self) -> int:
        """Return the bytes that a call needs beside its arguments."""
        found = self._executable.get_compiled_memory_stats()
        return int(found.temp_size_in_bytes + found.output_size_in_bytes - found.alias_size_in_bytes)


def program(packed: str, entry: str, file: str, **shared: object) -> Case:
    """Build a case of what was packed.

    Args:
        packed: folder of what was packed.
        entry: its name.
        file: where weights and events go for PyTorch, with ``{k}`` in it for several priors.
        **shared: what the row's participants share; it is in the program already.

    Raises:
        JobError: if log-likelihoods or scores are not TensorFlow's within 1e-4, or what the first
            call gives, rounded as the device rounds it, within 1e-2.
    """
    del shared
    folder = Path(packed)
    about = json.loads((folder / "rows.json").read_text(encoding="utf-8"))[entry]
    store = Unpacking(folder / "arrays.npz")
    for name, arrays in about["weights"].items():
        found: Record = {key: store.get(each) for key, each in arrays.items()}
        np.savez(Path(file).parent / name, **found)
    check: list[float] = []
    if "facts" in about:
        check = Program(folder, about["facts"], store)()[0].tolist()
        refuse_unequal(f"{entry}, TensorFlow", about["check"], check)
    start = time.perf_counter()
    step = Program(folder, about["step"], store)
    prepared = time.perf_counter() - start
    results = zip(about["step"]["results"], step(), strict=True)
    pairs = [(wanted, each.ravel()[: len(wanted)].tolist()) for wanted, each in results if wanted]
    if pairs:
        largest = max(refuse_unequal(f"{entry}, first call", *pair, _TOLERANCE) for pair in pairs)
        print(f"{entry}: the first call differs by {largest:.2g} from TensorFlow's", flush=True)
    return Case(step, about["per_call"], check, prepared, device=_device(), rise=step.memory)


def _device() -> str:
    return f"{jax.devices()[0].device_kind}, JAX {jax.__version__}"


def product(size: int, dtype: str, file: str = "") -> Case:
    """Multiply (size, size) by (size, size) in "float32" or "bfloat16"; a row's ``file`` is not needed."""
    del file
    random = np.random.default_rng(0)
    a, b = (jnp.asarray(random.standard_normal((size, size)), dtype) for _ in range(2))
    multiply = jax.jit(jnp.matmul)
    return Case(lambda: multiply(a, b)[0, 0].item(), flops=2.0 * size**3)
