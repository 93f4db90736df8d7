"""Isolated excerpts of sources for the tests of priors: held out and of training, in batches, from a seed.

Held-out excerpts of a toy come from tables that no training draws; those of a folder come from
another split. Excerpts in which a source is silent (an RMS of at most 0.001, 40 dB below a track's)
carry no information about it and are left out.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfsep.audio import files
from tfsep.audio.resample import resample
from tfsep.audio.suffixes import find_stem
from tfsep.data import stems, toy
from tfsep.data.pipeline import SourceData
from tfsep.data.recordings import AUDIBLE
from tfsep.errors import InputError, JobError

BATCH = 64
HELD_OUT, TRAINING = "held_out", "training"
# Held-out tables are counted downwards from here, training ones upwards from 0, where training itself begins.
_FIRST_STEPS = {HELD_OUT: -0x5EED, TRAINING: 0}
_MOST_ROUNDS = 32


@dataclass(frozen=True)
class IsolatedExcerpts:
    """Excerpts of each source of a data set.

    Attributes:
        name: of the data, for the record.
        sample_rate: Hz.
        length: samples of an excerpt.
        held_out: data that no prior was trained on.
        training: data that priors may be calibrated on.
        seed: of the excerpts.
        level: RMS that every excerpt is brought to; None leaves excerpts as loud as they are.
    """

    name: str
    sample_rate: int
    length: int
    held_out: SourceData
    training: SourceData
    seed: int = 0
    level: float | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of the data."""
        return tuple(self.held_out.sources)

    def batches(self, source: str, num: int, split: str = HELD_OUT) -> Iterator[np.ndarray]:
        """Yield the first ``num`` audible excerpts of a source, at most 64 at a time: (batch, time) float32.

        Raises:
            InputError: if too few of the excerpts are audible.
        """
        data = self.held_out if split == HELD_OUT else self.training
        sign = -1 if split == HELD_OUT else 1
        waiting, delivered = np.zeros((0, self.length), np.float32), 0
        for step in range(_MOST_ROUNDS * math.ceil(num / BATCH)):
            drawn = data.draw(source, BATCH, self.length, (self.seed, _FIRST_STEPS[split] + sign * step)).numpy()
            waiting = np.concatenate([waiting, self._levelled(drawn[rms(drawn) > AUDIBLE])])
            size = min(BATCH, num - delivered)
            if len(waiting) >= size:
                yield waiting[:size]
                waiting, delivered = waiting[size:], delivered + size
            if delivered == num:
                return
        raise InputError(f"{self.name} has fewer than {num} excerpts of {source!r} with an RMS above {AUDIBLE}")

    def excerpts(self, source: str, num: int, split: str = HELD_OUT) -> np.ndarray:
        """Join all batches into one array: (num, time) float32."""
        return np.concatenate(list(self.batches(source, num, split)))

    def shifted(self, source: str, num: int, cents: float) -> Iterator[np.ndarray]:
        """Play held-out excerpts faster, so that their pitch rises by ``cents`` hundredths of a semitone.

        Yields:
            (batch, time) float32.
        """
        factor = 2.0 ** (cents / 1200.0)
        longer = replace(self, length=math.ceil(self.length * max(factor, 1.0)) + 1)
        faster = round(self.sample_rate * factor)
        for waves in longer.batches(source, num):
            yield resample(waves, faster, self.sample_rate)[:, : self.length]

    def mean_level(self, num: int) -> float:
        """Measure the root mean square of ``num`` training excerpts a source, over all sources, for :attr:`level`."""
        powers = [float(np.mean(rms(self.excerpts(source, num, TRAINING)) ** 2)) for source in self.sources]
        return math.sqrt(sum(powers) / len(powers))

    def _levelled(self, waves: np.ndarray) -> np.ndarray:
        if self.level is None:
            return waves
        return (waves * (self.level / rms(waves))[:, np.newaxis]).astype(np.float32)


def rms(waves: np.ndarray) -> np.ndarray:
    """Compute the root mean square over time: (batch, time) -> (batch,)."""
    return np.sqrt(np.mean(np.square(waves, dtype=np.float64), axis=-1))


def toy_excerpts(sources: tuple[str, ...], sample_rate: int, length: int, seed: int, free: bool) -> IsolatedExcerpts:
    """Prepare toy examples of the given classes, of any pitch if ``free``.

    Raises:
        InputError: if a source is not a toy class, or the rate cannot hold the keys.
    """
    unknown = [source for source in sources if source not in toy.oscillators.ALL_KINDS]
    if unknown:
        raise InputError(f"toy data have the sources {', '.join(toy.oscillators.ALL_KINDS)}, the priors {unknown[0]!r}")
    data = toy.ToyData(sample_rate=sample_rate, free=free, sources=sources)
    return IsolatedExcerpts("toy-free" if free else "toy", sample_rate, length, data, data, seed)


def folder_excerpts(
    folder: str | Path,
    sources: tuple[str, ...],
    sample_rate: int,
    length: int,
    seed: int,
    split: str = "test",
    training_split: str = "train",
    resampled: bool = False,
    tracks: Sequence[str] = (),
    model: str = "",
) -> IsolatedExcerpts:
    """Prepare excerpts of a folder of stems; without a training split, the held-out one calibrates too.

    A track with a file that cannot be read is logged as an error and left out.

    With ``tracks`` one split can serve for both: those tracks are held out, the others calibrate.

    Args:
        folder: holds ``<split>/<track>/<source>.wav``.
        sources, sample_rate, length, seed: as in :class:`IsolatedExcerpts`.
        split: held out.
        training_split: for calibration.
        resampled: accept recordings at other rates, and resample them.
        tracks: words; tracks whose names contain one are held out, and the others of both splits
            are not. None of them: the splits alone decide.
        model: whose priors are tested, for messages.

    Raises:
        InputError: for a folder without tracks, a source without sound, or another sample rate.
    """
    held_out = stems.track_folders(folder, split)
    if not resampled:
        _check_rates(held_out, sources, sample_rate, model)
    read = functools.partial(stems.StemsData, (str(folder),), sources=sources, sample_rate=sample_rate)
    data = known = read(split=split, only=tracks)
    if (training_split != split or tracks) and (Path(folder) / training_split).is_dir():
        known = read(split=training_split, exclude=tracks)
    return IsolatedExcerpts(Path(folder).resolve().name, sample_rate, length, data, known, seed)


def _check_rates(tracks: list[Path], sources: tuple[str, ...], sample_rate: int, model: str) -> None:
    """Refuse tracks at another rate; what cannot be read is left to the data set, which logs it and leaves it out."""
    for track in tracks:
        for source in sources:
            try:
                path = find_stem(track, source)
                found = sample_rate if path is None else files.info(path).sample_rate
            except JobError:
                continue
            if found != sample_rate:
                whose = f"the priors of {model!r}" if model else "the priors"
                raise InputError(
                    f"{whose} are at {sample_rate} Hz and {path} at {found} Hz; --resample brings it to the priors'"
                )
