"""A served model as a function: waveform in, stems out, at the model's rate and of any length."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tfsep.client.answers import stems_of
from tfsep.client.chunks import Chunk, chunks, fewest, samples_of
from tfsep.client.facts import ServedFacts
from tfsep.client.rest import Rest
from tfsep.client.transport import MOST_BYTES, DeadlineError, Grpc, Transport, one_line
from tfsep.errors import InputError, JobError

#: Part of a message that samples may fill; names and shapes take the rest.
_SHARE = 0.98
#: Part of the timeout that the requests which are sent at once may take together, by the measured pace.
_PATIENCE = 0.25
#: Seconds below which a pace is not measured.
_QUICKEST = 1e-6


class Client:
    """A client of one served model.

    A song is sent in chunks that keep below the limits on a message and on a request, a few at a time,
    with the overlap that the model needs: the answer is that to the whole song where the model draws
    no random numbers. A model that draws has the same kind of answer, with other numbers in each
    chunk; a model that normalises brings each chunk to its level.

    Chunks are also so short that a request takes about a quarter of the timeout. The pace of the
    server is measured once, before the first separation.

    Args:
        address: HOST:PORT of the gRPC port, or http://HOST:PORT of the REST port.
        model: its name on the server.
        version: of the model, at least 1; None is the server's choice.
        timeout: seconds for one request, above 0 and at most 1,000,000.
        retries: how often a request is sent again while the server cannot answer, at least 0.
        parallel: requests at once, at least 1.
        most_bytes: of one message, at least 1; gRPC's own default is 4 MiB.

    Raises:
        InputError: for an argument out of range.
    """

    def __init__(
        self,
        address: str,
        model: str = "songs",
        version: int | None = None,
        timeout: float = 30.0,
        retries: int = 5,
        parallel: int = 2,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Check the arguments; nothing is sent."""
        if parallel < 1 or most_bytes < 1:
            raise InputError(f"parallel and most_bytes must be at least 1, got {parallel} and {most_bytes}")
        kind = Rest if address.startswith(("http://", "https://")) else Grpc
        if kind is Grpc and ":" not in address:
            raise InputError(f"a server must be HOST:PORT or http://HOST:PORT, got {address!r}")
        self.transport: Transport = kind(address, model, version, timeout, retries)
        self.parallel, self.most_bytes = parallel, most_bytes
        self._facts: ServedFacts | None = None
        self._pace: float | None = None

    def __enter__(self) -> Client:
        """Return the client."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections; what is asked afterwards is a JobError."""
        self.transport.close()

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ask one signature once: {input: array} -> {output: array}.

        Raises:
            InputError: if an input has a type that does not travel, or the server refuses the request;
                it says why.
            JobError: if there is no answer, it cannot be read, or the client is closed.
        """
        return self.transport.predict(signature, inputs)

    def predict_all(self, signature: str, requests: Iterable[Mapping[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """Ask one signature several times, ``parallel`` requests at once; the answers keep their order."""
        with ThreadPoolExecutor(self.parallel) as pool:
            return list(pool.map(lambda inputs: self.predict(signature, inputs), requests))

    @property
    def facts(self) -> ServedFacts:
        """Return the facts about the model, which are asked for once."""
        if self._facts is None:
            self._facts = ServedFacts.of(self.predict("info", {"request": np.zeros(1, np.int32)}))
        return self._facts

    def most_samples(self, channels: int) -> int:
        """Return how many samples a request of so many channels may have, by the limits on bytes and on sound.

        Two channels are one row of the model's stereo, and others a row each.
        """
        facts = self.facts
        by_bytes = self.most_bytes * _SHARE / (4 * channels * len(facts.sources))
        return int(min(by_bytes, facts.most_samples // (1 if channels == 2 else channels)))

    @property
    def most_segments(self) -> float:
        """Return how many segments the server separates within the part of the timeout that a request may take.

        Raises:
            JobError: if a single one takes longer than the timeout.
        """
        if self._pace is None:
            self._pace = self._measured_pace()
        return _PATIENCE * self.transport.timeout / (self.parallel * self._pace)

    def _measured_pace(self) -> float:
        """Return the seconds that the server takes for a segment, the quicker of two requests."""
        noise = np.random.default_rng(0).normal(0.0, 0.1, (1, self.facts.segment)).astype(np.float32)
        taken = []
        for _ in range(2):
            before = time.perf_counter()
            try:
                self.predict("segments", {"waveform": noise, "seed": np.zeros((1, 2), np.int32)})
            except DeadlineError as error:
                where, timeout = self.transport.address, self.transport.timeout
                rule = f"the server {where} takes longer for one segment than the timeout of {timeout:g} s"
                raise JobError(f"{rule}: set a longer one") from error
            taken.append(time.perf_counter() - before)
        return max(min(taken), _QUICKEST)

    def separate(self, waveform: np.ndarray, sample_rate: int | None = None) -> dict[str, np.ndarray]:
        """Separate a waveform of any length.

        Args:
            waveform: (time,), or (channels, time) of one song; two channels are separated as
                stereo, others each on their own. Finite, at the model's rate.
            sample_rate: of the waveform, Hz; None is the model's.

        Returns:
            {source: stem}, float32 of the waveform's shape, which sum to it.

        Raises:
            InputError: for another rate or shape, samples that are no real numbers or not finite, or
                a request that the server refuses.
            JobError: if the server does not answer, or with other stems than it should.
        """
        waveform = _checked(waveform)
        facts = self.facts
        if sample_rate not in (None, facts.sample_rate):
            raise InputError(f"waveform must be at the model's {facts.sample_rate} Hz, got {sample_rate}")
        rows = waveform[np.newaxis] if waveform.ndim == 1 else waveform
        stereo = len(rows) == 2
        signature = "separate_stereo" if stereo else "serving_default"
        count, plan = self._plan(*rows.shape)
        places = [(first, chunk) for first in range(0, len(rows), count) for chunk in plan]
        parts = [rows[first : first + count, chunk.start : chunk.stop] for first, chunk in places]
        requests = [{"waveform": part.T[np.newaxis] if stereo else part} for part in parts]
        stems = {source: np.empty_like(rows) for source in facts.sources}
        answers = self.predict_all(signature, requests)
        for (first, chunk), request, answer in zip(places, requests, answers, strict=True):
            kept = slice(chunk.first - chunk.start, chunk.last - chunk.start)
            found = stems_of(answer, facts.sources, request["waveform"].shape)
            for source, stem in zip(facts.sources, found, strict=True):
                by_channel = stem[0].T if stereo else stem
                stems[source][first : first + count, chunk.first : chunk.last] = by_channel[:, kept]
        return {source: stem.reshape(waveform.shape) for source, stem in stems.items()}

    def _plan(self, channels: int, length: int) -> tuple[int, list[Chunk]]:
        """Return how many channels go into one request, and the chunks of a waveform of so many samples.

        Channels on their own travel together unless the limits leave no room for the overlap. A
        stereo pair does always; the server separates both, so the pace counts two segments.
        """
        segment, hop = self.facts.segment, self.facts.hop
        needed = fewest(segment, hop)
        shortest = samples_of(needed, segment, hop)
        together = channels
        if channels > 2 and (self.most_samples(channels) < shortest or self.most_segments < needed * channels):
            together = 1
        most = self.most_samples(together)
        if length > shortest:
            most = min(most, samples_of(max(needed, int(self.most_segments / together)), segment, hop))
        return together, chunks(length, segment, hop, most)


def _checked(waveform: np.ndarray) -> np.ndarray:
    """Return a waveform as float32, of a shape that can be separated.

    Raises:
        InputError: for another shape, or samples that are no real numbers or not finite.
    """
    try:
        waveform = np.asarray(waveform)
    except ValueError as error:
        raise InputError(f"waveform must be an array, got {one_line(str(error))}") from error
    if waveform.dtype.kind not in "fiu":
        raise InputError(f"waveform must be of real numbers, got {waveform.dtype}")
    if waveform.ndim not in (1, 2) or waveform.size == 0:
        raise InputError(f"waveform must be (time,) or (channels, time) and not empty, got shape {waveform.shape}")
    with np.errstate(over="ignore"):
        waveform = waveform.astype(np.float32)
    if not np.isfinite(waveform).all():
        raise InputError("waveform must be finite, got NaN or infinity")
    return waveform
