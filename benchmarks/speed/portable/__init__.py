"""Portable XLA programs of tfsep, timed by JAX on a machine without TensorFlow, such as one with a GPU."""
