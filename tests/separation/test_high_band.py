"""The band above a model's own goes to the stems with power at its edge, and blocks do not show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import signal

from tfsep.separation.high_band import HighBandShares, reaches
from tfsep.separation.separator import Separator

RATE, MODEL_RATE = 44100, 8000
LEADING = (2, 3, 2)


def stems(time: int = 30000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.1, size=(*LEADING, time)).astype(np.float32)


def shares(blocks: list[np.ndarray], gains: tuple[float, ...] = (1.0, 1.0, 1.0)) -> np.ndarray:
    meter = HighBandShares(LEADING, gains, MODEL_RATE, RATE)
    known = [meter.push(block) for block in blocks]
    return np.concatenate([*known, meter.push(np.zeros((*LEADING, 0)), last=True)], axis=-1)


@pytest.mark.parametrize("edges", [[], [1], [100, 101, 5000], list(range(0, 30000, 257))])
def test_blocks_do_not_show_and_shares_sum_to_one(edges: list[int]) -> None:
    whole = stems()
    found = shares(np.split(whole, edges, axis=-1))
    assert found.shape == whole.shape
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(found, shares([whole]), atol=1e-9)
    assert found.min() > 0.0


def test_shares_go_by_power_at_the_top_of_the_models_band_and_by_time() -> None:
    time = np.arange(30000) / RATE
    low, high = np.sin(2 * np.pi * 200 * time), np.sin(2 * np.pi * 3500 * time)
    given = np.zeros((*LEADING, 30000))
    given[:, 0] = low
    given[:, 1] = 0.02 * high * (time > 0.3)
    given[:, 2] = 0.04 * high * (time > 0.3)
    found = shares([given])
    late = found[..., time > 0.32]
    np.testing.assert_allclose(late.mean(axis=(0, 2, 3)), [0.0, 0.2, 0.8], atol=0.02)
    # A stroke is known on both sides of its beginning, not only after it.
    assert found[0, 2, 0, np.argmax(time > 0.301)] > 0.7


@pytest.mark.parametrize("gains", [(1.0, 1.0, 1.0), (1.0, 2.0, 0.5)])
def test_silent_stems_share_as_the_projection_does(gains: tuple[float, ...]) -> None:
    squares = np.square(gains)
    found = shares([np.zeros((*LEADING, 2000))], gains)
    np.testing.assert_allclose(found, np.broadcast_to((squares / squares.sum())[:, None, None], found.shape))


def test_only_a_wider_band_is_shared() -> None:
    assert reaches(8000, 11025) and not reaches(8000, 8000) and not reaches(22050, 22050) and not reaches(8000, 8050)


def test_the_top_of_a_song_goes_to_the_stem_below_it(make_separator: Callable[..., Separator]) -> None:
    """The low band is steady; the high one, and what lies above the model's band, come and go together."""
    random, time = np.random.default_rng(0), np.arange(3 * RATE) / RATE
    there = ((time % 1.0) > 0.5).astype(np.float64)
    noise = signal.sosfilt(signal.butter(6, 3000, "highpass", fs=RATE, output="sos"), random.normal(size=len(time)))
    mixture = (0.2 * np.sin(2 * np.pi * 300 * time) + 0.05 * noise * there)[np.newaxis].astype(np.float32)
    found = make_separator()(mixture, RATE)
    top = signal.butter(6, 6000, "highpass", fs=RATE, output="sos")
    level = {name: np.mean(signal.sosfilt(top, stem[0]) ** 2) for name, stem in found.items()}
    assert level["low"] < 0.01 * level["high"]
    np.testing.assert_allclose(found["low"] + found["high"], mixture, atol=1e-6)
