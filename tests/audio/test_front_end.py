"""Front ends: shapes as promised, the inverse, and construction by name."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from tfsep.audio.front_end import FRONT_ENDS, FrontEnd, LogMelFrontEnd, LogStftFrontEnd, WaveFrontEnd, build
from tfsep.errors import InputError

SMALL = {"frame_length": 256, "frame_step": 64}
ALL = [WaveFrontEnd(), LogStftFrontEnd(**SMALL), LogMelFrontEnd(**SMALL, num_mels=20, sample_rate=8000)]
LENGTHS = [1, 63, 1000, 4096]


def sound(batch: int, time: int) -> np.ndarray:
    """Return a chord with noise, without anything at half the sample rate."""
    at = np.arange(time) / 8000
    waves = [np.sin(2 * np.pi * (200 + 50 * row) * at) + np.sin(2 * np.pi * 730 * at) for row in range(batch)]
    return (0.3 * np.array(waves)).astype(np.float32)


def decibels(estimate: tf.Tensor, reference: np.ndarray) -> float:
    return 20 * np.log10(np.linalg.norm(np.asarray(estimate) - reference) / np.linalg.norm(reference))


@pytest.mark.parametrize("front_end", ALL, ids=lambda each: each.domain)
@pytest.mark.parametrize("time", LENGTHS)
def test_shapes_are_as_promised(front_end: FrontEnd, time: int) -> None:
    wave = sound(3, time) + 0.01
    features, aux = front_end.analyse(wave)
    assert features.shape == (3, *front_end.event_shape(time))
    assert features.dtype == tf.float32
    assert np.isfinite(features).all()
    assert front_end.synthesise(features, aux, time).shape == (3, time)
    assert front_end.synthesise(features, None, time).shape == (3, time)


@pytest.mark.parametrize("front_end", ALL, ids=lambda each: each.domain)
def test_settings_make_it_again(front_end: FrontEnd) -> None:
    settings = json.loads(json.dumps(front_end.settings()))
    assert build(front_end.domain, **settings) == front_end
    assert FRONT_ENDS[front_end.domain] is type(front_end)


def test_waves_are_left_as_they_are() -> None:
    wave = sound(2, 500)
    features, aux = WaveFrontEnd().analyse(wave)
    assert aux is None
    np.testing.assert_array_equal(WaveFrontEnd().synthesise(features, aux, 500), wave)
    np.testing.assert_array_equal(WaveFrontEnd().synthesise(features, aux, 300), wave[:, :300])


def test_log_stft_with_its_phase_gives_the_signal_back() -> None:
    front_end = LogStftFrontEnd()
    wave = sound(2, 5000)
    features, phase = front_end.analyse(wave)
    assert phase.shape == features.shape[:-1]
    assert decibels(front_end.synthesise(features, phase, 5000), wave) < -75


def test_log_stft_without_phase_finds_one() -> None:
    front_end = LogStftFrontEnd(**SMALL, phase_iterations=60)
    features, _ = front_end.analyse(sound(2, 4096))
    again, _ = front_end.analyse(front_end.synthesise(features, None, 4096))
    difference = front_end.to_magnitude(features) - front_end.to_magnitude(again)
    assert decibels(difference + front_end.to_magnitude(features), front_end.to_magnitude(features).numpy()) < -15


def test_log_stft_is_the_formula() -> None:
    front_end = LogStftFrontEnd(floor=0.01, offset=1.0, scale=2.0)
    wave = sound(1, 4000)
    expected = (np.log(np.abs(front_end.spectrum(wave)) + 0.01) - 1.0) / 2.0
    np.testing.assert_allclose(front_end.analyse(wave)[0][..., 0], expected[..., :-1], atol=1e-5)


def test_defaults_scale_features_for_networks() -> None:
    front_end = LogStftFrontEnd()
    assert (front_end.floor, front_end.offset, front_end.scale) == (1e-3, -2.0, 3.0)
    features, _ = front_end.analyse(np.random.default_rng(0).uniform(-1, 1, (1, 16384)).astype(np.float32))
    assert -2.0 < np.min(features) and np.max(features) < 3.0
    silence, _ = front_end.analyse(np.zeros((1, 16384), np.float32))
    np.testing.assert_allclose(silence, (np.log(1e-3) + 2.0) / 3.0, rtol=1e-5)


@pytest.mark.parametrize("multiple", [1, 2, 8, 5])
def test_frames_come_in_multiples(multiple: int) -> None:
    front_end = LogStftFrontEnd(**SMALL, frame_multiple=multiple)
    for time in LENGTHS:
        frames, bins, _ = front_end.event_shape(time)
        assert frames % multiple == 0 and bins == 128
        wave = sound(1, time) + 0.1
        assert front_end.synthesise(*front_end.analyse(wave), time).shape == (1, time)


def test_log_mel_with_the_phase_keeps_the_bands() -> None:
    front_end = ALL[2]
    wave = sound(1, 4096)
    features, phase = front_end.analyse(wave)
    assert features.shape == (1, 68, 20, 1) and phase.shape == (1, 68, 129)
    again, _ = front_end.analyse(front_end.synthesise(features, phase, 4096))
    assert np.mean(np.abs(again - features)) < 0.5 * np.std(features)


@pytest.mark.parametrize("front_end", ALL, ids=lambda each: each.domain)
def test_the_round_trip_compiles_under_xla(front_end: FrontEnd) -> None:
    wave = sound(2, 1000)

    @tf.function(jit_compile=True)
    def round_trip(signal: tf.Tensor) -> tf.Tensor:
        return front_end.synthesise(*front_end.analyse(signal), 1000)

    np.testing.assert_allclose(round_trip(wave), front_end.synthesise(*front_end.analyse(wave), 1000), atol=1e-4)


@pytest.mark.parametrize("front_end", ALL, ids=lambda each: each.domain)
def test_unknown_lengths_are_served(front_end: FrontEnd) -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, None])])
    def round_trip(signal: tf.Tensor) -> tf.Tensor:
        return front_end.synthesise(*front_end.analyse(signal), tf.shape(signal)[-1])

    for time in (100, 777):
        assert round_trip(sound(2, time)).shape == (2, time)


@pytest.mark.parametrize("wave", [np.zeros((1, 1000), np.float32), sound(1, 1000)], ids=["silence", "sound"])
def test_gradients_of_features_are_finite(wave: np.ndarray) -> None:
    for front_end in ALL:
        signal = tf.constant(wave)
        with tf.GradientTape() as tape:
            tape.watch(signal)
            value = tf.reduce_sum(front_end.analyse(signal)[0])
        assert np.isfinite(tape.gradient(value, signal)).all()


@pytest.mark.parametrize(
    ("domain", "settings", "message"),
    [
        ("cepstrum", {}, "front end domain must be one of wave, log_stft, log_mel, got 'cepstrum'"),
        ("log_stft", {"frames": 3}, "got 'frames'"),
        ("wave", {"floor": 1.0}, r"settings of wave must be among \(none\), got 'floor'"),
        ("log_stft", {"frame_step": 600}, r"frame_step must lie in 1..frame_length/2 = 1..512, got 600"),
        ("log_stft", {"floor": 0.0}, "floor must be positive, got 0.0"),
        ("log_stft", {"scale": -1.0}, "scale must be positive, got -1.0"),
        ("log_stft", {"frame_multiple": 0}, "frame_multiple must be positive, got 0"),
        ("log_stft", {"phase_iterations": -1}, "phase_iterations must be at least 0, got -1"),
        ("log_stft", {"frame_length": "long"}, "front end log_stft: "),
        ("log_mel", {"num_mels": 500}, "every mel band must hold a bin"),
    ],
)
def test_building_refuses_what_it_does_not_know(domain: str, settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(domain, **settings)


def test_constructors_refuse_with_a_value_error() -> None:
    with pytest.raises(ValueError, match="got 600"):
        LogStftFrontEnd(frame_step=600)


@pytest.mark.parametrize("kind", [LogStftFrontEnd, LogMelFrontEnd])
def test_with_a_level_features_do_not_depend_on_loudness(kind: type[LogStftFrontEnd]) -> None:
    settings = {**SMALL, **({"num_mels": 20, "sample_rate": 8000} if kind is LogMelFrontEnd else {})}
    even, plain = kind(**settings, level=0.1), kind(**settings)  # type: ignore[arg-type]
    wave = sound(2, 1000)
    rms = np.sqrt(np.mean(wave**2, axis=1, keepdims=True))
    for gain in (0.1, 1.0, -3.0):
        np.testing.assert_allclose(even.analyse(gain * wave)[0], plain.analyse(0.1 / rms * wave)[0], atol=2e-3)
    assert np.abs(plain.analyse(wave)[0] - plain.analyse(0.1 * wave)[0]).max() > 0.1
    assert LogStftFrontEnd(level=0.1).event_shape(1000) == LogStftFrontEnd().event_shape(1000)


def test_a_level_keeps_silence_silent_and_amplifies_by_100_at_most() -> None:
    even, plain = LogStftFrontEnd(**SMALL, level=0.1), LogStftFrontEnd(**SMALL)
    silence = np.zeros((1, 1000), np.float32)
    np.testing.assert_array_equal(even.analyse(silence)[0], plain.analyse(silence)[0])
    quiet = (1e-5 * sound(1, 1000)).astype(np.float32)
    np.testing.assert_allclose(even.analyse(quiet)[0], plain.analyse(100.0 * quiet)[0], atol=1e-3)
    with pytest.raises(InputError, match="level must be positive or None, got 0"):
        build("log_stft", level=0.0)
