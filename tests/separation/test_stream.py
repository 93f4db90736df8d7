"""Songs disk to disk: exact length, rate, channels and sum, whatever the blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfsep.audio import files
from tfsep.errors import JobError
from tfsep.separation.file import FileReport, separate_file
from tfsep.separation.separator import Separator

MakeSeparator = Callable[..., Separator]


def write(path: Path, waveform: np.ndarray, sample_rate: int) -> Path:
    with files.Writer(path, sample_rate, len(waveform)) as writer:
        writer.write(waveform)
    return path


def song(channels: int, time: int) -> np.ndarray:
    generator = np.random.default_rng(channels)
    return np.cumsum(generator.uniform(-0.05, 0.05, (channels, time)), axis=1).clip(-1, 1).astype(np.float32)


def separated(separator: Separator, path: Path, **settings: float) -> tuple[FileReport, np.ndarray, np.ndarray]:
    mixtures, stems = [], []

    def sink(mixture: np.ndarray, block: np.ndarray) -> None:
        mixtures.append(mixture)
        stems.append(block)

    report = separate_file(separator, path, sink, **settings)
    return report, np.concatenate(mixtures, axis=-1), np.concatenate(stems, axis=-1)


@pytest.mark.parametrize(
    ("sample_rate", "channels", "time"), [(8000, 1, 1), (44100, 2, 60001), (192000, 1, 50000), (1000, 6, 999)]
)
def test_what_goes_in_comes_out(
    make_separator: MakeSeparator, tmp_path: Path, sample_rate: int, channels: int, time: int
) -> None:
    waveform = song(channels, time)
    path = write(tmp_path / "song.wav", waveform, sample_rate)
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
    path = write(tmp_path / "song.wav", waveform, 11025)
    answers = [separated(separator, path, block_seconds=seconds, num_samples=2)[2] for seconds in (0.013, 0.5, 60.0)]
    called = separator(waveform, 11025, num_samples=2)
    answers.append(np.stack([called["low"], called["high"]], axis=1))
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], atol=1e-4)


def test_a_part_of_a_file(make_separator: MakeSeparator, tmp_path: Path) -> None:
    separator = make_separator()
    waveform = song(2, 20000)
    path = write(tmp_path / "song.wav", waveform, 8000)
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
