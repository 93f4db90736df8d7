r"""A prior: the density of one source by itself, and all that a posterior computes with it.

Every number belongs to a domain, the features over which the density is defined: waveform samples
("wave") or log-magnitude bins ("log_stft"). Numbers of different domains must not be compared.

A noised density is :math:`p_\sigma(y) = \int p(x)\, \mathcal{N}(y; x, \sigma^2 I)\, dx`; its score
is :math:`\nabla_y \log p_\sigma(y)` and its denoiser, by Tweedie's formula,
:math:`D(y, \sigma) = E[x|y] = y + \sigma^2 \nabla_y \log p_\sigma(y)`. Closed forms are noised
densities. A network is trained at all noise levels to come near to them, and nothing makes its
densities at two levels noised versions of one another: its D is a mean of a posterior only as far
as they are (:mod:`tfsep.prior_test.heat_equation`).
"""

from __future__ import annotations

import abc
import inspect
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfsep.axes import Seed, Settings, Sigma, TensorLike
from tfsep.errors import InputError
from tfsep.priors import arguments

if TYPE_CHECKING:
    from tfsep.audio.front_end import FrontEnd


class Prior(abc.ABC):
    """The interface of every source prior.

    A batch has at least one event, and the results for an event do not depend on the others. What is no
    array of real numbers, no whole number of events, or no seed raises an InputError.

    Attributes:
        kind: the name under which :func:`tfsep.priors.build` makes it.
        domain: name of the features, such as "wave".
        event_shape: shape of one event; waves are (time, 1).
        has_log_prob: False for a prior that only has a score.
        has_score: False for a denoiser trained among other sounds, whose :meth:`score` is no
            gradient of a density.
        score_of: "gradient" where :meth:`score` is the gradient of :meth:`log_prob`, "conditionals"
            where it is that of a pseudo-likelihood (:mod:`tfsep.priors.flows.spectral_realnvp`).
        has_posterior_sample: whether :meth:`posterior_sample` draws.
        has_directions: whether :meth:`directions` and :meth:`denoise_beside` compute.
        has_latents: whether :meth:`encode` and :meth:`decode` map events to standard normal
            latents.
        full_precision: True where float16 would spoil the weights, such as pitches in Hz.
        smallest_sigma: the noise level that is used as "no noise" (``sigma=None``), in units of the
            features.
        largest_sigma: the highest noise level the prior supports.
        sigma_range: noise levels on which the prior is trained, None for a clean one.
        front_end: from waveforms to the features.
        length: samples of the waveform that gives one event; None where the prior was built from the
            shape of its events alone.
        settings: what :func:`tfsep.priors.build` built it from; None for one that was built
            otherwise.
    """

    kind: str
    domain: str
    event_shape: tuple[int, ...]
    front_end: FrontEnd
    length: int | None = None
    has_log_prob: bool = True
    has_score: bool = True
    score_of: str = "gradient"
    has_posterior_sample: bool = False
    has_directions: bool = False
    has_latents: bool = False
    full_precision: bool = False
    smallest_sigma: float
    largest_sigma: float = math.inf
    sigma_range: tuple[float, float] | None = None
    settings: Settings | None = None

    def __init_subclass__(cls, **more: object) -> None:
        """Have the arguments of what a kind of prior computes checked (:mod:`tfsep.priors.arguments`)."""
        super().__init_subclass__(**more)
        for name in arguments.METHODS:
            if inspect.isfunction(method := vars(cls).get(name)):
                setattr(cls, name, arguments.checked(method))

    def __repr__(self) -> str:
        """Return :meth:`describe` in angle brackets."""
        return f"<{self.describe()}>"

    def describe(self) -> str:
        """Return one line: kind, domain, event shape, noise levels in units of the features, what it can compute."""
        noise = f"noise {self.smallest_sigma:g} to {self.largest_sigma:g}" if self.largest_sigma else "clean"
        only = "" if self.has_log_prob else ", score only" if self.has_score else ", denoiser only"
        return f"{self.kind} over {self.domain} events {self.event_shape}, {self.dimensions} dimensions, {noise}{only}"

    @property
    def dimensions(self) -> int:
        """Number of dimensions D of an event."""
        return math.prod(self.event_shape)

    def analyse(self, wave: tf.Tensor) -> tf.Tensor:
        """Transform waveforms (batch, time) to events (batch,) + event_shape of this prior's domain."""
        return self.front_end.analyse(wave)[0]

    def initialise(self, x: TensorLike, sigma: Sigma | None = None) -> None:
        """Set data-dependent weights, where there are any, from events that carry noise of standard deviation sigma."""
        del x, sigma

    @abc.abstractmethod
    def log_prob(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute the log-density of noised events in nats.

        Args:
            x: (batch,) + event_shape.
            sigma: standard deviation of the noise, a scalar or (batch,); None is
                ``smallest_sigma``.

        Returns:
            (batch,): log p_sigma(x), summed over the event.
        """

    def training_terms(self, x: TensorLike, sigma: Sigma | None = None) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Compute :meth:`log_prob`, and what training maximises besides it, (batch,) in nats; None is nothing."""
        return self.log_prob(x, sigma), None

    def denoising_terms(self, x: TensorLike, sigma: Sigma) -> tuple[tf.Tensor, tf.Tensor | None, tf.Tensor]:
        """Compute :meth:`training_terms`, (batch,) in nats, and :meth:`denoise`, of the shape of x, in one call."""
        return *self.training_terms(x, sigma), self.denoise(x, sigma)

    @abc.abstractmethod
    def score(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute the gradient of :meth:`log_prob` in x, or see ``score_of``: (batch,) + event_shape -> the same."""

    @abc.abstractmethod
    def sample(self, num: int, seed: Seed, sigma: Sigma | None = None) -> tf.Tensor:
        """Draw ``num`` events at noise level ``sigma``: (num,) + event_shape; ``seed`` is two integers."""

    def denoise(self, x: TensorLike, sigma: Sigma) -> tf.Tensor:
        """Compute the posterior mean of the clean event, x + sigma^2 score(x, sigma): (batch,) + event_shape."""
        score = self.score(x, sigma)
        x = tf.cast(tf.convert_to_tensor(x), score.dtype)
        sigma = per_example_sigma(self.smallest_sigma if sigma is None else sigma, x)
        return x + broadcast_to_event(sigma, x) ** 2 * score

    def posterior_sample(self, y: TensorLike, sigma: Sigma, seed: Seed) -> tf.Tensor:
        """Draw clean events from p(x | y) where y = x + noise of level sigma: (batch,) + event_shape.

        :meth:`denoise` is the mean of these draws. Priors that cannot draw exactly have
        ``has_posterior_sample`` False.

        Args:
            y: noised events, (batch,) + event_shape.
            sigma: standard deviation of the noise, a scalar or (batch,).
            seed: two integers, or (batch, 2): one for each event.

        Raises:
            InputError: if the prior cannot draw.
        """
        raise InputError(f"prior {self.kind!r} has no exact draw of clean events given noised ones")

    def directions(self, y: TensorLike, sigma: Sigma) -> tf.Tensor:
        """Return waves whose combinations are the likeliest clean event and what is near it.

        Args:
            y: noised events, (batch,) + event_shape.
            sigma: standard deviation of the noise, a scalar or (batch,).

        Returns:
            (batch, direction) + event_shape: the event at some amplitude, and how it changes with its
            parameters.

        Raises:
            InputError: if the prior has no parameters of sounds.
        """
        raise InputError(f"prior {self.kind!r} has no parameters along which a sound changes")

    def denoise_beside(self, y: TensorLike, sigma: Sigma, beside: TensorLike) -> tf.Tensor:
        """Compute the posterior mean of the clean event where y holds other waves too, of weights unknown.

        The weights have a flat prior and are integrated out.

        Args:
            y: noised events, (batch,) + event_shape.
            sigma: standard deviation of the noise, a scalar or (batch,).
            beside: (batch, direction) + event_shape, such as :meth:`directions` of another prior.

        Returns:
            (batch,) + event_shape.

        Raises:
            InputError: if the prior cannot.
        """
        raise InputError(f"prior {self.kind!r} cannot be denoised beside other waves")

    def encode(self, x: TensorLike, sigma: Sigma | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Map events at noise level sigma to standard normal latents.

        Args:
            x: events, (batch,) + event_shape.
            sigma: standard deviation of their noise, a scalar or (batch,); None is
                ``smallest_sigma``.

        Returns:
            The latents, (batch,) + event_shape, and log|det dz/dx| in nats, (batch,).

        Raises:
            InputError: if the prior is no flow.
        """
        raise InputError(f"prior {self.kind!r} has no latents")

    def decode(self, z: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Map latents to events, both (batch,) + event_shape: the inverse of :meth:`encode`.

        Raises:
            InputError: if the prior is no flow.
        """
        raise InputError(f"prior {self.kind!r} has no latents")

    def evaluate_stacked(
        self, priors: Sequence[Prior], method: str, events: tf.Tensor, sigma: Sigma
    ) -> tf.Tensor | None:
        """Evaluate several priors, this one first, in one call; return None if they cannot be stacked.

        Args:
            priors: N.
            method: "score" or "denoise".
            events: (N, batch) + event_shape.
            sigma: scalar or (batch,).
        """
        del priors, method, events, sigma
        return None

    def same_architecture(self, others: Sequence[Prior]) -> bool:
        """Return whether these priors, at least 2, differ from this one in the values of their weights only."""
        del others
        return False

    @property
    def has_weight_vector(self) -> bool:
        """Return whether the prior is determined by weights of one dtype: :meth:`weight_vector`."""
        return False

    def weight_vector(self) -> tf.Tensor:
        """Return all weights as one vector.

        Raises:
            InputError: if the prior has no such vector.
        """
        raise InputError(f"prior {self.kind!r} has no vector of weights")

    def evaluate_with(
        self, weights: tf.Tensor, method: str, events: tf.Tensor, sigma: Sigma, *more: tf.Tensor
    ) -> tf.Tensor:
        """Evaluate a method as if the weights were those of a vector; see :meth:`weight_vector`.

        Args:
            weights: of this prior, or of another of its architecture.
            method: such as "denoise".
            events: (batch,) + event_shape.
            sigma: scalar or (batch,).
            more: what else the method takes.

        Raises:
            InputError: if the prior has no such vector.
        """
        raise InputError(f"prior {self.kind!r} has no vector of weights to evaluate {method} with")

    def check_events(self, x: tf.Tensor) -> None:
        """Refuse events of another shape than ``event_shape`` with a ValueError."""
        if tuple(x.shape[1:]) != self.event_shape:
            raise ValueError(f"events of {self.kind} have shape {self.event_shape}, got {tuple(x.shape[1:])}")

    def nats_per_dim(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute the log-density per dimension: (batch,)."""
        return self.log_prob(x, sigma) / self.dimensions

    def bits_per_dim(self, x: TensorLike, sigma: Sigma | None = None) -> tf.Tensor:
        """Compute the code length per dimension in bits, -log_prob / (D log 2), of the continuous density: (batch,)."""
        return -self.nats_per_dim(x, sigma) / math.log(2.0)


def evaluate_priors(
    priors: Sequence[Prior], method: str, events: Sequence[tf.Tensor], sigma: Sigma, stacked: bool = False
) -> list[tf.Tensor]:
    """Evaluate each prior on its own events, (batch,) + event_shape -> the same, for each.

    Args:
        priors: one per source, of one event shape.
        method: "score" or "denoise".
        events: one tensor per source.
        sigma: noise level, scalar or (batch,).
        stacked: inside graphs, evaluate priors of one architecture in one call; others are
            evaluated one after the other.
    """
    if stacked and tf.inside_function():
        results = priors[0].evaluate_stacked(priors, method, tf.stack(events), sigma)
        if results is not None:
            return tf.unstack(results, num=len(priors))
    return [getattr(prior, method)(each, sigma) for prior, each in zip(priors, events, strict=True)]


def per_example_sigma(sigma: Sigma, x: tf.Tensor) -> tf.Tensor:
    """Broadcast sigma to a (batch,) tensor of x's dtype.

    Raises:
        ValueError: if plain numbers, which can be looked at, are not all positive.
    """
    if tf.is_tensor(sigma):
        return tf.broadcast_to(tf.cast(sigma, x.dtype), tf.shape(x)[:1])
    if not np.all(np.asarray(sigma) > 0.0):
        raise ValueError(f"sigma must be positive, got {sigma}")
    return tf.broadcast_to(tf.convert_to_tensor(sigma, x.dtype), tf.shape(x)[:1])


def broadcast_to_event(sigma: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Reshape (batch,) to (batch, 1, ...) so that it multiplies x."""
    return tf.reshape(sigma, [-1] + [1] * (x.shape.rank - 1))
