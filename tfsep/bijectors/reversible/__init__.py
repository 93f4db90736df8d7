"""Chains of steps whose gradient recomputes activations instead of keeping them."""
