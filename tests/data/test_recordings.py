"""Random excerpts of recordings: positions, silence around recordings, channels, filters and seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfsep.audio import files
from tfsep.data import recordings
from tfsep.data.effects import Effects
from tfsep.data.packed import PackedRecordings, quantise, read_recording
from tfsep.data.stems import StemsData
from tfsep.errors import InputError

RATE = 8000
LONG = 4000


def root_of(tmp_path: Path, sound: np.ndarray) -> Path:
    """Write a track with one source, (channels, time), and return its root."""
    with files.Writer(tmp_path / "train" / "one" / "bass.wav", RATE, len(sound)) as writer:
        writer.write(sound)
    return tmp_path


def data(root: Path, **settings: Any) -> StemsData:
    return StemsData([str(root)], sources=("bass",), sample_rate=RATE, **settings)


def noise(channels: int = 1, time: int = LONG) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((channels, time)).astype(np.float32)


def test_recordings_are_read_as_they_were_packed() -> None:
    sounds = [noise(2, 50), 0.5 * noise(2, 30), noise(2, 70)]
    packed = PackedRecordings.of([quantise(sound, 2.0) for sound in sounds])
    for number, sound in enumerate(sounds):
        for channel in (0, 1):
            which, start = tf.constant([number], tf.int64), tf.constant([5.0], tf.float64)
            found = packed.read(which, start, tf.constant([1.0], tf.float64), 20, tf.constant([channel], tf.int64))
            np.testing.assert_allclose(found[0], 2.0 * sound[channel, 5:25], atol=2e-5)


def test_outside_a_recording_is_silence_and_not_its_neighbour() -> None:
    packed = PackedRecordings.of([quantise(np.ones((1, length), np.float32), 1.0) for length in (10, 4, 10)])
    found = packed.read(tf.constant([1], tf.int64), tf.constant([-3.0], tf.float64), tf.constant([1.0], tf.float64), 10)
    np.testing.assert_allclose(found[0], [0, 0, 0, 1, 1, 1, 1, 0, 0, 0])


def test_a_silent_recording_is_not_kept() -> None:
    assert quantise(np.zeros((1, 5), np.float32), 1.0) is None
    assert quantise(np.full((1, 5), 1e-3, np.float32), 0.05) is None


@pytest.mark.parametrize(("margin", "lowest", "highest"), [(None, 0, 19), (0, 0, 20), (7, -7, 27)])
def test_positions_span_their_range(margin: int | None, lowest: int, highest: int) -> None:
    packed = PackedRecordings.of([quantise(np.ones((1, 120), np.float32), 1.0)])
    found = packed.positions(tf.constant(np.linspace(0, 1, 3000, endpoint=False)), 100, margin)
    assert found is not None
    assert (found[1].numpy().min(), found[1].numpy().max()) == (lowest, highest - (margin is not None))


def test_short_recordings_lie_in_an_excerpt_whole_and_are_weighted_by_their_length() -> None:
    packed = PackedRecordings.of([quantise(np.ones((1, length), np.float32), 1.0) for length in (20, 60)])
    found = packed.positions(tf.constant(np.linspace(0, 1, 4000, endpoint=False)), 100, 0)
    assert found is not None
    which, start = found[0].numpy(), found[1].numpy()
    assert which.mean() == pytest.approx(0.75, abs=0.01)
    for number, length in enumerate((20, 60)):
        assert start[which == number].min() == length - 100 and start[which == number].max() == -1
    assert packed.positions(tf.constant([0.5], tf.float64), 100, None) is None


def test_an_offset_lets_excerpts_begin_early_and_end_late(tmp_path: Path) -> None:
    root = root_of(tmp_path, np.full((1, LONG), 0.1, np.float32))
    excerpt = data(root, offset=0.01).draw("bass", 400, 3900, (0, 0)).numpy()
    before, after = np.mean(excerpt[:, 0] == 0.0), np.mean(excerpt[:, -1] == 0.0)
    assert 0.2 < before < 0.45 and 0.2 < after < 0.45
    with pytest.raises(InputError, match="need a recording of 0.63 s"):
        data(root).draw("bass", 1, 5000, (0, 0))
    assert np.count_nonzero(data(root, offset=0.01).draw("bass", 1, 5000, (0, 0))) > 3900


def test_one_channel_is_drawn_for_each_excerpt(tmp_path: Path) -> None:
    root = root_of(tmp_path, np.stack([np.full(LONG, 0.3, np.float32), np.full(LONG, 0.1, np.float32)]))
    excerpt = np.abs(data(root, channels="one").draw("bass", 400, 20, (0, 0)).numpy())
    np.testing.assert_array_equal(excerpt, np.broadcast_to(excerpt[:, :1], excerpt.shape))
    left = excerpt[:, 0] > 0.1
    np.testing.assert_allclose(excerpt[left, 0], 0.15, rtol=1e-4)
    np.testing.assert_allclose(excerpt[~left, 0], 0.05, rtol=1e-4)
    assert left.mean() == pytest.approx(0.5, abs=0.1)
    np.testing.assert_allclose(np.abs(data(root).draw("bass", 4, 20, (0, 0))), 0.1, rtol=1e-4)


def test_a_single_channel_is_read_as_two(tmp_path: Path) -> None:
    sound = noise()
    path = root_of(tmp_path, sound) / "train" / "one" / "bass.wav"
    assert read_recording(path, RATE, "one").shape == (2, LONG)
    np.testing.assert_array_equal(read_recording(path, RATE), sound)


def test_polarity_can_be_kept(tmp_path: Path) -> None:
    root = root_of(tmp_path, np.full((1, LONG), 0.1, np.float32))
    assert (data(root, polarity=False).draw("bass", 50, 20, (0, 0)).numpy() > 0).all()


def test_filters_change_bands_and_keep_the_phase() -> None:
    impulse = np.zeros((64, 1001), np.float32)
    impulse[:, 500] = 1.0
    chance = np.random.default_rng(1).uniform(size=(64, 3, 3))
    found = recordings.equalised(tf.constant(impulse), tf.constant(chance), 6.0, RATE).numpy()
    np.testing.assert_allclose(found[:, :500], found[:, :500:-1], atol=0.02)
    response = 20 * np.log10(np.abs(np.fft.rfft(found, axis=1)))
    assert 3.0 < response.max() < 18.1 and -18.1 < response.min() < -3.0
    assert np.std(response, axis=0)[8:400].min() > 0.5  # 64 to 3,200 Hz
    flat = recordings.equalised(tf.constant(impulse), tf.constant(chance), 0.0, RATE)
    np.testing.assert_allclose(flat, impulse, atol=1e-6)


def test_a_bell_lifts_its_own_frequency() -> None:
    time = np.arange(LONG) / RATE
    tones = np.stack([np.sin(2 * np.pi * f * time) for f in (60.0, 3200.0)]).astype(np.float32)
    low = np.broadcast_to([[0.0, 0.999999, 0.0], [0.5, 0.5, 0.0], [0.5, 0.5, 0.0]], (2, 3, 3))
    found = recordings.equalised(tf.constant(tones), tf.constant(low), 12.0, RATE).numpy()
    gain = 20 * np.log10(np.std(found[:, 1000:3000], axis=1) / np.std(tones[:, 1000:3000], axis=1))
    np.testing.assert_allclose(gain, [12.0, 0.0], atol=0.1)


def test_augmentation_depends_on_seed_and_step_alone(tmp_path: Path) -> None:
    root = root_of(tmp_path, noise(2))
    settings = {"gain_db": 6.0, "speed": 1.3, "offset": 0.05, "channels": "one", "filter_db": 6.0}
    found = data(root, **settings)
    first = found.draw("bass", 4, 500, (7, 3)).numpy()
    np.testing.assert_array_equal(data(root, **settings).draw("bass", 4, 500, (7, 3)), first)
    np.testing.assert_allclose(tf.function(lambda seed: found.draw("bass", 4, 500, seed))([7, 3]), first, atol=1e-6)
    for other in ((7, 4), (8, 3)):
        assert np.abs(found.draw("bass", 4, 500, other) - first).max() > 0.01


def test_the_first_audible_one_of_several_excerpts_is_chosen() -> None:
    tried = tf.constant([[0.01, 0.5, 0.001], [0.5, 1.0, 0.01], [1.0, 1.5, 0.002]], tf.float64)
    np.testing.assert_array_equal(recordings.first_audible(tried, 0.1), [1, 0, 2])
    np.testing.assert_array_equal(recordings.first_audible(tried[2:], 0.1), [0, 0, 0])


def test_levels_are_those_of_the_excerpts() -> None:
    sounds = [noise(2, 5000), 0.1 * noise(2, 3000)]
    packed = PackedRecordings.of([quantise(sound, 2.0) for sound in sounds])
    for number, start, end in ((0, 1000, 3000), (1, 500, 2500), (1, 2000, 3000)):
        which, first = tf.constant([number], tf.int64), tf.constant([float(start)], tf.float64)
        expected = 2.0 * np.sqrt(np.sum(sounds[number][:, start:end] ** 2) / 4000)
        np.testing.assert_allclose(packed.levels(which, first, 2000), [expected], rtol=0.02)


def test_more_tries_find_sound_among_silence(tmp_path: Path) -> None:
    sound = noise()
    sound[:, 1000:] = 0.0
    root = root_of(tmp_path, sound)
    shares = []
    for tries in (1, 6):
        excerpt = data(root, tries=tries).draw("bass", 200, 50, (0, 0)).numpy()
        assert excerpt.shape == (200, 50)
        shares.append(np.mean(excerpt.std(axis=1) > 1e-3))
    assert shares[0] == pytest.approx(0.25, abs=0.1) and shares[1] == pytest.approx(1 - 0.75**6, abs=0.08)


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"tries": 0}, "tries must be at least 1, got 0"),
        ({"audible": 0.0}, "audible and level must be above 0, got 0.0 and None"),
        ({"level": -0.1}, "audible and level must be above 0, got 0.001 and -0.1"),
        ({"absent": 1.5}, "absent must be a share from 0 to 1, got 1.5"),
        ({"offset": -1.0}, "offset and filter_db must be at least 0, got -1.0 and 0.0"),
        ({"filter_db": -3.0}, "offset and filter_db must be at least 0, got 0.0 and -3.0"),
        ({"channels": "left"}, "channels must be one of mean, one, got 'left'"),
    ],
)
def test_settings_out_of_range_are_refused(tmp_path: Path, settings: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        data(root_of(tmp_path, noise()), **settings)


def test_excerpts_are_brought_to_one_level_before_the_gain(tmp_path: Path) -> None:
    root = root_of(tmp_path, noise() * np.linspace(0.01, 1.0, LONG, dtype=np.float32))
    excerpt = (
        data(root, level=0.2, gain_db=6.0, effects=Effects(common_limit=0.0)).draw("bass", 200, 500, (0, 0)).numpy()
    )
    gain = 20.0 * np.log10(np.sqrt(np.mean(excerpt**2, axis=1)) / 0.2)
    assert -6.1 < gain.min() < -4.5 and 4.5 < gain.max() < 6.1


def test_absent_sources_are_silent_and_one_is_always_left(tmp_path: Path) -> None:
    names = ("drums", "bass", "vocals")
    for name in names:
        with files.Writer(tmp_path / "train" / "one" / f"{name}.wav", RATE, 1) as writer:
            writer.write(noise())
    found = StemsData([str(tmp_path)], sources=names, sample_rate=RATE, absent=0.5)
    drawn = np.stack([found.draw(name, 600, 50, (3, 4)).numpy() for name in names], axis=1)
    present = np.abs(drawn).max(axis=-1) > 0.0
    assert present.any(axis=1).all()
    # In half of the mixtures each source is absent with 0.4; where all three would be, one is left.
    assert np.mean(~present) == pytest.approx(0.5 * (0.4 - 0.4**3 / 3), abs=0.03)
    whole = StemsData([str(tmp_path)], sources=names, sample_rate=RATE).draw("bass", 600, 50, (3, 4)).numpy()
    assert (np.abs(whole).max(axis=-1) > 0.0).all()
