r"""Template prior: a shift-invariant mixture of kept recordings, a density in closed form.

A sound is a kept recording c, read from lag :math:`\ell` on, at an amplitude
:math:`a \sim \mathcal{N}(1, s^2)`, :math:`a > 0`, plus a residual of deviation :math:`\rho`:

.. math:: p_\sigma(y) = \frac{1}{C\,L} \sum_{c, \ell} \int \mathcal{N}(y; a\,u_{c\ell}, (\sigma^2 + \rho^2) I)\,
          p(a)\, da, \qquad u_{c\ell}(t) = c(\ell + t).

Recordings are twice as long as an event, so there are D + 1 lags, and the inner products with all
of them are one correlation by fast Fourier transforms; the amplitude integrates exactly
(positive_amplitude.py). With C = 0 recordings the source is silence and residual. Learning keeps a
recording only if none kept before explains it: it learns from sounds alone, without labels
and without gradients.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfsep.audio.front_end import FrontEnd
from tfsep.axes import Seed, Sigma, TensorLike
from tfsep.priors.base import per_example_sigma
from tfsep.priors.closed_form import LearnedAtOnce
from tfsep.priors.positive_amplitude import draw, log_evidence


class TemplatePrior(LearnedAtOnce):
    """Kept recordings as a density over waves; see the module's text.

    Args:
        front_end: must be of the domain "wave".
        event_shape: (time, 1).
        num_templates: most recordings kept.
        unexplained: part of a recording's energy that a kept one may leave; what leaves more is
            kept itself.
        smallest_sigma: what ``sigma=None`` means.
        dtype: "float32" or "float64".

    Raises:
        ValueError: for events that are not waves, or a setting out of its range.
    """

    kind = "template"

    def __init__(
        self,
        front_end: FrontEnd,
        event_shape: tuple[int, ...],
        num_templates: int = 192,
        unexplained: float = 0.01,
        smallest_sigma: float = 0.01,
        dtype: str = "float32",
    ) -> None:
        """Create the weights: no recording; :func:`learn` fills them."""
        super().__init__(front_end, event_shape, smallest_sigma, dtype)
        if num_templates < 1 or not 0.0 < unexplained < 1.0:
            given = f"{num_templates} and {unexplained:g}"
            raise ValueError(f"num_templates must be at least 1 and unexplained within 0..1, got {given}")
        self.unexplained, self.num_templates = unexplained, num_templates
        self.recordings = self._weight("recordings", np.zeros((num_templates, 2 * self.length)))
        self.amplitude = self._weight("amplitude", [1.0, 0.2])
        self.residual = self._weight("residual", 0.05)
        self.built = True

    def spectra(self) -> tf.Tensor:
        """Return the spectra of the recordings, padded: (template, bin) complex."""
        return tf.signal.rfft(tf.convert_to_tensor(self.recordings), [4 * self.length])

    def inner_products(self, y: tf.Tensor, spectra: tf.Tensor) -> tf.Tensor:
        """Compute inner products of a wave (time,) with every recording at every lag: (template, lag)."""
        points = [4 * self.length]
        return tf.signal.irfft(spectra * tf.math.conj(tf.signal.rfft(y, points)), points)[:, : self.length + 1]

    def energies(self) -> tf.Tensor:
        """Return the energies of the recordings' excerpts: (template, lag)."""
        total = tf.cumsum(tf.pad(tf.convert_to_tensor(self.recordings) ** 2, [[0, 0], [1, 0]]), axis=-1)
        return tf.maximum(total[:, self.length :] - total[:, : self.length + 1], 0.0)

    def _log_weight(self) -> tf.Tensor:
        """Return the log prior weight of each recording at a lag, -inf where there is none: (template, 1)."""
        used = tf.reduce_any(tf.convert_to_tensor(self.recordings) != 0.0, axis=-1, keepdims=True)
        used = tf.cast(used | ~tf.reduce_any(used), self.tf_dtype)
        return tf.math.log(used / (tf.reduce_sum(used) * (self.length + 1)))

    def _density_and_score(self, x: TensorLike, sigma: Sigma) -> tuple[tf.Tensor, tf.Tensor]:
        """Compute the log-density (batch,) and its gradient (batch, time), one example after the other."""
        x = tf.cast(tf.convert_to_tensor(x), self.tf_dtype)
        self.check_events(x)
        sigma = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        spectra, energy, log_weight = self.spectra(), self.energies(), self._log_weight()
        amplitude, residual = tf.convert_to_tensor(self.amplitude), tf.convert_to_tensor(self.residual)

        def one(event: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            y, variance = event[0], event[1] ** 2 + residual**2
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(y)
                inner = self.inner_products(y, spectra)
            evidence, level = log_evidence(inner, energy, variance, amplitude)
            joint = evidence + log_weight
            total = tf.reduce_logsumexp(joint)
            clean = tape.gradient(inner, y, output_gradients=tf.exp(joint - total) * level)
            silent = tf.reduce_sum(y**2) / variance + self.length * tf.math.log(math.tau * variance)
            return total - 0.5 * silent, (clean - y) / variance

        kinds = (self.tf_dtype, self.tf_dtype)
        return tf.map_fn(one, (x[..., 0], sigma), fn_output_signature=kinds, parallel_iterations=4)

    def log_prob(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute the log-density of noised events in nats: (batch, time, 1) -> (batch,)."""
        return self._density_and_score(x, sigma)[0]

    def score(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute the gradient of :meth:`log_prob` in x: (batch, time, 1) -> the same."""
        return self._density_and_score(x, sigma)[1][..., tf.newaxis]

    def sample(self, num: int, seed: Seed, sigma: Sigma | None = None) -> tf.Tensor:
        """Read ``num`` kept recordings from random lags on and add residual and noise: (num, time, 1)."""
        seeds = tf.random.split(tf.cast(seed, tf.int32), 3)
        uniform = tf.random.stateless_uniform([num, 2], seeds[0], dtype=self.tf_dtype, alg="philox")
        kept = tf.where(self._log_weight()[:, 0] > -math.inf)[:, 0]
        index = tf.cast(uniform[:, 0] * tf.cast(tf.shape(kept)[0], self.tf_dtype), tf.int32)
        chosen = tf.gather(self.recordings, tf.gather(kept, index))
        lag = tf.cast(uniform[:, 1] * (self.length + 1), tf.int32)
        wave = tf.gather(chosen, lag[:, tf.newaxis] + tf.range(self.length), batch_dims=1)
        nothing = tf.zeros([num], self.tf_dtype)
        level_uniform = tf.random.stateless_uniform([num], seeds[1], dtype=tf.float64, alg="philox")
        amplitude = tf.convert_to_tensor(self.amplitude)
        level = draw(nothing, nothing, tf.ones_like(nothing), amplitude, level_uniform)
        noise = per_example_sigma(self.smallest_sigma if sigma is None else sigma, wave)
        rest = tf.sqrt(noise**2 + tf.convert_to_tensor(self.residual) ** 2)
        normal = tf.random.stateless_normal([num, self.length], seeds[2], dtype=self.tf_dtype, alg="philox")
        return (level[:, tf.newaxis] * wave + rest[:, tf.newaxis] * normal)[..., tf.newaxis]


def learn(prior: TemplatePrior, waves: npt.ArrayLike) -> dict[str, float]:
    """Keep those isolated sounds (num, 2 time) that none kept before explains; see the module's text.

    A sound's first half is what must be explained, at any lag of a kept one and at any positive
    amplitude.

    Returns:
        ``templates``, how many were kept, and ``residual``, the deviation that the kept ones leave
        of the others.
    """

    @tf.function(autograph=False)
    def best(y: tf.Tensor, spectra: tf.Tensor, energy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _best(prior.inner_products(y, spectra), energy)

    waves = np.asarray(waves, np.float32)
    kept, left, levels = 0, [], []
    recordings = np.zeros(prior.recordings.shape, np.float32)
    prior.recordings.assign(recordings)
    spectra, energy = prior.spectra(), prior.energies()
    for wave in waves:
        half = wave[: prior.length]
        power = float(np.sum(half**2))
        explained, level = (float(value) for value in best(tf.constant(half, prior.tf_dtype), spectra, energy))
        if power - explained > prior.unexplained * power and kept < prior.num_templates:
            recordings[kept] = wave
            kept += 1
            prior.recordings.assign(recordings)
            spectra, energy = prior.spectra(), prior.energies()
        elif power > 0.0:
            left.append(max(power - explained, 0.0) / prior.length)
            levels.append(level)
    residual = max(math.sqrt(float(np.median(left))), 1e-3) if left else 0.05
    prior.residual.assign(residual)
    if levels:
        prior.amplitude.assign([float(np.mean(levels)), max(float(np.std(levels)), 1e-3)])
    return {"templates": float(kept), "residual": residual}


def _best(inner: tf.Tensor, energy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the largest energy explained at a positive amplitude, and that amplitude."""
    explained = tf.maximum(inner, 0.0) ** 2 / tf.maximum(energy, 1e-9)
    index = tf.argmax(tf.reshape(explained, [-1]))
    level = tf.reshape(inner / tf.maximum(energy, 1e-9), [-1])[index]
    return tf.reduce_max(explained), level
