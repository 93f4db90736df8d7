"""Five minutes of stereo through a server with the default limit on messages, against the same model here."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

import tfsep
from tests.client.serving import grpc_server, of_saved_model
from tests.export.test_signatures import decibels
from tfsep.client import Client
from tfsep.export import saved_model

pytestmark = pytest.mark.slow
SECONDS = 300


def test_a_client_separates_five_minutes_as_the_separator_does(tmp_path: Path) -> None:
    separator = tfsep.Separator.load("songs")
    folder = saved_model.export(separator, tmp_path)
    generator = np.random.default_rng(0)
    song = generator.normal(0.0, 0.1, (2, SECONDS * separator.sample_rate)).astype(np.float32)
    song[1] = 0.5 * song[0] + 0.5 * song[1]
    before = time.perf_counter()
    expected = separator(song)
    here = time.perf_counter() - before
    with grpc_server(of_saved_model(folder)) as address, Client(address) as client:
        before = time.perf_counter()
        found = client.separate(song)
        there = time.perf_counter() - before
    same = min(decibels(found[source], expected[source]) for source in separator.sources)
    print(f"\n{SECONDS} s of stereo: {here:.1f} s here, {there:.1f} s by the client, equal to {same:.1f} dB")
    assert same >= 80.0
