"""Pictures: a full-scale sine reads 0 dB where it should, and a picture is a PNG with something in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfsep.evaluation import figures


def test_a_full_scale_sine_is_at_zero_decibels_in_its_bin() -> None:
    wave = np.sin(2 * np.pi * 1000.0 * np.arange(16000) / 16000).astype(np.float32)
    middle = figures.spectrogram_db(wave)[:, 20:40]
    assert np.all(middle.argmax(axis=0) == 64)
    np.testing.assert_allclose(middle.max(axis=0), 0.0, atol=0.1)


def test_a_picture_is_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    waves = {name: rng.normal(size=4000).astype(np.float32) for name in ("mixture", "first", "second")}
    path = tmp_path / "picture.png"
    figures.separation_picture({"a": waves, "b": waves}, {"a": 8000, "b": 16000}, path)
    assert path.read_bytes()[:4] == b"\x89PNG" and path.stat().st_size > 20_000
