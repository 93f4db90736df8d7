"""The measurements of a page in blocks, against those of whole arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.signals import quiet_noise
from tfsep.audio import files
from tfsep.errors import JobError
from tfsep.metrics import si_sdr
from tfsep.metrics.si_sdr import si_sdri
from tfsep.report.columns import SILENCE_DB, Columns, LevelCurve, Outline, decibels
from tfsep.report.measure import measure
from tfsep.report.spectrum import Spectrum
from tfsep.report.track_files import TrackFiles, check_reference, read_blocks

Make = Callable[..., TrackFiles]


def in_blocks(sound: np.ndarray, length: int) -> list[tuple[int, np.ndarray]]:
    return [(start, sound[:, start : start + length]) for start in range(0, sound.shape[1], length)]


@pytest.mark.parametrize("length", [1, 7, 64, 1000])
@pytest.mark.parametrize("most", [1, 13, 1000, 5000])
def test_columns_do_not_depend_on_the_blocks(length: int, most: int) -> None:
    sound, columns = quiet_noise(), Columns(1000, most)
    curve, outline = LevelCurve(columns), Outline(columns)
    for start, block in in_blocks(sound, length):
        curve.update(start, block)
        outline.update(start, block)
    assert columns.count == min(most, 1000)
    columns_of_sound = [sound[:, a:b] for a, b in zip(columns.edges[:-1], columns.edges[1:], strict=True)]
    np.testing.assert_allclose(curve.power, [np.mean(x.astype(np.float64) ** 2) for x in columns_of_sound])
    np.testing.assert_allclose(curve.total, np.mean(sound.astype(np.float64) ** 2))
    assert curve.peak == np.abs(sound).max()
    np.testing.assert_allclose(outline.highest, [max(0.0, float(x.max())) for x in columns_of_sound])
    np.testing.assert_allclose(outline.lowest, [min(0.0, float(x.min())) for x in columns_of_sound])


def test_levels_have_a_lowest_value() -> None:
    np.testing.assert_allclose(decibels(np.array([1.0, 0.01, 0.0])), [0.0, -20.0, SILENCE_DB])


@pytest.mark.parametrize(("time", "rate"), [(1, 8000), (30, 8000), (3000, 8000), (100000, 44100)])
def test_a_spectrum_does_not_depend_on_the_blocks(time: int, rate: int) -> None:
    found = []
    for length in (time, 977):
        spectrum = Spectrum(time, rate)
        for _, block in in_blocks(quiet_noise(2, time), length):
            spectrum.update(block)
        found.append(spectrum.finish())
    assert found[0].shape[0] <= 800 and found[0].shape[1] == 128
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-12)
    assert found[0].max() > 0.0


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 3500.0])
def test_a_tone_is_a_line_at_its_pitch_and_power(hertz: float) -> None:
    rate = 16000
    spectrum = Spectrum(2 * rate, rate)
    tone = 0.5 * np.sin(2.0 * np.pi * hertz * np.arange(2 * rate) / rate)
    spectrum.update(np.stack([tone, -tone]).astype(np.float32))
    power = spectrum.finish()
    middle = power[len(power) // 4 : -len(power) // 4]
    np.testing.assert_allclose(middle.max(axis=1), 0.125, rtol=0.35)
    mel = 2595.0 * np.log10(1.0 + hertz / 700.0) / (2595.0 * np.log10(1.0 + rate / 1400.0))
    assert np.abs(middle.argmax(axis=1) - 128 * mel).max() < 4


def test_a_track(make_track: Make) -> None:
    track = make_track(seconds=3.0, num_samples=4, references=True)
    blocks: list[dict[str, np.ndarray]] = []
    found = measure(track, 9000, blocks.append)
    assert found.residual is not None and found.residual.level_db < -100.0
    assert found.mixture.level_db == pytest.approx(10 * np.log10((0.3**2 + 0.1**2) / 2), abs=0.05)
    low, high = found.stems
    assert low.metric is not None and high.metric is not None
    mixture, _ = files.read(track.mixture)
    for stem, sound in zip(track.stems, (low, high), strict=True):
        assert stem.reference is not None and sound.metric is not None
        estimate, reference = files.read(stem.path)[0], files.read(stem.reference)[0]
        assert sound.metric.si_sdr == pytest.approx(si_sdr(estimate, reference).mean(), abs=1e-3)
        assert sound.metric.si_sdri == pytest.approx(si_sdri(estimate, reference, mixture).mean(), abs=1e-3)
        samples = np.stack([files.read(path)[0] for path in stem.samples]).astype(np.float64)
        spread = np.sqrt(np.mean(samples.std(axis=0, ddof=1) ** 2))
        assert sound.certainty_db == pytest.approx(sound.level_db - 20 * np.log10(spread), abs=1e-3)
        assert sound.spread_db is not None and sound.spread_outline is not None
        np.testing.assert_allclose(sound.spread_db[:290], SILENCE_DB, atol=60.0)
        np.testing.assert_allclose(sound.spread_db[310:], -40.0, atol=3.0)
    assert found.times[0] > 0.0 and found.times[-1] < 3.0
    together = {name: np.concatenate([block[name] for block in blocks], axis=1) for name in blocks[0]}
    assert list(together) == ["", "low", "high"]
    np.testing.assert_array_equal(together[""], mixture[:, :9000])


def test_the_residual_is_what_is_missing_from_the_mixture(make_track: Make) -> None:
    track = make_track()
    alone = measure(replace(track, stems=track.stems[:1]), 100)
    mixture, stem = (files.read(path)[0].astype(np.float64) for path in (track.mixture, track.stems[0].path))
    missing = 10 * np.log10(np.sum((mixture - stem) ** 2) / np.sum(mixture**2))
    assert alone.residual is not None and alone.residual.level_db == pytest.approx(missing, abs=1e-6)
    halved = measure(replace(track, factor=0.5), 100)
    assert halved.residual is not None and halved.residual.level_db == pytest.approx(0.0, abs=1e-3), "half and whole"


def test_no_residual_of_one_stem_alone(make_track: Make) -> None:
    track = make_track()
    found = measure(replace(track, stems=track.stems[:1], complete=False), 100)
    assert found.residual is None and found.stems[0].spread_db is None and found.stems[0].metric is None


def test_a_part_of_the_mixture(make_track: Make) -> None:
    track = make_track(seconds=1.0)
    short = replace(track, first=3000, frames=2000)
    mixture = np.concatenate([block.mixture for block in read_blocks(short)], axis=1)
    np.testing.assert_array_equal(mixture, files.read(track.mixture)[0][:, 3000:5000])
    with pytest.raises(JobError, match="9000 samples are needed of the mixture, got 8000"):
        list(read_blocks(replace(track, frames=9000)))


def test_references_that_do_not_fit(tmp_path: Path, make_track: Make) -> None:
    mixture = files.info(make_track(seconds=1.0).mixture)
    cases = {
        "rate": (1, 8000, 16000, "a reference must have the sample_rate of its mixture, 8000, got 16000"),
        "length": (1, 7999, 8000, "a reference must have the number of samples of its mixture, 8000, got 7999"),
        "channels": (3, 8000, 8000, "a reference must have 1 channel or those of its mixture, 2, got 3"),
    }
    for name, (channels, time, rate, complaint) in cases.items():
        with files.Writer(tmp_path / f"{name}.wav", rate, channels) as writer:
            writer.write(quiet_noise(channels, time))
        with pytest.raises(JobError, match=complaint):
            check_reference(tmp_path / f"{name}.wav", mixture)
