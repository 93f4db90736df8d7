"""The rows of the table of speed: which case of tfsep is timed against which references, such as PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.records import Record, Setting

TIME, MEMORY, COMMAND = "time", "memory", "command"
_SIGMA = (0.01, 1.0)
_EAGER: Record = {}
_COMPILED = {"compiled": True}


@dataclass(frozen=True)
class Participant:
    """One side of a row.

    Attributes:
        call: module:function that makes the case.
        setting: what it is called with beside the row's ``shared`` setting.
        in_tfsep: whether it runs in tfsep's process rather than in that of PyTorch.
    """

    call: str
    setting: Setting = field(default_factory=dict)
    in_tfsep: bool = False


@dataclass(frozen=True)
class Row:
    """What is timed together.

    Attributes:
        name: of the row.
        kind: TIME in rounds, MEMORY each in a process of its own, or COMMAND, a whole bin/separate.
        unit: what one number is the time of.
        shared: setting of every participant: the architecture and the sizes.
        tfsep: tfsep's side; its ``variant`` says how the prior is computed.
        references: name -> the sides that tfsep is compared with: PyTorch, or another way to
            compute in tfsep.
        rounds: runs of each, as a part of what the command is asked for.
        threads: processor cores of each worker, 0 for all.
    """

    name: str
    kind: str
    unit: str
    shared: Setting
    tfsep: Participant
    references: Mapping[str, Participant]
    rounds: float = 1.0
    threads: int = 0


def wave(couplings: int, length: int = 4096) -> Record:
    """Describe a noise-conditional FloWaveNet over (length, 1): one or two blocks of couplings, WaveNets of 6 x 64."""
    levels = 1 if couplings == 2 else 2
    sizes = {"event_shape": [length, 1], "num_levels": levels, "num_steps": couplings // levels}
    return {"kind": "flowavenet", "sigma_range": _SIGMA, **sizes, "width": 64, "num_layers": 6}


def spectrogram(size: int = 128) -> Record:
    """Describe a noise-conditional Glow over (size, size, 1): 3 levels of 4 steps, gated convolutions of 2 x 96."""
    sizes = {"event_shape": [size, size, 1], "squeeze": 2, "num_levels": 3, "num_steps": 4}
    return {"kind": "glow", "domain": "log_stft", "sigma_range": _SIGMA, **sizes, "width": 96, "num_layers": 2}


def _training(
    name: str,
    prior: Setting,
    batch: int,
    references: Mapping[str, Setting],
    xla: bool,
    variant: Setting | None = None,
    **more: Any,
) -> Row:
    others = {
        each: Participant("benchmarks.speed.pytorch.training:step", setting) for each, setting in references.items()
    }
    setting = {"fit": {"jit_compile": xla}, "variant": variant or {}}
    tfsep = Participant("benchmarks.speed.tfsep_process.training:step", setting, in_tfsep=True)
    return Row(name, more.pop("kind", TIME), "step", {"prior": prior, "batch": batch}, tfsep, others, **more)


def _name(variant: Setting) -> str:
    return ", ".join(f"{name}={value}" for name, value in variant.items())


def _sampling(
    name: str, num_sources: int, chains: int, calls: Mapping[str, int], variant: Setting | None = None
) -> Row:
    which = "langevin" if name.startswith("SGLD") else "gibbs"
    shared = {"prior": wave(4), "num_sources": num_sources, "chains": chains, "sigma": 0.1, **calls}
    references = {"PyTorch loop": Participant(f"benchmarks.speed.pytorch.samplers:{which}")}
    # XLA as for the hundreds of evaluations of a whole schedule, but not in bfloat16, which it has no products of.
    setting = {"posterior": {"jit_compile": not variant}, "variant": variant or {}}
    tfsep = Participant(f"benchmarks.speed.tfsep_process.samplers:{which}", setting, in_tfsep=True)
    return Row(name, TIME, next(iter(calls)).removesuffix("s"), shared, tfsep, references)


def _separation(seconds: int, runs: float, model: str = "songs") -> Row:
    name = "bin/separate" if model == "songs" else f"bin/separate --model={model}"
    return Row(f"{name}, {seconds} s", COMMAND, "file", {"model": model, "seconds": seconds}, Participant(""), {}, runs)


_WAVE = {"eager": _EAGER, "compile": _COMPILED, "normflows": {"library": "normflows"}}
_GLOW = {
    "eager": _EAGER,
    "compile": _COMPILED,
    "channels_last": {"channels_last": True},
    "bf16": {"bfloat16": True},
    "channels_last, bf16": {"channels_last": True, "bfloat16": True},
    "normflows": {"library": "normflows"},
    "nflows": {"library": "nflows"},
}
_INVERSE, _SCAN, _BFLOAT16 = {"recompute": "inverse"}, {"recompute": "scan"}, {"precision": "bfloat16"}
_SOME_KEPT = {**_INVERSE, "recompute_kept": 10, **_BFLOAT16}
_STEP = "benchmarks.speed.tfsep_process.training:step"
_RECOMPUTED = Participant(_STEP, {"variant": _SOME_KEPT}, in_tfsep=True)
_KEPT = Participant(_STEP, {"variant": _BFLOAT16}, in_tfsep=True)
_PRODUCT = Participant("benchmarks.speed.tfsep_process.products:product", in_tfsep=True)
_SERVED = Participant("benchmarks.speed.tfsep_process.served:exported", in_tfsep=True)
_IN_PYTHON = Participant("benchmarks.speed.tfsep_process.served:separator", in_tfsep=True)
ROWS = (
    _training("training, 1-D, 8 couplings", wave(8), 2, _WAVE, xla=False, rounds=1.5),
    _training("training, 1-D, 8 couplings, XLA", wave(8), 2, _WAVE, xla=True, rounds=1.5),
    _training(f"training, 1-D, 8 couplings, {_name(_BFLOAT16)}", wave(8), 2, _WAVE, False, _BFLOAT16, rounds=1.5),
    *(_sampling(f"SGLD, {n} sources", n, 1, {"steps": 2}) for n in (2, 4, 8)),
    *(_sampling(f"SGLD, {n} sources, {_name(_BFLOAT16)}", n, 1, {"steps": 2}, _BFLOAT16) for n in (2, 4, 8)),
    _training("training, 2-D, 3 levels of 4", spectrogram(), 1, _GLOW, xla=False),
    _training(f"training, 2-D, 3 levels of 4, {_name(_BFLOAT16)}", spectrogram(), 1, _GLOW, False, _BFLOAT16),
    Row(
        "matrix product of 1,536 squared, bfloat16",
        TIME,
        "product",
        {"size": 1536, "dtype": "bfloat16"},
        _PRODUCT,
        {"PyTorch": Participant("benchmarks.speed.pytorch.products:product")},
        5.0,
    ),
    _sampling("Gibbs, 4 sources", 4, 4, {"levels": 1}),
    _sampling(f"Gibbs, 4 sources, {_name(_BFLOAT16)}", 4, 4, {"levels": 1}, _BFLOAT16),
    _training("training, 1-D, 32 couplings", wave(32), 2, {}, xla=False, rounds=0.5),
    *(
        _training(f"training, 1-D, {n} couplings, {_name(_SCAN)}", wave(n), 2, {}, True, _SCAN, rounds=0.5)
        for n in (8, 32)
    ),
    _training("memory, 12 couplings", wave(12, 16384), 4, {"eager": _EAGER}, xla=True, kind=MEMORY),
    *(
        _training(f"memory, {n} couplings, {_name(_INVERSE)}", wave(n, 16384), 4, {}, True, _INVERSE, kind=MEMORY)
        for n in (4, 12, 16)
    ),
    _training(f"memory, 12 couplings, {_name(_BFLOAT16)}", wave(12, 16384), 4, {}, False, _BFLOAT16, kind=MEMORY),
    *(
        _training(f"memory, {n} couplings, {_name(_SOME_KEPT)}", wave(n, 16384), 4, {}, False, _SOME_KEPT, kind=MEMORY)
        for n in (4, 12, 16)
    ),
    Row(
        f"training, 1-D, 12 couplings of 16,384 samples, {_name(_SOME_KEPT)}",
        TIME,
        "step",
        {"prior": wave(12, 16384), "batch": 4},
        _RECOMPUTED,
        {"nothing recomputed": _KEPT},
        0.8,
    ),
    _separation(10, 0.3, "toy"),
    _separation(10, 0.5),
    _separation(30, 0.3),
    _separation(60, 0.1),
    _separation(300, 0.1),
    _separation(3600, 0.02),
    Row(
        "exported model, 10 s", TIME, "file", {"model": "songs", "seconds": 10}, _SERVED, {"Separator": _IN_PYTHON}, 0.5
    ),
    *(
        _training(f"scaling, {length} samples", wave(2, length), 1, {"eager": _EAGER}, xla=False, rounds=0.5)
        for length in (1024, 4096, 16384, 65536)
    ),
    *(
        _training(f"scaling, batch {batch}", wave(2), batch, {"eager": _EAGER}, xla=False, rounds=0.5)
        for batch in (4, 16)
    ),
    *(
        _training(f"scaling, {n} threads", wave(2), 4, {"eager": _EAGER}, xla=False, rounds=0.5, threads=n)
        for n in (1, 2)
    ),
)
