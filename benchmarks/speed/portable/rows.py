"""What is timed on an accelerator: the rows of speed at sizes that fill one, and small ones, which wait for launches.

Participants with ``in_tfsep`` are packed (pack.py) and run by JAX; among the references they are
other implementations of tfsep.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.records import Setting
from benchmarks.speed.rows import TIME, Participant, Row, spectrogram, wave

CONVOLUTION = "convolution"
_BFLOAT16 = {"precision": "bfloat16"}
_COMPILED, _AUTOCAST = {"compiled": True}, {"bfloat16": True}
_PACK = "benchmarks.speed.portable.pack"
Settings = Mapping[str, Setting]


def packed(row: Row) -> dict[str, Participant]:
    """Return what is packed of a row, by the names of its entries: tfsep's has the row's own."""
    others = {f"{row.name}, {name}": reference for name, reference in row.references.items() if reference.in_tfsep}
    return {row.name: row.tfsep, **others}


def _training(name: str, prior: Setting, batch: int, references: Settings, variant: Setting) -> Row:
    others = {
        each: Participant("benchmarks.speed.pytorch.training:step", setting) for each, setting in references.items()
    }
    setting = {"variant": variant, "fit": {"jit_compile": True}}
    tfsep = Participant(f"{_PACK}:training", setting, in_tfsep=True)
    if prior["kind"] == "flowavenet":
        others["tfsep, convolutions"] = Participant(
            f"{_PACK}:training", {**setting, "implementation": CONVOLUTION}, in_tfsep=True
        )
    return Row(name, TIME, "step", {"prior": prior, "batch": batch}, tfsep, others)


def _langevin(chains: int, variant: Setting) -> Row:
    how = ", bfloat16" if variant else ""
    shared = {"prior": wave(4), "num_sources": 4, "chains": chains, "steps": 10, "sigma": 0.1}
    tfsep = Participant(f"{_PACK}:langevin", {"variant": variant}, in_tfsep=True)
    others = {"PyTorch loop": Participant("benchmarks.speed.pytorch.samplers:langevin")}
    return Row(f"SGLD, 4 sources, chains: {chains}{how}", TIME, "step", shared, tfsep, others)


def _convolution(context: str, dtype: str, channels: tuple[int, int]) -> Row:
    shared = {"context": context, "dtype": dtype, "channels": channels, "batch": 16, "length": 8192}
    tfsep, other = (
        Participant(f"{_PACK}:convolution", {"implementation": name}, in_tfsep=True) for name in ("taps", CONVOLUTION)
    )
    name = f"dilated convolution, {context}, {dtype}, {channels[0]} to {channels[1]}"
    return Row(name, TIME, "gradient", shared, tfsep, {CONVOLUTION: other})


_LARGE, _SMALL = "1-D, 8 couplings, 8 x 16,384", "1-D, 8 couplings, 2 x 4,096"
_EAGER: Settings = {"eager": {}}
_BOTH: Settings = {**_EAGER, "compile": _COMPILED}
_MIXED: Settings = {"bf16": _AUTOCAST, "compile, bf16": {**_COMPILED, **_AUTOCAST}}
ROWS = (
    _training(f"training, {_LARGE}, bfloat16", wave(8, 16384), 8, {**_EAGER, **_MIXED}, _BFLOAT16),
    _langevin(32, {}),
    _training(f"training, {_LARGE}", wave(8, 16384), 8, _BOTH, {}),
    _training("training, 2-D, 16 x 128 x 128, bfloat16", spectrogram(), 16, {**_EAGER, "bf16": _AUTOCAST}, _BFLOAT16),
    _training("training, 2-D, 16 x 128 x 128", spectrogram(), 16, _EAGER, {}),
    _training(f"training, {_SMALL}", wave(8), 2, _EAGER, {}),
    _langevin(1, {}),
    _langevin(32, _BFLOAT16),
    *(
        _convolution(context, dtype, channels)
        for channels in ((32, 64), (64, 128), (128, 256))
        for context in ("xla", "xla loop")
        for dtype in ("float32", "bfloat16")
    ),
)
