"""How well a separator separates: SI-SDR, its improvement over the mixture, and BSS Eval, beside baselines.

Every channel of every mixture counts as one value of SI-SDR per source. References without sound
have no SI-SDR: they are left out and counted as silent. Infinite values (an estimate that is
exactly right, or exactly nothing) are limited to 100 dB, so that means exist. BSS Eval gives
medians over tracks, as the tables of SiSEC 2018 and MUSDB18 do.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NotRequired, TypeAlias, TypedDict

import numpy as np

from tfsep.baselines.ideal_ratio_mask import ideal_ratio_mask
from tfsep.errors import InputError
from tfsep.evaluation import baselines, calibration, mixtures
from tfsep.evaluation.calibration import CoverageTable
from tfsep.evaluation.mixtures import Batch
from tfsep.metrics import bss_eval, si_sdr
from tfsep.metrics.bss_eval import METRICS, track_medians
from tfsep.separation.separator import Separator

GOOD_DB = 10.0
_TOY_MIXTURES = 256
_LIMIT_DB = 100.0
_MASK_SECONDS = 30
_CALIBRATION_SECONDS = 3.0

#: {metric: {source: dB, None where it is silent throughout}}.
BssTable: TypeAlias = dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class EvaluationSettings:
    """What a separator is measured on, and by what.

    Attributes:
        data: "toy", "toy-free", or a folder of stems, of musdb18 or of musdb18-hq.
        split: of a folder: "train", "test" or another sub-folder; of musdb also "valid".
        num_mixtures: at most so many; None is 256 of a toy and all tracks of a folder.
        length: samples of a toy mixture; None is the model's segment.
        linear: of a folder: the sum of the model's sources is the mixture, mixture file or not.
        balance_db: of a folder: bring the sources of each track within so many dB of their median
            level first; None leaves them.
        seed: of toy mixtures, of the posterior and of baselines.
        baselines: further methods, out of :data:`tfsep.evaluation.baselines.NAMES`.
        calibrate: count how often intervals of posterior samples cover the truth.
        bss_eval: measure by BSS Eval too, which needs the extra ``eval``.
        name: of the data in the record; None is ``data``.
    """

    data: str
    split: str = "test"
    num_mixtures: int | None = None
    length: int | None = None
    linear: bool = False
    balance_db: float | None = None
    seed: int = 0
    baselines: Sequence[str] = ()
    calibrate: bool = False
    bss_eval: bool = False
    name: str | None = None


class SourceSummary(TypedDict):
    """Means over the values of one source, in dB; None where all are silent."""

    si_sdr: float | None
    si_sdri: float | None
    fraction_above_10db: float | None
    count: int
    silent: int


class Summary(TypedDict):
    """Means of one method, by source and over all, in dB; None where nothing has a value."""

    sources: dict[str, SourceSummary]
    mean_si_sdri: float | None
    median_si_sdri: float | None
    fraction_above_10db: float | None


class EvaluationRecord(Summary):
    """What bin/evaluate writes."""

    model: str
    data: str
    seed: int
    num_mixtures: int
    baselines: dict[str, Summary]
    seconds: float
    real_time_factor: float
    silent: int
    calibration: NotRequired[CoverageTable]
    bss_eval: NotRequired[dict[str, BssTable]]


@dataclass
class SiSdrTable:
    """SI-SDR of a method in dB: one row per mixture and channel, one column per source, nan for a silent reference."""

    rows: list[np.ndarray] = field(default_factory=list)

    def add(self, estimates: np.ndarray, references: np.ndarray) -> None:
        """Measure estimates (batch, source, time) against references of the same shape."""
        self.rows.append(np.clip(si_sdr(np.asarray(estimates), references), -_LIMIT_DB, _LIMIT_DB))

    def table(self) -> np.ndarray:
        """Join all rows: (value, source) dB."""
        return np.concatenate(self.rows)


class BssEvalTable:
    """BSS Eval of an estimate, and of the mixture in place of every estimate, track by track.

    Raises:
        InputError: if museval, of the extra ``eval``, is not installed.
    """

    def __init__(self) -> None:
        if importlib.util.find_spec("museval") is None:
            raise InputError("BSS Eval needs the package museval, which is not installed: pip install 'tfsep[eval]'")
        self._tracks: dict[str, list[dict[str, np.ndarray]]] = {"model": [], "mixture": []}

    def add(self, estimates: np.ndarray, batch: Batch) -> None:
        """Measure estimates (batch, source, time) of one song, or of several mixtures of one channel."""
        references = batch.references
        whole = np.broadcast_to(batch.mixture[:, np.newaxis], references.shape)
        for name, stems in (("model", estimates), ("mixture", whole)):
            tracks = (stems, references) if batch.song else (stems[:, np.newaxis], references[:, np.newaxis])
            for found, true in [tracks] if batch.song else zip(*tracks, strict=True):
                metrics = bss_eval(np.moveaxis(found, 0, 1), np.moveaxis(true, 0, 1), batch.sample_rate)
                self._tracks[name].append(metrics)

    def record(self, sources: Sequence[str]) -> dict[str, BssTable]:
        """Take medians over tracks: {"model" and "mixture": {metric: {source: dB}}}."""
        medians = {name: track_medians(tracks) for name, tracks in self._tracks.items()}
        return {
            name: {metric: dict(zip(sources, map(_number, found[metric]), strict=True)) for metric in METRICS}
            for name, found in medians.items()
            if found
        }


def mixtures_of(separator: Separator, settings: EvaluationSettings) -> Iterator[Batch]:
    """Read or make the mixtures that the settings ask for.

    Raises:
        InputError: if the model's sources are not toy classes, or the folder has no track with one
            of them.
    """
    if settings.data in mixtures.TOY_DATA:
        num_mixtures, free = settings.num_mixtures or _TOY_MIXTURES, settings.data == "toy-free"
        return mixtures.toy_batches(separator, num_mixtures, settings.seed, free, settings.length)
    folder = (settings.data, settings.split, settings.num_mixtures)
    return mixtures.song_batches(separator, *folder, settings.linear, settings.balance_db)


def oracle_mask(batch: Batch) -> np.ndarray:
    """Apply the ideal ratio mask, in stretches that fit in memory: estimates (batch, source, time)."""
    step = _MASK_SECONDS * batch.sample_rate
    parts = [
        ideal_ratio_mask(batch.references[..., start : start + step], batch.mixture[..., start : start + step]).numpy()
        for start in range(0, batch.mixture.shape[-1], step)
    ]
    return np.concatenate(parts, axis=-1)


def separate(separator: Separator, batch: Batch, seed: int) -> np.ndarray:
    """Separate a batch: estimates (batch, source, time)."""
    if not batch.song:
        return separator.separate_batch(batch.mixture, seed=_seeds(batch, seed))[0]
    found = separator(batch.mixture, batch.sample_rate, seed=seed)
    return np.stack([found[name] for name in separator.sources], axis=1)


def _seeds(batch: Batch, seed: int) -> list[int]:
    """Return a seed for each mixture of a batch, so that no two share their random numbers."""
    return [(seed + number) % 2**31 for number in range(len(batch.mixture))]


def posterior_samples(separator: Separator, batch: Batch, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw posterior samples of a batch, of a song no more than its middle seconds.

    Where not all fit the separator's memory budget, they are drawn in groups that do, each by seeds of its own.

    Returns:
        Samples (sample, batch, source, time) and the truth (batch, source, time).

    Raises:
        InputError: if not even two fit.
    """
    wanted = calibration.NUM_DRAWS
    # A single sample would be the best estimate, and no draw.
    num_groups = -(-wanted // max(2, separator.most_samples(wanted)))
    size = max(2, -(-wanted // num_groups))
    groups = [_draws(separator, batch, size, seed + group * len(batch.mixture)) for group in range(num_groups)]
    return np.concatenate([drawn for drawn, _ in groups])[:wanted], groups[0][1]


def _draws(separator: Separator, batch: Batch, num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``num`` posterior samples of a batch by one seed, and the truth; see :func:`posterior_samples`."""
    seed %= 2**31
    if not batch.song:
        return separator.separate_batch(batch.mixture, num, _seeds(batch, seed)), batch.references
    time, length = batch.mixture.shape[-1], int(_CALIBRATION_SECONDS * batch.sample_rate)
    part = slice(max(0, (time - length) // 2), max(0, (time - length) // 2) + length)
    found = separator(batch.mixture[..., part], batch.sample_rate, num, seed)
    return np.stack([found[name] for name in separator.sources], axis=2), batch.references[..., part]


def evaluate(
    separator: Separator,
    settings: EvaluationSettings,
    batches: Iterable[Batch] | None = None,
    progress: Callable[[int], object] | None = None,
) -> EvaluationRecord:
    """Separate mixtures and measure the estimates.

    Args:
        separator: the model.
        settings: what is measured.
        batches: the mixtures; None takes :func:`mixtures_of`.
        progress: called with the number of mixtures of each finished batch.

    Returns:
        The record that bin/evaluate writes: SI-SDR and its improvement in dB per source and over
        all, of the model and of ``baselines``, among them ``mixture`` (the mixture as every
        estimate) and ``ideal_ratio_mask``; ``seconds`` of separation (tracing included) and
        ``real_time_factor``, their ratio to the seconds of sound; ``calibration`` and ``bss_eval``
        where they are asked for.

    Raises:
        InputError: for data or baselines that do not suit the model, or a memory budget without space for
            two samples, which a calibration needs.
    """
    if settings.calibrate:
        separator.check_samples(2)
    methods: dict[str, baselines.Method] = {"mixture": _mixture, "ideal_ratio_mask": oracle_mask}
    methods |= baselines.build(settings.baselines, separator.sources, settings.data, settings.seed)
    metrics = {name: SiSdrTable() for name in ("model", *methods)}
    coverage = calibration.Coverage()
    bss = BssEvalTable() if settings.bss_eval else None
    seconds = sound = 0.0
    num_mixtures = 0
    for batch in mixtures_of(separator, settings) if batches is None else batches:
        began = time.monotonic()
        estimates = separate(separator, batch, settings.seed)
        seconds += time.monotonic() - began
        count = 1 if batch.song else len(batch.mixture)
        sound += batch.mixture.shape[-1] / batch.sample_rate * count
        num_mixtures += count
        metrics["model"].add(estimates, batch.references)
        for name, method in methods.items():
            metrics[name].add(method(batch), batch.references)
        if bss is not None:
            bss.add(estimates, batch)
        if settings.calibrate:
            coverage.add(*posterior_samples(separator, batch, settings.seed))
        if progress is not None:
            progress(count)
    tables = {name: each.table() for name, each in metrics.items()}
    summaries = {name: summary(table, tables["mixture"], separator.sources) for name, table in tables.items()}
    record: EvaluationRecord = {
        "model": separator.name,
        "data": settings.data if settings.name is None else settings.name,
        "seed": settings.seed,
        "num_mixtures": num_mixtures,
        **summaries.pop("model"),
        "baselines": summaries,
        "seconds": seconds,
        "real_time_factor": seconds / sound,
        "silent": int(np.isnan(tables["model"]).sum()),
    }
    if settings.calibrate:
        record["calibration"] = coverage.record(separator.sources)
    if bss is not None:
        record["bss_eval"] = bss.record(separator.sources)
    return record


def _mixture(batch: Batch) -> np.ndarray:
    """Take the mixture as the estimate of every source: (batch, 1, time)."""
    return batch.mixture[:, np.newaxis]


def summary(table: np.ndarray, mixture: np.ndarray, sources: Iterable[str]) -> Summary:
    """Average a table of SI-SDR (value, source) and its improvement over the mixture's table."""
    improvement = table - mixture
    return {
        "sources": {
            name: {
                "si_sdr": _mean(table[:, k]),
                "si_sdri": _mean(improvement[:, k]),
                "fraction_above_10db": _fraction_above(table[:, k]),
                "count": int(np.isfinite(table[:, k]).sum()),
                "silent": int(np.isnan(table[:, k]).sum()),
            }
            for k, name in enumerate(sources)
        },
        "mean_si_sdri": _mean(improvement),
        "median_si_sdri": _median(improvement),
        "fraction_above_10db": _fraction_above(table),
    }


def _mean(values: np.ndarray) -> float | None:
    """Average the values that are not nan; None if there are none."""
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if known.size else None


def _median(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else None


def _fraction_above(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.mean(known > GOOD_DB)) if known.size else None


def as_text(record: EvaluationRecord) -> str:
    """Format the record as a table for the terminal."""
    lines = [f"{record['model']} on {record['data']}: {record['num_mixtures']} mixtures, seed {record['seed']}"]
    lines.append(f"{'':18}{'SI-SDR':>9}{'SI-SDRi':>9}{'>10 dB':>9}{'count':>8}{'silent':>8}")
    for name, row in record["sources"].items():
        cells = _cell(row["si_sdr"]) + _cell(row["si_sdri"]) + _cell(row["fraction_above_10db"], percent=True)
        lines.append(f"{name:18}{cells}{row['count']:8d}{row['silent']:8d}")
    methods: dict[str, Summary] = {"all": record, **record["baselines"]}
    for name, each in methods.items():
        cells = _cell(each["mean_si_sdri"]) + _cell(each["fraction_above_10db"], percent=True)
        lines.append(f"{name:18}{'':9}{cells}   median{_cell(each['median_si_sdri'])}")
    if "calibration" in record:
        lines.append(calibration.as_text(record["calibration"]))
    if "bss_eval" in record:
        lines.append(bss_eval_text(record["bss_eval"]))
    lines.append(f"{record['seconds']:.1f} s of separation, {record['real_time_factor']:.3f} of the sound's own time")
    return "\n".join(lines)


def bss_eval_text(tables: Mapping[str, BssTable]) -> str:
    """Format a line for each metric of BSS Eval: dB by source, with the mixture's in brackets."""
    lines = []
    for metric in METRICS:
        pairs = ((name, value, tables["mixture"][metric][name]) for name, value in tables["model"][metric].items())
        cells = [f"{name} {_decibels(value)} ({_decibels(before)})" for name, value, before in pairs]
        lines.append(f"BSS Eval {metric.upper()}, median of tracks (of the mixture): {', '.join(cells)}")
    return "\n".join(lines)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _cell(value: float | None, percent: bool = False) -> str:
    if value is None:
        return f"{'-':>9}"
    return f"{100 * value:8.1f}%" if percent else f"{value:9.2f}"
