"""Toy notes: their distribution is as documented, and the same on every machine and in every mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.data import toy
from tfsep.data.oscillators import ALL_KINDS, KINDS
from tfsep.errors import InputError

RATE = 16000
MANY = 2000


def frequencies(sines: np.ndarray) -> np.ndarray:
    """Hz of noiseless sines (num, time), from x(n - 1) + x(n + 1) = 2 cos(w) x(n)."""
    sines = sines.astype(np.float64)
    middle, sides = sines[:, 1:-1], sines[:, 2:] + sines[:, :-2]
    return np.arccos((middle * sides).sum(-1) / (middle**2).sum(-1) / 2) * RATE / (2 * np.pi)


def drawn(source: str, num: int = MANY, length: int = 1024, seed: Any = (3, 0), **settings: Any) -> np.ndarray:
    return toy.ToyData(sample_rate=RATE, **settings).draw(source, num, length, seed).numpy()


def test_the_keys_are_those_of_a_piano() -> None:
    keys = toy.key_frequencies()
    assert len(keys) == 88
    assert keys[0] == 27.5
    assert keys[48] == pytest.approx(440.0, rel=1e-12)
    assert keys[-1] == pytest.approx(4186.009, abs=1e-3)
    np.testing.assert_allclose(keys[1:] / keys[:-1], 2 ** (1 / 12), rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_note_is_its_formula(kind: str) -> None:
    wave = toy.render(kind, [100.0, 441.3], [0.1003, 0.7], [0.8, 1.0], 200, RATE).numpy()
    time = np.arange(200) / RATE
    fraction = np.stack([(100 * time + 0.1003) % 1, (441.3 * time + 0.7) % 1])
    ideal = {
        "sine": np.sin(2 * np.pi * fraction),
        "sawtooth": 2 * fraction - 1,
        "square": np.sign(0.5 - fraction),
        "triangle": np.abs(4 * fraction - 2) - 1,
    }[kind]
    assert wave.dtype == np.float64
    np.testing.assert_allclose(wave, ideal * [[0.8], [1.0]], atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frequency", [40.0, 440.0, 4160.0])
def test_band_limited_notes_hold_harmonics_below_half_the_rate_only(kind: str, frequency: float) -> None:
    length = 1600 if frequency == 40.0 else 400
    wave = toy.render(kind, [frequency], [0.3], [1.0], length, RATE, band_limited=True).numpy()[0]
    magnitude = np.abs(np.fft.rfft(wave)) * 2 / length
    cycles = round(frequency * length / RATE)
    order = np.arange(cycles, length // 2, cycles) // cycles
    expected = np.zeros(length // 2 + 1)
    expected[order * cycles] = {
        "sine": order == 1,
        "sawtooth": 2 / np.pi / order,
        "square": 4 / np.pi / order * (order % 2),
        "triangle": 8 / np.pi**2 / order**2 * (order % 2),
    }[kind]
    np.testing.assert_allclose(magnitude, expected, atol=1e-9)


@pytest.mark.parametrize("kind", ["sawtooth", "square"])
def test_naive_notes_alias(kind: str) -> None:
    wave = toy.render(kind, [4160.0], [0.3], [1.0], 400, RATE).numpy()[0]
    energy = np.abs(np.fft.rfft(wave)) ** 2
    assert energy[104] > 0.5 * energy[1:].sum()
    assert energy[1:104].sum() + energy[105:].sum() > 0.1 * energy.sum()


def test_notes_lie_on_all_88_keys_and_nowhere_else() -> None:
    found = frequencies(drawn("sine", length=2048))
    key = 12 * np.log2(found / 27.5)
    assert np.abs(key - np.round(key)).max() < 0.05
    assert set(np.round(key)) == set(range(88))


def test_free_notes_lie_anywhere_over_the_pianos_range() -> None:
    found = frequencies(drawn("sine", length=2048, free=True))
    # The decay shifts the estimate a little, most of all for the lowest notes.
    key = 12 * np.log2(found / 27.5)
    assert -2.0 < key.min() < 1 and 86 < key.max() < 87.05
    high = key[key > 40] % 1
    assert np.histogram(high, 5, (0, 1))[0].min() > 0.15 * len(high)
    assert np.histogram(key[key > 1], 5, (1, 87))[0].min() > 0.15 * len(key)


@pytest.mark.parametrize("band_limited", [False, True])
def test_amplitudes_are_those_of_the_original_study(band_limited: bool) -> None:
    amplitude = np.abs(drawn("square", length=1)[:, 0])
    assert 0.8 <= amplitude.min() < 0.805 and 0.995 < amplitude.max() <= 1.0
    assert amplitude.mean() == pytest.approx(0.9, abs=0.005)
    peaks = np.abs(drawn("sawtooth", 200, band_limited=band_limited)).max(-1)
    # The highest keys keep one harmonic below half the rate, 2/pi of the amplitude.
    assert (0.5 if band_limited else 0.7) < peaks.min() and peaks.max() <= (1.19 if band_limited else 1.0)


def test_phases_fill_the_period() -> None:
    start = drawn("sawtooth", length=1)[:, 0]
    assert np.histogram(start, 4, (-0.8, 0.8))[0].min() > 0.15 * MANY
    assert abs(start.mean()) < 0.05


def test_free_notes_decay_exponentially_between_the_given_times() -> None:
    level = np.log(np.abs(drawn("square", length=1600, free=True).astype(np.float64)))
    slope = np.diff(level)
    np.testing.assert_allclose(slope, np.broadcast_to(slope.mean(-1, keepdims=True), slope.shape), atol=1e-6)
    seconds = -1 / (slope.mean(-1) * RATE)
    assert 0.05 <= seconds.min() < 0.052 and 0.48 < seconds.max() <= 0.5001
    assert np.median(seconds) == pytest.approx(np.sqrt(0.05 * 0.5), rel=0.1)


# First sample of the first, sixth of the second, last of the third of three examples with 64 samples and seed 7.
KNOWN = {
    (False, False, "sine"): (-0.9661734, 0.1711494, -0.8082045),
    (False, False, "sawtooth"): (-0.2011329, 0.6672394, 0.7170418),
    (False, False, "square"): (-0.9179729, 0.8374757, -0.8564388),
    (False, False, "triangle"): (0.4485264, -0.6679467, 0.6464354),
    (False, True, "sine"): (-0.9661734, 0.1711494, -0.8082045),
    (False, True, "sawtooth"): (-0.1996059, 0.6602507, 0.7139388),
    (False, True, "square"): (-0.9239557, 0.7988426, -0.859062),
    (False, True, "triangle"): (0.4498031, -0.667994, 0.6464023),
    (True, False, "sine"): (-0.9661734, 0.1667628, -0.7887201),
    (True, False, "sawtooth"): (-0.2011329, 0.6687546, 0.7177038),
    (True, False, "square"): (-0.9179729, 0.8351801, -0.8372537),
    (True, False, "triangle"): (0.4485264, -0.6682594, 0.5952776),
    (True, True, "sine"): (-0.9661734, 0.1667628, -0.7887201),
    (True, True, "sawtooth"): (-0.2021544, 0.6731912, 0.7222141),
    (True, True, "square"): (-0.9239557, 0.7910469, -0.8347495),
    (True, True, "triangle"): (0.4498031, -0.6682863, 0.5952436),
}


@pytest.mark.parametrize(("free", "band_limited", "kind"), KNOWN)
def test_a_seed_gives_these_numbers_on_every_machine(free: bool, band_limited: bool, kind: str) -> None:
    found = toy.examples(kind, 3, 64, RATE, 7, free, band_limited)
    picked = found[0, 0], found[1, 5], found[2, 63]
    np.testing.assert_allclose(picked, KNOWN[free, band_limited, kind], atol=1e-6)


def test_a_graph_draws_the_same_numbers() -> None:
    data = toy.ToyData(sample_rate=RATE, free=True)

    @tf.function
    def draw(seed: tf.Tensor) -> tf.Tensor:
        return data.draw("sine", 4, 50, seed)

    found = draw(tf.constant([3, 11], tf.int64))
    np.testing.assert_allclose(found, data.draw("sine", 4, 50, (3, 11)), atol=1e-6)


def test_a_larger_batch_starts_with_the_smaller_one() -> None:
    np.testing.assert_array_equal(drawn("sawtooth", 20, 100)[:6], drawn("sawtooth", 6, 100))


def test_a_class_does_not_depend_on_which_others_are_drawn() -> None:
    alone = toy.ToyData(sources=("triangle",)).draw("triangle", 3, 40, (1, 1))
    np.testing.assert_array_equal(alone, toy.ToyData().draw("triangle", 3, 40, (1, 1)))


def test_classes_seeds_and_steps_are_independent() -> None:
    columns = [np.abs(drawn("square", length=1, seed=seed))[:, 0] for seed in ((0, 0), (0, 1), (1, 0), (1, 1), (4, 0))]
    for kind, seed in (
        ("sine", (0, 0)),
        ("sine", (1, 0)),
        ("sawtooth", (0, 0)),
        ("triangle", (0, 0)),
        ("pulse", (0, 0)),
    ):
        wave = drawn(kind, length=4096, seed=seed, sources=ALL_KINDS)
        columns.append(np.abs(wave).max(-1))
        if kind == "sine":
            columns.append(frequencies(wave))
        columns.append(wave[:, 0])
    correlation = np.corrcoef(columns)
    # An amplitude and a start of the same wave have nothing to do with each other either.
    assert np.abs(correlation - np.eye(len(columns))).max() < 0.1


def test_a_pulse_is_drawn_where_it_is_asked_for() -> None:
    wave = toy.examples("pulse", 50, 4096, RATE, 0)
    assert np.all(np.abs(wave).max(-1) <= 1.0) and np.abs(wave.mean(-1)).max() < 0.1
    assert np.mean(wave > 0.0) == pytest.approx(0.25, abs=0.02)
    with pytest.raises(InputError, match="one of sine, sawtooth, square, triangle, got 'pulse'"):
        drawn("pulse")


def test_test_examples_are_of_no_table_of_training() -> None:
    examples = toy.examples("sine", 50, 64, RATE, 0)
    for step in (-1, 0, 1, 2, 1000):
        table = drawn("sine", 50, 64, (0, step))
        assert np.abs(examples[:, np.newaxis] - table).max(-1).min() > 1e-4, step
    assert np.abs(examples - toy.examples("sine", 50, 64, RATE, 1)).max() > 0.1


@pytest.mark.parametrize("settings", [{}, {"free": True}, {"band_limited": True}])
def test_mixtures_are_the_mean_of_test_examples(settings: dict[str, bool]) -> None:
    mixture, sources = toy.mixtures(6, 300, RATE, seed=5, **settings)
    assert mixture.shape == (6, 300) and sources.shape == (6, 4, 300)
    assert mixture.dtype == sources.dtype == np.float32
    np.testing.assert_allclose(mixture, sources.mean(1), atol=1e-7)
    for k, kind in enumerate(KINDS):
        np.testing.assert_array_equal(sources[:, k], toy.examples(kind, 6, 300, RATE, 5, **settings))
    again, _ = toy.mixtures(6, 300, RATE, seed=5, **settings)
    np.testing.assert_array_equal(mixture, again)


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 - 1])
def test_every_seed_of_the_commands_is_taken(seed: int) -> None:
    found = toy.examples("sine", 2, 30, RATE, seed)
    assert np.isfinite(found).all() and np.abs(found).max() > 0.01


def test_gains_are_those_of_the_mean() -> None:
    assert toy.ToyData().mixing_gains == (0.25,) * 4
    assert toy.ToyData(sources=("sine", "square")).mixing_gains == (0.5, 0.5)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"sample_rate": 8000}, "sample_rate must be at least 8400 Hz .*got 8000"),
        ({"sources": ("sine", "noise")}, r"sine, sawtooth, square, triangle, pulse, got \['sine', 'noise'\]"),
        ({"sources": ()}, r"sources must be .*got \[\]"),
        ({"sources": ("sine", "sine")}, r"sources must be different .*got \['sine', 'sine'\]"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        toy.ToyData(**settings)


def test_an_unknown_class_is_refused() -> None:
    with pytest.raises(InputError, match="source must be one of sine, square, got 'triangle'"):
        toy.ToyData(sources=("sine", "square")).draw("triangle", 1, 10, (0, 0))
