"""What is timed on an accelerator: the rows of speed at sizes that fill one, and small ones, which wait for launches.

Participants that stand ``at_home`` are packed (pack.py) and run by JAX; among its peers they are tfsep's other ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.speed.rows import TIME, Participant, Row, spectrogram, wave

CONVOLUTION = "convolution"
_BFLOAT16 = {"precision": "bfloat16"}
_COMPILED, _AUTOCAST = {"compiled": True}, {"bfloat16": True}
_PACK = "benchmarks.speed.portable.pack"
Settings = Mapping[str, Mapping[str, Any]]


def packed(row: Row) -> dict[str, Participant]:
    """What is packed of a row, by the names of its entries: ours by the row's own."""
    others = {f"{row.name}, {name}": peer for name, peer in row.peers.items() if peer.at_home}
    return {row.name: row.ours, **others}


def _training(name: str, prior: Mapping[str, Any], batch: int, peers: Settings, variant: Mapping[str, Any]) -> Row:
    others = {peer: Participant("benchmarks.speed.pytorch.training:step", setting) for peer, setting in peers.items()}
    setting = {"variant": variant, "fit": {"jit_compile": True}}
    ours = Participant(f"{_PACK}:training", setting, at_home=True)
    if prior["kind"] == "flowavenet":
        others["ours, convolutions"] = Participant(f"{_PACK}:training", {**setting, "way": CONVOLUTION}, at_home=True)
    return Row(name, TIME, "step", {"prior": prior, "batch": batch}, ours, others)


def _langevin(chains: int, variant: Mapping[str, Any]) -> Row:
    how = ", bfloat16" if variant else ""
    shared = {"prior": wave(4), "num_sources": 4, "chains": chains, "steps": 10, "sigma": 0.1}
    ours = Participant(f"{_PACK}:langevin", {"variant": variant}, at_home=True)
    others = {"PyTorch loop": Participant("benchmarks.speed.pytorch.samplers:langevin")}
    return Row(f"SGLD, 4 sources, chains: {chains}{how}", TIME, "step", shared, ours, others)


def _convolution(place: str, dtype: str, channels: tuple[int, int]) -> Row:
    shared = {"place": place, "dtype": dtype, "channels": channels, "batch": 16, "length": 8192}
    ours, other = (Participant(f"{_PACK}:convolution", {"way": way}, at_home=True) for way in ("taps", CONVOLUTION))
    name = f"dilated convolution, {place}, {dtype}, {channels[0]} to {channels[1]}"
    return Row(name, TIME, "gradient", shared, ours, {CONVOLUTION: other})


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
        _convolution(place, dtype, channels)
        for channels in ((32, 64), (64, 128), (128, 256))
        for place in ("xla", "xla loop")
        for dtype in ("float32", "bfloat16")
    ),
)
