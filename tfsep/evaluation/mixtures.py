"""Mixtures with their truth, on which separations are measured: toys, folders of stems, musdb18."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfsep.audio import files
from tfsep.audio.resample import resample
from tfsep.audio.suffixes import find_stem, several_files, sound_files
from tfsep.data import musdb, stems, toy
from tfsep.errors import InputError, JobError
from tfsep.separation.separator import Separator

#: Names of data that are made, not read.
TOY_DATA = ("toy", "toy-free")
MIXTURE = "mixture"
#: Mastered mixtures differ from their stems by less; a shift by 10 ms or a halved level leaves more.
RESIDUAL_LIMIT_DB = -15.0
_TOY_BATCH = 64
_LOG = logging.getLogger(__name__)


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
        JobError: if no track can be read; a single one that cannot is logged as an error, before
            the first is yielded where its headers show it.
    """
    tracks = musdb.musdb_folders(root, split) if musdb.is_musdb(root) else stems.track_folders(root, split)
    usable = [track for track in tracks if _has_a_stem(track, separator.sources)]
    if not usable:
        raise InputError(f"no track under {Path(root, split)} has a stem of {', '.join(separator.sources)}")
    linear, done = linear or balance_db is not None, 0
    for track in [track for track in usable[:num_mixtures] if _headers_are_sound(track, separator.sources, linear)]:
        try:
            batch = read_track(track, separator.sources, linear)
        except JobError as error:
            _LOG.error("the track %s is left out: %s", track.name, error)
            continue
        done += 1
        yield batch if balance_db is None else balanced(batch, balance_db)
    if not done:
        raise JobError(f"no track under {Path(root, split)} can be read")


def _has_a_stem(track: Path, sources: Iterable[str]) -> bool:
    """Return whether a track has a file of a source; log why its folder cannot be read."""
    try:
        return any(find_stem(track, name) for name in sources)
    except JobError as error:
        _LOG.error("the track %s is left out: %s", track.name, error)
        return False


def _headers_are_sound(track: Path, sources: Iterable[str], linear: bool) -> bool:
    """Return whether the headers of a track's files can be read; log why not."""
    try:
        for path in _paths(track, sources, linear).values():
            files.info(path)
    except JobError as error:
        _LOG.error("the track %s is left out: %s", track.name, error)
        return False
    return True


def _paths(track: Path, sources: Iterable[str], linear: bool) -> dict[str, Path]:
    """Return the files of a track by source, and of its mixture where that is wanted."""
    names = (*sources, *(() if linear else (MIXTURE,)))
    return {name: path for name in names if (path := find_stem(track, name)) is not None}


def read_track(track: Path, sources: Iterable[str], linear: bool = False) -> Batch:
    """Read the stems of one track, with silence for those that are missing, and its mixture.

    What is odd of a track is logged as a warning: a source without a file or with several, stems of
    unequal lengths or numbers of channels, a mixture to which its stems do not sum.

    Args:
        track: its folder.
        sources: whose stems are read.
        linear: take the stems' sum for the mixture, even where there is a mixture file.

    Raises:
        JobError: if a file cannot be read, or stems have different numbers of channels.
    """
    sources = tuple(sources)
    paths = _paths(track, sources, linear)
    missing = [name for name in sources if name not in paths]
    if missing:
        _LOG.warning("the track %s has no file of %s: its reference is silence", track.name, ", ".join(missing))
    for line in several_files(track, (*sources, *(() if linear else (MIXTURE,)))):
        _LOG.warning("the track %s: %s", track.name, line)
    others = [
        path for path in sound_files(track) if path.stem.casefold() not in {x.casefold() for x in (*sources, MIXTURE)}
    ]
    if MIXTURE in paths:
        paths |= {f"/{path.name}": path for path in others}
    sounds = {name: files.read(path) for name, path in paths.items()}
    rate = next(iter(sounds.values()))[1]
    waves = {name: resample(wave, other, rate) for name, (wave, other) in sounds.items()}
    channels = {len(wave) for wave in waves.values()} - {1}
    if len(channels) > 1:
        raise JobError(f"the stems of {track} must have one number of channels, got {sorted(channels)}")
    own = [name for name in paths if not name.startswith("/")]
    rates = {sounds[name][1] for name in own}
    _warn_of_shapes(track, {paths[name].name: waves[name] for name in own}, math.ceil(rate / min(rates)) - 1)
    shape = (max(channels, default=1), max(wave.shape[1] for wave in waves.values()))
    full = {
        name: np.broadcast_to(np.pad(wave, ((0, 0), (0, shape[1] - wave.shape[1]))), shape)
        for name, wave in waves.items()
    }
    references = np.stack([full.get(name, np.zeros(shape, np.float32)) for name in sources], axis=1)
    mixture = full.get(MIXTURE, references.sum(axis=1))
    if MIXTURE in full:
        rest = sum((full[f"/{path.name}"] for path in others), np.zeros(shape, np.float32))
        residual = min(
            residual_db(mixture, references.sum(axis=1)), residual_db(mixture, references.sum(axis=1) + rest)
        )
        if residual > RESIDUAL_LIMIT_DB:
            _LOG.warning(
                "the track %s: its mixture minus its stems leaves %.1f dB, more than %g dB",
                track.name,
                residual,
                RESIDUAL_LIMIT_DB,
            )
    return Batch(np.asarray(mixture, np.float32), references, rate, song=True)


def _warn_of_shapes(track: Path, waves: Mapping[str, np.ndarray], tolerance: int) -> None:
    """Log files of a track, {name: (channels, time)}, that differ in channels, or in samples by more than rounding."""
    lengths = {name: wave.shape[1] for name, wave in waves.items()}
    if max(lengths.values()) - min(lengths.values()) > tolerance:
        got = _grouped(lengths)
        _LOG.warning("the track %s: its files must have one length, got samples %s: silence follows", track.name, got)
    channels = {name: len(wave) for name, wave in waves.items()}
    if len(set(channels.values())) > 1:
        rule = "its files must have one number of channels"
        _LOG.warning("the track %s: %s, got %s: one is taken for all", track.name, rule, _grouped(channels))


def _grouped(values: Mapping[str, int]) -> str:
    """Return "2 (a.wav, b.wav), 1 (c.wav)" of values by file."""
    names = {value: [name for name, other in values.items() if other == value] for value in values.values()}
    return ", ".join(f"{value} ({', '.join(names[value])})" for value in sorted(names, reverse=True))


def residual_db(mixture: np.ndarray, total: np.ndarray) -> float:
    """Return the energy of a mixture minus the sum of its stems over that of the mixture, dB; at least -300."""
    energy = float(np.sum(np.square(mixture, dtype=np.float64)))
    left = float(np.sum(np.square(mixture - total, dtype=np.float64)))
    return 10.0 * float(np.log10(max(left, 1e-30) / max(energy, 1e-30))) if left > 0.0 else -300.0


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
