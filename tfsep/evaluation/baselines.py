"""Baselines by name, ready to separate the mixtures that a model is measured on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np

from tfsep.baselines import blind
from tfsep.baselines.factorisation import NmfDictionaries
from tfsep.data.musdb import MusdbData, is_musdb
from tfsep.data.stems import StemsData
from tfsep.data.toy import ToyData
from tfsep.errors import InputError
from tfsep.evaluation.mixtures import TOY_DATA, Batch

NAMES = ("nmf", "hpss", "ica")
_TOY_SOUNDS = 512
_SONG_SOUNDS = 64
_SONG_SECONDS = 2.0
_SONG_COMPONENTS = 40

#: From a batch of mixtures to estimates (batch, source, time).
Method: TypeAlias = Callable[[Batch], np.ndarray]


def build(names: Iterable[str], sources: tuple[str, ...], data: str, seed: int = 0) -> dict[str, Method]:
    """Build baselines for the data that ``bin/evaluate`` was given.

    Args:
        names: out of :data:`NAMES`.
        sources: of the model, in its order.
        data: "toy", "toy-free", or a folder, from whose split ``train`` ``nmf`` learns.
        seed: of sounds and factors.

    Raises:
        InputError: for an unknown name.
    """
    methods: dict[str, Method] = {}
    for name in names:
        if name == "nmf":
            methods[name] = _nmf(sources, data, seed)
        elif name == "hpss":
            methods[name] = lambda batch: blind.drums_by_median(batch.mixture, sources)
        elif name == "ica":
            methods[name] = lambda batch: _ica(batch, seed)
        else:
            raise InputError(f"baselines must be some of {', '.join(NAMES)}, got {name!r}")
    return methods


def _nmf(sources: tuple[str, ...], data: str, seed: int) -> Method:
    @functools.cache
    def dictionaries(sample_rate: int, length: int) -> NmfDictionaries:
        if data in TOY_DATA:
            toy = ToyData(sample_rate=sample_rate, free=data == "toy-free")
            return NmfDictionaries([toy.draw(name, _TOY_SOUNDS, length, (seed, 0)) for name in sources], seed=seed)
        kind = MusdbData if is_musdb(data) else StemsData
        stems = kind([data], sources=sources, sample_rate=sample_rate)
        time = int(_SONG_SECONDS * sample_rate)
        sounds = [stems.draw(name, _SONG_SOUNDS, time, (seed, 0)) for name in sources]
        return NmfDictionaries(sounds, _SONG_COMPONENTS, 2048, 512, seed)

    def separate(batch: Batch) -> np.ndarray:
        length = batch.mixture.shape[-1] if data.startswith("toy") else 0
        return dictionaries(batch.sample_rate, length).separate(batch.mixture)

    return separate


def _ica(batch: Batch, seed: int) -> np.ndarray:
    if not batch.song:
        raise InputError("the baseline 'ica' needs songs of several channels, these mixtures have one")
    return blind.independent_components(batch.mixture, batch.references, seed)
