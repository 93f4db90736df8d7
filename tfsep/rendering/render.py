"""Render training songs with stems: notes from MIDI files or the built-in composer, sound from soundfonts.

Layout: ``<output>/<split>/<track>/<source>.flac`` (16 bits), and ``song.json`` beside them, which
says how the track was made. Track number k depends on (seed, split, k) alone, not on the order or
number of tracks. Programs, soundfonts, levels, effects, tempo and transposition are random within
what suits each group; the sum of the stems of a track has a peak of 0.9.

Without voices the lead is played by an instrument and is the fourth source. With voices it is sung
in four songs of five (singing.py), in some by two takes at once; in the fifth an instrument plays
it, and it belongs to other. A share of the parts that are not sung may be played by the built-in
synthesiser and drum machine (subtractive.py, drum_machine.py), each with a random sound. With kits
every other of the remaining drum parts is played by recorded strokes (drum_kits.py).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from tfsep.errors import JobError
from tfsep.rendering import drum_machine, subtractive
from tfsep.rendering.composer import compose
from tfsep.rendering.drum_kits import drawn_strokes, struck
from tfsep.rendering.effects import random_effects
from tfsep.rendering.fluidsynth import synthesise
from tfsep.rendering.midi_files import excerpt, read_song
from tfsep.rendering.notes import Part, Song
from tfsep.rendering.singing import sing
from tfsep.rendering.song_folder import write_song
from tfsep.rendering.speech import recorded_speech

GROUPS = ("drums", "bass", "other", "lead")
SOURCES = ("drums", "bass", "other", "vocals")
PROGRAMS: dict[str, tuple[int, ...]] = {
    "drums": (0, 0, 0, 8, 16, 24, 25, 32, 40),
    "bass": (32, 33, 33, 34, 34, 35, 36, 37, 38, 38, 39, 39, 43),
    "other": (*range(0, 12), *range(16, 32), *range(44, 52), *range(88, 96), 104, 107, 108),
    "lead": (*(52, 53, 54, 85) * 5, *range(40, 43), *range(56, 80), *range(80, 88)),
    "solo": (*range(40, 43), *range(56, 85), 86, 87),
}
LEVELS_DB = {"drums": 0.0, "bass": -1.0, "other": -5.0, "lead": -1.0}
SPREAD_DB = 5.0
PEAK = 0.9
SUNG, DOUBLED, STRUCK = 0.8, 0.25, 0.5
SOUNDFONT, SPEECH, KIT, SYNTHESISER = "soundfont", "singer", "kit", "synthesiser"


@dataclass(frozen=True)
class RenderSettings:
    """Settings of a rendering.

    Attributes:
        soundfonts: SF2 or SF3 files, one of them drawn for each part.
        output: folder of the splits.
        midi: MIDI files, taken in turn; empty: the built-in composer.
        split: name of the split.
        seconds: of each song.
        seed: of everything that is drawn, at least 0.
        sample_rate: Hz.
        channels: 2, or 1 for their mean.
        sources: the names of drums, bass, other and lead.
        voices: folders of speech, one of them drawn for each song; empty: an instrument plays the
            lead.
        kits: folders of recorded strokes, one of them drawn for the drums of every other song;
            empty: soundfonts alone.
        programs: General MIDI programs, 0..127, by group, instead of the usual ones.
        synthesised: share of the parts without singer that the built-in synthesiser or drum machine
            plays.
    """

    soundfonts: tuple[Path, ...]
    output: Path
    midi: tuple[Path, ...] = ()
    split: str = "train"
    seconds: float = 60.0
    seed: int = 0
    sample_rate: int = 44100
    channels: int = 2
    sources: Sequence[str] = SOURCES
    voices: tuple[Path, ...] = ()
    kits: tuple[Path, ...] = ()
    programs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    synthesised: float = 0.0


@dataclass(frozen=True)
class Player:
    """What plays a part: program ``program`` of the soundfont ``origin``, the speech of a singer, or a drum kit."""

    group: str
    program: int
    origin: Path
    kind: str = SOUNDFONT


def render_song(settings: RenderSettings, index: int) -> Path:
    """Render song number ``index`` and return its folder, unless the same song is there already.

    Raises:
        JobError: as from the synthesiser, for a MIDI file that cannot be read, or a folder that
            cannot be written.
    """
    rng = np.random.default_rng([settings.seed, zlib.crc32(settings.split.encode()), index])
    song = _song(settings, index, rng)
    folder = settings.output / settings.split / song.name
    players = [_player(part.group, settings, rng) for part in song.parts]

    def make() -> dict[str, np.ndarray]:
        shape = (2, round(settings.seconds * settings.sample_rate))
        played = {player.group for player in players}
        stems = {group: np.zeros(shape, np.float32) for group in GROUPS if group in played}
        for part, player in zip(song.parts, players, strict=True):
            sound = _sound(part, song.tempo, settings, player, rng)
            stems[player.group] += random_effects(sound, player.group, settings.sample_rate, rng)
        return {settings.sources[GROUPS.index(group)]: sound for group, sound in balanced(stems, rng).items()}

    about = _described(song, players, settings, index)
    return write_song(folder, about, make, settings.sample_rate, settings.channels)


def _song(settings: RenderSettings, index: int, rng: np.random.Generator) -> Song:
    """Compose or read song number ``index``, with the name of its folder."""
    if not settings.midi:
        return compose(f"invented {settings.seed}-{index:05d}", settings.seconds, rng)
    path = settings.midi[index % len(settings.midi)]
    song = excerpt(read_song(path), settings.seconds, rng)
    if not song.parts:
        raise JobError(f"{path} is silent in the excerpt of song {index}")
    return replace(song, name=f"{song.name} {settings.seed}-{index:05d}")


def _sound(part: Part, tempo: float, settings: RenderSettings, player: Player, rng: np.random.Generator) -> np.ndarray:
    """Return the sound of a part by its player, (2, time)."""
    if player.kind == SPEECH:
        return _sung(part, tempo, settings, player.origin, rng)
    if player.kind == KIT:
        strokes = drawn_strokes(player.origin, settings.sample_rate, rng)
        return struck(part, tempo, settings.seconds, strokes, settings.sample_rate)
    if player.kind == SYNTHESISER and player.group == "drums":
        strokes = drum_machine.random_strokes(settings.sample_rate, rng)
        return struck(part, tempo, settings.seconds, strokes, settings.sample_rate)
    if player.kind == SYNTHESISER:
        patch = subtractive.random_patch(player.group, rng)
        return subtractive.play(part, tempo, settings.seconds, patch, settings.sample_rate, rng)
    voice = replace(part, program=player.program)
    return synthesise(voice, tempo, settings.seconds, player.origin, settings.sample_rate)


def _player(group: str, settings: RenderSettings, rng: np.random.Generator) -> Player:
    """Draw the player of a part; with voices the lead is sung, or played as one more of the others."""
    programs = group
    if group == "lead" and settings.voices:
        if rng.uniform() < SUNG:
            return Player(group, 0, settings.voices[int(rng.integers(len(settings.voices)))], SPEECH)
        group, programs = "other", "solo"
    if settings.synthesised and rng.uniform() < settings.synthesised:
        return Player(group, 0, Path("built-in"), SYNTHESISER)
    if group == "drums" and settings.kits and rng.uniform() < STRUCK:
        return Player(group, 0, settings.kits[int(rng.integers(len(settings.kits)))], KIT)
    program = int(rng.choice(settings.programs.get(programs, PROGRAMS[programs])))
    return Player(group, program, settings.soundfonts[int(rng.integers(len(settings.soundfonts)))])


def _sung(part: Part, tempo: float, settings: RenderSettings, singer: Path, rng: np.random.Generator) -> np.ndarray:
    """Return a sung part, (2, time), in some songs with another take of the same singer, a little later."""
    speech = recorded_speech(singer, rng)
    take = (speech, part.notes, tempo, settings.seconds, settings.sample_rate, rng)
    sound = sing(*take)
    if rng.uniform() < DOUBLED:
        late = round(rng.uniform(0.01, 0.04) * settings.sample_rate)
        sound = sound + float(rng.uniform(0.3, 0.9)) * np.pad(sing(*take), ((0, 0), (late, 0)))[:, : sound.shape[1]]
    return sound


def balanced(stems: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Scale stems, (channels, time) by group, to random levels around usual ones, and their sum to a peak of 0.9."""
    scaled = {}
    for group, sound in stems.items():
        level = 10.0 ** ((LEVELS_DB[group] + rng.uniform(-SPREAD_DB, SPREAD_DB)) / 20.0)
        scaled[group] = sound * (level / max(float(np.sqrt(np.mean(sound**2))), 1e-6))
    peaks = [float(np.abs(sound).max()) for sound in (*scaled.values(), sum(scaled.values()))]
    gain = PEAK / max(*peaks, 1e-9)
    return {group: np.asarray(gain * sound, np.float32) for group, sound in scaled.items()}


def _described(song: Song, players: list[Player], settings: RenderSettings, index: int) -> dict[str, object]:
    """Return the content of song.json."""
    left_out = ("soundfonts", "output", "midi", "voices", "kits", "programs", "synthesised")
    made = {key: value for key, value in asdict(settings).items() if key not in left_out}
    made |= {"synthesised": settings.synthesised} if settings.synthesised else {}
    played = []
    for part, player in zip(song.parts, players, strict=True):
        program = {"program": player.program} if player.kind == SOUNDFONT else {}
        by = {**program, player.kind: player.origin.name}
        played.append({"group": player.group, **by, "notes": len(part.notes)})
    return {**made, "index": index, "tempo": round(song.tempo, 2), "parts": played}
