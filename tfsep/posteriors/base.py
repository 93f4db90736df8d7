"""A posterior: from a segment of a mixture to samples of its sources.

A posterior uses a prior only through :class:`tfsep.priors.base.Prior`. Its sources are before
gains: the mixture is sum_k a_k s_k, so what a source contributes to the mixture is a_k s_k.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence

import tensorflow as tf

from tfsep import mixing
from tfsep.axes import Events, Seed, Sigma, Sources, TensorLike, Waves
from tfsep.errors import InputError
from tfsep.posteriors.kinds import SPECTRAL
from tfsep.priors.base import Prior, evaluate_priors

#: Sources up to which all assignments to priors are tried; 7 would have 5,040.
MOST_ASSIGNED = 6


class Posterior(abc.ABC):
    """The interface of every posterior.

    Attributes:
        kind: the name under which :func:`tfsep.posteriors.build` makes it.
        num_sources: N.
        segment: samples of a segment of the mixture.
        gains: a_1..a_N.
        is_sampler: whether draws converge to the posterior under the priors as steps grow. False
            for what finds modes or estimates by a network, however many draws it gives.
        has_spread: whether its draws differ as much as it is uncertain: a sampler, or a network
            that was fitted to. False for what gives several estimates, each the best from where it
            began.
    """

    is_sampler: bool = False
    kind: str
    num_sources: int
    segment: int
    gains: tuple[float, ...]

    def describe(self) -> str:
        """Return its kind, of posteriors in sequence all kinds in their order."""
        return self.kind

    @property
    def has_spread(self) -> bool:
        """Return whether draws differ as much as the posterior is uncertain; a sampler's do."""
        return self.is_sampler

    @abc.abstractmethod
    def sample(self, mixture: TensorLike, num_samples: int, seed: Seed, start: TensorLike | None = None) -> tf.Tensor:
        """Draw sources given segments of a mixture.

        Args:
            mixture: (batch, segment) float32, linear amplitude.
            num_samples: how many; one means the best single estimate rather than a draw.
            seed: two integers, or (batch, 2): one for each mixture, whose draws then do not depend on
                the rest of the batch. Two integers are folded by the mixture's number.
            start: sources before gains, (batch, source, segment), near which to search: noise is
                added to them and annealing begins at the posterior's ``start_sigma`` instead of its
                highest level. None starts cold.

        Returns:
            (num_samples, batch, source, segment) float32, each summing to the mixture under
            ``gains``. It may be called inside a ``tf.function``.

        Raises:
            InputError: for a start of another shape, or one given to a posterior that estimates
                in one pass.
        """

    def compiles(self, num_samples: int, batch: int, started: bool = False) -> bool:
        """Tell whether :meth:`sample` is compiled by XLA outside graphs, for this many mixtures.

        A caller should not wrap it in a graph then: within a graph it leaves compilation to that
        graph.
        """
        del num_samples, batch, started
        return False

    def memory(self, num_samples: int) -> int | None:
        """Return an upper bound on the bytes of :meth:`sample` for one segment; None where only its graph knows."""
        del num_samples
        return None

    def reports(self) -> bool:
        """Tell whether :meth:`sample` reports progress to an observer, which it can outside graphs alone."""
        return False


def wave_priors(kind: str, priors: Sequence[Prior] | None, sigmas: Sequence[float]) -> list[Prior]:
    """Check that priors can serve a sampler that moves waveforms through noise levels ``sigmas``.

    Raises:
        InputError: without priors, for a domain other than "wave", for events of different lengths,
            or for noise levels outside a prior's range.
    """
    if not priors:
        raise InputError(f"posterior {kind!r} needs a prior for each source, and this model has none")
    for prior in priors:
        if prior.domain != "wave":
            got = f"got {prior.kind!r} over {prior.domain!r}"
            instead = " or ".join(map(repr, SPECTRAL))
            raise InputError(f"posterior {kind!r} needs priors over 'wave', {got}; use {instead}")
        if prior.event_shape != priors[0].event_shape:
            raise InputError(f"priors must share one event shape, got {prior.event_shape}, {priors[0].event_shape}")
        if min(sigmas) < prior.smallest_sigma or max(sigmas) > prior.largest_sigma:
            known = f"{prior.smallest_sigma:g}..{prior.largest_sigma:g}"
            raise InputError(
                f"noise levels of {kind!r} must lie in the {known} that prior {prior.kind!r} supports, "
                f"got {min(sigmas):g}..{max(sigmas):g}"
            )
    return list(priors)


def events_of(sources: Sources) -> list[Events]:
    """Return each source as events of its prior: (batch, source, time) -> N of (batch, time, 1).

    By unstacking: TensorFlow 2.21 rewrites the slice [:, k, :, newaxis] of stacked sources wrongly
    in a graph.
    """
    return [source[..., tf.newaxis] for source in tf.unstack(sources, axis=1)]


def denoise_each(priors: Sequence[Prior], sources: Sources, sigma: Sigma, stacked: bool = False) -> Sources:
    """Denoise each source by its own prior: (batch, source, time) -> the same."""
    return evaluate_each(priors, "denoise", sources, sigma, stacked)


def evaluate_each(priors: Sequence[Prior], method: str, sources: Sources, sigma: Sigma, stacked: bool) -> Sources:
    """Call each prior's ``method`` with its own source: (batch, source, time) -> the same."""
    results = evaluate_priors(priors, method, events_of(sources), sigma, stacked)
    return tf.stack([result[..., 0] for result in results], axis=1)


def residual_energy(mixture: Waves, sources: Sources, gains: Sequence[float]) -> tf.Tensor:
    """Return the mean square of what the sources leave unexplained: (..., source, time) -> (...)."""
    return tf.reduce_mean(mixing.residual(mixture, sources, gains) ** 2, axis=-1)


def needs_score(kind: str, priors: Sequence[Prior]) -> None:
    """Check that the score of every prior was learned as that of a density under white noise.

    Raises:
        InputError: for a denoiser that was trained to separate its source from other sounds.
    """
    for prior in priors:
        if not prior.has_score:
            rule = f"posterior {kind!r} follows scores of noised densities"
            learned = f"prior {prior.kind!r} learned to denoise among other sounds (background)"
            raise InputError(f"{rule}, and {learned}; use posterior 'gibbs'")


def needs_log_prob(kind: str, what: str, priors: Sequence[Prior], instead: str) -> None:
    """Check that every prior has a log-density, which ``what`` needs; ``instead`` would do without.

    Raises:
        InputError: for a prior that has only a score.
    """
    for prior in priors:
        if not prior.has_log_prob:
            missing = f"prior {prior.kind!r} has only a score"
            raise InputError(f"posterior {kind!r}: {what} needs log-densities, and {missing}; use {instead}")
