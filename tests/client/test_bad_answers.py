"""Servers that answer what they should not: one line that says so, never a raw exception."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from tests.client.serving import grpc_server
from tests.client.test_client import FACTS, Server, noise
from tfsep.client import Client, ServedFacts, facts, protos
from tfsep.client.answers import stems_of
from tfsep.errors import InputError, JobError
from tfsep.separation import settings


@contextlib.contextmanager
def talking(talk: Callable[[socket.socket], object]) -> Iterator[tuple[str, list[int]]]:
    """Accept connections, read a request and let ``talk`` answer; yield the address and a list of the requests."""
    asked: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, contextlib.suppress(OSError):
                        asked.append(len(connection.recv(1 << 16)))
                        talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def body(text: str, more: int = 0) -> bytes:
    """Return an answer of HTTP, whose header announces ``more`` bytes than it has."""
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text) + more}\r\n\r\n{text}".encode()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"nonsense\r\n\r\n", "nonsense"),
        (body('{"outputs": {}}', 9), "IncompleteRead"),
        (body("[]"), "it has no named outputs"),
        (body('{"predictions": [1]}'), "it has no named outputs"),
        (body('{"outputs": [1]}'), "it has no named outputs"),
        (body('{"outputs": {"a": [[1], [2, 3]]}}'), "inhomogeneous"),
        (body('{"outputs": {"a": {"b": 1}}}'), "'a' is no array"),
        (body('{"outputs": {"a": null}}'), "'a' is no array"),
        (body("<html>"), "Expecting value"),
        (body("\xff"), "."),
        (body("[" * 100_000), "."),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", "IncompleteRead"),
    ],
)
def test_garbage_by_rest_is_told_and_not_asked_for_again(answer: bytes, said: str) -> None:
    with talking(lambda connection: connection.sendall(answer)) as (address, asked):
        with Client(address) as client, pytest.raises(JobError, match=f"gives an answer that cannot be read: .*{said}"):
            client.predict("info", {"request": np.zeros(1, np.int32)})
        assert len(asked) == 1


def test_a_connection_that_breaks_is_tried_again() -> None:
    with talking(lambda connection: None) as (address, asked):
        with Client(address, retries=1) as client, pytest.raises(JobError, match="does not answer: "):
            client.predict("info", {"request": np.zeros(1, np.int32)})
        assert len(asked) == 2


def test_an_answer_in_drops_ends_by_the_deadline() -> None:
    """Each drop comes in time, and all of them do not."""

    def drip(connection: socket.socket) -> None:
        connection.sendall(body("", 200))
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.1)

    with talking(drip) as (address, _), Client(address, timeout=0.5) as client:
        before = time.perf_counter()
        with pytest.raises(JobError, match="took more than 0.5 s for a request"):
            client.predict("info", {"request": np.zeros(1, np.int32)})
        assert time.perf_counter() - before < 5.0


@pytest.mark.parametrize("address", ["http://", "http://host:port", "http://" + 70 * "a", "http://[::1"])
def test_addresses_that_are_none_are_refused(address: str) -> None:
    with pytest.raises(InputError, match="a server must be http://HOST:PORT, got"):
        Client(address)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("sources", [b"low", b"low"], "names that differ"),
        ("sources", [b"", b"low"], "names that differ"),
        ("sources", [b"\xff", b"low"], "text in UTF-8"),
        ("sources", np.array([1, 2], np.int32), "text"),
        ("sources", b"low", "a row of values"),
        ("gains", np.array([1.0], np.float32), "2 numbers that are not 0"),
        ("gains", np.array([1.0, np.nan], np.float32), "a finite number"),
        ("gains", np.array([1.0, 0.0], np.float32), "2 numbers that are not 0"),
        ("sample_rate", np.int32(0), "a whole number of at least 1"),
        ("sample_rate", np.float32(44100.0), "a whole number of at least 1"),
        ("segment", np.bool_(True), "a whole number of at least 1"),
        ("hop", np.int32(401), "in 1..segment = 1..400, got 401"),
        ("hop", np.int32(-1), "a whole number of at least 1"),
        ("stereo", b"quadro", "one of each, mid_side, wiener, got 'quadro'"),
        ("normalise", np.int32(1), "true or false"),
        ("level", np.float32(0.0), "above 0"),
        ("level", np.float32(np.inf), "a finite number"),
        ("max_seconds", np.array([1.0, 2.0], np.float32), "one value"),
        ("most_samples", np.int32(399), "at least one segment of 400, got 399"),
        ("model", np.float32(1.0), "text"),
    ],
)
def test_facts_that_no_export_has_are_told(name: str, value: Any, rule: str) -> None:
    with grpc_server(Server(**{name: value})) as address, Client(address) as client:
        with pytest.raises(JobError, match=f"none that tfsep exported: its {name} must be {rule}"):
            client.separate(noise(5))


def test_stereo_modes_are_those_of_separators() -> None:
    assert facts.STEREO_MODES == settings.STEREO_MODES


def test_facts_without_end_are_not_unfolded() -> None:
    outputs = {name: np.asarray(value)[np.newaxis] for name, value in FACTS.items()}
    outputs["gains"] = np.broadcast_to(np.float32(1.0), (1, 10**12))
    with pytest.raises(JobError, match="its gains must be a row of values, got"):
        ServedFacts.of(outputs)


def tensor(dtype: int, shape: tuple[int, ...], **values: Any) -> Any:
    message = protos.TensorProto(dtype=dtype, **values)
    for size in shape:
        message.tensor_shape.dim.add(size=size)
    return message


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        (tensor(4, (1,), int_val=[1]), "type 4 is not known"),
        (tensor(1, (2,), tensor_content=b"1234"), "must fill its shape"),
        (tensor(1, (1,), tensor_content=b"123"), "must fill its shape"),
        (tensor(1, (1 << 40,), tensor_content=b"1234"), "must fill its shape"),
        (tensor(1, (1 << 40, 1 << 40), float_val=[1.0, 2.0]), "must fill its shape"),
        (tensor(1, (1 << 40, 1 << 40), float_val=[1.0]), "."),
        (tensor(1, (-1,), float_val=[1.0]), "must have a shape"),
        (tensor(1, (2,)), "must fill its shape"),
        (tensor(1, (1,) * 100, float_val=[1.0]), "."),
        (tensor(7, (3,), string_val=[b"a"]), "must fill its shape"),
    ],
)
def test_tensors_that_are_none_are_refused_before_memory_is_taken(bad: Any, rule: str, monkeypatch: Any) -> None:
    with pytest.raises(ValueError, match=rule):
        protos.to_array(bad)
    monkeypatch.setattr(protos, "to_tensor", lambda values: bad)
    with Client("localhost:1") as client:
        answer = protos.PredictResponse()
        answer.outputs["low"].CopyFrom(bad)
        monkeypatch.setattr(protos, "to_tensor", lambda values: protos.TensorProto())
        monkeypatch.setattr(client.transport, "_call", lambda message, timeout: answer)
        with pytest.raises(JobError, match=f"localhost:1 gives an answer that cannot be read: .*{rule}"):
            client.predict("info", {"request": np.zeros(1, np.int32)})


def test_one_value_for_many_takes_no_memory() -> None:
    found = protos.to_array(tensor(1, (1 << 40,), float_val=[1.5]))
    assert found.shape == (1 << 40,) and found[-1] == 1.5


class Changed(Server):
    """Answers as a :class:`Server` does, with one thing changed."""

    def __init__(self, change: Callable[[dict[str, np.ndarray]], object]) -> None:
        super().__init__()
        self.change = change

    def __call__(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = super().__call__(signature, inputs)
        if signature != "info":
            self.change(found)
        return found


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda found: found.pop("high"), "has no source 'high'"),
        (lambda found: found.update(high=found["high"][:, :3]), "must have numbers of shape .* for 'high', got"),
        (lambda found: found.update(high=found["high"][0]), "must have numbers of shape .* for 'high', got"),
        (lambda found: found.update(low=np.full(found["low"].shape, np.nan, np.float32)), "'low' has NaN or infinity"),
        (lambda found: found.update(low=np.full(found["low"].shape, b"x", object)), "must have numbers of shape"),
    ],
)
def test_stems_that_are_none_are_told(channels: int, change: Any, rule: str) -> None:
    with grpc_server(Changed(change)) as address, Client(address) as client:
        with pytest.raises(JobError, match=f"the server's answer .*{rule}"):
            client.separate(noise(channels, 50))


def test_stems_come_in_the_order_of_the_sources() -> None:
    low, high = np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32)
    assert [each[0, 0] for each in stems_of({"low": low, "high": high}, ("high", "low"), (1, 3))] == [1.0, 0.0]


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_what_cannot_travel_is_refused(scheme: str) -> None:
    with Client(f"{scheme}127.0.0.1:1", retries=0) as client:
        for value, got in (
            (np.zeros(1, np.complex64), "complex64"),
            (np.array(["a"]), "<U1"),
            (np.zeros(1, ">f4"), ">f4"),
        ):
            with pytest.raises(InputError, match=f"the input 'waveform' must be an array of float32, .*, got {got}"):
                client.predict("serving_default", {"waveform": value})
        with pytest.raises(InputError, match="the input 'waveform' must be an array"):
            client.predict("serving_default", {"waveform": [[1.0], [1.0, 2.0]]})  # type: ignore[dict-item]


@pytest.mark.parametrize("scheme", ["", "http://"])
@pytest.mark.parametrize("version", [0, -1, True, 1.5, "1", 2**63])
def test_versions_that_are_none_are_refused(scheme: str, version: Any) -> None:
    with pytest.raises(InputError, match="a version must be a whole number of at least 1 and below 2\\^63, got"):
        Client(f"{scheme}127.0.0.1:1", version=version)


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_a_closed_client_says_so(scheme: str) -> None:
    with Client(f"{scheme}127.0.0.1:1", retries=0) as client:
        pass
    with pytest.raises(JobError, match="the client of .*127.0.0.1:1 is closed"):
        client.predict("info", {"request": np.zeros(1, np.int32)})


def test_a_client_that_is_closed_meanwhile_says_so() -> None:
    with Client("127.0.0.1:1", retries=0) as client:
        client.transport._channel.close()  # type: ignore[attr-defined]
        with pytest.raises(JobError, match="the client of 127.0.0.1:1 is closed"):
            client.predict("info", {"request": np.zeros(1, np.int32)})


@pytest.mark.parametrize(
    ("wave", "rule"),
    [
        (np.zeros(5, np.complex64), "waveform must be of real numbers, got complex64"),
        (np.array(["a"]), "waveform must be of real numbers, got <U1"),
        ([[1.0], [1.0, 2.0]], "waveform must be an array"),
        (np.array([1e300]), "waveform must be finite"),
    ],
)
def test_waveforms_that_are_none_are_refused(wave: Any, rule: str) -> None:
    with Client("127.0.0.1:1", retries=0) as client, pytest.raises(InputError, match=rule):
        client.separate(wave)
