"""Normalizing flows as priors: chains of bijectors around Keras networks."""
