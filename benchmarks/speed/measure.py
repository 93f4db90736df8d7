r"""How a row is measured: in rounds beside its references and a matrix product, alone for memory, or as a command.

In each round every participant runs once, and the next round begins with the next participant, so
that whatever else the machine does falls on all of them. Two are compared by the ratio within a
round, :math:`r_i = b_i / a_i`, and the median of the :math:`r_i`: a slow minute of the machine is
in both terms of a ratio, while medians of each participant alone would meet it by chance.

A record is one row against one reference. Times are seconds of one unit of work, medians over
rounds; ``ratio`` is the median of reference / tfsep by rounds. The peak is that of float32 matrix
products of the same rounds, of tfsep's process or PyTorch's, whichever was faster; ``share`` is
what part of it tfsep's case reached, ``lower_bound`` its operations over the peak, ``share_cpu``
the same by processor time, which a busy machine spoils less. ``other_cores`` is how many processor
cores everything else on the machine kept busy meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import records
from benchmarks.records import Record
from benchmarks.speed.rows import COMMAND, MEMORY, Participant, Row
from benchmarks.speed.worker import REPOSITORY, Timing, Worker
from tfsep.axes import Settings
from tfsep.errors import InputError, JobError

KEYS = ("row", "reference")
TFSEP = "tfsep"
_SIZE = 1536
_MEMORY_RUNS = 3
_PRODUCTS = ("benchmarks.speed.tfsep_process.products:product", "benchmarks.speed.pytorch.products:product")
_SONG = REPOSITORY / "examples" / "test"


@dataclass(frozen=True)
class Ratio:
    """Median and quartiles of paired ratios."""

    median: float
    low: float
    high: float


def interleave(
    participants: Mapping[str, Callable[[], Timing]],
    rounds: int,
    pause: float = 0.05,
    sleep: Callable[[float], object] = time.sleep,
) -> dict[str, list[Timing]]:
    """Run each participant once a round, and return its timings by rounds.

    Args:
        participants: name -> what runs it once.
        rounds: at least 1.
        pause: seconds between runs, in which the last participant's idle threads stop spinning.
        sleep: waits so long.

    Raises:
        InputError: without a round or a participant.
    """
    if rounds < 1 or not participants:
        raise InputError(f"interleaving needs a participant and at least 1 round, got {len(participants)} and {rounds}")
    names = list(participants)
    found: dict[str, list[Timing]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            sleep(pause)
            found[name].append(participants[name]())
    return found


def paired(tfsep: Sequence[Timing], reference: Sequence[Timing], which: str = "wall") -> Ratio:
    """Return reference / tfsep by rounds; above 1 tfsep is faster. ``which`` is "wall" or "cpu".

    Raises:
        InputError: unless there are equally many timings of both.
    """
    if not tfsep or len(tfsep) != len(reference):
        raise InputError(
            f"pairs need equally many timings of both, at least one, got {len(tfsep)} and {len(reference)}"
        )
    ratios = [getattr(b, which) / getattr(a, which) for a, b in zip(tfsep, reference, strict=True)]
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return Ratio(float(middle), float(low), float(high))


def median(timings: Sequence[Timing], which: str = "wall") -> float:
    """Return the median seconds of a unit."""
    return float(np.median([getattr(timing, which) for timing in timings]))


def disagreement(tfsep: Sequence[float], reference: Sequence[float]) -> float:
    """Return the largest difference of two lists of numbers, relative where they are above 1.

    It is infinite if one of them is not finite.
    """
    a, b = np.asarray(tfsep, np.float64), np.asarray(reference, np.float64)
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("inf")
    return float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(a)), initial=0.0))


def refuse_unequal(row: str, tfsep: Sequence[float], reference: Sequence[float], tolerance: float = 1e-4) -> float:
    """Return the disagreement of two participants.

    Raises:
        JobError: above ``tolerance``; times of two different models are not comparable.
    """
    found = disagreement(tfsep, reference)
    if not found <= tolerance:
        raise JobError(f"{row}: the two models must agree within {tolerance:g}, they differ by {found:.3g}: not timed")
    return found


class Bench:
    """Workers that stay alive between rows, and a folder for what they exchange.

    Args:
        python: interpreter of tfsep's environment.
        pytorch_python: interpreter of PyTorch's environment.
        folder: for weights, sounds and stems.
        repeats: rounds of a row that asks for 1.0.
        variant: how tfsep's priors are computed, merged into every row's.
        products: what makes the matrix product in tfsep's process, and in PyTorch's.
        size: of the two square matrices.
    """

    def __init__(
        self,
        python: str,
        pytorch_python: str,
        folder: Path,
        repeats: int,
        variant: Settings,
        products: tuple[str, str] = _PRODUCTS,
        size: int = _SIZE,
    ) -> None:
        """Start nothing yet."""
        self.size = size
        self._products = {True: products[0], False: products[1]}
        self._pythons = {True: python, False: pytorch_python}
        self.folder, self.repeats, self.variant = folder, repeats, dict(variant)
        self._workers: dict[tuple[bool, int], Worker] = {}

    def rounds(self, row: Row) -> int:
        """Return the rounds of a row, at least one."""
        return max(1, round(self.repeats * row.rounds))

    def fresh(self, in_tfsep: bool, threads: int = 0) -> Worker:
        """Start a worker for one participant alone."""
        return Worker(self._pythons[in_tfsep], threads)

    def worker(self, in_tfsep: bool, threads: int) -> Worker:
        """Return the worker of one environment, with the product that measures the peak."""
        key = (in_tfsep, threads)
        if key not in self._workers:
            self._workers[key] = self.fresh(*key)
            setting = {"size": self.size, "dtype": "float32"}
            self._workers[key].ask("make", "product", call=self._products[in_tfsep], setting=setting)
        return self._workers[key]

    def setting(self, row: Row, name: str) -> dict[str, object]:
        """Return what the case of a participant, :data:`TFSEP` or a reference, is made with."""
        file = "model_{k}.npz" if "num_sources" in row.shared else "model.npz"
        found = {**row.shared, **participants(row)[name].setting, "file": str(self.folder / file)}
        if name == TFSEP and "prior" in row.shared:
            found["variant"] = {**found.get("variant", {}), **self.variant}
        return found

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()


def participants(row: Row) -> dict[str, Participant]:
    """Return all sides of a row by name, tfsep's first."""
    return {TFSEP: row.tfsep, **row.references}


def measure(row: Row, bench: Bench) -> list[Record]:
    """Return the records of a row, one for each reference, or one without a reference.

    A reference that does not agree with tfsep, or fails, has a record with ``refused`` in place of
    figures.

    Raises:
        JobError: if tfsep's side fails.
    """
    if row.kind == COMMAND:
        return [_command(row, bench)]
    records = _memory(row, bench) if row.kind == MEMORY else _in_rounds(row, bench)
    how = "".join(f", {name}={value}" for name, value in bench.variant.items())
    return [{"row": row.name + how, "kind": row.kind, "unit": row.unit, **record} for record in records]


def measure_and_keep(row: Row, bench: Bench, folder: str, name: str, table: Callable[[Sequence[Record]], str]) -> bool:
    """Measure a row and keep its records at once, as ``<folder>/<name>.json``.

    Returns:
        Whether none failed or was refused.
    """
    start = time.monotonic()
    try:
        found = measure(row, bench)
    except JobError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return False
    records.keep(folder, name, found, KEYS, table)
    for record in found:
        print(json.dumps(record), file=sys.stderr)
    print(f"{row.name}: {time.monotonic() - start:.0f} s in all", file=sys.stderr, flush=True)
    return not any("refused" in record for record in found)


def _in_rounds(row: Row, bench: Bench) -> list[Record]:
    own_worker, pytorch_worker = (bench.worker(in_tfsep, row.threads) for in_tfsep in (True, False))
    sides = participants(row)
    workers = {name: own_worker if side.in_tfsep else pytorch_worker for name, side in sides.items()}
    made: dict[str, Record] = {}
    refused: dict[str, str] = {}
    runs: dict[str, Callable[[], Timing]] = {}
    try:
        for name, worker in workers.items():
            try:
                made[name] = worker.ask("make", name, call=sides[name].call, setting=bench.setting(row, name))
                check = made[TFSEP]["check"]
                made[name]["disagreement"] = refuse_unequal(f"{row.name}, {name}", check, made[name]["check"])
            except JobError as error:
                if name == TFSEP:
                    raise
                refused[name] = str(error)
                continue
            runs[name] = _run_of(worker, name, made[name]["per_call"])
        products = {"product, tfsep": own_worker, "product, PyTorch": pytorch_worker}
        runs |= {name: _run_of(worker, "product", 1) for name, worker in products.items()}
        units = {name: each["per_call"] for name, each in made.items()}
        start, busy = time.monotonic(), busy_seconds()
        found = interleave(runs, bench.rounds(row))
        used = sum(timing.cpu * units.get(name, 1) for name, timings in found.items() for timing in timings)
        others = (busy_seconds() - busy - used) / (time.monotonic() - start)
        for name, each in made.items():
            if name not in refused:
                each["mb"] = workers[name].ask("peak", name)["bytes"] / 1e6
    finally:
        for name, worker in workers.items():
            worker.ask("drop", name)
    flops = next((made[name]["flops"] for name in made if made[name]["flops"]), None)
    base = {
        **{name: value for name, value in made[TFSEP].items() if name == "device"},
        "rounds": bench.rounds(row),
        "other_cores": max(0.0, others),
        **_tfsep_alone(found, flops, bench.size),
        "first": made[TFSEP]["first"],
        "tfsep_mb": made[TFSEP]["mb"],
    }
    records: list[Record] = [{"reference": name, **base, "refused": why} for name, why in refused.items()]
    records += [
        {"reference": name, **base, **_against(found[TFSEP], found[name]), **_start(made[name])}
        for name in row.references
        if name in found
    ]
    return records or [{"reference": "-", **base}]


def busy_seconds() -> float:
    """Return the processor seconds that the machine has spent on anything since it started (Linux only)."""
    user, nice, system, _, _, interrupts, soft, stolen = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def _run_of(worker: Worker, name: str, per_call: int) -> Callable[[], Timing]:
    return lambda: worker.run(name, per_call)


def _tfsep_alone(found: Mapping[str, list[Timing]], flops: float | None, size: int) -> Record:
    """Return what is known of tfsep's side without its references."""
    timings = found[TFSEP]
    peaks = {which: _peaks(found, which, size) for which in ("wall", "cpu")}
    record: Record = {"tfsep_seconds": median(timings), "tfsep_cpu": median(timings, "cpu")}
    record["peak_gflops"] = float(np.median(peaks["wall"])) / 1e9
    if flops:
        record |= {"gflops": flops / 1e9, "lower_bound": float(np.median(flops / peaks["wall"]))}
        for name, which in (("share", "wall"), ("share_cpu", "cpu")):
            seconds = np.array([getattr(timing, which) for timing in timings])
            record[name] = float(np.median(flops / seconds / peaks[which]))
    return record


def _peaks(found: Mapping[str, list[Timing]], which: str, size: int) -> np.ndarray:
    """Return the operations a second of the faster product in each round, by wall clock or by CPU time."""
    products = [[getattr(timing, which) for timing in found[name]] for name in found if name.startswith("product")]
    return 2.0 * size**3 / np.min(products, axis=0)


def _against(tfsep: list[Timing], reference: list[Timing]) -> Record:
    ratio, processor = paired(tfsep, reference), paired(tfsep, reference, "cpu")
    return {
        "reference_seconds": median(reference),
        "reference_cpu": median(reference, "cpu"),
        "ratio": ratio.median,
        "ratio_quartiles": [ratio.low, ratio.high],
        "ratio_cpu": processor.median,
    }


def _start(made: Mapping[str, object]) -> Record:
    return {"reference_first": made["first"], "reference_mb": made["mb"], "disagreement": made["disagreement"]}


def _memory(row: Row, bench: Bench) -> list[Record]:
    """Run each participant in a process of its own, one after the other; its time is the median of a few runs."""
    found: dict[str, tuple[float, Timing]] = {}
    check: list[float] = []
    for name, side in participants(row).items():
        with bench.fresh(side.in_tfsep, row.threads) as worker:
            made = worker.ask("make", name, call=side.call, setting=bench.setting(row, name))
            check = check or made["check"]
            refuse_unequal(f"{row.name}, {name}", check, made["check"])
            rise = max(worker.ask("peak", name)["bytes"] for _ in range(2))
            timings = sorted((worker.run(name, made["per_call"]) for _ in range(_MEMORY_RUNS)), key=lambda t: t.wall)
            found[name] = rise / 1e6, timings[_MEMORY_RUNS // 2]
    megabytes, timing = found.pop(TFSEP)
    base: Record = {"tfsep_mb": megabytes, "tfsep_seconds": timing.wall}
    return [
        {
            "reference": reference,
            **base,
            "reference_mb": other,
            "reference_seconds": reference_timing.wall,
            "ratio_mb": other / megabytes,
        }
        for reference, (other, reference_timing) in found.items()
    ] or [{"reference": "-", **base}]


def _command(row: Row, bench: Bench) -> Record:
    """Run ``bin/separate`` on the bundled song, repeated to its length; its whole time, and its resident peak."""
    from tfsep.audio import files

    seconds = row.shared["seconds"]
    song = next(iter(sorted(_SONG.glob("*/mixture.flac"))))
    wave, rate = files.read(song)
    length = round(seconds * rate)
    sound = bench.folder / f"{seconds}.wav"
    # Song by song: the kernel counts the most this process ever held as the command's.
    with files.Writer(sound, rate, len(wave)) as writer:
        for start in range(0, length, wave.shape[1]):
            writer.write(wave[:, : length - start])
    command = [str(REPOSITORY / "bin" / "separate"), str(sound), f"--model={row.shared['model']}", "--quiet"]
    began, busy = time.monotonic(), busy_seconds()
    runs = [_run([*command, f"--output={bench.folder / 'stems'}", "--overwrite"]) for _ in range(bench.rounds(row))]
    used = sum(processor for _, processor, _ in runs)
    others = max(0.0, (busy_seconds() - busy - used) / (time.monotonic() - began))
    wall, processor, peak = (float(np.median(values)) for values in zip(*runs, strict=True))
    figures = {"tfsep_seconds": wall, "tfsep_cpu": processor, "tfsep_mb": peak, "seconds": seconds}
    figures |= {"rounds": len(runs), "other_cores": others}
    return {"row": row.name, "kind": row.kind, "unit": row.unit, "reference": "-", **figures}


def _run(command: list[str]) -> tuple[float, float, float]:
    """Run a command; seconds of wall clock and of processor time, and the resident peak in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise JobError(f"{' '.join(command)} ended with code {process.returncode}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3


def parsed(variant: str) -> dict[str, object]:
    """Read a variant from JSON.

    Raises:
        JobError: unless it is an object.
    """
    try:
        found = json.loads(variant)
    except ValueError as error:
        raise JobError(f'a variant is a JSON object such as {{"recompute": "inverse"}}, got {variant!r}') from error
    if not isinstance(found, dict):
        raise JobError(f'a variant is a JSON object such as {{"recompute": "inverse"}}, got {variant!r}')
    return found
