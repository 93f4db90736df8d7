"""Songs disk to disk: exact length, rate, channels and sum, whatever the blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.signals import write_wave
from tfsep.audio import files
from tfsep.errors import InputError, JobError
from tfsep.separation.file import FileReport, separate_to_sink
from tfsep.separation.separator import Separator

MakeSeparator = Callable[..., Separator]


def song(channels: int, time: int) -> np.ndarray:
    generator = np.random.default_rng(channels)
    return np.cumsum(generator.uniform(-0.05, 0.05, (channels, time)), axis=1).clip(-1, 1).astype(np.float32)


def separated(separator: Separator, path: Path, **settings: float) -> tuple[FileReport, np.ndarray, np.ndarray]:
    mixtures, stems = [], []

    def sink(mixture: np.ndarray, block: np.ndarray) -> None:
        mixtures.append(mixture)
        stems.append(block)

    report = separate_to_sink(separator, path, sink, **settings)
    return report, np.concatenate(mixtures, axis=-1), np.concatenate(stems, axis=-1)


@pytest.mark.parametrize(
    ("sample_rate", "channels", "time"), [(8000, 1, 1), (44100, 2, 60001), (192000, 1, 50000), (1000, 6, 999)]
)
def test_what_goes_in_comes_out(
    make_separator: MakeSeparator, tmp_path: Path, sample_rate: int, channels: int, time: int
) -> None:
    waveform = song(channels, time)
    path = write_wave(tmp_path / "song.wav", waveform, sample_rate)
    progress: list[int] = []
    report, mixture, stems = separated(make_separator(error=0.1), path, progress=progress.append, block_seconds=0.3)
    np.testing.assert_array_equal(mixture, waveform)
    assert stems.shape == (1, 2, channels, time) and stems.dtype == np.float32
    np.testing.assert_allclose(stems[0].sum(axis=0), waveform, atol=1e-6)
    assert (report.sample_rate, report.channels, report.frames) == (sample_rate, channels, time)
    assert report.residual_db < -120
    assert sum(progress) == time


@pytest.mark.parametrize("settings", [{}, {"normalise": True}, {"stereo": "mid_side"}, {"stereo": "wiener"}])
def test_blocks_do_not_show(make_separator: MakeSeparator, tmp_path: Path, settings: dict) -> None:
    separator = make_separator(noise=0.2, settings=settings)
    waveform = song(2, 50001)
    path = write_wave(tmp_path / "song.wav", waveform, 11025)
    estimates = [separated(separator, path, block_seconds=seconds, num_samples=2)[2] for seconds in (0.013, 0.5, 60.0)]
    called = separator(waveform, 11025, num_samples=2)
    estimates.append(np.stack([called["low"], called["high"]], axis=1))
    for estimate in estimates[1:]:
        np.testing.assert_allclose(estimate, estimates[0], atol=1e-4)


def test_a_part_of_a_file(make_separator: MakeSeparator, tmp_path: Path) -> None:
    separator = make_separator()
    waveform = song(2, 20000)
    path = write_wave(tmp_path / "song.wav", waveform, 8000)
    report, mixture, stems = separated(separator, path, start=0.5, duration=1.25, block_seconds=0.2)
    np.testing.assert_array_equal(mixture, waveform[:, 4000:14000])
    np.testing.assert_allclose(stems[0, 0], separator(waveform[:, 4000:14000], 8000)["low"], atol=1e-5)
    assert report.frames == 10000
    assert separated(separator, path, start=2.0, duration=100.0)[0].frames == 4000
    with pytest.raises(JobError, match=r"before the end at 2\.500 s, got 2\.5 s"):
        separated(separator, path, start=2.5)


def test_a_broken_sample_ends_the_job(make_separator: MakeSeparator, tmp_path: Path) -> None:
    import soundfile

    waveform = song(1, 30000)
    waveform[0, 25000] = np.nan
    soundfile.write(tmp_path / "broken.wav", waveform.T, 8000, subtype="FLOAT")
    with pytest.raises(JobError, match="NaN"):
        separated(make_separator(), tmp_path / "broken.wav")


# Stems in a folder, by Separator.separate_file.


@pytest.mark.parametrize(("sample_rate", "channels"), [(8000, 1), (44100, 2), (22050, 3)])
def test_a_file_becomes_stems_that_sum_to_it(
    make_separator: MakeSeparator, tmp_path: Path, sample_rate: int, channels: int
) -> None:
    waveform = song(channels, 30001)
    path = write_wave(tmp_path / "my song.wav", waveform, sample_rate)
    stems = make_separator(error=0.1).separate_file(path, tmp_path / "out")
    folder = tmp_path / "out" / "my song"
    assert stems == {"low": folder / "low.wav", "high": folder / "high.wav"}
    read = [files.read(stem) for stem in stems.values()]
    assert [rate for _, rate in read] == [sample_rate] * 2
    np.testing.assert_allclose(sum(stem for stem, _ in read), waveform, atol=1e-6)


def test_a_file_and_a_waveform_give_the_same_stems(make_separator: MakeSeparator, tmp_path: Path) -> None:
    separator, waveform = make_separator(noise=0.1), song(2, 20000)
    stems = separator.separate_file(write_wave(tmp_path / "song.wav", waveform, 16000), tmp_path, seed=5)
    for name, expected in separator(waveform, 16000, seed=5).items():
        np.testing.assert_allclose(files.read(stems[name])[0], expected, atol=1e-6)


def test_samples_are_files_beside_their_mean(make_separator: MakeSeparator, tmp_path: Path) -> None:
    path = write_wave(tmp_path / "song.wav", song(1, 5000), 8000)
    stems = make_separator(noise=0.1).separate_file(path, tmp_path, num_samples=2)
    assert list(stems) == ["low", "low_sample1", "low_sample2", "high", "high_sample1", "high_sample2"]
    mean, first, second = (files.read(stems[name])[0] for name in list(stems)[:3])
    np.testing.assert_allclose(mean, (first + second) / 2, atol=1e-6)
    assert np.abs(first - second).max() > 1e-3


def test_a_part_of_a_file_in_another_format(make_separator: MakeSeparator, tmp_path: Path) -> None:
    path = write_wave(tmp_path / "song.wav", song(2, 40000), 8000)
    progress: list[int] = []
    stems = make_separator().separate_file(
        path, tmp_path, start=1.0, duration=2.0, format="flac", bits="16", progress=progress.append
    )
    info = files.info(stems["low"])
    assert (info.format, info.subtype, info.frames) == ("FLAC", "PCM_16", 16000) and sum(progress) == 16000


def test_stems_are_replaced_only_if_asked(make_separator: MakeSeparator, tmp_path: Path) -> None:
    path, separator = write_wave(tmp_path / "song.wav", song(1, 5000), 8000), make_separator()
    before = separator.separate_file(path, tmp_path)["low"].read_bytes()
    with pytest.raises(JobError, match="low.wav is there already"):
        separator.separate_file(path, tmp_path, duration=0.1)
    assert (tmp_path / "song" / "low.wav").read_bytes() == before
    stems = separator.separate_file(path, tmp_path, duration=0.1, overwrite=True)
    assert files.info(stems["low"]).frames == 800


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "aiff"}, "format must be one of wav, flac, ogg, mp3, got 'aiff'"),
        ({"bits": "8"}, "bits of wav must be one of 32f, 24, 16, got '8'"),
        ({"clip_mode": "loud"}, "clip_mode must be one of rescale, clamp, none, got 'loud'"),
        ({"num_samples": 0}, "num_samples must be a whole number in 1..2147483647, got 0"),
        ({"seed": -1}, "seed must be a whole number in 0..2147483647, got -1"),
        ({"start": -1.0}, "start must be at least 0 s, got -1"),
        ({"duration": 0.0}, "duration must be above 0 s, got 0"),
        ({"duration": float("nan")}, "duration must be above 0 s, got nan"),
    ],
)
def test_arguments_out_of_range_are_refused_and_nothing_is_written(
    make_separator: MakeSeparator, tmp_path: Path, settings: dict, message: str
) -> None:
    path = write_wave(tmp_path / "song.wav", song(1, 5000), 8000)
    with pytest.raises(InputError, match=message):
        make_separator().separate_file(path, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_file_that_cannot_be_read_is_a_failed_job(make_separator: MakeSeparator, tmp_path: Path) -> None:
    (tmp_path / "song.wav").write_text("no sound")
    with pytest.raises(JobError, match="song.wav"):
        make_separator().separate_file(tmp_path / "song.wav", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_endless_duration_is_the_whole_file(make_separator: MakeSeparator, tmp_path: Path) -> None:
    path = write_wave(tmp_path / "song.wav", song(1, 5000), 8000)
    stems = make_separator().separate_file(path, tmp_path, duration=float("inf"))
    assert files.info(stems["high"]).frames == 5000
