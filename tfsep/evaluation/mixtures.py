"""Mixtures with their truth, on which separations are measured: toys, folders of stems, musdb18."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfsep.audio import files
from tfsep.audio.resample import resample
from tfsep.audio.suffixes import find_stem
from tfsep.data import musdb, stems, toy
from tfsep.errors import InputError, JobError
from tfsep.separation.separator import Separator

#: Names of data that are made, not read.
TOY_DATA = ("toy", "toy-free")
_TOY_BATCH = 64


@dataclass(frozen=True)
class Batch:
    """Mixtures with their truth.

    Attributes:
        mixture: (batch, time) float32.
        references: (batch, source, time) float32, in the order of the model's sources and as they
            are in the mixture.
        sample_rate: Hz.
        song: whether the batch axis is the channels of one song; else its entries are unrelated.
    """

    mixture: np.ndarray
    references: np.ndarray
    sample_rate: int
    song: bool


def toy_batches(
    separator: Separator, num_mixtures: int, seed: int, free: bool, length: int | None = None
) -> Iterator[Batch]:
    """Mix held-out toys, each the mean of one example of each of the model's classes, at the model's rate.

    Args:
        separator: the model.
        num_mixtures: in all.
        seed: of the examples.
        free: of any pitch, not on the grid of keys.
        length: samples of a mixture; None is the model's segment.

    Yields:
        At most 64 mixtures each.

    Raises:
        InputError: if the model's sources are not toy classes.
    """
    unknown = [name for name in separator.sources if name not in toy.oscillators.ALL_KINDS]
    if unknown:
        raise InputError(
            f"toy data have the sources {', '.join(toy.oscillators.ALL_KINDS)}, the model has {unknown[0]!r}"
        )
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
    """Read the tracks ``<root>/<split>/<track>``, or those of a musdb root, one batch each.

    Without a mixture file the sum of a track's stems is the mixture.

    Args:
        separator: the model.
        root: folder of stems, of musdb18 or of musdb18-hq.
        split: "train", "test" or another sub-folder; of musdb also "valid".
        num_mixtures: at most so many tracks.
        linear: the sum of the model's sources is the mixture, mixture file or not.
        balance_db: bring the sources of each track within so many dB of their median level
            (:func:`balanced`).

    Raises:
        InputError: if the folder has no tracks, or none with one of the model's sources.
    """
    tracks = musdb.musdb_folders(root, split) if musdb.is_musdb(root) else stems.track_folders(root, split)
    usable = [track for track in tracks if any(find_stem(track, name) for name in separator.sources)]
    if not usable:
        raise InputError(f"no track under {Path(root, split)} has a stem of {', '.join(separator.sources)}")
    for track in usable[:num_mixtures]:
        batch = read_track(track, separator.sources, linear or balance_db is not None)
        yield batch if balance_db is None else balanced(batch, balance_db)


def read_track(track: Path, sources: Iterable[str], linear: bool = False) -> Batch:
    """Read the stems of one track, with silence for those that are missing, and its mixture.

    Args:
        track: its folder.
        sources: whose stems are read.
        linear: take the stems' sum for the mixture, even where there is a mixture file.

    Raises:
        JobError: if a file cannot be read, or stems have different numbers of channels.
    """
    paths = {name: find_stem(track, name) for name in (*sources, *(() if linear else ("mixture",)))}
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
    """Bring a song's sources within ``within_db`` of the median of their levels; their sum is the mixture.

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
