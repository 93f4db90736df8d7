"""The priors under test: what one model folder holds, and whether they can be compared at all, on these data.

Log-likelihoods are comparable only between densities over the same events: one domain, one front
end, one event shape. A prior under the name ``background`` (trained on all sources pooled) is no
competitor but the denominator of likelihood ratios.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfsep import priors as prior_kinds
from tfsep.errors import InputError
from tfsep.evaluation.excerpts import IsolatedExcerpts
from tfsep.models import store
from tfsep.priors.base import Prior

BACKGROUND = "background"


@dataclass(frozen=True)
class PriorSet:
    """Priors of one model.

    Attributes:
        name: of the model.
        priors: {source: prior}.
        sample_rate: of the waveforms, in Hz.
        length: samples of the waveform that gives one event.
        background: prior of all sources pooled, where there is one.
    """

    name: str
    priors: dict[str, Prior]
    sample_rate: int
    length: int
    background: Prior | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be compared.

        Raises:
            InputError: for fewer than two priors, or priors of different domains, front ends, event
                shapes or rates.
        """
        if len(self.priors) < 2:
            known = f"{len(self.priors)} ({', '.join(self.priors) or 'none'})"
            raise InputError(f"a prior test needs at least two priors, {self.name!r} has {known}")
        first, one = next(iter(self.priors.items()))
        for source, other in self._all().items():
            if _events_of(other) != _events_of(one):
                raise InputError(
                    f"priors of one test must be over the same events: {first!r} is over {_events_of(one)}, "
                    f"{source!r} over {_events_of(other)}"
                )
            rate = getattr(other, "sample_rate", self.sample_rate)
            if rate != self.sample_rate:
                raise InputError(f"{self.name!r} is at {self.sample_rate} Hz, its prior of {source!r} at {rate} Hz")

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources, in the order of the priors."""
        return tuple(self.priors)

    @property
    def domain(self) -> str:
        """Name what all the priors are densities over."""
        return next(iter(self.priors.values())).domain

    def _all(self) -> dict[str, Prior]:
        return self.priors if self.background is None else {**self.priors, BACKGROUND: self.background}

    def events(self, waves: np.ndarray) -> np.ndarray:
        """Analyse excerpts (batch, time): (batch * windows,) + event_shape, windows of an excerpt behind each other.

        An excerpt that is longer than an event is covered by evenly spaced windows, the first at
        its beginning and the last at its end.
        """
        count = num_windows(waves.shape[1], self.length)
        starts = np.linspace(0, waves.shape[1] - self.length, count).round().astype(int)
        parts = np.stack([waves[:, start : start + self.length] for start in starts], axis=1)
        prior = next(iter(self.priors.values()))
        return prior.analyse(tf.constant(parts.reshape(-1, self.length), tf.float32)).numpy()

    def check_data(self, data: IsolatedExcerpts) -> None:
        """Refuse data that these priors are not about.

        Raises:
            InputError: for another rate, excerpts shorter than an event, or a source that the data
                do not have.
        """
        if data.sample_rate != self.sample_rate:
            raise InputError(
                f"{self.name!r} has priors at {self.sample_rate} Hz, {data.name!r} is at {data.sample_rate} Hz"
            )
        missing = [source for source in self.sources if source not in data.sources]
        if missing:
            known = ", ".join(data.sources)
            raise InputError(f"{self.name!r} has a prior of {missing[0]!r}, the data {data.name!r} have {known}")
        if data.length < self.length:
            first, prior = next(iter(self.priors.items()))
            raise InputError(
                f"the prior of {first!r} has {prior.domain!r} events {prior.event_shape} of {self.length} samples, "
                f"an excerpt of {data.name!r} has {data.length} samples"
            )


def num_windows(length: int, event_length: int) -> int:
    """Count the windows of ``event_length`` samples that cover an excerpt of ``length`` samples."""
    return -(-length // event_length)


def load(model: str, sources: Sequence[str] | None = None, background: str | None = None) -> PriorSet:
    """Load the priors of a model, by name or folder.

    Args:
        model: the model.
        sources: those to load; None is all.
        background: the model whose prior of "background" is that of all sources pooled; None is
            this one, if it has it.

    Raises:
        InputError: if the model cannot be read, has no prior of a source, or its priors cannot be
            compared.
    """
    description = store.describe(model)
    known = [name for name in description["priors"] if name in description["sources"]]
    chosen = known if sources is None else list(dict.fromkeys(sources))
    for source in chosen:
        if source not in known:
            raise InputError(f"{model!r} has priors of {', '.join(known) or 'nothing'}, not of {source!r}")
    loaded = {name: store.load_prior(model, name) for name in chosen}
    pooled = background or (model if BACKGROUND in description["priors"] else None)
    denominator = None if pooled is None else store.load_prior(pooled, BACKGROUND)
    name, rate = store.label(store.find_model(model)), int(description["sample_rate"])
    first = chosen[0] if chosen else None
    length = 0 if first is None else _length(name, description["priors"][first].get("length"), loaded[first])
    return PriorSet(name, loaded, rate, length, denominator)


def ideal(tested: PriorSet, num_rounds: int = 2) -> PriorSet:
    """Build the toy generator's own densities of the same sources, over the same waveforms.

    Args:
        tested: whose sources, length and rate they have.
        num_rounds: how often cells of their parameter grid are divided.
    """
    build = functools.partial(prior_kinds.build, "ideal_toy", num_rounds=num_rounds, sample_rate=tested.sample_rate)
    built = {source: build(source=source, length=tested.length) for source in tested.sources}
    return PriorSet("ideal prior", built, tested.sample_rate, tested.length)


def _length(model: str, length: int | None, prior: Prior) -> int:
    """Count the samples of the waveform that gives one event of a prior, ``length`` being the model's setting."""
    if length is not None:
        return int(length)
    if prior.domain == "wave":
        return int(prior.event_shape[0])
    raise InputError(f"model {model!r}: a prior over {prior.domain!r} needs a length in samples to be tested")


def _events_of(prior: Prior) -> str:
    settings = ", ".join(f"{name} {value}" for name, value in prior.front_end.settings().items())
    return f"{prior.domain!r} events {tuple(prior.event_shape)}" + (f" ({settings})" if settings else "")
