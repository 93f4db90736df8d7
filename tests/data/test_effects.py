"""Effects: each alone does what its name says, to sounds of which the result is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.audio import files
from tfsep.data.effects import NUM_UNIFORM, Effects, compressed
from tfsep.data.stems import StemsData
from tfsep.errors import InputError

RATE = 22050
LONG = 16384
NONE: dict[str, float] = dict.fromkeys(
    (
        "saturation",
        "compression",
        "reverberation",
        "band_limit",
        "shelf_db",
        "tilt_db",
        "layer",
        "common_limit",
    ),
    0.0,
)


def white(num: int = 4) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((num, LONG)).astype(np.float32)


def applied(sound: np.ndarray, seed: int = 0, **settings: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    uniform = tf.constant(rng.uniform(size=(len(sound), NUM_UNIFORM)))
    noise = tf.constant(rng.standard_normal((len(sound), LONG // 2)), tf.float32)
    found = Effects(**{**NONE, **settings}).apply(tf.constant(sound), uniform, noise, RATE)
    return np.asarray(found)


def power_db(sound: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the power between two frequencies, in dB."""
    frequency = np.fft.rfftfreq(LONG, 1 / RATE)
    inside = (frequency >= low) & (frequency < high)
    return np.asarray(10.0 * np.log10(np.sum(np.abs(np.fft.rfft(sound))[:, inside] ** 2, axis=-1)))


def test_without_effects_nothing_changes() -> None:
    np.testing.assert_allclose(applied(white()), white(), atol=1e-5)


def test_a_band_limit_removes_what_lies_above_a_frequency() -> None:
    found = applied(white(), band_limit=1.0)
    assert (power_db(found, 10700.0, 11000.0) < power_db(white(), 10700.0, 11000.0) - 30.0).mean() > 0.7
    np.testing.assert_allclose(power_db(found, 20.0, 1900.0), power_db(white(), 20.0, 1900.0), atol=0.2)


def test_shelves_and_tilt_change_the_balance_of_frequencies() -> None:
    sound = white(64)
    gain = power_db(applied(sound, shelf_db=12.0), 25.0, 40.0) - power_db(sound, 25.0, 40.0)
    assert 8.0 < np.abs(gain).max() < 13.0 and gain.min() < -6.0
    slope = applied(sound, tilt_db=2.0)
    change = (power_db(slope, 4000.0, 4100.0) - power_db(sound, 4000.0, 4100.0)) / np.log2(4050.0 / 500.0)
    assert np.abs(change).max() == pytest.approx(2.0, abs=0.15)


def test_saturation_adds_harmonics() -> None:
    sine = np.sin(2.0 * np.pi * 440.0 * np.arange(LONG) / RATE).astype(np.float32)[np.newaxis].repeat(16, axis=0)
    third = power_db(applied(sine, saturation=1.0), 1300.0, 1340.0) - power_db(sine, 420.0, 460.0)
    assert third.max() > -25.0
    assert (power_db(sine, 1300.0, 1340.0) - power_db(sine, 420.0, 460.0)).max() < -45.0


def test_compression_brings_loud_and_quiet_parts_together() -> None:
    sound = white(2)
    sound[:, : LONG // 2] *= 0.1
    sound /= sound.std(axis=1, keepdims=True)
    found = compressed(tf.constant(sound), tf.constant([[0.0], [0.5]])).numpy()
    np.testing.assert_allclose(found[0], sound[0], rtol=1e-5)
    halves = found[1].reshape(2, -1)[:, 1024:-1024].std(axis=1)
    assert halves[1] / halves[0] == pytest.approx(10.0**0.5, rel=0.1)


def test_reverberation_goes_on_behind_a_stroke() -> None:
    stroke = np.zeros((16, LONG), np.float32)
    stroke[:, 100] = 1.0
    found = applied(stroke, reverberation=1.0)
    np.testing.assert_allclose(found[:, :100], 0.0, atol=1e-5)
    after = 10.0 * np.log10(np.sum(found[:, 101:] ** 2, axis=1))
    assert (-26.0 < after).all() and (after < -5.0).all()


def test_the_second_voice_differs_by_cents_or_intervals() -> None:
    uniform = tf.constant(np.random.default_rng(1).uniform(size=(500, 3)))
    ratio, level = Effects(layer=0.3).ratio(uniform)
    semitones = 12.0 * np.log2(ratio)
    assert np.abs(semitones).max() == pytest.approx(12.0) and (np.abs(semitones) < 0.4).mean() > 0.4
    assert (level.numpy() > 0.0).mean() == pytest.approx(0.3, abs=0.06)


def test_a_common_limit_is_that_of_all_sources(tmp_path: Path) -> None:
    for name in ("drums", "bass"):
        (tmp_path / "train" / "one").mkdir(parents=True, exist_ok=True)
        with files.Writer(tmp_path / "train" / "one" / f"{name}.wav", RATE, 1) as writer:
            writer.write(0.1 * white(1))
    settings: dict[str, Any] = {"sources": ("drums", "bass"), "sample_rate": RATE, "level": 0.1}
    found = StemsData([str(tmp_path)], effects=Effects(**{**NONE, "common_limit": 0.5}), **settings)
    tops = []
    for name in ("drums", "bass"):
        spectrum = np.abs(np.fft.rfft(found.draw(name, 64, 8192, (0, 1)).numpy())) ** 2
        # The frequency below which nearly all of the power lies.
        tops.append(np.argmax(np.cumsum(spectrum, axis=1) > 0.98 * spectrum.sum(axis=1, keepdims=True), axis=1))
    np.testing.assert_allclose(tops[0], tops[1], rtol=0.05)
    assert (np.array(tops[0]) < 3800).mean() == pytest.approx(0.5, abs=0.2)


def test_shares_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"effects.reverberation must be in 0..1, got 1.5"):
        Effects(reverberation=1.5)
    with pytest.raises(InputError, match="effects.shelf_db must be a finite number of at least 0, got -1"):
        Effects(shelf_db=-1.0)
