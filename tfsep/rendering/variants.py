r"""Change the pitch and tempo of songs with stems: augmentation that is computed once, before training.

All stems of a song are played faster by one factor r, and all but the drums s semitones higher. A
phase vocoder stretches time by :math:`2^{s/12} / r` and resampling changes the pitch with it, so
that each stem passes one vocoder once. A variant is a random excerpt of its song, the same one of
all stems.

Source: Flanagan and Golden 1966 (the phase vocoder); the package ``librosa``.
"""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tfsep.audio import files
from tfsep.audio.resample import resample
from tfsep.audio.suffixes import sound_files
from tfsep.data import stems
from tfsep.errors import JobError
from tfsep.rendering.song_folder import write_song

UNPITCHED = ("drums",)
_FINE = 48000


@dataclass(frozen=True)
class VariantSettings:
    """Settings of the variants.

    Attributes:
        root: folder of stems, ``<root>/<split>/<track>/<source>.(flac|wav|ogg|mp3)``.
        output: folder of the splits.
        split: name of the split, in both.
        seconds: of each variant; shorter songs stay shorter.
        seed: of everything that is drawn, at least 0.
        sample_rate: Hz.
        channels: 2, or 1 for their mean.
        pitch: largest shift in semitones, in either direction.
        tempo: largest factor by which a song is played faster or slower, at least 1.
    """

    root: Path
    output: Path
    split: str = "train"
    seconds: float = 60.0
    seed: int = 0
    sample_rate: int = 44100
    channels: int = 2
    pitch: float = 2.0
    tempo: float = 1.1


def vary_song(settings: VariantSettings, index: int) -> Path:
    """Make variant number ``index``, of the tracks in turn, and return its folder, unless it is there already.

    Raises:
        InputError: for a folder without tracks.
        JobError: for a stem that cannot be read, or a folder that cannot be written.
    """
    rng = np.random.default_rng([settings.seed, zlib.crc32(settings.split.encode()), index])
    tracks = stems.track_folders(settings.root, settings.split)
    track = tracks[index % len(tracks)]
    semitones = float(rng.uniform(-settings.pitch, settings.pitch))
    faster = float(np.exp(rng.uniform(-1.0, 1.0) * np.log(settings.tempo)))
    position = float(rng.uniform())
    left_out = ("root", "output", "pitch", "tempo")
    about: dict[str, object] = {key: value for key, value in asdict(settings).items() if key not in left_out}
    about |= {"index": index, "track": str(track), "semitones": round(semitones, 4), "faster": round(faster, 4)}
    folder = settings.output / settings.split / f"{track.name} {settings.seed}-{index:05d}"

    def make() -> dict[str, np.ndarray]:
        found = {path.stem: files.read(path) for path in sound_files(track)}
        sounds = {
            name: resample(sound[[0, min(1, len(sound) - 1)]], rate, settings.sample_rate)
            for name, (sound, rate) in found.items()
            if name.casefold() != "mixture"
        }
        if not sounds:
            raise JobError(f"{track} has no stems")
        longest = max(sound.shape[1] for sound in sounds.values())
        length = min(round(settings.seconds * faster * settings.sample_rate), longest)
        first = round(position * (longest - length))
        whole = {name: np.pad(sound, ((0, 0), (0, longest - sound.shape[1]))) for name, sound in sounds.items()}
        return {
            name: varied(sound[:, first : first + length], 0.0 if name in UNPITCHED else semitones, faster)
            for name, sound in whole.items()
        }

    return write_song(folder, about, make, settings.sample_rate, settings.channels)


def varied(sound: np.ndarray, semitones: float, faster: float) -> np.ndarray:
    """Return a sound ``semitones`` higher and ``faster`` times as fast: (channels, time / faster).

    Args:
        sound: (channels, time) float32.
        semitones: any number; of the pitch.
        faster: above 0; of the tempo.
    """
    import librosa

    length = round(sound.shape[1] / faster)
    if not sound.any():
        return np.zeros((len(sound), length), np.float32)
    higher = 2.0 ** (semitones / 12.0)
    stretched = librosa.effects.time_stretch(sound, rate=faster / higher)
    # Resample as if recorded at ``higher`` times its rate; rates of soxr are whole numbers of Hz.
    pitched = resample(np.asarray(stretched, np.float32), round(_FINE * higher), _FINE)
    return np.pad(pitched[:, :length], ((0, 0), (0, max(length - pitched.shape[1], 0))))
