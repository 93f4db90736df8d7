"""Separations and priors on held-out data: metrics over mixtures, excerpts, calibration, selection of stages."""
