"""How much a request holds: by bytes, by the sound that a model answers, and by the pace of the server."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.client.serving import grpc_server
from tests.client.test_client import HOP, SEGMENT, Server, joined, noise
from tfsep.client import Client
from tfsep.errors import InputError, JobError


@pytest.mark.parametrize(("channels", "most"), [(1, 1000), (2, 1000), (3, 333), (8, 125)])
def test_rows_share_the_sound_of_a_request(channels: int, most: int) -> None:
    with grpc_server(Server(most_samples=np.int32(1000))) as address, Client(address) as client:
        assert client.most_samples(channels) == most


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("length", [1, 500, 2500])
def test_no_request_has_more_sound_than_the_model_answers(channels: int, length: int) -> None:
    """A row counts as at least one segment of 400; where rows have no room side by side they travel alone."""
    server, wave = Server(most_samples=np.int32(1600)), noise(channels, length)
    with grpc_server(server) as address, Client(address) as client:
        stems = client.separate(wave)
    np.testing.assert_allclose(stems["low"], joined(wave.astype(np.float64)), atol=1e-6)
    for signature, shape in server.asked:
        rows = 1 if signature == "separate_stereo" else shape[0]
        assert rows * max(shape[1], SEGMENT) <= 1600
    if channels == 3 and length == 1:
        assert [shape for _, shape in server.asked] == [(1, 1)] * 3
    if channels == 1:
        assert len(server.asked) == (1 if length < 1600 else 2)


@pytest.mark.parametrize(("channels", "together", "segments"), [(1, 1, 37), (2, 2, 18), (3, 3, 12), (30, 1, 37)])
def test_a_request_takes_a_quarter_of_the_timeout(channels: int, together: int, segments: int) -> None:
    """At 0.1 s for a segment, two requests at once and 30 s: 0.25 * 30 / 2 / 0.1 = 37.5 segments."""
    server, wave = Server(), noise(channels, 20000)
    with grpc_server(server) as address, Client(address, most_bytes=1 << 30) as client:
        client._pace = 0.1
        stems = client.separate(wave)
    np.testing.assert_allclose(stems["low"], joined(wave.astype(np.float64)), atol=1e-6)
    longest = max(shape[1] for _, shape in server.asked)
    assert longest == (segments - 1) * HOP + SEGMENT
    assert all(shape[0] == (1 if channels == 2 else together) for _, shape in server.asked)


def test_a_request_holds_as_much_as_the_overlap_needs_however_slow_the_server_is() -> None:
    server, wave = Server(), noise(2000)
    with grpc_server(server) as address, Client(address) as client:
        client._pace = 100.0
        stems = client.separate(wave)
    np.testing.assert_allclose(stems["low"], joined(wave.astype(np.float64)), atol=1e-6)
    assert max(shape[1] for _, shape in server.asked) == SEGMENT + HOP


def test_a_slow_model_is_asked_for_little_at_a_time() -> None:
    """A song of 200 segments of 0.01 s does not fit into the timeout of a second, and its chunks do."""
    server, wave = Server(pace=0.01), noise(199 * HOP + SEGMENT)
    with grpc_server(server) as address, Client(address, timeout=1.0) as client:
        with pytest.raises(JobError, match="took more than 1 s for a request"):
            client.predict("serving_default", {"waveform": wave[np.newaxis]})
        assert not server.paced
        server.asked.clear()
        stems = client.separate(wave)
        again = client.separate(wave[:5000])
    np.testing.assert_allclose(stems["low"], joined(wave.astype(np.float64)), atol=1e-6)
    np.testing.assert_allclose(again["low"], joined(wave[:5000].astype(np.float64)), atol=1e-6)
    assert len(server.asked) > 10
    # Measured once, by noise.
    assert len(server.paced) == 2
    assert np.sqrt(np.mean(server.paced[0] ** 2)) == pytest.approx(0.1, rel=0.2)


def test_a_segment_that_takes_longer_than_the_timeout_is_told() -> None:
    with grpc_server(Server(pace=1.0)) as address, Client(address, timeout=0.2) as client:
        before = time.perf_counter()
        with pytest.raises(JobError, match=r"takes longer for one segment than the timeout of 0.2 s: set a longer one"):
            client.separate(noise(5000))
        assert time.perf_counter() - before < 5.0


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("inf"), float("nan"), 1e300])
def test_timeouts_out_of_range_are_refused(timeout: float) -> None:
    with pytest.raises(
        InputError, match=f"timeout must be above 0 and at most 1000000 s, got {timeout:g}".replace("+", ".")
    ):
        Client("localhost:8500", timeout=timeout)
