"""The record of a prior test: what it holds, how it is kept as JSON, and its keys in earlier versions.

Values are in nats per dimension of the priors' domain unless a name says otherwise. This module
imports no slow library, so that ``bin/prior-test --help`` may read it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypedDict, cast

from tfsep.atomic import write_json

#: Studies that a prior test does on demand, each an entry of its record.
STUDIES = ("without_log_det", "curvature", "single", "reference_classifier")
STUDY_ALIASES = {"published": "without_log_det", "peakedness": "curvature", "referee": "reference_classifier"}  # alias
_ALIASES = {**STUDY_ALIASES, "cut_samples": "excerpt_samples"}  # alias
_ALIASES_WITHIN = {
    "without_log_det": {"readings": "by_weight"},  # alias
    "curvature": {"curvature": "mean_curvature"},  # alias
    "reference_classifier": {"cuts": "excerpts"},  # alias
}

#: {prior: {source: mean}}.
Means: TypeAlias = dict[str, dict[str, float]]


class Discrimination(TypedDict):
    """How well sources are discriminated: by the argmax over priors, and by each prior against all other sources.

    ``confusion`` is {source: {prior with the highest value: number of excerpts}}.
    """

    accuracy: float
    accuracy_per_source: dict[str, float]
    auroc: dict[str, float]
    mean_auroc: float
    confusion: dict[str, dict[str, int]]


class DetectionScore(Discrimination):
    """A detection score, and the priors under which silence has a higher one than the prior's own source."""

    silence_is_likelier: list[str]


class CrossLikelihood(Discrimination):
    """Mean log-densities at one noise level; None is "no noise"."""

    sigma: float | None
    log_prob: Means


class IdealCrossLikelihood(CrossLikelihood):
    """Mean log-densities of the ideal priors over their own domain."""

    domain: str


class MeanAndAuroc(TypedDict):
    """A mean log-density, and the probability that an excerpt of the prior's own source has a higher one."""

    mean: float
    auroc: float


class Histogram(TypedDict):
    """Edges of bins, and {source: number of excerpts in each}."""

    edges: list[float]
    counts: dict[str, list[int]]


class WeightedLogDet(Discrimination):
    """Values with a weighted log-determinant; ``gibbs_excess`` is {prior: the most above Gibbs' bound}."""

    weight: float
    log_prob: Means
    gibbs_excess: dict[str, float]


class WithoutLogDet(TypedDict):
    """The study ``without_log_det``."""

    sigma: float | None
    by_weight: list[WeightedLogDet]


class Profile(TypedDict):
    """Mean log-densities at the positions of a path."""

    at: list[float]
    nats: list[float]


class CurvatureRow(TypedDict, total=False):
    """Curvature of one source's prior at one noise level and, where it has a density, paths and dips."""

    source: str
    sigma: float
    curvature: float
    paths: dict[str, Profile]
    dip: float
    latent_dip: float | None


class CurvatureStudy(TypedDict, total=False):
    """The study ``curvature``; ``mean_curvature`` is {"priors" or "ideal": [[sigma, mean over sources], ...]}."""

    priors: list[CurvatureRow]
    ideal: list[CurvatureRow]
    mean_curvature: dict[str, list[list[float]]]


class GainRow(TypedDict):
    """Signal-to-noise ratio of one source at one noise level and what denoisers gain, in dB."""

    source: str
    sigma: float
    snr: float
    tweedie: float
    langevin: float
    wiener: float


class Single(TypedDict):
    """The study ``single``."""

    rows: list[GainRow]


class ClassifiedStems(Discrimination):
    """Mean log-probabilities {class: {stem: mean}} of separated stems, and which source each stem is assigned to."""

    log_prob: Means


class ReferenceClassifierStudy(TypedDict, total=False):
    """The study ``reference_classifier``; the last two only where the model separates."""

    excerpts: Discrimination
    posterior: str
    stems: ClassifiedStems


class DenoisingTable(TypedDict, total=False):
    """Root mean square errors at each noise level, in units of the domain; None where it is out of range."""

    sigmas: list[float]
    sources: dict[str, dict[str, list[float | None]]]
    mean: dict[str, list[float | None]]
    ratio_to_ideal: dict[str, list[float | None]]


class HeatEquation(TypedDict):
    """How far priors are from the heat equation, beside the means of its sides in ``heat_residual``.

    ``relative`` is {prior: rows [sigma, relative residual, its standard error by the probes]};
    ``left_out`` names priors without a log-density or without noise levels.
    """

    num_events: int
    num_probes: int
    relative: dict[str, list[list[float]]]
    left_out: list[str]


class Record(TypedDict, total=False):
    """A whole record. Priors without densities lack what is read off log-densities; studies are there on demand."""

    model: str
    data: str
    seed: int
    num_examples: int
    domain: str
    dimensions: int
    excerpt_samples: int
    level: float | None
    kinds: dict[str, str]
    without_density: list[str]
    without_noise: list[str]
    sigma: float | None
    num_small: int
    method: str
    log_prob: Means
    accuracy: float | None
    accuracy_per_source: dict[str, float] | None
    auroc: dict[str, float] | None
    mean_auroc: float | None
    confusion: dict[str, dict[str, int]] | None
    by_sigma: list[CrossLikelihood]
    out_of_distribution: dict[str, dict[str, MeanAndAuroc]]
    silence_is_likelier: list[str] | None
    histograms: dict[str, Histogram]
    gibbs_bound: dict[str, list[list[float]]]
    heat_residual: dict[str, list[list[float]]]
    heat_equation: HeatEquation
    scores: dict[str, DetectionScore]
    ideal: IdealCrossLikelihood
    denoising: DenoisingTable
    without_log_det: WithoutLogDet
    curvature: CurvatureStudy
    single: Single
    reference_classifier: ReferenceClassifierStudy
    seconds: float


#: {song that was left out: {training of the priors: record}}.
Songs: TypeAlias = dict[str, dict[str, Record]]


def current(record: Mapping[str, Any]) -> Record:
    """Map the keys of a record of an earlier version to their present names; values stay as they are."""
    found = {_ALIASES.get(key, key): value for key, value in record.items()}
    for part, names in _ALIASES_WITHIN.items():
        if part in found:
            found[part] = {names.get(key, key): value for key, value in found[part].items()}
    return cast(Record, found)


def read(path: Path) -> Record:
    """Read a record, of this version or an earlier one; {} where there is no file."""
    return current(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def read_songs(path: Path) -> Songs:
    """Read the records of songs that were left out one at a time; {} where there is no file."""
    if not path.is_file():
        return {}
    songs = json.loads(path.read_text(encoding="utf-8"))["songs"]
    return {song: {training: current(each) for training, each in tests.items()} for song, tests in songs.items()}


def write(path: Path, record: Mapping[str, object]) -> None:
    """Write a record whole or not at all; what is not finite is null.

    Raises:
        JobError: if the file cannot be written.
    """
    write_json(path, _finite(record), indent=1)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
