"""Kinds of posteriors, and the rule by which a composition keeps its first stages (:func:`kept`), without TensorFlow.

A model's description is checked by them before anything is built.
"""

from __future__ import annotations

from tfsep.errors import InputError

COMPOSITION = "composition"
#: Kinds that need trained weights of their own.
LEARNED = ("amortised",)
#: Kinds for priors over magnitudes; all others that use priors need them over waves.
SPECTRAL = ("spectral_langevin", "spectral_latent")
#: The parameter that counts the iterations of an iterative kind.
ITERATIONS = {
    "diffusion": "num_levels",
    "gibbs": "num_levels",
    "langevin": "num_steps",
    "latent": "num_steps",
    "particles": "num_levels",
    "spectral_langevin": "num_steps",
    "spectral_latent": "num_steps",
    "stochastic_gibbs": "num_levels",
}


def kept(num_stages: int, keep: int | None) -> int:
    """Return how many stages of a composition are used: ``keep``, or all where it is None.

    Raises:
        InputError: for a composition without stages, or a ``keep`` outside 1..num_stages.
    """
    if num_stages < 1:
        raise InputError("a composition needs at least one stage")
    if keep is None:
        return num_stages
    if not 1 <= keep <= num_stages:
        raise InputError(f"keep must lie in 1..{num_stages}, the number of stages, got {keep}")
    return keep
