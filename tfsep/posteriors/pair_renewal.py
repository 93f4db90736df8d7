r"""Two sources of an estimate found anew, one beside the other: for notes in unison, where one update at a time fails.

Where two sources share a pitch, each update of one depends on the other's error: sweeps move both
by a few per cent, or the two settle on a wrong share of their common partials. Here both are found
from what the other sources leave, :math:`r = m - \sum_{l \ne i, j} a_l s_l`, for every ordered pair,

1. the directions :math:`b_1 \ldots b_R` of the likeliest sound of source i in r: this sound at another
   amplitude and phase is a combination of them;
2. source j, the mean of its sound in r *beside* them, whose weights are integrated out under a flat
   prior: it is judged by those of its partials alone that i cannot have;
3. source i, the mean of its sound in :math:`r - a_j s_j`.

Of all N (N - 1) versions and the estimate as it was, the one that leaves the smallest residual is
kept. It is a proposal with a choice, no step of a sampler.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Sigma, Sources, Waves
from tfsep.errors import InputError
from tfsep.posteriors.shared_graphs import SharedGraphs
from tfsep.priors.base import Prior
from tfsep.runtime.stateless_random import is_portable


class PairRenewal:
    """Find two sources anew in estimates that leave more than a share of their mixture unexplained.

    Args:
        kind: of the posterior, for messages.
        priors: one per source, over waves, with directions.
        gains: a_1..a_N.
        above: share of a mixture's energy.
        bounded: holds posterior means (..., time) to what a source can be.

    Raises:
        InputError: for a prior without directions.
    """

    def __init__(
        self,
        kind: str,
        priors: Sequence[Prior],
        gains: Sequence[float],
        above: float,
        bounded: Callable[[tf.Tensor], tf.Tensor],
    ) -> None:
        """Check the priors."""
        for prior in priors:
            if not prior.has_directions:
                raise InputError(
                    f"posterior {kind!r}: sources can be found anew (renew_above) under priors with directions, such "
                    f"as 'wavetable', got {prior.kind!r}; set renew_above to None"
                )
        self.priors, self.gains, self.above, self.bounded = list(priors), tuple(gains), above, bounded
        self.pairs = list(itertools.permutations(range(len(self.priors)), 2))

    def __call__(self, shared: SharedGraphs, mixture: Waves, sources: Sources, sigma: Sigma) -> Sources:
        """Return estimates, some with two sources found anew.

        Args:
            shared: the priors' graphs.
            mixture: (batch, segment).
            sources: (batch, source, segment).
            sigma: the noise level, a scalar.

        Returns:
            (batch, source, segment).
        """
        if not self.pairs:
            return sources
        rest = tf.reduce_mean(mixing.residual(mixture, sources, self.gains) ** 2, axis=-1)
        unfinished = rest > self.above * tf.reduce_mean(mixture**2, axis=-1)
        if is_portable():  # Shapes must be known: all are tried, and some results dropped.
            return tf.where(unfinished[:, tf.newaxis, tf.newaxis], self.best(shared, mixture, sources, sigma), sources)
        rows = tf.where(unfinished)

        def some() -> tf.Tensor:
            found = self.best(shared, tf.gather_nd(mixture, rows), tf.gather_nd(sources, rows), sigma)
            return tf.tensor_scatter_nd_update(sources, rows, found)

        return tf.cond(tf.shape(rows)[0] > 0, some, lambda: sources)

    def best(self, shared: SharedGraphs, mixture: Waves, sources: Sources, sigma: Sigma) -> Sources:
        """Return for each estimate the version with the smallest residual: (batch, source, segment) -> the same."""
        rest = mixing.residual(mixture, sources, self.gains)
        parts = tf.constant(self.gains)[:, tf.newaxis] * sources
        first, second = ([pair[place] for pair in self.pairs] for place in (0, 1))
        targets = [rest + parts[:, i] + parts[:, j] for i, j in self.pairs]
        beside = self._each(shared, "directions", first, targets, sigma)
        size = max(waves.shape[1] for waves in beside)
        beside = [tf.pad(waves, [[0, 0], [0, size - waves.shape[1]], [0, 0], [0, 0]]) for waves in beside]
        others = self._means(shared, "denoise_beside", second, targets, sigma, beside)
        remains = [each - self.gains[j] * other for each, j, other in zip(targets, second, others, strict=True)]
        mine = self._means(shared, "denoise", first, remains, sigma)
        left = [each - self.gains[i] * one for each, i, one in zip(remains, first, mine, strict=True)]
        energy = tf.stack([tf.reduce_mean(each**2, axis=-1) for each in left], axis=-1)
        best = tf.argmin(energy, axis=-1)
        better = tf.reduce_min(energy, axis=-1) < tf.reduce_mean(rest**2, axis=-1)
        for place, found in ((first, mine), (second, others)):
            chosen = tf.one_hot(tf.gather(place, best), len(self.priors), on_value=True, off_value=False)
            new = tf.gather(tf.stack(found, axis=1), best, axis=1, batch_dims=1)[:, tf.newaxis]
            sources = tf.where((chosen & better[:, tf.newaxis])[..., tf.newaxis], new, sources)
        return sources

    def _means(
        self,
        shared: SharedGraphs,
        method: str,
        which: Sequence[int],
        targets: Sequence[Waves],
        sigma: Sigma,
        beside: Sequence[tf.Tensor] | None = None,
    ) -> list[Waves]:
        """Return posterior means of each pair's source within bounds: (batch, segment) each."""
        return [self.bounded(found[..., 0]) for found in self._each(shared, method, which, targets, sigma, beside)]

    def _each(
        self,
        shared: SharedGraphs,
        method: str,
        which: Sequence[int],
        targets: Sequence[Waves],
        sigma: Sigma,
        beside: Sequence[tf.Tensor] | None = None,
    ) -> list[tf.Tensor]:
        """Evaluate a method of each pair's prior on what its source would have to be; each prior is called once."""
        results: dict[int, tf.Tensor] = {}
        for k in range(len(self.priors)):
            places = [place for place, index in enumerate(which) if index == k]
            events = tf.concat([targets[place] for place in places], axis=0)[..., tf.newaxis] / self.gains[k]
            given = [] if beside is None else [tf.concat([beside[place] for place in places], axis=0)]
            found = tf.split(shared(k, method, events, sigma, *given), len(places))
            results |= dict(zip(places, found, strict=True))
        return [results[place] for place in range(len(which))]
