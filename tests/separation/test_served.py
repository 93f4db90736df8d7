"""Files separated by a served model: the stems of the same model here, and what a served model cannot do."""

from __future__ import annotations

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
from tfsep.errors import InputError
from tfsep.export.signatures import ServedModel
from tfsep.separation.separator import Separator
from tfsep.separation.served import ServedSeparator

MakeSeparator = Callable[..., Separator]


def answering(separator: Separator) -> Any:
    graphs = ServedModel(separator, max_seconds=10.0).graphs

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
    ],
)
def test_options_without_effect_are_refused(
    more: list[str], rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert separate.main([str(tmp_path / "song.wav"), "--server", "127.0.0.1:1", *more]) == 2
    assert rule in capsys.readouterr().err


def test_segments_longer_than_a_message_and_several_samples_are_refused(address: str) -> None:
    with Client(address, most_bytes=4000) as client, pytest.raises(InputError, match="must hold a segment of 512"):
        ServedSeparator(client)
    with Client(address) as client, pytest.raises(InputError, match="one estimate here, got num_samples 2"):
        list(ServedSeparator(client).stream([], 8000, 1, num_samples=2))
