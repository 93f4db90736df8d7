"""Files separated by a served model: the stems of the same model here, and what a served model cannot do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from tests.client.serving import grpc_server
from tfsep.cli import separate
from tfsep.client import Client
from tfsep.errors import InputError, JobError
from tfsep.export.signatures import ServedModel
from tfsep.separation.separator import Separator
from tfsep.separation.served import ServedSeparator

MakeSeparator = Callable[..., Separator]


def answering(separator: Separator, max_seconds: float = 10.0) -> Any:
    graphs = ServedModel(separator, max_seconds=max_seconds).graphs

    def answer(signature: str, inputs: Any) -> Any:
        found = graphs[signature](**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in found.items()}

    return answer


@pytest.fixture
def noisy(make_separator: MakeSeparator) -> Separator:
    return make_separator(noise=0.1, settings={"stereo": "wiener", "normalise": True})


@pytest.fixture
def address(noisy: Separator) -> Iterator[str]:
    with grpc_server(answering(noisy)) as served:
        yield served


@pytest.mark.parametrize("channels", [1, 2])
def test_a_served_model_gives_the_stems_that_it_gives_here(
    noisy: Separator, address: str, channels: int, tmp_path: Path
) -> None:
    """At another rate, with random numbers, two segments a request; silence stays here."""
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (9000, channels)).astype(np.float32)
    wave[3000:6000] = 0.0
    soundfile.write(tmp_path / "song.wav", wave, 11025, subtype="FLOAT")
    with Client(address, "bands", most_bytes=2 * 2 * 4 * 530) as client:
        served = ServedSeparator(client)
        assert served.at_once == 2
        blocks = [wave.T[:, :5000], wave.T[:, 5000:]]
        scale = served.level_scale(blocks)
        assert scale == pytest.approx(noisy.level_scale(blocks), rel=1e-6)
        found = np.concatenate([stems for _, stems in served.stream(blocks, 11025, channels, 1, 3, scale)], axis=-1)
    here = np.concatenate([stems for _, stems in noisy.stream(blocks, 11025, channels, 1, 3, scale)], axis=-1)
    assert found.shape == here.shape == (1, 2, channels, 9000)
    np.testing.assert_allclose(found, here, atol=1e-6)


@pytest.mark.parametrize(("pace", "at_once"), [(1.0, 3), (100.0, 1), (0.1, 37)])
def test_a_request_takes_a_quarter_of_the_timeout(noisy: Separator, address: str, pace: float, at_once: int) -> None:
    """At so many seconds for a segment, two requests at once and 30 s; the stems do not depend on it."""
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 9000)).astype(np.float32)
    asked = []
    with Client(address, "bands") as client:
        client._pace = pace
        served = ServedSeparator(client)
        assert served.at_once == at_once
        predict = client.predict
        client.predict = lambda name, inputs: asked.append(len(inputs["waveform"])) or predict(name, inputs)  # type: ignore
        found = np.concatenate([stems for _, stems in served.stream([wave], 8000, 1)], axis=-1)
    here = np.concatenate([stems for _, stems in noisy.stream([wave], 8000, 1)], axis=-1)
    np.testing.assert_allclose(found, here, atol=1e-6)
    assert max(asked) <= at_once


def test_rows_of_a_request_share_the_sound_that_the_model_answers(noisy: Separator) -> None:
    """At most 0.2 s of 8 kHz, of which three segments of 512 have room."""
    with grpc_server(answering(noisy, max_seconds=0.2)) as address, Client(address, "bands") as client:
        assert ServedSeparator(client).at_once == 3


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda found: found.pop("high"), "has no source 'high'"),
        (lambda found: found.update(high=found["high"][:, :5]), "must have numbers of shape"),
        (lambda found: found.update(high=np.nan * found["high"]), "'high' has NaN or infinity"),
    ],
)
def test_stems_that_are_none_are_told(noisy: Separator, change: Any, rule: str) -> None:
    good = answering(noisy)

    def bad(signature: str, inputs: Any) -> Any:
        found = dict(good(signature, inputs))
        if signature == "segments":
            change(found)
        return found

    wave = np.full((1, 900), 0.1, np.float32)
    with grpc_server(bad) as address, Client(address, "bands") as client:
        served = ServedSeparator(client)
        with pytest.raises(JobError, match=f"the server's answer .*{rule}"):
            list(served.stream([wave], 8000, 1))


def test_the_command_waits_as_long_as_it_is_told(
    noisy: Separator, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes half a second for a segment; the connections are closed in the end."""
    good, closed = answering(noisy), []
    monkeypatch.setattr(Client, "close", lambda client: closed.append(client) or client.transport.close())

    def slow(signature: str, inputs: Any) -> Any:
        time.sleep(0.5 if signature == "segments" else 0.0)
        return good(signature, inputs)

    soundfile.write(tmp_path / "song.wav", np.full(600, 0.1, np.float32), 8000, subtype="FLOAT")
    with grpc_server(slow) as address:
        arguments = [str(tmp_path / "song.wav"), "--server", address, "--model", "bands", "--quiet"]
        arguments += ["--output", str(tmp_path / "out")]
        assert separate.main([*arguments, "--timeout", "0.3"]) == 1
        assert "takes longer for one segment than the timeout of 0.3 s" in capsys.readouterr().err
        assert len(set(closed)) == 2
        assert separate.main(arguments) == 0
    assert len(set(closed)) == 4


def test_the_command_separates_by_a_server(
    noisy: Separator, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (6000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "song.wav", wave, 8000, subtype="FLOAT")
    arguments = [str(tmp_path / "song.wav"), "--server", address, "--model", "bands", "--output", str(tmp_path / "out")]
    assert separate.main([*arguments, "--quiet"]) == 0
    expected = noisy(wave.T, 8000)
    for source in noisy.sources:
        found = soundfile.read(tmp_path / "out" / "bands" / "song" / f"{source}.wav", dtype="float32")[0]
        np.testing.assert_allclose(found, expected[source].T, atol=1e-6)
    assert len(capsys.readouterr().out.split()) == 2


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        (["--steps", "3"], "--steps has no effect on a served model"),
        (["--without", "bass"], "--without has no effect on a served model"),
        (["--num_samples", "2"], "--num_samples must be 1, got 2"),
        (["--report"], "--report needs a model that is loaded here"),
        (["--timeout", "0"], "--timeout must be above 0 and at most 1000000 seconds, got 0"),
        (["--timeout", "nan"], "--timeout must be above 0 and at most 1000000 seconds, got nan"),
        (["--timeout", "inf"], "--timeout must be above 0 and at most 1000000 seconds, got inf"),
    ],
)
def test_options_without_effect_are_refused(
    more: list[str], rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert separate.main([str(tmp_path / "song.wav"), "--server", "127.0.0.1:1", *more]) == 2
    assert rule in capsys.readouterr().err


def test_a_timeout_without_a_server_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert separate.main([str(tmp_path / "song.wav"), "--timeout", "30"]) == 2
    assert "--timeout has no effect without --server" in capsys.readouterr().err


def test_segments_longer_than_a_message_and_several_samples_are_refused(address: str) -> None:
    with Client(address, most_bytes=4000) as client, pytest.raises(InputError, match="must hold a segment of 512"):
        ServedSeparator(client)
    with Client(address) as client, pytest.raises(InputError, match="one estimate here, got num_samples 2"):
        list(ServedSeparator(client).stream([], 8000, 1, num_samples=2))
