"""The training curve, and what TensorBoard is given, read back from its event files."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfsep.training.loop import fit
from tfsep.training.summaries import MAX_WAVEFORMS, Board, Curve, spectrogram_picture


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    return found


def test_a_training_shows_everything(gaussian: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "config.gin").write_text("fit.num_steps = 20\n")
    tone = np.sin(2 * np.pi * 440 / 8000 * np.arange(1600, dtype=np.float32))
    task = gaussian.gaussian_task(preview=lambda model: {"samples": np.tile(tone, (6, 1))})
    fit(task, tmp_path, gaussian.settings(num_steps=20, preview_every=10))
    found = events(tmp_path / "gaussian" / "events")
    tags = set(found.Tags()["tensors"])
    weight = {"kernel", "bias"}
    assert {"loss", "nats_per_dim", "learning_rate", "gradient_norm", "config", "samples"} <= tags
    assert {tag for tag in tags if tag.startswith("spectrogram/")} == {"spectrogram/samples"}
    for kind in ("weights", "gradients"):
        assert {tag.split("/")[-1] for tag in tags if tag.startswith(f"{kind}/")} == weight
    assert [event.step for event in found.Tensors("loss")] == [10, 20]
    assert b"fit.num_steps = 20" in found.Tensors("config")[0].tensor_proto.string_val[0]


def test_audio_is_cut_clipped_and_sounds_at_its_rate(tmp_path: Path) -> None:
    loud = np.full((MAX_WAVEFORMS + 3, 100), 2.0, np.float32)
    loud[0, 0] = np.nan
    board = Board(tmp_path, sample_rate=11025)
    board.waveforms({"loud": loud}, step=1)
    board.close()
    sounds = tf.make_ndarray(events(tmp_path).Tensors("loud")[0].tensor_proto)
    assert sounds.shape[0] == MAX_WAVEFORMS
    samples, rate = tf.audio.decode_wav(sounds[0, 0])
    assert int(rate) == 11025
    np.testing.assert_allclose(samples.numpy()[:, 0], [0.0] + 99 * [1.0], atol=1e-4)


def test_a_board_that_is_given_nothing_writes_nothing(tmp_path: Path) -> None:
    board = Board(tmp_path / "events", 8000)
    board.config(tmp_path / "config.gin", 0)
    board.close()
    assert not (tmp_path / "events").exists()


def test_a_tone_is_a_line_at_its_frequency() -> None:
    """The brightest row of the picture's first panel lies at 2 of 4 kHz: half way up."""
    tone = np.sin(2 * np.pi * 0.25 * np.arange(8000, dtype=np.float32))
    picture = spectrogram_picture(np.stack([tone, tone]), 8000).astype(np.float32)
    brightness = picture[:, picture.shape[1] // 4 - 10 : picture.shape[1] // 4 + 10, :2].mean(axis=(1, 2))
    inside = brightness[8:-45]
    assert abs(int(np.argmax(inside)) - len(inside) // 2) < 6


@pytest.mark.parametrize("waveform", [np.zeros(4000), np.full(4000, np.nan), np.ones(3)])
def test_odd_waveforms_are_drawn(waveform: np.ndarray) -> None:
    picture = spectrogram_picture(waveform[np.newaxis].astype(np.float32), 16000)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and picture.size > 0


def test_a_curve_drops_what_was_cut_or_lies_ahead(tmp_path: Path) -> None:
    file = tmp_path / "curve.jsonl"
    kept = Curve(file, 0)
    for step in (10, 20, 30):
        kept.append(step, {"loss": 1.5, "odd": float("nan")})
    with file.open("a") as stream:
        stream.write('{"step": 40, "lo')
    Curve(file, 20).append(25, {"loss": 1.0})
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 25]
    assert lines[0] == {"step": 10, "loss": 1.5, "odd": None}
