"""File-name suffixes that count as sound files, in lower case."""

from __future__ import annotations

from pathlib import Path

#: Files of a data set, the preferred format of one recording first.
DATA_SUFFIXES = (".flac", ".wav", ".ogg", ".mp3")
#: Files that ffmpeg is asked to decode where libsndfile refuses them.
DECODED_SUFFIXES = frozenset(
    ".m4a .m4b .mp4 .m4v .mov .3gp .aac .adts .ac3 .eac3 .wma .asf .webm .mka .mkv .opus .oga .ogg .amr .ape .wv .tta "
    ".dts .caf .aif .aiff .wav .flac .mp3 .mp2".split()
)
#: Files that count as sound files in a folder of songs.
SOUND_SUFFIXES = DECODED_SUFFIXES | {".wave", ".aifc", ".au", ".w64", ".rf64"}


def data_files(folder: Path) -> list[Path]:
    """Return the files of a data set in a folder, at any depth, in alphabetical order, whatever their letters' case."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in DATA_SUFFIXES and path.is_file())
