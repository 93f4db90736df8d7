"""How well a separator separates: SI-SDR and its improvement over the mixture, beside baselines, as one record.

Every channel of every mixture counts as one value per source. References without sound have no SI-SDR: they are left
out and counted as silent. Infinite values (an estimate that is exactly right, or exactly nothing) are limited to
100 dB, so that means exist.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfsep.audio import files
from tfsep.audio.resample import resample
from tfsep.baselines.ideal_ratio_mask import ideal_ratio_mask
from tfsep.data import musdb, stems, toy
from tfsep.errors import InputError, JobError
from tfsep.evaluation import bss_eval, calibration
from tfsep.evaluation.bss_eval import BssScores
from tfsep.metrics import si_sdr
from tfsep.separation.separator import Separator

GOOD_DB = 10.0
_LIMIT_DB = 100.0
_TOY_BATCH = 64
_MASK_SECONDS = 30
_CALIBRATION_SECONDS = 3.0


@dataclass(frozen=True)
class Batch:
    """Mixtures with their truth.

    Attributes:
        mixture: (batch, time) float32.
        references: (batch, source, time) float32, in the order of the model's sources and as they are in the mixture.
        sample_rate: Hz.
        song: whether the batch axis is the channels of one song; else its entries are unrelated.
    """

    mixture: np.ndarray
    references: np.ndarray
    sample_rate: int
    song: bool


@dataclass
class Scores:
    """SI-SDR of a method in dB: one row per mixture and channel, one column per source, nan for a silent reference."""

    rows: list[np.ndarray] = field(default_factory=list)

    def add(self, estimates: Any, references: np.ndarray) -> None:
        """Score estimates (batch, source, time) against references of the same shape."""
        self.rows.append(np.clip(si_sdr(np.asarray(estimates), references), -_LIMIT_DB, _LIMIT_DB))

    def table(self) -> np.ndarray:
        """(value, source) dB."""
        return np.concatenate(self.rows)


def toy_batches(
    separator: Separator, num_mixtures: int, seed: int, free: bool, length: int | None = None
) -> Iterator[Batch]:
    """Held-out toy mixtures, the mean of one example of each of the model's classes, at the model's rate.

    Raises:
        InputError: if the model's sources are not toy classes.
    """
    unknown = [name for name in separator.sources if name not in toy.oscillators.KINDS]
    if unknown:
        raise InputError(f"toy data have the sources {', '.join(toy.oscillators.KINDS)}, the model has {unknown[0]!r}")
    length = separator.segment if length is None else length
    examples = [
        toy.examples(name, num_mixtures, length, separator.sample_rate, seed, free=free) for name in separator.sources
    ]
    references = np.stack(examples, axis=1) / np.float32(len(examples))
    mixture = references.sum(axis=1, dtype=np.float64).astype(np.float32)
    for start in range(0, num_mixtures, _TOY_BATCH):
        part = slice(start, start + _TOY_BATCH)
        yield Batch(mixture[part], references[part], separator.sample_rate, song=False)


def song_batches(
    separator: Separator,
    root: str | Path,
    split: str,
    num_mixtures: int | None = None,
    linear: bool = False,
    balance_db: float | None = None,
) -> Iterator[Batch]:
    """The tracks ``<root>/<split>/<track>``, or those of a musdb root; without a mixture file their sum is the mixture.

    Args:
        separator: the model.
        root: folder of stems, of musdb18 or of musdb18-hq.
        split: "train", "test" or another sub-folder; of musdb also "valid".
        num_mixtures: at most so many tracks.
        linear: the sum of the model's sources is the mixture, mixture file or not.
        balance_db: bring the sources of each track within so many dB of their median level (:func:`balanced`).

    Raises:
        InputError: if the folder has no tracks, or none with one of the model's sources.
    """
    tracks = musdb.musdb_folders(root, split) if musdb.is_musdb(root) else stems.track_folders(root, split)
    usable = [track for track in tracks if any(stems.stem_path(track, name) for name in separator.sources)]
    if not usable:
        raise InputError(f"no track under {Path(root, split)} has a stem of {', '.join(separator.sources)}")
    for track in usable[:num_mixtures]:
        batch = read_track(track, separator.sources, linear or balance_db is not None)
        yield batch if balance_db is None else balanced(batch, balance_db)


def read_track(track: Path, sources: Iterable[str], linear: bool = False) -> Batch:
    """Read the stems of one track, with silence for those that are missing, and its mixture, their sum if ``linear``.

    Raises:
        JobError: if a file cannot be read, or stems have different numbers of channels.
    """
    paths = {name: stems.stem_path(track, name) for name in (*sources, *(() if linear else ("mixture",)))}
    sounds = {name: files.read(path) for name, path in paths.items() if path is not None}
    rate = next(iter(sounds.values()))[1]
    waves = {name: resample(wave, other, rate) for name, (wave, other) in sounds.items()}
    channels = {len(wave) for wave in waves.values()} - {1}
    if len(channels) > 1:
        raise JobError(f"the stems of {track} must have one number of channels, got {sorted(channels)}")
    shape = (max(channels, default=1), max(wave.shape[1] for wave in waves.values()))
    full = {
        name: np.broadcast_to(np.pad(wave, ((0, 0), (0, shape[1] - wave.shape[1]))), shape)
        for name, wave in waves.items()
    }
    references = np.stack([full.get(name, np.zeros(shape, np.float32)) for name in sources], axis=1)
    mixture = full.get("mixture", references.sum(axis=1))
    return Batch(np.asarray(mixture, np.float32), references, rate, song=True)


def balanced(batch: Batch, within_db: float) -> Batch:
    """A song with its sources within ``within_db`` of the median of their levels, and their sum as the mixture.

    A level is the RMS over all channels and times, in dB; sources without sound have none.
    """
    power = np.mean(batch.references.astype(np.float64) ** 2, axis=(0, 2))
    if not np.any(power > 0.0):
        return batch
    level = 10.0 * np.log10(np.maximum(power, 1e-30))
    middle = float(np.median(level[power > 0.0]))
    change = np.where(power > 0.0, np.clip(level, middle - within_db, middle + within_db) - level, 0.0)
    references = batch.references * (10.0 ** (change / 20.0)).astype(np.float32)[:, np.newaxis]
    return replace(batch, references=references, mixture=references.sum(axis=1))


def oracle_mask(batch: Batch) -> np.ndarray:
    """The ideal ratio mask's estimates (batch, source, time), in stretches that fit in memory."""
    step = _MASK_SECONDS * batch.sample_rate
    parts = [
        ideal_ratio_mask(batch.references[..., start : start + step], batch.mixture[..., start : start + step]).numpy()
        for start in range(0, batch.mixture.shape[-1], step)
    ]
    return np.concatenate(parts, axis=-1)


def separate(separator: Separator, batch: Batch, seed: int) -> np.ndarray:
    """The separator's estimates (batch, source, time)."""
    if not batch.song:
        return separator.separate_batch(batch.mixture, seed=seed)[0]
    answer = separator(batch.mixture, batch.sample_rate, seed=seed)
    return np.stack([answer[name] for name in separator.sources], axis=1)


def drawn(separator: Separator, batch: Batch, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Posterior samples (sample, batch, source, time) and the truth, of a song no more than its middle seconds."""
    if not batch.song:
        return separator.separate_batch(batch.mixture, calibration.NUM_DRAWS, seed), batch.references
    time, length = batch.mixture.shape[-1], int(_CALIBRATION_SECONDS * batch.sample_rate)
    part = slice(max(0, (time - length) // 2), max(0, (time - length) // 2) + length)
    answer = separator(batch.mixture[..., part], batch.sample_rate, calibration.NUM_DRAWS, seed)
    return np.stack([answer[name] for name in separator.sources], axis=2), batch.references[..., part]


def evaluate(
    separator: Separator,
    batches: Iterable[Batch],
    data: str,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
    baselines: Mapping[str, Callable[[Batch], np.ndarray]] | None = None,
    calibrate: bool = False,
    bss: BssScores | None = None,
) -> dict[str, Any]:
    """Separate mixtures and score the answers.

    Args:
        separator: the model.
        batches: what to separate.
        data: its name, for the record.
        seed: of the posterior's random numbers.
        progress: is told the number of mixtures of each finished batch.
        baselines: further methods, each from a batch to estimates (batch, source, time).
        calibrate: count how often intervals of posterior samples cover the truth, as ``calibration``.
        bss: scores each answer by BSS Eval too, as ``bss_eval``.

    Returns:
        The record that bin/evaluate writes: scores in dB per source and over all, of the model and of the baselines
        ``mixture`` (the mixture as every estimate) and ``ideal_ratio_mask``; ``seconds`` of separation (tracing
        included) and ``real_time_factor``, their ratio to the seconds of sound.
    """
    methods = {"mixture": lambda batch: batch.mixture[:, np.newaxis], "ideal_ratio_mask": oracle_mask}
    methods |= dict(baselines or {})
    scores = {name: Scores() for name in ("model", *methods)}
    coverage = calibration.Coverage()
    seconds = sound = 0.0
    num_mixtures = 0
    for batch in batches:
        began = time.monotonic()
        estimates = separate(separator, batch, seed)
        seconds += time.monotonic() - began
        sound += batch.mixture.shape[-1] / batch.sample_rate * (1 if batch.song else len(batch.mixture))
        num_mixtures += 1 if batch.song else len(batch.mixture)
        scores["model"].add(estimates, batch.references)
        for name, method in methods.items():
            scores[name].add(method(batch), batch.references)
        if bss is not None:
            bss.add(estimates, batch.references, batch.mixture, batch.sample_rate, batch.song)
        if calibrate:
            coverage.add(*drawn(separator, batch, seed))
        if progress is not None:
            progress(1 if batch.song else len(batch.mixture))
    tables = {name: score.table() for name, score in scores.items()}
    summaries = {name: summary(table, tables["mixture"], separator.sources) for name, table in tables.items()}
    return {
        "model": separator.name,
        "data": data,
        "seed": seed,
        "num_mixtures": num_mixtures,
        **summaries.pop("model"),
        "baselines": summaries,
        "seconds": seconds,
        "real_time_factor": seconds / sound,
        "silent": int(np.isnan(tables["model"]).sum()),
        **({"calibration": coverage.record(separator.sources)} if calibrate else {}),
        **({"bss_eval": bss.record(separator.sources)} if bss is not None else {}),
    }


def summary(table: np.ndarray, mixture: np.ndarray, sources: Iterable[str]) -> dict[str, Any]:
    """Means of a table of SI-SDR (value, source) and of its improvement over the mixture's table."""
    improvement = table - mixture
    return {
        "sources": {
            name: {
                "si_sdr": _statistic(np.mean, table[:, k]),
                "si_sdri": _statistic(np.mean, improvement[:, k]),
                "fraction_above_10db": _statistic(np.mean, table[:, k], above=GOOD_DB),
                "count": int(np.isfinite(table[:, k]).sum()),
                "silent": int(np.isnan(table[:, k]).sum()),
            }
            for k, name in enumerate(sources)
        },
        "mean_si_sdri": _statistic(np.mean, improvement),
        "median_si_sdri": _statistic(np.median, improvement),
        "fraction_above_10db": _statistic(np.mean, table, above=GOOD_DB),
    }


def _statistic(function: Callable[..., Any], values: np.ndarray, above: float | None = None) -> float | None:
    """A statistic of the values that are not nan (of whether they exceed ``above``); None if there are none."""
    values = values[~np.isnan(values)]
    if not values.size:
        return None
    return float(function(values if above is None else values > above))


def as_text(record: Mapping[str, Any]) -> str:
    """The record as a table for the terminal."""
    lines = [f"{record['model']} on {record['data']}: {record['num_mixtures']} mixtures, seed {record['seed']}"]
    lines.append(f"{'':18}{'SI-SDR':>9}{'SI-SDRi':>9}{'>10 dB':>9}{'count':>8}{'silent':>8}")
    for name, row in record["sources"].items():
        cells = _cell(row["si_sdr"]) + _cell(row["si_sdri"]) + _cell(row["fraction_above_10db"], percent=True)
        lines.append(f"{name:18}{cells}{row['count']:8d}{row['silent']:8d}")
    for name, row in {"all": record, **record["baselines"]}.items():
        cells = _cell(row["mean_si_sdri"]) + _cell(row["fraction_above_10db"], percent=True)
        lines.append(f"{name:18}{'':9}{cells}   median{_cell(row['median_si_sdri'])}")
    if "calibration" in record:
        lines.append(calibration.as_text(record["calibration"]))
    if "bss_eval" in record:
        lines.append(bss_eval.as_text(record["bss_eval"]))
    lines.append(f"{record['seconds']:.1f} s of separation, {record['real_time_factor']:.3f} of the sound's own time")
    return "\n".join(lines)


def _cell(value: float | None, percent: bool = False) -> str:
    if value is None:
        return f"{'-':>9}"
    return f"{100 * value:8.1f}%" if percent else f"{value:9.2f}"
