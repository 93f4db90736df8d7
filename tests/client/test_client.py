"""The client of a served model, against a small server of the same protocol."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.client.serving import Busy, grpc_server, rest_server
from tfsep.audio import overlap_add
from tfsep.client import Client, ServedFacts, protos, transport
from tfsep.client.chunks import chunks
from tfsep.errors import InputError, JobError

SEGMENT, HOP, RATE = 400, 300, 1000
FACTS: dict[str, Any] = {
    "model": b"tiny",
    "sources": [b"low", b"high"],
    "gains": np.array([1.0, 1.0], np.float32),
    "sample_rate": np.int32(RATE),
    "segment": np.int32(SEGMENT),
    "hop": np.int32(HOP),
    "stereo": b"each",
    "normalise": False,
    "level": np.float32(0.1),
    "num_samples": np.int32(8),
    "max_seconds": np.float32(1e6),
    "most_samples": np.int32(1_000_000_000),
    "version": b"0",
}


class Server:
    """Answers as a model would that gives its segments, scaled by the place within, to the source "low".

    Args:
        busy: how many requests are refused first.
        slow: seconds for a request.
        pace: seconds for a segment of a row, or of a channel of a pair.
        facts: in place of :data:`FACTS`.
    """

    def __init__(self, busy: int = 0, slow: float = 0.0, pace: float = 0.0, **facts: Any) -> None:
        self.facts, self.busy, self.slow, self.pace = {**FACTS, **facts}, busy, slow, pace
        self.lock = threading.Lock()
        self.asked: list[tuple[str, tuple[int, ...]]] = []
        self.paced: list[np.ndarray] = []

    def __call__(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with self.lock:
            self.busy -= 1
            if self.busy >= 0:
                raise Busy
        time.sleep(self.slow)
        if signature == "info":
            return {
                name: np.array([value], object) if isinstance(value, bytes) else _row(value)
                for name, value in self.facts.items()
            }
        wave = inputs["waveform"]
        time.sleep(self.pace * wave.size / wave.shape[1] * (1 + -(-max(wave.shape[1] - SEGMENT, 0) // HOP)))
        if signature == "segments":
            assert inputs["seed"].tolist() == [[0, 0]] and wave.shape == (1, SEGMENT)
            self.paced.append(wave)
            return {"low": wave, "high": 0.0 * wave}
        self.asked.append((signature, wave.shape))
        if np.abs(wave).max() > 10.0:
            raise ValueError("assertion failed: [waveform must be quiet, got noise]\n\t [[node]]")
        axis = 1
        low = joined(np.moveaxis(wave, axis, -1).astype(np.float64))
        low = np.moveaxis(low, -1, axis).astype(np.float32)
        return {"low": low, "high": wave - low}


def _row(value: Any) -> np.ndarray:
    if isinstance(value, list):
        return np.array([value], object)
    return np.asarray(value)[np.newaxis]


def joined(wave: np.ndarray) -> np.ndarray:
    """Scale segments by a ramp, and crossfade them as tfsep.audio.overlap_add does, of which this is the definition."""
    time = wave.shape[-1]
    count = 1 + -(-max(time - SEGMENT, 0) // HOP)
    centre = np.arange(SEGMENT) + 0.5
    window = np.minimum(1.0, np.minimum(centre, SEGMENT - centre) / (SEGMENT - HOP))
    spare = max(time - SEGMENT, 0)
    padded = np.pad(wave, [(0, 0)] * (wave.ndim - 1) + [(0, spare + SEGMENT - time)])
    length = (count - 1) * HOP + SEGMENT
    total, weight = np.zeros((*wave.shape[:-1], length)), np.zeros(length)
    for number in range(count):
        start = min(number * HOP, spare)
        piece = padded[..., start : start + SEGMENT] * np.linspace(0.2, 0.8, SEGMENT)
        late = number * HOP - start
        piece = np.pad(piece[..., late:], [(0, 0)] * (wave.ndim - 1) + [(0, late)])
        total[..., number * HOP : number * HOP + SEGMENT] += piece * window
        weight[number * HOP : number * HOP + SEGMENT] += window
    return (total / weight)[..., :time]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)


def limits(samples: int, channels: int = 1) -> dict[str, Any]:
    """Return the arguments of a client whose requests have at most so many samples."""
    return {"most_bytes": int(samples * 8 * channels / 0.98) + 8, "model": "tiny"}


@pytest.mark.parametrize("length", [1, 399, 400, 401, 1300, 1301, 2999, 7001])
@pytest.mark.parametrize("channels", [0, 2, 3])
def test_a_song_in_chunks_is_the_song_at_once(channels: int, length: int) -> None:
    server, wave = Server(), noise(*([channels] if channels else []), length)
    most = 1300
    with grpc_server(server) as address, Client(address, **limits(most, max(channels, 1))) as client:
        stems = client.separate(wave, RATE)
    np.testing.assert_allclose(stems["low"], joined(wave.astype(np.float64)), atol=1e-6)
    np.testing.assert_allclose(stems["low"] + stems["high"], wave, atol=1e-6)
    assert stems["low"].dtype == np.float32 and stems["low"].shape == wave.shape
    signature = "separate_stereo" if channels == 2 else "serving_default"
    assert all(name == signature and shape[1] <= most for name, shape in server.asked)
    # Four segments a chunk, of which one is shared with the next.
    assert len(server.asked) == 1 + max(0, -(-(length - most) // 900))


@pytest.mark.parametrize(("segment", "hop", "most"), [(10, 10, 35), (10, 6, 30), (10, 3, 40), (7, 1, 20), (5, 4, 9)])
def test_chunks_keep_what_all_segments_contribute_to(segment: int, hop: int, most: int) -> None:
    for length in range(1, 120):
        parts = chunks(length, segment, hop, most)
        assert parts[0].first == 0 and parts[-1].last == length
        for before, after in zip(parts, parts[1:], strict=False):
            assert before.last == after.first
        for part in parts:
            assert part.start % hop == 0 or (hop == segment and part.stop == length)
            assert part.stop - part.start <= most and part.start <= part.first < part.last
            assert part.last <= part.stop
            # A segment of the whole that reaches into what is kept lies within the part.
            for start in range(0, max(length - segment, 0) + hop, hop):
                if start < part.last and start + segment > part.first and len(parts) > 1:
                    assert part.start <= start or start + segment <= part.first
                    assert min(start + segment, length) <= part.stop


@pytest.mark.parametrize("length", [1, 2048, 2049, 12288, 12388, 13288, 14336])
@pytest.mark.parametrize("most", [2048, 4096, 5000, 8192, 20000])
def test_chunks_without_overlap_are_cut_as_the_whole_is(length: int, most: int) -> None:
    """By the real segments: each sample is scaled by its place in the segment that it comes from."""
    segment = 2048
    wave = np.random.default_rng(0).uniform(0.5, 1.0, length).astype(np.float32)

    def separated(part: np.ndarray) -> np.ndarray:
        pieces = overlap_add.split(part, segment, segment) * np.arange(1, segment + 1, dtype=np.float32)
        return np.asarray(overlap_add.join(pieces, segment, len(part)))

    found = np.full(length, np.nan, np.float32)
    for part in chunks(length, segment, segment, most):
        assert part.stop - part.start <= most
        answer = separated(wave[part.start : part.stop])
        found[part.first : part.last] = answer[part.first - part.start : part.last - part.start]
    np.testing.assert_array_equal(found, separated(wave))


def test_limits_too_small_for_the_overlap_are_refused() -> None:
    with pytest.raises(InputError, match="a request must hold at least 700 samples, which the limits cut to 650"):
        chunks(2000, 400, 300, 650)


def test_rest_answers_the_same() -> None:
    wave = noise(2, 500)
    with rest_server(Server()) as address, Client(address, model="tiny") as client:
        stems = client.separate(wave)
        assert client.facts.sources == ("low", "high") and client.facts.sample_rate == RATE
        with pytest.raises(InputError, match=r"the server refuses the request: assertion .* got noise\]$"):
            client.separate(100.0 * wave)
    np.testing.assert_allclose(stems["low"], joined(wave.astype(np.float64)), atol=1e-6)


@pytest.mark.parametrize("face", [grpc_server, rest_server])
def test_a_busy_server_is_asked_again(face: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(transport, "time", SimpleNamespace(sleep=waits.append))
    with face(Server(busy=3)) as address, Client(address, retries=3) as client:
        assert client.facts.segment == SEGMENT
    assert waits == [0.2, 0.4, 0.8]
    with face(Server(busy=9)) as address, Client(address, retries=1) as client:
        with pytest.raises(JobError, match="does not answer: .*(Servable not found|not now)"):
            client.separate(noise(5))


def test_refusals_are_one_line_and_not_sent_again() -> None:
    server = Server()
    with grpc_server(server) as address, Client(address) as client:
        with pytest.raises(InputError, match=r"^the server refuses the request: assertion failed: \[.*got noise\]$"):
            client.separate(100.0 * noise(500))
    assert len(server.asked) == 1


def test_a_deadline_ends_a_request() -> None:
    with grpc_server(Server(slow=1.0)) as address, Client(address, timeout=0.2) as client:
        with pytest.raises(JobError, match=r"took more than 0.2 s for a request"):
            client.separate(noise(5))


def test_no_server_is_an_error() -> None:
    with Client("127.0.0.1:1", retries=0) as client:
        with pytest.raises(JobError, match="the server 127.0.0.1:1 does not answer"):
            client.separate(noise(5))
    with pytest.raises(InputError, match="a server must be HOST:PORT or http://HOST:PORT, got 'localhost'"):
        Client("localhost")


@pytest.mark.parametrize(
    ("wave", "rule"),
    [
        (np.zeros((2, 2, 2)), "must be .* and not empty, got shape \\(2, 2, 2\\)"),
        (np.zeros(0), "not empty"),
        (np.array([0.0, np.nan]), "must be finite"),
    ],
)
def test_bad_waveforms_are_not_sent(wave: np.ndarray, rule: str) -> None:
    server = Server()
    with grpc_server(server) as address, Client(address) as client:
        with pytest.raises(InputError, match=rule):
            client.separate(wave)
        with pytest.raises(InputError, match="must be at the model's 1000 Hz, got 44100"):
            client.separate(noise(5), 44100)
    assert server.asked == []


def test_a_model_of_another_maker_is_told_by_its_info() -> None:
    with pytest.raises(JobError, match="none that tfsep exported: its info has no 'gains'"):
        ServedFacts.of({"model": np.array([b"x"]), "sources": np.array([[b"y"]])})


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.bool_])
def test_tensors_travel(dtype: Any) -> None:
    values = (10 * noise(2, 0, 3)).astype(dtype), (10 * noise(2, 3)).astype(dtype), np.array(1, dtype)
    for value in values:
        found = protos.to_array(protos.TensorProto.FromString(protos.to_tensor(value).SerializeToString()))
        np.testing.assert_array_equal(found, value)
        assert found.dtype == value.dtype and found.shape == value.shape
    with pytest.raises(ValueError, match="must be of float32, .*, got complex64"):
        protos.to_tensor(np.zeros(1, np.complex64))


def test_tensors_are_those_of_tensorflow() -> None:
    """Both ways, with values in fields as a server sends them."""
    import tensorflow as tf
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    for value in (noise(2, 3), np.array([[b"a", b"bc"]], object), np.array([7, 7], np.int64)):
        ours = protos.to_tensor(value).SerializeToString()
        np.testing.assert_array_equal(tf.make_ndarray(TensorProto.FromString(ours)), value)
        theirs = tf.make_tensor_proto(value)
        fields = TensorProto(dtype=theirs.dtype, tensor_shape=theirs.tensor_shape)
        if value.dtype == np.float32:
            fields.float_val.extend(value.reshape(-1))
        for message in (theirs, fields) if value.dtype == np.float32 else (theirs,):
            found = protos.to_array(protos.TensorProto.FromString(message.SerializeToString()))
            np.testing.assert_array_equal(found, value)


def test_tensorflow_is_not_imported() -> None:
    code = "import sys, tfsep.client; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
