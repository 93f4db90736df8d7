r"""A subtractive synthesiser with random patches.

A note is a sum of oscillators with a band-limited saw, pulse, triangle or sine each,

.. math:: x(t) = \sum_i g_i\, w_i\big(\phi_i(t)\big), \qquad \phi_i' = f\, 2^{o_i + (d_i + v \sin 2\pi r t) / 1200},

detuned by d_i cents, o_i octaves apart and with a vibrato of v cents. In some patches a sine at a
multiple of the frequency modulates the phase of each, less and less over 0.4 s (frequency
modulation). A note may glide from the pitch of the one before, and begin above its own pitch and
fall to it, as drum machines' basses do. A resonant low-pass filter follows, its corner
f 2^{c + s e(t)} swept by an envelope e(t) = exp(-t / tau), then soft clipping, attack, decay,
sustain and release. Jumps of saws and pulses are smoothed by polyBLEPs.

Sources: Valimaki and Huovilainen 2007 (polyBLEP); Chowning 1973 (frequency modulation);
Bristow-Johnson's cookbook (the filter's coefficients).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import signal

from tfsep.rendering.effects import driven
from tfsep.rendering.notes import Part

SHAPES = ("saw", "pulse", "triangle", "sine")
BASSES = ("sub", "808", "moving")
_RATIOS = (0.5, 1.0, 1.0, 2.0, 3.0, 1.41, 3.5)
_ELECTRONIC = 0.45
_BLOCK = 128
_LOUDNESS = 1.2


@dataclass(frozen=True)
class Patch:
    """A sound of the synthesiser.

    Attributes:
        oscillators: (shape, octave, cents, level, pan in -1..1) of each.
        noise: level of white noise.
        modulation: index in radians and frequency ratio of the modulating sine.
        vibrato: cents and Hz.
        envelope: attack, decay and release in seconds, and the sustained level in 0..1.
        corner: of the filter, octaves above the note; ``sweep``: octaves above that at first;
            ``fall``: seconds.
        resonance: quality factor of the filter.
        pump: depth in 0..1 of a dip on every beat.
        drive: of the soft clipping, over the peak of a note; 0 for none.
        glide: time constant in seconds of the way from the pitch of the note before; 0 for none.
        drop: octaves by which a note begins above its pitch, and the time constant of the fall in
            seconds.
    """

    oscillators: tuple[tuple[str, int, float, float, float], ...]
    noise: float
    modulation: tuple[float, float]
    vibrato: tuple[float, float]
    envelope: tuple[float, float, float, float]
    corner: float
    sweep: float
    fall: float
    resonance: float
    pump: float
    drive: float = 0.0
    glide: float = 0.0
    drop: tuple[float, float] = (0.0, 1.0)


def random_patch(group: str, rng: np.random.Generator) -> Patch:
    """Draw a sound that suits bass, other or lead: short and bright, or slow and wide; some basses are electronic."""
    bass, lead = group == "bass", group == "lead"
    if bass and rng.uniform() < _ELECTRONIC:
        return electronic_bass(str(rng.choice(BASSES)), rng)
    slow = not bass and not lead and rng.uniform() < 0.4
    count = int(rng.integers(1, 4 if bass else 6))
    spread, width = rng.uniform(0.0, 8.0 if bass else 22.0), 0.0 if bass else rng.uniform(0.0, 1.0)
    shapes = rng.choice(SHAPES, size=2, p=(0.45, 0.3, 0.15, 0.1))
    octaves = (-1, 0, 0, 0) if bass else (-1, 0, 0, 0, 1)
    oscillators = tuple(
        (
            str(rng.choice(shapes)),
            int(rng.choice(octaves)) if index else 0,
            float(rng.uniform(-spread, spread)),
            float(rng.uniform(0.4, 1.0)),
            float(rng.uniform(-width, width)),
        )
        for index in range(count)
    )
    modulated, vibrated = rng.uniform() < 0.3, rng.uniform() < (0.6 if lead else 0.2)
    attack = rng.uniform(0.05, 0.6) if slow else rng.uniform(0.001, 0.03)
    release = rng.uniform(0.2, 1.2) if slow else rng.uniform(0.02, 0.25)
    sustained = 1.0 if slow else rng.choice((0.0, rng.uniform(0.3, 1.0)), p=(0.3, 0.7))
    return Patch(
        oscillators=oscillators,
        noise=_now_and_then(0.25, 0.0, 0.15, rng),
        modulation=(float(rng.uniform(0.3, 4.0)), float(rng.choice(_RATIOS))) if modulated else (0.0, 1.0),
        vibrato=(float(rng.uniform(5.0, 40.0)), float(rng.uniform(3.0, 7.0))) if vibrated else (0.0, 1.0),
        envelope=(float(attack), float(rng.uniform(0.08, 1.0)), float(release), float(sustained)),
        corner=float(rng.uniform(1.0, 6.0)),
        sweep=_now_and_then(0.6, 0.0, 4.0, rng),
        fall=float(rng.uniform(0.05, 0.6)),
        resonance=float(rng.uniform(0.6, 6.0)),
        pump=_now_and_then(0.2, 0.3, 1.0, rng),
    )


def electronic_bass(kind: str, rng: np.random.Generator) -> Patch:
    """Draw a bass of electronic music.

    Args:
        kind: "sub", a held sine; "808", a sine that falls in pitch and decays; "moving", detuned
            saws or pulses, distorted behind a filter that moves.
        rng: everything that is drawn.
    """
    glide = _now_and_then(0.3, 0.02, 0.15, rng)
    if kind == "sub":
        oscillators: tuple[tuple[str, int, float, float, float], ...] = (("sine", 0, 0.0, 1.0, 0.0),)
        envelope = (float(rng.uniform(0.002, 0.03)), 1.0, float(rng.uniform(0.03, 0.2)), 1.0)
        corner, sweep, resonance, drop = 6.0, 0.0, 0.7, (0.0, 1.0)
        drive = _now_and_then(0.4, 0.3, 2.0, rng)
    elif kind == "808":
        oscillators = (("sine", 0, 0.0, 1.0, 0.0),)
        envelope = (0.002, float(rng.uniform(0.15, 2.5)), float(rng.uniform(0.05, 0.6)), 0.0)
        corner, sweep, resonance = 6.0, 0.0, 0.7
        drop = (float(rng.uniform(0.5, 2.5)), float(rng.uniform(0.01, 0.06)))
        drive = _now_and_then(0.7, 0.5, 5.0, rng)
    else:
        shape, cents = str(rng.choice(("saw", "pulse"))), float(rng.uniform(0.0, 15.0))
        oscillators = ((shape, 0, -cents, 1.0, 0.0), (shape, 0, cents, 1.0, 0.0), ("sine", -1, 0.0, 0.7, 0.0))
        envelope = (float(rng.uniform(0.001, 0.02)), 0.5, float(rng.uniform(0.03, 0.2)), float(rng.uniform(0.4, 1.0)))
        corner, sweep, resonance = float(rng.uniform(0.8, 3.0)), float(rng.uniform(0.0, 3.5)), float(rng.uniform(1, 8))
        drop, drive = (0.0, 1.0), _now_and_then(0.7, 1.0, 8.0, rng)
    return Patch(
        oscillators=oscillators,
        noise=0.0,
        modulation=(0.0, 1.0),
        vibrato=(0.0, 1.0),
        envelope=envelope,
        corner=corner,
        sweep=sweep,
        fall=float(rng.uniform(0.05, 0.8)),
        resonance=resonance,
        pump=_now_and_then(0.35, 0.3, 1.0, rng),
        drive=drive,
        glide=glide,
        drop=drop,
    )


def _now_and_then(chance: float, low: float, high: float, rng: np.random.Generator) -> float:
    """Draw a number from low to high with a chance, else 0."""
    return float(rng.uniform(low, high) * (rng.uniform() < chance))


def play(
    part: Part, tempo: float, seconds: float, patch: Patch, sample_rate: int, rng: np.random.Generator
) -> np.ndarray:
    """Play a part.

    Args:
        part: the notes.
        tempo: beats per minute.
        seconds: of sound; longer notes are cut off.
        patch: the sound.
        sample_rate: Hz.
        rng: phases and noise.

    Returns:
        (2, round(seconds sample_rate)) float32.
    """
    length, beat = round(seconds * sample_rate), 60.0 / tempo * sample_rate
    sound, before = np.zeros((2, length)), None
    for note in part.notes:
        start, pressed = round(note.start * beat), round(note.length * beat)
        if not 0 <= start < length or pressed < 1:
            continue
        whole = min(pressed + round(patch.envelope[2] * sample_rate), length - start)
        pitch = 440.0 * 2.0 ** ((note.pitch - 69) / 12.0)
        voice = _voice(pitch, pitch if before is None else before, whole, patch, sample_rate, rng)
        before = pitch
        loudness = (note.velocity / 127.0) ** _LOUDNESS * _level(pressed, whole, patch, sample_rate)
        sound[:, start : start + whole] += loudness * voice
    if patch.pump:
        sound *= 1.0 - patch.pump * np.exp(-6.0 * (np.arange(length) / beat % 1.0))
    return np.asarray(sound, np.float32)


def _voice(
    pitch: float, before: float, length: int, patch: Patch, sample_rate: int, rng: np.random.Generator
) -> np.ndarray:
    """Return one note, of a pitch in Hz after one of the pitch ``before``, before its envelope: (2, length)."""
    time = np.arange(length) / sample_rate
    above, fall = patch.drop
    moved = above * np.exp(-time / fall)
    if patch.glide:
        moved = moved + math.log2(before / pitch) * np.exp(-time / patch.glide)
    cents, rate = patch.vibrato
    wobble = cents * np.sin(2.0 * np.pi * rate * time)
    index, ratio = patch.modulation
    sound = np.zeros((2, length))
    for shape, octave, detune, level, pan in patch.oscillators:
        step = pitch * 2.0 ** (octave + moved + (detune + wobble) / 1200.0) / sample_rate
        phase = rng.uniform() + np.cumsum(step)
        if index:
            phase = phase + index * np.exp(-time / 0.4) * np.sin(2.0 * np.pi * ratio * np.cumsum(step)) / (2.0 * np.pi)
        wave = level * oscillator(shape, phase % 1.0, np.minimum(step, 0.45))
        sound += np.array([[min(1.0, 1.0 - pan)], [min(1.0, 1.0 + pan)]]) * wave
    if patch.noise:
        sound += patch.noise * rng.standard_normal((2, length))
    corner = pitch * 2.0 ** (patch.corner + patch.sweep * np.exp(-time[::_BLOCK] / patch.fall))
    sound = swept(sound, np.clip(corner, 30.0, 0.45 * sample_rate), patch.resonance, sample_rate)
    return driven(sound, patch.drive) if patch.drive else sound


def oscillator(shape: str, phase: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return a wave of amplitude 1 at phases in 0..1 that advance by ``step``, with smoothed jumps."""
    if shape == "sine":
        return np.sin(2.0 * np.pi * phase)
    if shape == "triangle":
        return 4.0 * np.abs(phase - 0.5) - 1.0
    if shape == "saw":
        return 2.0 * phase - 1.0 - _smoothing(phase, step)
    half = (phase + 0.5) % 1.0
    return np.where(phase < 0.5, 1.0, -1.0) + _smoothing(phase, step) - _smoothing(half, step)


def _smoothing(phase: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return the polyBLEP of two samples that smooths a jump of 2 at phase 0."""
    before, after = phase / step, (phase - 1.0) / step
    early = np.where(phase < step, before + before - before**2 - 1.0, 0.0)
    return np.where(phase > 1.0 - step, after**2 + after + after + 1.0, early)


def swept(sound: np.ndarray, corner: np.ndarray, quality: float, sample_rate: int) -> np.ndarray:
    """Filter (channels, time) by a resonant low-pass whose corner in Hz is given for each block of 128 samples."""
    found, state = np.empty_like(sound), np.zeros((len(sound), 2))
    for index, frequency in enumerate(corner):
        angle = 2.0 * math.pi * frequency / sample_rate
        alpha, cosine = math.sin(angle) / (2.0 * quality), math.cos(angle)
        numerator = np.array([0.5, 1.0, 0.5]) * (1.0 - cosine) / (1.0 + alpha)
        denominator = np.array([1.0, -2.0 * cosine / (1.0 + alpha), (1.0 - alpha) / (1.0 + alpha)])
        block = slice(index * _BLOCK, (index + 1) * _BLOCK)
        found[:, block], state = signal.lfilter(numerator, denominator, sound[:, block], axis=-1, zi=state)
    return found


def _level(pressed: int, length: int, patch: Patch, sample_rate: int) -> np.ndarray:
    """Return the envelope (length,): attack, decay to the sustained level for ``pressed`` samples, and release."""
    attack, decay, release, sustained = patch.envelope
    time = np.arange(length) / sample_rate
    falling = sustained + (1.0 - sustained) * np.exp(-np.maximum(time - attack, 0.0) / decay)
    after = np.maximum(time - pressed / sample_rate, 0.0)
    return np.minimum(time / attack, 1.0) * falling * np.maximum(1.0 - after / release, 0.0) ** 2
