"""Fixtures of tests/known_priors.py for the tests of posteriors."""

from tests.known_priors import coin_priors, gaussian_priors, runaway_priors, spectra_priors, toy_priors

__all__ = ["coin_priors", "gaussian_priors", "runaway_priors", "spectra_priors", "toy_priors"]
