"""One prior, compiled once: any number of events at any noise level goes through the same graph, 64 at a time."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tfsep.errors import JobError
from tfsep.priors.base import Prior

_BATCH = 64


class PriorScorer:
    """Log-density, score and denoiser of a prior on arrays of events.

    Graphs are traced when they are first used: one for each of the three, with the noise level as
    an input.

    Args:
        name: of the prior, for errors.
        prior: the prior. A clean one (``largest_sigma`` 0) has one density, which stands for every
            noise level.
    """

    def __init__(self, name: str, prior: Prior) -> None:
        self.name, self.prior = name, prior
        self.knows_noise = prior.largest_sigma > 0.0
        self.has_log_prob = prior.has_log_prob
        self._dtype: tf.DType = getattr(prior, "tf_dtype", tf.float32)
        self._graphs: dict[str, Callable[..., tf.Tensor]] = {}

    def covers(self, sigma: float | None) -> bool:
        """Return whether the prior has a density or score at this noise level; None is "no noise", which all have."""
        return sigma is None or not self.knows_noise or covered(sigma, self.prior)

    def log_prob(self, events: np.ndarray, sigma: float | None) -> np.ndarray:
        """Compute log-densities in nats, (num,) float64, of events (num,) + event_shape; None is ``smallest_sigma``."""
        return self._run("log_prob", events, sigma)

    def score(self, events: np.ndarray, sigma: float | None) -> np.ndarray:
        """Compute the gradient of the log-density: the events' shape."""
        return self._run("score", events, sigma)

    def denoise(self, events: np.ndarray, sigma: float) -> np.ndarray:
        """Compute the posterior mean of the clean events: the events' shape."""
        if type(self.prior).denoise is Prior.denoise:
            # Tweedie's formula on the graph of the score, which spares the tracing of another.
            return events + sigma**2 * self.score(events, sigma)
        return self._run("denoise", events, sigma)

    def run(self, name: str, function: Callable[..., tf.Tensor], events: np.ndarray, sigma: float | None) -> np.ndarray:
        """Apply a function (events, sigma) -> (num, ...) of this prior's own, traced under ``name`` the first time.

        Args:
            name: of the function.
            function: of events (num,) + event_shape and noise levels (num,), of the prior's dtype.
            events: (num,) + event_shape.
            sigma: noise level of all; None is the prior's smallest.

        Raises:
            JobError: if it gives nan.
        """
        if name not in self._graphs:
            signature = [tf.TensorSpec(shape, self._dtype) for shape in ((None, *self.prior.event_shape), (None,))]
            given = function if self.knows_noise else lambda x, sigma: function(x, None)
            self._graphs[name] = tf.function(given, input_signature=signature, autograph=False)
        parts = []
        for start in range(0, len(events), _BATCH):
            part = events[start : start + _BATCH].astype(self._dtype.as_numpy_dtype)
            level = np.full(len(part), self.prior.smallest_sigma if sigma is None else sigma, part.dtype)
            parts.append(self._graphs[name](part, level).numpy().astype(np.float64))
        found = np.concatenate(parts)
        if np.isnan(found).any():
            raise JobError(f"{name} of the prior of {self.name!r} must be numbers, got nan at sigma {sigma}")
        return found

    def _run(self, name: str, events: np.ndarray, sigma: float | None) -> np.ndarray:
        return self.run(name, getattr(self.prior, name), events, sigma)


def scorers_of(priors: Mapping[str, Prior]) -> dict[str, PriorScorer]:
    """Make a scorer for each prior."""
    return {name: PriorScorer(name, prior) for name, prior in priors.items()}


def covered(sigma: float, prior: Prior) -> bool:
    """Return whether a noise level lies in a prior's range, up to rounding."""
    return prior.smallest_sigma * (1.0 - 1e-6) <= sigma <= prior.largest_sigma * (1.0 + 1e-6)


def noise_like(events: np.ndarray, seed: int, label: str, part: int = 0) -> np.ndarray:
    """Draw standard normal noise in the shape of some events, the same for every prior and every noise level.

    Args:
        events: (num,) + event_shape.
        seed: of the test.
        label: what the noise is for; another label gives other noise.
        part: number of the batch.
    """
    rng = np.random.default_rng([seed, zlib.crc32(label.encode()), part])
    return rng.standard_normal(events.shape, np.float32)
