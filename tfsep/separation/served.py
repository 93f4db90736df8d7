"""A model on a server in place of one in this process: the same stream, whose segments travel.

Rates, segments, crossfades, channels and the band above the model's stay here; the server answers
segment after segment by its signature ``segments``, with the seeds that a model here would have. So
the stems are those of the same model here, whatever the length of a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from tfsep.client import Client
from tfsep.client.answers import stems_of
from tfsep.errors import InputError
from tfsep.runtime.stateless_random import fold
from tfsep.separation import arguments
from tfsep.separation.level import level_scale
from tfsep.separation.segments import chunk_within
from tfsep.separation.settings import stereo_mode
from tfsep.separation.stream import Plan, Program, separate_blocks

#: Segments in the air at once, at most.
_LARGEST_CHUNK = 64


class ServedSeparator:
    """A served model that separates blocks as they arrive.

    Args:
        client: of the model.
        stereo: takes the place of the model's stereo mode.

    Raises:
        InputError: for an unknown stereo mode, or segments that are too long for a message.
        JobError: if the server does not answer, or not within the client's timeout.
    """

    def __init__(self, client: Client, stereo: str | None = None) -> None:
        """Ask the server for the facts, and how long it takes."""
        self.client, self.facts = client, client.facts
        self.name = self.facts.model
        self.sources, self.sample_rate = self.facts.sources, self.facts.sample_rate
        self.gains, self.normalise = self.facts.gains, self.facts.normalise
        self.stereo = stereo_mode(self.facts.stereo if stereo is None else stereo)
        segment, most = self.facts.segment, client.most_samples(1)
        if most < segment:
            raise InputError(f"a request must hold a segment of {segment} samples, which the limits cut to {most}")
        self.at_once = min(most // segment, max(1, int(client.most_segments)))

    def describe(self) -> str:
        """Return where it is served."""
        return f"served at {self.client.transport.address}"

    def level_scale(self, blocks: Iterable[np.ndarray]) -> float:
        """Return the factor that brings blocks (channels, time) to the model's level; 1 for silence."""
        return level_scale(blocks, self.facts.level)

    def stream(
        self,
        blocks: Iterable[np.ndarray],
        sample_rate: int,
        channels: int,
        num_samples: int = 1,
        seed: int = 0,
        scale: np.ndarray | float = 1.0,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Separate blocks as they arrive; see :meth:`tfsep.separation.separator.Separator.stream`.

        Raises:
            InputError: for more than one sample, or a seed out of range.
        """
        if num_samples != 1:
            raise InputError(f"a served model gives one estimate here, got num_samples {num_samples}")
        facts = self.facts
        size = chunk_within(self.at_once * self.client.parallel, _LARGEST_CHUNK)
        plan = Plan(facts.sample_rate, facts.segment, facts.hop, facts.gains, 1, size, self.stereo)
        program = self._program(arguments.seed_pairs(seed, channels))
        return separate_blocks(program, plan, blocks, arguments.rate(sample_rate), channels, scale)

    def _program(self, seeds: np.ndarray) -> Program:
        """Return the separation of a chunk by the server; silent segments stay here."""

        def program(segments: np.ndarray, places: np.ndarray) -> np.ndarray:
            pairs = fold(tf.constant(seeds[places[:, 0]]), tf.constant(places[:, 1])).numpy()
            audible = np.flatnonzero(segments.any(axis=1))
            parts = [audible[first : first + self.at_once] for first in range(0, len(audible), self.at_once)]
            requests = [{"waveform": segments[part], "seed": pairs[part]} for part in parts]
            stems = np.zeros((len(segments), 1, len(self.sources), segments.shape[1]), np.float32)
            for part, answer in zip(parts, self.client.predict_all("segments", requests), strict=True):
                shape = (len(part), segments.shape[1])
                stems[part, 0] = np.stack(stems_of(answer, self.sources, shape), axis=1)
            return stems

        return program
