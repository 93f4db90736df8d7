"""Baselines without training: median filters for drums, independent components for many channels."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from scipy.ndimage import median_filter
from scipy.optimize import linear_sum_assignment

from tfsep.audio.stft import inverse_stft, stft
from tfsep.errors import InputError

_EPSILON = 1e-10


def harmonic_percussive(
    mixture: np.ndarray, frame_length: int = 2048, frame_step: int = 512, reach: int = 31
) -> tuple[np.ndarray, np.ndarray]:
    """Split mixtures into a harmonic and a percussive part, by medians over frames and bins and soft masks.

    Source: Fitzgerald 2010, equations 3 to 6.

    Args:
        mixture: (batch, time).
        frame_length: of the short-time transform, in samples.
        frame_step: of the short-time transform, in samples.
        reach: frames or bins over which the median is taken, odd.

    Returns:
        The harmonic and the percussive part, (batch, time) float32 each; they sum to the mixture.
    """
    wave = tf.convert_to_tensor(mixture, tf.float32)
    spectrum = stft(wave, frame_length, frame_step)
    magnitude = np.abs(spectrum.numpy())
    along_time = median_filter(magnitude, (1, reach, 1)) ** 2 + _EPSILON
    along_bins = median_filter(magnitude, (1, 1, reach)) ** 2 + _EPSILON
    mask = tf.cast(tf.constant(along_time / (along_time + along_bins)), spectrum.dtype)
    harmonic = inverse_stft(mask * spectrum, frame_length, frame_step, length=wave.shape[-1]).numpy()
    return harmonic, np.asarray(mixture, np.float32) - harmonic


def drums_by_median(mixture: np.ndarray, sources: tuple[str, ...]) -> np.ndarray:
    """Estimate ``drums`` by the percussive part, and the others by equal shares of the rest: (batch, source, time).

    Raises:
        InputError: without a source of that name, or without another.
    """
    if "drums" not in sources or len(sources) < 2:
        raise InputError(
            f"the baseline 'hpss' separates drums from everything else, the sources are {', '.join(sources)}"
        )
    harmonic, percussive = harmonic_percussive(mixture)
    return np.stack([percussive if name == "drums" else harmonic / (len(sources) - 1) for name in sources], axis=1)


def independent_components(mixture: np.ndarray, references: np.ndarray, seed: int = 0) -> np.ndarray:
    """Separate the channels of one song by FastICA; an oracle assigns the components to the sources.

    Source: Hyvarinen 1999; computed by scikit-learn (the extra ``eval``).

    Args:
        mixture: (channel, time).
        references: (channel, source, time), used for the assignment alone, by the largest
            correlation.
        seed: of the initial unmixing matrix.

    Returns:
        The contribution of each component to each channel: (channel, source, time) float32.

    Raises:
        InputError: with fewer channels than sources, where independent components are not
            determined.
    """
    channels, num_sources = references.shape[:2]
    if channels < num_sources:
        raise InputError(f"the baseline 'ica' needs as many channels as sources, got {channels} for {num_sources}")
    try:
        from sklearn.decomposition import FastICA
    except ImportError as error:
        raise InputError("the baseline 'ica' needs scikit-learn: pip install 'tfsep[eval]'") from error
    ica = FastICA(n_components=num_sources, whiten="unit-variance", random_state=seed, max_iter=500)
    components = ica.fit_transform(np.asarray(mixture, np.float64).T).T
    images = ica.mixing_[:, :, np.newaxis] * components
    correlation = np.abs(np.einsum("cit,ckt->ik", images, references.astype(np.float64)))
    correlation /= np.linalg.norm(images, axis=(0, 2))[:, np.newaxis] + _EPSILON
    _, chosen = linear_sum_assignment(-correlation.T)
    return images[:, chosen].astype(np.float32)
