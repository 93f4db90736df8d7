"""Rewrites packed programs for other versions of XLA: as StableHLO with versions of its operations (VHLO).

    .venv-pytorch/bin/python -m benchmarks.speed.portable.portable DIR

TensorFlow hands XLA a program in XLA's own form, which JAX can read only where both are about as
old. This rewrites every ``*.hlo.xz`` of a folder as ``*.mlir.xz``; benchmarks.speed.portable.pack
calls it with PyTorch's interpreter.
"""

from __future__ import annotations

import lzma
import sys
from pathlib import Path
from typing import Any

from jax._src.interpreters import mlir
from jax._src.lib.mlir import ir
from jaxlib import _jax
from jaxlib.mlir.dialects import stablehlo


def main(folder: str) -> int:
    """Rewrite the programs of a folder."""
    for file in sorted(Path(folder).glob("*.hlo.xz")):
        portable = rewritten(lzma.decompress(file.read_bytes()))
        file.with_name(file.name.replace(".hlo.xz", ".mlir.xz")).write_bytes(lzma.compress(portable))
        file.unlink()
    return 0


def rewritten(program: bytes) -> bytes:
    """Rewrite a serialised HloModuleProto as a portable artifact of StableHLO."""
    with mlir.make_ir_context():
        module = ir.Module.parse(_jax.mlir.hlo_to_stablehlo(program))
        _drop_copies(module.operation)
        found: bytes = stablehlo.serialize_portable_artifact(module, stablehlo.get_minimum_version())
    return found


def _drop_copies(operation: Any) -> None:
    """Let users of a copy, which StableHLO has no operation for, use what is copied."""
    for region in operation.regions:
        for block in region.blocks:
            for each in list(block.operations):
                inner = each.operation
                _drop_copies(inner)
                if inner.name == "mhlo.copy":
                    inner.results[0].replace_all_uses_with(inner.operands[0])
                    inner.erase()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
