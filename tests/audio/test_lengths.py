"""Files whose header says too much, too little or nothing of their length: read whole, or refused."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tfsep.audio import files
from tfsep.audio.files import Writer, blocks, info, read
from tfsep.errors import JobError

pytestmark = pytest.mark.programs

RATE = 8000
TIME = 3 * RATE
FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="needs ffmpeg")


def sound(channels: int = 2) -> np.ndarray:
    noise = np.random.default_rng(1).standard_normal((channels, TIME))
    return (0.1 * noise).astype(np.float32)


def written(path: Path, **properties: str) -> bytes:
    soundfile.write(path, sound().T, RATE, **properties)
    return path.read_bytes()


def announcing(content: bytes, size: int, order: str = "<I", name: bytes = b"data") -> bytes:
    at = content.index(name) + 4
    return content[:at] + struct.pack(order, size) + content[at + struct.calcsize(order) :]


@pytest.mark.parametrize(
    "size", [0, 0x7FFFFF00, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFDB, 0xFFFF0000]
)
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_wav_of_unknown_size_is_read_to_its_end(tmp_path: Path, size: int, subtype: str) -> None:
    path = tmp_path / "a.wav"
    content = written(path, subtype=subtype)
    whole, _ = read(path)
    path.write_bytes(announcing(content, size))
    described = info(path)
    assert (described.frames, described.format) == (TIME, "WAV")
    np.testing.assert_array_equal(read(path)[0], whole)
    np.testing.assert_array_equal(read(path, 1000, 500)[0], whole[:, 1000:1500])


def test_an_empty_wav_with_a_chunk_behind_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((0, 2)), RATE, subtype="PCM_16")
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 4) + b"INFO")
    with pytest.raises(JobError, match="at least 1 sample, got 0"):
        info(path)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_au_of_unknown_size_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.au"
    content = written(path)
    path.write_bytes(content[:8] + struct.pack(">I", size) + content[12:])
    assert info(path).frames == TIME


def test_a_caf_of_unknown_size_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.caf"
    path.write_bytes(announcing(written(path, subtype="PCM_16"), -1, ">q"))
    assert info(path).frames >= TIME


def flac_announcing(content: bytes, samples: int) -> bytes:
    return content[:21] + bytes([content[21] & 0xF0 | samples >> 32]) + struct.pack(">I", samples) + content[26:]


@pytest.mark.parametrize("announced", [0, 1, 1000, TIME - 1])
def test_a_flac_that_announces_too_little_is_read_whole(tmp_path: Path, announced: int) -> None:
    path = tmp_path / "a.flac"
    content = written(path)
    whole, _ = read(path)
    path.write_bytes(flac_announcing(content, announced))
    assert info(path).frames == TIME
    np.testing.assert_array_equal(read(path)[0], whole)


def test_a_flac_behind_a_tag_and_before_one(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    content = flac_announcing(written(path), 0)
    path.write_bytes(b"ID3\x03\0\0\0\0\0\x0a" + bytes(10) + content + b"TAG" + bytes(125))
    assert info(path).frames == TIME


@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize("announced", [0, TIME, TIME + 1])
def test_a_cut_flac_is_refused(tmp_path: Path, share: float, announced: int) -> None:
    path = tmp_path / "a.flac"
    content = flac_announcing(written(path), announced)
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(JobError, match="truncated file|the file is broken"):
        read(path)


def test_a_flac_that_announces_too_much_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(flac_announcing(written(path), TIME + 5))
    with pytest.raises(JobError, match=f"truncated file: its header announces {TIME + 5} samples, got {TIME}"):
        info(path)


@pytest.mark.parametrize(
    ("name", "properties"),
    [
        ("a.ogg", {"subtype": "VORBIS"}),
        ("a.ogg", {"subtype": "OPUS"}),
        ("a.oga", {"format": "OGG"}),
        ("a.au", {}),
        ("a.caf", {}),
        ("a.w64", {}),
        ("a.aiff", {}),
        ("a.wav", {}),
        ("a.rf64", {}),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_cut_file_is_refused(tmp_path: Path, name: str, properties: dict[str, str], share: float) -> None:
    path = tmp_path / name
    content = written(path, **properties)
    assert info(path).frames == TIME and read(path)[0].shape == (2, TIME)
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(JobError, match=f"truncated file: .*{name}"):
        info(path)


@pytest.mark.parametrize("name", ["a.ogg", "a.flac", "a.wav", "a.aiff", "a.au"])
def test_two_files_in_one_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(2 * written(path))
    with pytest.raises(JobError, match="several .*files in one are not read, split them"):
        info(path)


def test_a_damaged_ogg_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    content = written(path)
    pages = [at for at in range(len(content)) if content.startswith(b"OggS", at)]
    middle = pages[len(pages) // 2]
    for spoiled, reason in (
        (content[:middle] + b"noise" + content[middle:], "5 bytes at [0-9]+ are no page of Ogg"),
        (content[: middle + 99] + b"noise" + content[middle + 104 :], "the page of Ogg at byte [0-9]+ has a wrong"),
        (content[:middle] + content[pages[len(pages) // 2 + 1] :], "pages of Ogg are missing before byte [0-9]+"),
        (content[: pages[-1]], "the last page of its Ogg stream is missing"),
    ):
        path.write_bytes(spoiled)
        with pytest.raises(JobError, match=reason):
            info(path)
    path.write_bytes(content + b"TAG" + bytes(125))
    assert info(path).frames == TIME


def test_a_wav_beyond_its_limit_is_an_rf64(tmp_path: Path) -> None:
    samples = sound()
    for bits, frame in (("32f", 8), ("24", 6), ("16", 4)):
        for limit, kind in ((TIME * frame, b"RF64"), (TIME * frame + 1, b"RIFF")):
            with Writer(tmp_path / "a.wav", RATE, 2, bits, riff_limit=limit) as writer:
                writer.write(samples)
            assert (tmp_path / "a.wav").read_bytes()[:4] == kind
            assert info(tmp_path / "a.wav").frames == TIME
            np.testing.assert_allclose(read(tmp_path / "a.wav")[0], samples, atol=3.1e-5)
            path = tmp_path / "a.wav"
            path.write_bytes(path.read_bytes()[:-1000])
            with pytest.raises(JobError, match="truncated file: its header announces (1000|998|999) bytes more"):
                info(path)


@pytest.mark.parametrize("channels", [1, 2, 3, 8])
@pytest.mark.parametrize("bits", ["32f", "24", "16"])
def test_the_header_is_what_every_program_reads(tmp_path: Path, channels: int, bits: str) -> None:
    """An odd number of bytes is filled up, sizes agree, and the sound is that of libsndfile's own file."""
    path, time = tmp_path / "a.wav", 4001
    samples = sound(channels)[:, :time]
    with Writer(path, RATE, channels, bits) as writer:
        writer.write(samples)
    content = path.read_bytes()
    assert int.from_bytes(content[4:8], "little") == len(content) - 8 and len(content) % 2 == 0
    subtype = {"32f": "FLOAT", "24": "PCM_24", "16": "PCM_16"}[bits]
    soundfile.write(tmp_path / "b.wav", samples.T, RATE, subtype=subtype)
    np.testing.assert_array_equal(read(path)[0], read(tmp_path / "b.wav")[0])
    assert info(path).subtype == subtype


@pytest.mark.parametrize(("name", "bits"), [("a.wav", "32f"), ("a.wav", "16"), ("a.flac", "24"), ("a.mp3", None)])
def test_equal_samples_give_equal_bytes(
    tmp_path: Path, name: str, bits: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for _ in range(2):
        with Writer(tmp_path / name, RATE, 2, bits, name[2:]) as writer:
            writer.write(sound())
        found.append((tmp_path / name).read_bytes())
    assert found[0] == found[1] and b"PEAK" not in found[0][:200]


def test_a_file_that_lost_samples_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.flac"
    with pytest.raises(JobError, match="cannot write .*a.flac: [0-9]+ samples were written, got 24000"):
        with Writer(path, RATE, 2, format="flac") as writer:
            writer.write(sound())
            writer.frames += 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_real_wav_beyond_4_gib(tmp_path: Path) -> None:
    """As many samples come out of 4.4 GB as went in."""
    frames, block = 137_856_000 * 2, np.zeros((1, 4_000_000), np.float32)
    block[0, ::1000] = 0.25
    path = tmp_path / "long.wav"
    with Writer(path, 384000, 4, bits="32f") as writer:
        left = frames
        while left:
            part = block[:, : min(left, block.shape[1])]
            writer.write(np.broadcast_to(part, (4, part.shape[1])))
            left -= part.shape[1]
    assert path.stat().st_size > 1 << 32
    assert info(path).frames == frames
    np.testing.assert_array_equal(read(path, frames - 1000)[0], read(path, 0, 1000)[0])
    path.unlink()


CUT = ["a.m4a", "a.aac", "a.mka", "a.webm", "a.wma", "a.tta", "a.wv", "a.mp2", "a.ac3"]


@pytest.fixture
def encode(tmp_path: Path) -> Callable[[str], bytes]:
    def encoded(name: str, *options: str) -> bytes:
        soundfile.write(tmp_path / "source.wav", np.tile(sound(), 2).T, 16000)
        options = options or (("-movflags", "+faststart") if name.endswith("m4a") else ())
        rate = () if name.endswith("webm") else ("-ar", "44100")
        command = [str(FFMPEG), "-v", "error", "-y", "-i", str(tmp_path / "source.wav"), *rate, *options]
        if subprocess.run([*command, str(tmp_path / name)], check=False).returncode:
            pytest.skip(f"this ffmpeg does not encode {name}")
        return (tmp_path / name).read_bytes()

    return encoded


@needs_ffmpeg
@pytest.mark.parametrize("name", CUT)
def test_a_cut_file_of_ffmpeg_is_refused(tmp_path: Path, encode: Callable[[str], bytes], name: str) -> None:
    content = encode(name)
    assert info(tmp_path / name).seconds == pytest.approx(3.0, abs=0.12)
    for share in (0.5, 0.95):
        (tmp_path / name).write_bytes(content[: int(share * len(content)) | 1])
        with pytest.raises(JobError, match=f"(truncated|broken|not a sound) file.*{name}"):
            info(tmp_path / name)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.webm", "a.wv", "a.mka", "a.m4a"])
def test_noise_within_a_file_of_ffmpeg_is_refused(tmp_path: Path, encode: Callable[[str], bytes], name: str) -> None:
    content = encode(name)
    middle, length = len(content) // 2, len(content) // 10
    noise = np.random.default_rng(0).bytes(length)
    (tmp_path / name).write_bytes(content[:middle] + noise + content[middle + length :])
    with pytest.raises(JobError, match=f"(truncated|broken|not a sound) file.*{name}"):
        info(tmp_path / name)


@needs_ffmpeg
def test_what_ffmpeg_writes_to_a_pipe_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "source.wav", sound().T, RATE)
    forms = {"p.flac": "flac", "p.wav": "wav", "p.mka": "matroska", "p.au": "au", "p.w64": "w64", "p.caf": "caf"}
    for name, form in forms.items():
        piped(tmp_path / "source.wav", tmp_path / name, "-f", form)
        assert info(tmp_path / name).frames == pytest.approx(TIME, abs=100)
        assert sum(block.shape[1] for block in blocks(tmp_path / name, 1000)) == info(tmp_path / name).frames
    piped(tmp_path / "source.wav", tmp_path / "p.rf64", "-rf64", "always", "-f", "wav")
    np.testing.assert_array_equal(read(tmp_path / "p.rf64")[0], read(tmp_path / "source.wav")[0])
    piped(tmp_path / "source.wav", tmp_path / "p.wma", "-ar", "44100", "-c:a", "wmav2", "-f", "asf")
    assert info(tmp_path / "p.wma").seconds == pytest.approx(TIME / RATE, abs=0.05)


def piped(source: Path, target: Path, *options: str) -> None:
    """Write what ffmpeg writes to a pipe, in which it cannot go back to a header."""
    command = [str(FFMPEG), "-v", "error", "-i", str(source), *options, "-"]
    target.write_bytes(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


@pytest.mark.parametrize("size", [0, 1 << 63, (1 << 64) - 1])
def test_an_rf64_of_unknown_size_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.rf64"
    content = written(path, subtype="PCM_16")
    whole, _ = read(path)
    at = content.index(b"ds64") + 16
    path.write_bytes(content[:at] + struct.pack("<Q", size) + content[at + 8 :])
    np.testing.assert_array_equal(read(path)[0], whole)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.m4a", "a.mp4", "a.mov", "a.tta", "a.wma", "a.mka", "a.wv"])
def test_two_files_of_ffmpeg_in_one_are_refused(tmp_path: Path, encode: Callable[[str], bytes], name: str) -> None:
    content = encode(name)
    assert info(tmp_path / name).seconds == pytest.approx(3.0, abs=0.12)
    (tmp_path / name).write_bytes(2 * content)
    with pytest.raises(JobError, match=f"(several sound files in one|truncated file|broken file).*{name}"):
        info(tmp_path / name)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.tta", "a.wv"])
def test_zeros_within_a_frame_with_a_checksum_are_refused(
    tmp_path: Path, encode: Callable[[str], bytes], name: str
) -> None:
    content = encode(name)
    middle = len(content) // 2
    (tmp_path / name).write_bytes(content[:middle] + bytes(8) + content[middle + 8 :])
    with pytest.raises(JobError, match=f"broken file.*{name}"):
        info(tmp_path / name)


@needs_ffmpeg
def test_a_damaged_or_cut_dts_is_refused(tmp_path: Path, encode: Callable[[str], bytes]) -> None:
    content = encode("a.dts", "-strict", "experimental", "-c:a", "dca")
    assert info(tmp_path / "a.dts").seconds == pytest.approx(3.0, abs=0.12)
    middle = len(content) // 2
    noise = np.random.default_rng(0).bytes(5000)
    for damaged, said in (
        (content[:middle] + noise + content[middle + 5000 :], "no frame of DTS begins at byte"),
        (content[:-7], "ends 7 bytes beyond its end"),
    ):
        (tmp_path / "a.dts").write_bytes(damaged)
        with pytest.raises(JobError, match=said):
            info(tmp_path / "a.dts")


def test_a_container_whose_length_is_not_checked_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.nist", sound().T, RATE, format="NIST", subtype="PCM_16")
    with pytest.raises(JobError, match="a sound file must be one of WAV, .*, MP3, got NIST"):
        info(tmp_path / "a.nist")


def test_samples_that_are_no_sound_are_refused(tmp_path: Path) -> None:
    samples = sound()
    samples[1, 100] = 1e30
    soundfile.write(tmp_path / "a.wav", samples.T, RATE, subtype="FLOAT")
    with pytest.raises(JobError, match=r"samples must be at most 1e\+10 times full scale, got 1e\+30"):
        read(tmp_path / "a.wav")
    assert files.read(tmp_path / "a.wav", 101, 10)[0].shape == (2, 10)


@needs_ffmpeg
@pytest.mark.parametrize("packets", [2, 3, 5])
def test_a_wma_that_is_cut_between_packets_is_refused(tmp_path: Path, packets: int) -> None:
    """ffmpeg reads it as a shorter sound without an error."""
    path = tmp_path / "a.wma"
    written(tmp_path / "a.wav")
    command = [str(FFMPEG), "-v", "error", "-i", str(tmp_path / "a.wav"), "-ar", "44100", "-b:a", "128k", str(path)]
    subprocess.run(command, check=True)
    content = path.read_bytes()
    properties = content.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    packet = int.from_bytes(content[properties + 92 : properties + 96], "little")
    data = content.index(bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c"))
    path.write_bytes(content[: data + 50 + packets * packet])
    lost = len(content) - path.stat().st_size
    with pytest.raises(JobError, match=rf"truncated file: it announces {len(content)} bytes, of which {lost} are"):
        info(path)
    path.write_bytes(content)
    assert info(path).frames > 0


@needs_ffmpeg
def test_an_mp3_too_short_for_libsndfile_is_refused_by_what_it_announces(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    content = written(path, format="MP3")
    path.write_bytes(content[:1000])
    with pytest.raises(JobError, match="truncated file|not a sound file|holds no sound"):
        info(path)
