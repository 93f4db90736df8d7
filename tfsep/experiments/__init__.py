"""Experiments: what is measured of priors and of separations, and how it is shown."""
