r"""Singing resynthesised from recorded speech, on the pitches and at the times of a tune.

A note uses the next segment of speech, stretched to the length of the note where the speech is
voiced and loud, so that consonants keep their speed and vowels are sustained. With w the voiced
energy of each frame of a segment, a note that is E frames longer spends

.. math:: 1 + E\, w_t / \textstyle\sum_t w_t

frames on frame t. The pitch of the speech is replaced by that of the notes, with glides, vibrato
and slow deviations, in the octave nearest to the pitch of the speaker. The envelope may be
stretched along frequency, which makes another singer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import ndimage

from tfsep.audio.resample import resample
from tfsep.rendering.notes import Note
from tfsep.rendering.speech import FRAME_SECONDS, SPEECH_RATE, Speech, package

_BREATH = 0.2
_RISE_SECONDS = 0.02


def phrases(notes: Sequence[Note], tempo: float, seconds: float) -> Iterator[list[tuple[int, int, Note]]]:
    """Yield phrases of single notes, as (first frame, end frame, note), split where there is time to breathe."""
    beat = 60.0 / tempo / FRAME_SECONDS
    end_of_all = round(seconds / FRAME_SECONDS)
    ordered = sorted(notes, key=lambda note: (note.start, -note.pitch))
    firsts = [round(note.start * beat) for note in ordered]
    phrase: list[tuple[int, int, Note]] = []
    for index, note in enumerate(ordered):
        following = next((first for first in firsts[index + 1 :] if first > firsts[index]), end_of_all)
        end = min(round((note.start + note.length) * beat), following, end_of_all)
        if end - firsts[index] < 8 or (phrase and firsts[index] < phrase[-1][1]):
            continue
        if phrase and firsts[index] - phrase[-1][1] > _BREATH / FRAME_SECONDS:
            yield phrase
            phrase = []
        if phrase:
            phrase[-1] = (phrase[-1][0], firsts[index], phrase[-1][2])
        phrase.append((firsts[index], end, note))
    if phrase:
        yield phrase


def stretched(speech: Speech, first: int, length: int, stretch: float) -> tuple[np.ndarray, int]:
    """Stretch a segment of speech to a note.

    Args:
        speech: of the singer.
        first: first frame of the segment.
        length: frames of the note.
        stretch: length of the note over that of the segment, at least 1.

    Returns:
        For each frame of the note a position in frames of the speech, (length,), fractions
        included; and the frames of the segment.
    """
    used = int(np.clip(round(length / stretch), 6, len(speech.pitch) - first - 1))
    weight = np.where(speech.pitch > 0.0, speech.energy, 0.0)[first : first + used] + 1e-3
    extra = max(length - used, 0)
    spent = np.concatenate([[0.0], np.cumsum(1.0 + extra * weight / weight.sum())])
    times = np.linspace(0.0, spent[-1], length, endpoint=False)
    return np.interp(times, spent, first + np.arange(used + 1)), used


def sing(
    speech: Speech,
    notes: Sequence[Note],
    tempo: float,
    seconds: float,
    sample_rate: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Sing a tune.

    Args:
        speech: of the singer.
        notes: of which one is sung at a time, the highest.
        tempo: beats per minute.
        seconds: of sound.
        sample_rate: Hz.
        rng: of the position in the speech, vibrato, glides and the size of the singer.

    Returns:
        (2, round(seconds sample_rate)) float32, both channels the same; silence where there is no
        note.
    """
    num_frames = round(seconds / FRAME_SECONDS) + 1
    position, octave_pitch = np.zeros(num_frames), np.zeros(num_frames)
    loudness = np.zeros(num_frames)
    stretch = float(rng.uniform(1.0, 2.5))
    raised = _octaves(speech, notes, rng)
    vibrato = _Vibrato(rng)
    for phrase in phrases(notes, tempo, seconds):
        need = sum(max(round((end - first) / stretch), 6) for first, end, _ in phrase) + 8
        here = int(rng.integers(0, max(len(speech.pitch) - need, 1)))
        for first, end, note in phrase:
            if len(speech.pitch) - here < 16:
                here = 0
            position[first:end], used = stretched(speech, here, end - first, stretch)
            here += used
            octave_pitch[first:end] = note.pitch / 12.0 + raised + vibrato.of(end - first)
            loudness[first:end] = note.velocity / 100.0
        begin, end = phrase[0][0], phrase[-1][1]
        glide = float(rng.uniform(3.0, 10.0))
        octave_pitch[begin:end] = ndimage.gaussian_filter1d(octave_pitch[begin:end], glide, mode="nearest")
    return _synthesise(speech, position, octave_pitch, loudness, seconds, sample_rate, rng)


def _octaves(speech: Speech, notes: Sequence[Note], rng: np.random.Generator) -> float:
    """Return the octaves by which a tune is moved to lie a little above the pitch of the speaker, as in singing."""
    own = np.log2(speech.median_pitch / 440.0) + 69.0 / 12.0 + rng.uniform(0.0, 0.6)
    tune = float(np.mean([note.pitch for note in notes])) / 12.0
    return float(np.round(own - tune))


class _Vibrato:
    """Deviations from the pitch of a note in octaves: vibrato after a delay, and slow random deviations."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._rate, self._depth = rng.uniform(4.5, 6.5), rng.uniform(0.0, 50.0) / 1200.0

    def of(self, length: int) -> np.ndarray:
        """Return the deviations of one note, (length,) frames."""
        time = FRAME_SECONDS * np.arange(length)
        grown = np.clip((time - 0.15) / 0.3, 0.0, 1.0)
        wave = self._depth * grown * np.sin(2.0 * np.pi * (self._rate * time + self._rng.uniform()))
        drift = ndimage.gaussian_filter1d(self._rng.standard_normal(length), 15.0, mode="nearest")
        return wave + 40.0 / 1200.0 * drift


def _synthesise(
    speech: Speech,
    position: np.ndarray,
    octave_pitch: np.ndarray,
    loudness: np.ndarray,
    seconds: float,
    sample_rate: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Synthesise frames: positions in the speech, pitches in octaves (69 / 12 is 440 Hz), loudness."""
    nearest = np.round(position).astype(int)
    sung = loudness > 0.0
    voiced = sung & (speech.pitch[nearest] > 0.0)
    pitch = np.where(voiced, 440.0 * 2.0 ** (octave_pitch - 69.0 / 12.0), 0.0)
    size = float(np.exp(rng.uniform(-0.15, 0.15)))
    bins = np.arange(speech.envelope.shape[1])
    source = np.minimum(bins * size, bins[-1])
    log_envelope = np.log(speech.envelope + 1e-16)
    frames = np.stack([np.interp(source, bins, log_envelope[index]) for index in nearest])
    envelope = np.exp(ndimage.gaussian_filter1d(frames, 1.0, axis=0, mode="nearest"))
    world = package()
    aperiodicity = np.ascontiguousarray(speech.aperiodicity[nearest])
    sound = world.synthesize(pitch, envelope, aperiodicity, SPEECH_RATE, 1000.0 * FRAME_SECONDS)
    rise = _RISE_SECONDS / FRAME_SECONDS
    gain = ndimage.gaussian_filter1d(ndimage.grey_erosion(loudness, size=round(2 * rise) | 1), rise / 2.0)
    times = np.arange(len(sound)) / (FRAME_SECONDS * SPEECH_RATE)
    sound = (sound * np.interp(times, np.arange(len(gain)), gain)).astype(np.float32)
    length = round(seconds * sample_rate)
    resampled = resample(sound[np.newaxis], SPEECH_RATE, sample_rate)[:, :length]
    return np.repeat(np.pad(resampled, ((0, 0), (0, max(length - resampled.shape[1], 0)))), 2, axis=0)
