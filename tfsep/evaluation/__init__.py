"""Scores of separations and of priors on held-out data: metrics over mixtures, calibration, selection of stages."""
