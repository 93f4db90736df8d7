"""MP3 files whose headers say too little or too much."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tfsep.audio.files import info, read
from tfsep.audio.mp3_length import count_frames, header_at, verified
from tfsep.errors import JobError


def encoded(path: Path, rate: int = 44100, channels: int = 2, seconds: int = 8) -> tuple[bytes, int]:
    """Encode an MP3 of variable rate, quiet first; return its bytes and the offset of its first frame with sound."""
    at = np.arange(rate * seconds) / rate
    noise = np.random.default_rng(0).standard_normal(at.size) * (at > seconds / 2)
    wave = 0.2 * np.sin(2 * np.pi * 440 * at) + 0.1 * noise
    soundfile.write(path, np.stack([wave] * channels, axis=1), rate, bitrate_mode="VARIABLE", compression_level=0.5)
    content = path.read_bytes()
    header = header_at(content, 0)
    assert header is not None and content[header.mark : header.mark + 4] in (b"Xing", b"Info")
    return content, header.length


@pytest.mark.parametrize("rate", [48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000])
@pytest.mark.parametrize("channels", [1, 2])
def test_frames_are_counted(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "a.mp3"
    encoded(path, rate, channels)
    count = count_frames(path)
    assert count is not None and count.announced == count.found
    samples = 1152 if rate >= 32000 else 576
    assert 0 <= count.found * samples - 8 * rate <= 5 * samples
    assert verified(path) is None


@pytest.mark.parametrize("rate", [44100, 22050, 8000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("tag", [b"", b"ID3\x03\0\0\0\0\x02\x00" + b"\xff\xfb\x90\x00" * 64])
def test_without_an_announcement_nothing_is_lost(tmp_path: Path, rate: int, channels: int, tag: bytes) -> None:
    path = tmp_path / "a.mp3"
    content, skipped = encoded(path, rate, channels)
    whole, _ = read(path)
    path.write_bytes(tag + content[skipped:])
    guess = soundfile.info(path).frames
    samples, _ = read(path)
    assert samples.shape == (channels, info(path).frames)
    assert 0 <= samples.shape[1] - whole.shape[1] < 3 * 1152
    assert abs(guess - samples.shape[1]) > 10 * 1152, "the library has learned to count"
    delay = int(np.argmax(np.correlate(samples[0, rate * 6 :][:4000], whole[0, rate * 6 :][:2000])))
    np.testing.assert_allclose(samples[:, delay + 5 * rate :][:, :rate], whole[:, 5 * rate : 6 * rate], atol=1e-3)


def test_two_files_in_one_are_both_read(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    content, skipped = encoded(path, seconds=3)
    path.write_bytes(content + content[skipped:])
    count = count_frames(path)
    assert count is not None and count.announced is not None and count.found == 2 * count.announced
    assert read(path)[0].shape[1] == pytest.approx(2 * 3 * 44100, abs=3 * 1152)


def test_a_tag_at_the_end_is_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    content, _ = encoded(path, seconds=3)
    before = count_frames(path)
    path.write_bytes(content + b"TAG" + b"\xff" * 125)
    assert count_frames(path) == before


def test_frames_behind_a_hole_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.mp3"
    content, skipped = encoded(path, seconds=3)
    before = count_frames(path)
    frame = header_at(content, skipped)
    assert frame is not None
    hole = skipped + frame.length
    path.write_bytes(content[:hole] + b"\0" * 1000 + content[hole:])
    after = count_frames(path)
    assert before is not None and after is not None and after.lost == 1000
    assert dataclasses.replace(after, lost=0) == before
    verified(path)
    assert "1000 bytes between frames of MP3 are no sound" in caplog.text


def test_an_end_within_a_frame_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.mp3"
    content, skipped = encoded(path, seconds=3)
    path.write_bytes(content[skipped:])
    verified(path)
    assert not caplog.text
    path.write_bytes(content[skipped : len(content) - 50])
    verified(path)
    assert "it ends within a frame of MP3" in caplog.text


def test_two_files_of_different_rates_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    first, _ = encoded(path, 44100, seconds=2)
    second, _ = encoded(path, 48000, seconds=2)
    path.write_bytes(first + second)
    with pytest.raises(JobError, match="several sound files in one are not read"):
        read(path)


def test_more_announced_than_found_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    content, _ = encoded(path, seconds=3)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(JobError, match="truncated file: its header announces 11[0-9] frames, got"):
        verified(path)


@pytest.mark.parametrize("content", [b"\xff", b"\xff\xfb\x90\x00", b"ID3", b"ID3\x03\0\0\x7f\x7f\x7f\x7f", b"x" * 9999])
def test_other_files_are_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp3").write_bytes(content)
    assert count_frames(tmp_path / "a.mp3") is None
    assert verified(tmp_path / "a.mp3") is None


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ("fffb9064", 417),
        ("fffb9264", 418),
        ("fff34064", 144 * 32000 // 44100),
        ("ffe34064", 72 * 32000 // 11025),
        ("fffbf064", None),
        ("fffb0064", None),
        ("fffb9c64", None),
        ("ffeb9064", None),
        ("fffd9064", None),
        ("7ffb9064", None),
    ],
)
def test_headers_by_hand(header: str, length: int | None) -> None:
    """The length of 128 kbit/s at 44.1 kHz is 417 bytes, the best known number of the format."""
    found = header_at(bytes.fromhex(header), 0)
    assert (found and found.length) == length
