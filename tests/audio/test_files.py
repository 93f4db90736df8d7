"""Real sound files of every kind, good and bad, in and out."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tfsep.audio.files import AudioInfo, Writer, blocks, info, read
from tfsep.errors import JobError

pytestmark = pytest.mark.programs

RATE = 44100


def sound(channels: int = 2, time: int = 20000, rate: int = RATE) -> np.ndarray:
    at = np.arange(time) / rate
    return np.stack([0.5 * np.sin(2 * np.pi * (220 + 110 * row) * at) for row in range(channels)]).astype(np.float32)


def written(path: Path, samples: np.ndarray, rate: int = RATE, **properties: str) -> Path:
    soundfile.write(path, samples.T, rate, **properties)
    return path


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("name", "bits", "error"),
    [
        ("a.wav", None, 0.0),
        ("a.wav", "24", 1.2e-7),
        ("a.wav", "16", 3.1e-5),
        ("a.flac", None, 1.2e-7),
        ("a.flac", "16", 3.1e-5),
    ],
)
def test_lossless_formats_give_the_samples_back(tmp_path: Path, name: str, bits: str | None, error: float) -> None:
    samples = sound()
    with Writer(tmp_path / name, RATE, 2, bits, name[2:]) as writer:
        writer.write(samples)
    again, rate = read(tmp_path / name)
    assert rate == RATE and again.dtype == np.float32 and again.shape == samples.shape
    assert np.abs(again - samples).max() <= error
    assert left_in(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a.ogg", "a.mp3"])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossy_formats_keep_length_rate_and_channels(tmp_path: Path, name: str, channels: int) -> None:
    samples = sound(channels, 3 * RATE + 17)
    with Writer(tmp_path / name, RATE, channels, format=name[2:]) as writer:
        writer.write(samples)
    described = info(tmp_path / name)
    again, rate = read(tmp_path / name)
    assert (described.sample_rate, described.channels, described.frames) == (RATE, channels, samples.shape[1])
    assert rate == RATE and again.shape == samples.shape
    assert np.linalg.norm(again - samples) < 0.05 * np.linalg.norm(samples)


def test_a_long_stereo_ogg_is_written_whole(tmp_path: Path) -> None:
    """In one call to libsndfile, a minute of it would end the process."""
    with Writer(tmp_path / "a.ogg", 16000, 2, format="ogg") as writer:
        writer.write(np.tile(sound(2, 16000, 16000), 70))
    assert info(tmp_path / "a.ogg").seconds == 70.0


def test_info_describes_what_is_there(tmp_path: Path) -> None:
    path = written(tmp_path / "a.wav", sound(2, 22050), subtype="PCM_24")
    described = info(path)
    assert described == AudioInfo(path, RATE, 2, 22050, "PCM_24", "WAV")
    assert described.seconds == 0.5


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_every_kind_of_sample_is_read(tmp_path: Path, subtype: str) -> None:
    samples = sound()
    again, _ = read(written(tmp_path / "a.wav", samples, subtype=subtype))
    assert np.abs(again - samples).max() < 0.02


@pytest.mark.parametrize("rate", [1000, 8000, 192000, 384000])
@pytest.mark.parametrize("channels", [1, 6, 8])
def test_rates_and_channels_within_bounds(tmp_path: Path, rate: int, channels: int) -> None:
    with Writer(tmp_path / "a.wav", rate, channels) as writer:
        writer.write(sound(channels, 500, rate))
    again, read_rate = read(tmp_path / "a.wav")
    assert read_rate == rate
    np.testing.assert_array_equal(again, sound(channels, 500, rate))


@pytest.mark.parametrize(
    "name", ["two words.wav", "Übung – 音楽 №5.wav", 'quote\'s "double".wav', "-dash.wav", "x" * 250 + ".wav"]
)
def test_names_are_just_names(tmp_path: Path, name: str) -> None:
    with Writer(tmp_path / name, RATE, 1) as writer:
        writer.write(sound(1, 100))
    assert info(str(tmp_path / name)).frames == 100
    assert left_in(tmp_path) == [name]


def test_one_sample_is_a_sound(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.wav", RATE, 1) as writer:
        writer.write(np.array([[0.25]]))
    samples, _ = read(tmp_path / "a.wav")
    np.testing.assert_array_equal(samples, [[0.25]])


def test_a_part_is_read_alone(tmp_path: Path) -> None:
    samples = sound()
    for name in ("a.wav", "a.flac"):
        path = written(tmp_path / name, samples, subtype="PCM_24")
        np.testing.assert_allclose(read(path, 1234, 100)[0], samples[:, 1234:1334], atol=1.2e-7)
        np.testing.assert_allclose(read(path, 19990, 100)[0], samples[:, 19990:], atol=1.2e-7)
    for start in (-1, 20000):
        with pytest.raises(ValueError, match=rf"start must lie in 0..19999, got {start}"):
            read(path, start)
    with pytest.raises(ValueError, match="frames must be at least 1, got 0"):
        read(path, 0, 0)


@pytest.mark.parametrize("block_frames", [1, 777, 1000, 2000, 2001, 10**9])
def test_blocks_are_the_whole(tmp_path: Path, block_frames: int) -> None:
    samples = sound(3, 2000)
    path = written(tmp_path / "a.wav", samples, subtype="FLOAT")
    pieces = list(blocks(path, block_frames))
    assert all(piece.shape[1] == block_frames for piece in pieces[:-1])
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), samples)
    with pytest.raises(ValueError, match="block_frames must be at least 1, got 0"):
        next(blocks(path, 0))


def test_blocks_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with Writer(path, 8000, 2, format="flac") as writer:
        for _ in range(600):
            writer.write(np.zeros((2, 8000), np.float32))
    tracemalloc.start()
    total = sum(block.shape[1] for block in blocks(path, 8000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 600 * 8000
    assert peak < 2**20


class TestBadFiles:
    """Each is refused with one line that names the file and the rule."""

    def refused(self, path: Path, message: str, **bounds: float) -> None:
        for attempt in (lambda: read(path, **bounds), lambda: list(blocks(path, 1000, **bounds))):
            with pytest.raises(JobError, match=message) as caught:
                attempt()
            assert path.name in str(caught.value) and "\n" not in str(caught.value)

    def test_missing(self, tmp_path: Path) -> None:
        self.refused(tmp_path / "nothing here.wav", "cannot read .*: No such file or directory")

    def test_a_folder(self, tmp_path: Path) -> None:
        self.refused(tmp_path, "must be a regular file, got a folder or device")

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.wav")
        self.refused(tmp_path / "a.wav", "must be a regular file")

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").touch()
        self.refused(tmp_path / "a.wav", "got an empty file")

    @pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg", "a.txt", "noname", "a.raw", "a.m4a"])
    def test_text(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_text("This is a letter and not a sound.\n" * 50)
        self.refused(tmp_path / name, "not a sound file")

    def test_a_header_alone(self, tmp_path: Path) -> None:
        self.refused(written(tmp_path / "a.wav", np.zeros((2, 0))), "must hold at least 1 sample, got 0")

    @pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
    @pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
    def test_a_truncated_wav(self, tmp_path: Path, subtype: str, share: float) -> None:
        path = written(tmp_path / "a.wav", sound(), subtype=subtype)
        os.truncate(path, int(share * path.stat().st_size))
        self.refused(path, "truncated file: its header announces [0-9]+ bytes more than there are")

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
    def test_a_truncated_mp3(self, tmp_path: Path, share: float) -> None:
        path = written(tmp_path / "a.mp3", sound(2, 10 * RATE))
        os.truncate(path, int(share * path.stat().st_size))
        self.refused(path, "truncated file: its header announces [0-9]+ frames, got [0-9]+")

    def test_a_truncated_aiff(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.aiff", sound())
        os.truncate(path, 5000)
        self.refused(path, "truncated file")

    def test_a_wav_truncated_within_its_header(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.wav", sound())
        os.truncate(path, 30)
        self.refused(path, "not a sound file|at least 1 sample")

    @pytest.mark.parametrize("share", [0.3, 0.9])
    def test_a_truncated_flac(self, tmp_path: Path, share: float) -> None:
        path = written(tmp_path / "a.flac", np.random.default_rng(0).uniform(-1, 1, (2, 50000)))
        os.truncate(path, int(share * path.stat().st_size))
        self.refused(path, "truncated file|the file is broken")

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_not_finite(self, tmp_path: Path, value: float) -> None:
        samples = sound()
        samples[1, 12345] = value
        path = written(tmp_path / "a.wav", samples, subtype="FLOAT")
        self.refused(path, "samples must be finite, got NaN or infinity at 0.279932 s")
        assert read(path, 0, 12345)[0].shape == (2, 12345)

    def test_nine_channels(self, tmp_path: Path) -> None:
        self.refused(written(tmp_path / "a.wav", np.zeros((9, 10))), r"channels must lie in 1..8, got 9")

    @pytest.mark.parametrize("rate", [1, 999, 384001])
    def test_rates_out_of_bounds(self, tmp_path: Path, rate: int) -> None:
        path = written(tmp_path / "a.wav", np.zeros((1, 10)), rate)
        self.refused(path, rf"sample_rate must lie in 1000..384000 Hz, got {rate}")

    def test_longer_than_allowed(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.flac", np.zeros((1, 3 * RATE)))
        assert path.stat().st_size < 20000
        self.refused(path, r"must last at most 2 s, got 3.0 s", max_seconds=2)
        assert info(path, max_seconds=3).frames == 3 * RATE

    def test_unreadable(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.wav", sound())
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("this user may read everything")
        self.refused(path, "cannot read .*: Permission denied")


class TestWriter:
    """Files are written completely or not at all."""

    def test_nothing_is_there_before_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "a.wav"
        with Writer(path, RATE, 1) as writer:
            writer.write(sound(1))
            assert not path.exists()
        assert left_in(tmp_path) == ["a.wav"]

    def test_an_exception_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt), Writer(tmp_path / "x" / "y" / "a.wav", RATE, 1) as writer:
            writer.write(sound(1))
            raise KeyboardInterrupt
        assert left_in(tmp_path) == []

    def test_an_exception_keeps_the_earlier_file(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.wav", sound(1, 10))
        before = path.read_bytes()
        with pytest.raises(JobError), Writer(path, RATE, 1) as writer:
            writer.write(sound(1))
            writer.write(np.array([[0.0, np.nan]]))
        assert path.read_bytes() == before and left_in(tmp_path) == ["a.wav"]

    def test_a_file_is_replaced(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.wav", sound(1, 10))
        with Writer(path, 8000, 2) as writer:
            writer.write(sound(2, 500))
        assert (info(path).frames, info(path).channels) == (500, 2)

    @pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
    def test_what_is_not_finite_is_refused(self, tmp_path: Path, value: float) -> None:
        with (
            pytest.raises(JobError, match="samples must be finite"),
            Writer(tmp_path / "a.wav", RATE, 1, "16") as writer,
        ):
            writer.write(np.array([[value]]))
        assert left_in(tmp_path) == []

    def test_no_samples_are_no_file(self, tmp_path: Path) -> None:
        with (
            pytest.raises(JobError, match="at least 1 sample, got none"),
            Writer(tmp_path / "a.wav", RATE, 1) as writer,
        ):
            writer.write(np.zeros((1, 0)))
        assert left_in(tmp_path) == []

    def test_a_folder_that_cannot_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with (
            pytest.raises(JobError, match=r"cannot write .*a.wav: "),
            Writer(tmp_path / "file" / "b" / "a.wav", RATE, 1),
        ):
            pass
        assert left_in(tmp_path) == ["file"]

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        folder = tmp_path / "locked"
        folder.mkdir(mode=0o500)
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(JobError, match="cannot write .*: Permission denied"), Writer(folder / "a.wav", RATE, 1):
            pass

    def test_a_folder_at_the_path_of_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.wav").mkdir()
        with pytest.raises(JobError, match="cannot write .*: it is a folder"), Writer(tmp_path / "a.wav", RATE, 1):
            pass
        assert left_in(tmp_path) == ["a.wav"]

    def test_clipping_is_counted_and_not_wrapped(self, tmp_path: Path) -> None:
        samples = np.array([[0.5, 1.5, -2.0, 1.0]])
        for bits, clipped, last in (("16", 2, -1.0), ("24", 2, -1.0), ("32f", 0, -2.0)):
            with Writer(tmp_path / "a.wav", RATE, 1, bits) as writer:
                writer.write(samples)
            assert (writer.clipped, writer.peak) == (clipped, 2.0)
            assert read(tmp_path / "a.wav")[0][0, 2] == pytest.approx(last)

    def test_many_blocks_are_one_file(self, tmp_path: Path) -> None:
        samples = sound(2, 5000)
        with Writer(tmp_path / "a.wav", 1000, 2) as writer:
            for start in range(0, 5000, 700):
                writer.write(samples[:, start : start + 700])
        np.testing.assert_array_equal(read(tmp_path / "a.wav")[0], samples)

    def test_writers_in_threads_do_not_meet(self, tmp_path: Path) -> None:
        def write(index: int) -> None:
            with Writer(tmp_path / "same.wav", RATE, 1) as writer:
                writer.write(np.full((1, 1000 + index), index / 10))

        threads = [threading.Thread(target=write, args=(index,)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        samples, _ = read(tmp_path / "same.wav")
        assert left_in(tmp_path) == ["same.wav"]
        np.testing.assert_allclose(samples, (samples.shape[1] - 1000) / 10, atol=1e-6)

    @pytest.mark.parametrize(
        ("properties", "message"),
        [
            ((RATE, 2, "16", "aac"), "format must be one of wav, flac, ogg, mp3, got 'aac'"),
            ((RATE, 2, "32f", "flac"), "bits of flac must be one of 24, 16, got '32f'"),
            ((RATE, 2, "8", "wav"), "bits of wav must be one of 32f, 24, 16, got '8'"),
            ((RATE, 0, "16", "wav"), r"channels of wav must lie in 1..8, got 0"),
            ((RATE, 6, None, "mp3"), r"channels of mp3 must lie in 1..2, got 6"),
            ((96000, 2, None, "mp3"), r"sample_rate of mp3 must be one of 8000, .*, 48000 Hz, got 96000"),
            ((5000, 1, None, "mp3"), r"sample_rate of mp3 must be one of 8000, .*, 48000 Hz, got 5000"),
            ((384000, 1, None, "ogg"), r"sample_rate of ogg must be at most 200000 Hz, got 384000"),
            ((96001, 1, None, "flac"), r"sample_rate of flac above 65535 Hz must be a multiple of 10, got 96001"),
            ((500, 1, None, "wav"), r"sample_rate must lie in 1000..384000 Hz, got 500"),
            ((44100.5, 1, None, "wav"), "got 44100.5"),
        ],
    )
    def test_bad_properties_are_refused(self, tmp_path: Path, properties: tuple, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Writer(tmp_path / "new" / "a.wav", *properties)
        assert left_in(tmp_path) == []

    def test_bad_use_is_refused(self, tmp_path: Path) -> None:
        writer = Writer(tmp_path / "a.wav", RATE, 2)
        with pytest.raises(ValueError, match="must be entered before it writes"):
            writer.write(sound())
        with writer, pytest.raises(ValueError, match=r"block must be \(2, time\), got shape \(3, 10\)"):
            writer.write(sound())
            writer.write(np.zeros((3, 10)))


class TestFfmpeg:
    """Formats beyond libsndfile, through the program where it is installed."""

    @pytest.fixture
    def encode(self, tmp_path: Path):  # type: ignore[no-untyped-def]
        program = shutil.which("ffmpeg")
        if program is None:
            pytest.skip("ffmpeg is not installed")

        def encode(name: str, samples: np.ndarray) -> Path:
            source = written(tmp_path / "source.wav", samples, subtype="FLOAT")
            subprocess.run([program, "-v", "error", "-i", source, f"file:{tmp_path / name}"], check=True)
            return tmp_path / name

        return encode

    @pytest.mark.parametrize("name", ["a.m4a", "a.mp4", "a.aac", "a.mka", "a.wma", "with: colon é.m4a"])
    def test_other_formats_are_decoded(self, encode, name: str) -> None:  # type: ignore[no-untyped-def]
        samples = sound(2, RATE)
        path = encode(name, samples)
        described = info(path)
        again, rate = read(path)
        assert (rate, described.channels, described.format) == (RATE, 2, path.suffix[1:].upper())
        assert again.shape == (2, described.frames) and abs(described.frames - RATE) < 5000
        assert np.std(again) == pytest.approx(np.std(samples), rel=0.05)
        assert sum(block.shape[1] for block in blocks(path, 1000)) == described.frames

    def test_no_more_than_the_bound_is_decoded(self, encode) -> None:  # type: ignore[no-untyped-def]
        path = encode("a.m4a", sound(1, 5 * RATE))
        with pytest.raises(JobError, match=r"must last at most 2 s, got 5.0 s"):
            read(path, max_seconds=2)

    def test_a_playlist_is_not_followed(self, encode, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        secret = encode("secret.m4a", sound())
        (tmp_path / "list.m4a").write_text("ffconcat version 1.0\nfile secret.m4a\n")
        command = [shutil.which("ffmpeg"), "-v", "error", "-i", "list.m4a", "followed.wav"]
        subprocess.run(command, cwd=tmp_path, check=True)
        assert info(tmp_path / "followed.wav").frames == info(secret).frames
        with pytest.raises(JobError, match="ffmpeg cannot decode it"):
            read(tmp_path / "list.m4a")

    @pytest.mark.parametrize("options", [["-q:a", "5", "-write_xing", "0"], ["-b:a", "64k", "-write_xing", "0"], []])
    def test_mp3_of_other_encoders(self, encode, tmp_path: Path, options: list[str]) -> None:  # type: ignore[no-untyped-def]
        """Without a header of lengths, and with a variable rate, their length is still exact."""
        encode("b.wav", sound(2, 20 * RATE))
        command = [shutil.which("ffmpeg"), "-v", "error", "-i", "b.wav", *options, "b.mp3"]
        if subprocess.run(command, cwd=tmp_path).returncode:
            pytest.skip("this ffmpeg encodes no mp3")
        assert abs(info(tmp_path / "b.mp3").frames - 20 * RATE) < 3 * 1152
        assert read(tmp_path / "b.mp3")[0].shape == (2, info(tmp_path / "b.mp3").frames)

    def test_without_the_program_it_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(1000))
        with pytest.raises(JobError, match="unless ffmpeg knows it, which is not installed: .*a.m4a"):
            info(tmp_path / "a.m4a")


def test_a_name_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    named = os.path.join(os.fsencode(tmp_path), b"caf\xe9.wav")
    plain = tmp_path / "plain.wav"
    soundfile.write(plain, np.zeros(100, np.float32), 8000)
    os.rename(plain, named)
    assert info(os.fsdecode(named)).frames == 100
