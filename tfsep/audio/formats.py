"""What files can store: the formats of stems with their bits, rates and numbers of channels, and a longest duration."""

from __future__ import annotations

from pathlib import Path

from tfsep.errors import JobError

MAX_CHANNELS = 8
MIN_RATE, MAX_RATE = 1000, 384000
#: {format: {bits: libsndfile's name}}; the first is the usual one.
FORMATS: dict[str, dict[str, str]] = {
    "wav": {"32f": "FLOAT", "24": "PCM_24", "16": "PCM_16"},
    "flac": {"24": "PCM_24", "16": "PCM_16"},
    "ogg": {"lossy": "VORBIS"},
    "mp3": {"lossy": "MPEG_LAYER_III"},
}
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MOST_OF_OGG = 200000
_ANY_OF_FLAC = 65535


class TooLongError(JobError):
    """A sound that lasts longer than is accepted.

    Attributes:
        most: seconds that are accepted.
        seconds: of the sound; None where more is not known.
    """

    def __init__(self, path: Path, most: float, seconds: float | None) -> None:
        self.most, self.seconds = most, seconds
        found = "more" if seconds is None else f"{seconds:.1f} s"
        super().__init__(f"a sound file must last at most {most:g} s, got {found}: {path}")


def check_format(format: str, sample_rate: int, channels: int) -> None:
    """Refuse sound that a format cannot store.

    Args:
        format: "wav", "flac", "ogg" or "mp3".
        sample_rate: Hz.
        channels: how many.

    Raises:
        ValueError: for a rate or a number of channels that the format does not have.
    """
    most = 2 if format == "mp3" else MAX_CHANNELS
    if not 1 <= channels <= most:
        raise ValueError(f"channels of {format} must lie in 1..{most}, got {channels}")
    if sample_rate != int(sample_rate) or not MIN_RATE <= sample_rate <= MAX_RATE:
        raise ValueError(f"sample_rate must lie in {MIN_RATE}..{MAX_RATE} Hz, got {sample_rate}")
    if format == "mp3" and sample_rate not in MP3_RATES:
        rates = ", ".join(map(str, MP3_RATES))
        raise ValueError(f"sample_rate of mp3 must be one of {rates} Hz, got {sample_rate}")
    if format == "ogg" and sample_rate > _MOST_OF_OGG:
        raise ValueError(f"sample_rate of ogg must be at most {_MOST_OF_OGG} Hz, got {sample_rate}")
    if format == "flac" and sample_rate > _ANY_OF_FLAC and sample_rate % 10:
        raise ValueError(f"sample_rate of flac above {_ANY_OF_FLAC} Hz must be a multiple of 10, got {sample_rate}")
