r"""Non-negative matrix factorisation (NMF): a dictionary of spectra for each source, from its isolated sounds.

Magnitudes of a source's frames are factorised, :math:`|S_k| \approx H_k W_k`. The frames of a
mixture are approximated with all dictionaries concatenated and fixed, under the generalised
Kullback-Leibler divergence, and source k gets the share :math:`H_k W_k / \sum_j H_j W_j` of the
mixture's spectrum.

Sources: Lee and Seung 1999; Virtanen 2007, section II; computed by scikit-learn (the extra
``eval``).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfsep.audio.stft import inverse_stft, stft
from tfsep.axes import TensorLike
from tfsep.errors import InputError

_EPSILON = 1e-8
_MOST_FRAMES = 4000
_ITERATIONS = 60


class NmfDictionaries:
    """Spectra of every source, learned from isolated sounds.

    Args:
        sounds: of each source, (num, time) each, linear samples.
        num_components: spectra for each source.
        frame_length: of the short-time transform, in samples.
        frame_step: of the short-time transform, in samples.
        seed: of the initial factors and of the frames that are kept.
    """

    def __init__(
        self,
        sounds: Sequence[TensorLike],
        num_components: int = 88,
        frame_length: int = 1024,
        frame_step: int = 256,
        seed: int = 0,
    ) -> None:
        """Factorise at most 4,000 frames of each source.

        Raises:
            InputError: without scikit-learn, or with sources of fewer frames than components.
        """
        self.frame_length, self.frame_step = frame_length, frame_step
        self.num_components = num_components
        self.spectra = np.stack([self._learn(sound, seed) for sound in sounds])

    def _learn(self, sound: TensorLike, seed: int) -> np.ndarray:
        """Return the spectra (component, bin) of one source, each of which sums to one."""
        frames = self._magnitudes(sound).reshape(-1, self.frame_length // 2 + 1)
        frames = frames[frames.sum(axis=1) > _EPSILON * frames.shape[1]]
        if len(frames) < self.num_components:
            raise InputError(f"nmf needs at least {self.num_components} frames of a source, got {len(frames)}")
        kept = np.random.default_rng(seed).permutation(len(frames))[:_MOST_FRAMES]
        _, spectra, _ = _factorise(frames[kept], n_components=self.num_components, random_state=seed, init="nndsvda")
        return spectra / np.maximum(spectra.sum(axis=1, keepdims=True), _EPSILON)

    def _magnitudes(self, wave: TensorLike) -> np.ndarray:
        """Return the magnitudes (batch, frame, bin) of waves (batch, time)."""
        spectrum = stft(tf.convert_to_tensor(wave, tf.float32), self.frame_length, self.frame_step)
        return np.asarray(tf.abs(spectrum), np.float64) + _EPSILON

    def separate(self, mixture: TensorLike) -> np.ndarray:
        """Return estimates (batch, source, time) float32 that sum to the mixture (batch, time)."""
        mixture = tf.convert_to_tensor(mixture, tf.float32)
        spectrum = stft(mixture, self.frame_length, self.frame_step)
        frames = self._magnitudes(mixture)
        stacked = self.spectra.reshape(-1, frames.shape[-1])
        flat = frames.reshape(-1, frames.shape[-1])
        weights, _, _ = _factorise(flat, H=stacked, n_components=len(stacked), update_H=False)
        weights = weights.reshape(len(flat), len(self.spectra), self.num_components)
        parts = np.einsum("fkc,kcb->kfb", weights, self.spectra) + _EPSILON
        masks = (parts / parts.sum(axis=0)).reshape(len(self.spectra), *frames.shape)
        masked = tf.cast(tf.constant(np.moveaxis(masks, 0, 1)), spectrum.dtype) * spectrum[:, tf.newaxis]
        return inverse_stft(masked, self.frame_length, self.frame_step, length=mixture.shape[-1]).numpy()


def _factorise(frames: np.ndarray, **settings: object) -> tuple[np.ndarray, np.ndarray, int]:
    """Factorise by scikit-learn's multiplicative updates, under the generalised Kullback-Leibler divergence."""
    try:
        from sklearn.decomposition import non_negative_factorization
        from sklearn.exceptions import ConvergenceWarning
    except ImportError as error:
        raise InputError("the baseline 'nmf' needs scikit-learn: pip install 'tfsep[eval]'") from error
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of iterations is the budget
        return non_negative_factorization(
            frames, solver="mu", beta_loss="kullback-leibler", max_iter=_ITERATIONS, tol=0.0, **settings
        )
