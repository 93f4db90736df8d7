"""Priors on held-out isolated sources, and the data and trainings of the prior test."""
