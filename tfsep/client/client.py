"""A served model as a function: waveform in, stems out, at the model's rate and of any length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tfsep.client.chunks import chunks
from tfsep.client.facts import ServedFacts
from tfsep.client.transport import MOST_BYTES, Grpc, Rest, Transport
from tfsep.errors import InputError, JobError

#: Part of a message that samples may fill; names and shapes take the rest.
_SHARE = 0.98


class Client:
    """A client of one served model.

    A song is sent in chunks that keep below the message limit, a few at a time, with the overlap that
    the model needs: the answer is that to the whole song where the model draws no random numbers.
    A model that draws has the same kind of answer, with other numbers in each chunk; a model that
    normalises brings each chunk to its level.

    Args:
        address: HOST:PORT of the gRPC port, or http://HOST:PORT of the REST port.
        model: its name on the server.
        version: of the model; None is the server's choice.
        timeout: seconds for one request, above 0.
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

    def __enter__(self) -> Client:
        """Return the client."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the connections."""
        self.transport.close()

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Ask one signature once: {input: array} -> {output: array}.

        Raises:
            InputError: if the server refuses the request; it says why.
            JobError: if there is no answer.
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
        """Return how many samples a request of so many channels may have, by the limits on bytes and seconds."""
        facts = self.facts
        by_bytes = self.most_bytes * _SHARE / (4 * channels * len(facts.sources))
        return int(min(by_bytes, facts.max_seconds * facts.sample_rate))

    def separate(self, waveform: np.ndarray, sample_rate: int | None = None) -> dict[str, np.ndarray]:
        """Separate a waveform of any length.

        Args:
            waveform: (time,), or (channels, time) of one song; two channels are separated as
                stereo, others each on their own. Finite, at the model's rate.
            sample_rate: of the waveform, Hz; None is the model's.

        Returns:
            {source: stem}, float32 of the waveform's shape, which sum to it.

        Raises:
            InputError: for another rate or shape, samples that are not finite, or a request that
                the server refuses.
            JobError: if the server does not answer.
        """
        facts, waveform = self.facts, np.asarray(waveform, np.float32)
        if waveform.ndim not in (1, 2) or waveform.size == 0:
            raise InputError(f"waveform must be (time,) or (channels, time) and not empty, got shape {waveform.shape}")
        if not np.isfinite(waveform).all():
            raise InputError("waveform must be finite, got NaN or infinity")
        if sample_rate not in (None, facts.sample_rate):
            raise InputError(f"waveform must be at the model's {facts.sample_rate} Hz, got {sample_rate}")
        rows = waveform[np.newaxis] if waveform.ndim == 1 else waveform
        stereo = len(rows) == 2
        signature = "separate_stereo" if stereo else "serving_default"
        most = self.most_samples(len(rows))
        plan = chunks(rows.shape[1], facts.segment, facts.hop, most)
        parts = (rows[:, chunk.start : chunk.stop] for chunk in plan)
        requests = [{"waveform": part.T[np.newaxis] if stereo else part} for part in parts]
        stems = {source: np.empty_like(rows) for source in facts.sources}
        for chunk, answer in zip(plan, self.predict_all(signature, requests), strict=True):
            kept = slice(chunk.first - chunk.start, chunk.last - chunk.start)
            for source in facts.sources:
                if source not in answer:
                    raise JobError(f"the server's answer has no source {source!r}")
                found = answer[source][0].T if stereo else answer[source]
                stems[source][:, chunk.first : chunk.last] = found[:, kept]
        return {source: stem.reshape(waveform.shape) for source, stem in stems.items()}
