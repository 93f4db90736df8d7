"""How a row is measured: in turns with its peers and with a plain matrix product, alone for memory, or as a command.

A record is one row against one peer. Times are seconds of one unit of work, medians over rounds; ``ratio`` is the
median of peer / ours by rounds. The peak is that of float32 matrix products of the same rounds, of our side or
the peers', whichever was faster; ``share`` is what part of it our case reached, ``floor`` its operations over the peak,
``share_cpu`` the same by processor time, which a busy machine spoils less.
``others`` is how many processor cores everything else on the machine kept busy meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import records
from benchmarks.records import Record
from benchmarks.speed.interleave import Turn, interleave, median, paired, refuse_unequal
from benchmarks.speed.remote import REPOSITORY, Worker
from benchmarks.speed.rows import COMMAND, MEMORY, Participant, Row
from tfsep.errors import JobError

KEYS = ("row", "peer")
_SIZE = 1536
_TURNS = 3
_PRODUCTS = ("benchmarks.speed.tfsep_process.products:product", "benchmarks.speed.pytorch.products:product")
_SONG = REPOSITORY / "examples" / "test"


class Bench:
    """Workers that stay alive between rows, and a folder for what they exchange.

    Args:
        home, abroad: interpreters of tfsep's environment and of the peers'.
        folder: for weights, sounds and stems.
        repeats: rounds of a row that asks for 1.0.
        variant: how our priors are computed, merged into every row's.
        products: what makes the matrix product of either side, at home and abroad.
        size: of the two square matrices.
    """

    def __init__(
        self,
        home: str,
        abroad: str,
        folder: Path,
        repeats: int,
        variant: Mapping[str, Any],
        products: tuple[str, str] = _PRODUCTS,
        size: int = _SIZE,
    ) -> None:
        """Start nothing yet."""
        self.size = size
        self._products = {True: products[0], False: products[1]}
        self._pythons = {True: home, False: abroad}
        self.folder, self.repeats, self.variant = folder, repeats, dict(variant)
        self._workers: dict[tuple[bool, int], Worker] = {}

    def rounds(self, row: Row) -> int:
        """Rounds of a row, at least one."""
        return max(1, round(self.repeats * row.rounds))

    def fresh(self, at_home: bool, threads: int = 0) -> Worker:
        """A worker of its own."""
        return Worker(self._pythons[at_home], threads)

    def worker(self, at_home: bool, threads: int) -> Worker:
        """The worker of one side, with the product that measures the peak."""
        key = (at_home, threads)
        if key not in self._workers:
            self._workers[key] = self.fresh(*key)
            setting = {"size": self.size, "dtype": "float32"}
            self._workers[key].ask("make", "product", call=self._products[at_home], setting=setting)
        return self._workers[key]

    def setting(self, row: Row, side: Participant, ours: bool) -> dict[str, Any]:
        """What a participant's case is made with."""
        name = "model_{k}.npz" if "num_sources" in row.shared else "model.npz"
        found = {**row.shared, **side.setting, "file": str(self.folder / name)}
        if ours and "prior" in row.shared:
            found["variant"] = {**found.get("variant", {}), **self.variant}
        return found

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()


def measure(row: Row, bench: Bench) -> list[Record]:
    """The records of a row, one for each peer, or one without a peer.

    A peer that does not agree with ours, or fails, has a record with ``refused`` in place of figures.

    Raises:
        JobError: if our side fails.
    """
    if row.kind == COMMAND:
        return [_command(row, bench)]
    records = _memory(row, bench) if row.kind == MEMORY else _in_turns(row, bench)
    how = "".join(f", {name}={value}" for name, value in bench.variant.items())
    return [{"row": row.name + how, "kind": row.kind, "unit": row.unit, **record} for record in records]


def measure_and_keep(row: Row, bench: Bench, folder: str, name: str, table: Callable[[Sequence[Record]], str]) -> bool:
    """Measure a row and keep its records at once, as ``<folder>/<name>.json``; whether none failed or was refused."""
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


def _in_turns(row: Row, bench: Bench) -> list[Record]:
    home, abroad = (bench.worker(side, row.threads) for side in (True, False))
    made: dict[str, dict[str, Any]] = {}
    refused: dict[str, str] = {}
    turns: dict[str, Callable[[], Turn]] = {}
    try:
        for name, side in {"ours": row.ours, **row.peers}.items():
            worker = home if side.at_home else abroad
            try:
                made[name] = worker.ask("make", name, call=side.call, setting=bench.setting(row, side, name == "ours"))
                made[name]["apart"] = refuse_unequal(f"{row.name}, {name}", made["ours"]["check"], made[name]["check"])
            except JobError as error:
                if name == "ours":
                    raise
                refused[name] = str(error)
                continue
            turns[name] = _turn(worker, name, made[name]["per_call"])
        products = {"product, ours": home, "product, peers": abroad}
        turns |= {name: _turn(worker, "product", 1) for name, worker in products.items()}
        units = {name: each["per_call"] for name, each in made.items()}
        start, busy = time.monotonic(), busy_seconds()
        found = interleave(turns, bench.rounds(row))
        own = sum(turn.cpu * units.get(name, 1) for name, taken in found.items() for turn in taken)
        others = (busy_seconds() - busy - own) / (time.monotonic() - start)
        for name, each in made.items():
            if name in refused:
                continue
            side = row.ours if name == "ours" else row.peers[name]
            each["mb"] = (home if side.at_home else abroad).ask("peak", name)["bytes"] / 1e6
    finally:
        for name, side in {"ours": row.ours, **row.peers}.items():
            (home if side.at_home else abroad).ask("drop", name)
    flops = next((made[name]["flops"] for name in made if made[name]["flops"]), None)
    base = {
        **{name: value for name, value in made["ours"].items() if name == "device"},
        "rounds": bench.rounds(row),
        "others": max(0.0, others),
        **_own(found, flops, bench.size),
        "first": made["ours"]["first"],
        "ours_mb": made["ours"]["mb"],
    }
    records: list[Record] = [{"peer": name, **base, "refused": why} for name, why in refused.items()]
    records += [
        {"peer": name, **base, **_against(found["ours"], found[name]), **_start(made[name])}
        for name in row.peers
        if name in found
    ]
    return records or [{"peer": "-", **base}]


def busy_seconds() -> float:
    """Processor seconds that the machine has spent on anything since it started (Linux only)."""
    user, nice, system, _, _, interrupts, soft, stolen = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def _turn(worker: Worker, name: str, per_call: int) -> Callable[[], Turn]:
    return lambda: worker.turn(name, per_call)


def _own(found: Mapping[str, list[Turn]], flops: float | None, size: int) -> Record:
    """What is known of ours alone."""
    ours = found["ours"]
    peaks = {which: _peaks(found, which, size) for which in ("wall", "cpu")}
    record: Record = {"ours": median(ours), "ours_cpu": median(ours, "cpu")}
    record["peak_gflops"] = float(np.median(peaks["wall"])) / 1e9
    if flops:
        record |= {"gflops": flops / 1e9, "floor": float(np.median(flops / peaks["wall"]))}
        for name, which in (("share", "wall"), ("share_cpu", "cpu")):
            seconds = np.array([getattr(turn, which) for turn in ours])
            record[name] = float(np.median(flops / seconds / peaks[which]))
    return record


def _peaks(found: Mapping[str, list[Turn]], which: str, size: int) -> np.ndarray:
    """Operations a second of the faster product in each round, by wall clock or by CPU time."""
    products = [[getattr(turn, which) for turn in found[name]] for name in found if name.startswith("product")]
    return 2.0 * size**3 / np.min(products, axis=0)


def _against(ours: list[Turn], peer: list[Turn]) -> Record:
    ratio, processor = paired(ours, peer), paired(ours, peer, "cpu")
    return {
        "theirs": median(peer),
        "theirs_cpu": median(peer, "cpu"),
        "ratio": ratio.median,
        "ratio_quartiles": [ratio.low, ratio.high],
        "ratio_cpu": processor.median,
    }


def _start(made: Mapping[str, Any]) -> Record:
    return {"theirs_first": made["first"], "theirs_mb": made["mb"], "apart": made["apart"]}


def _memory(row: Row, bench: Bench) -> list[Record]:
    """Each participant in a process of its own, one after the other; its time is the median of a few turns."""
    found: dict[str, tuple[float, Turn]] = {}
    ours: list[float] = []
    for name, side in {"ours": row.ours, **row.peers}.items():
        with bench.fresh(side.at_home, row.threads) as worker:
            made = worker.ask("make", name, call=side.call, setting=bench.setting(row, side, name == "ours"))
            ours = ours or made["check"]
            refuse_unequal(f"{row.name}, {name}", ours, made["check"])
            rise = max(worker.ask("peak", name)["bytes"] for _ in range(2))
            turns = sorted((worker.turn(name, made["per_call"]) for _ in range(_TURNS)), key=lambda turn: turn.wall)
            found[name] = rise / 1e6, turns[_TURNS // 2]
    megabytes, turn = found.pop("ours")
    base: Record = {"ours_mb": megabytes, "ours": turn.wall}
    return [
        {"peer": peer, **base, "theirs_mb": other, "theirs": their_turn.wall, "ratio_mb": other / megabytes}
        for peer, (other, their_turn) in found.items()
    ] or [{"peer": "-", **base}]


def _command(row: Row, bench: Bench) -> Record:
    """bin/separate on the bundled song, repeated to its length: seconds of the whole command, and its resident peak."""
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
    own = sum(processor for _, processor, _ in runs)
    others = max(0.0, (busy_seconds() - busy - own) / (time.monotonic() - began))
    wall, processor, peak = (float(np.median(values)) for values in zip(*runs, strict=True))
    figures = {"ours": wall, "ours_cpu": processor, "ours_mb": peak, "seconds": seconds, "rounds": len(runs)}
    figures["others"] = others
    return {"row": row.name, "kind": row.kind, "unit": row.unit, "peer": "-", **figures}


def _run(command: list[str]) -> tuple[float, float, float]:
    """Seconds of wall clock and of processor time, and the resident peak in MB."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise JobError(f"{' '.join(command)} ended with code {process.returncode}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3


def parsed(variant: str) -> dict[str, Any]:
    """A variant from JSON.

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
