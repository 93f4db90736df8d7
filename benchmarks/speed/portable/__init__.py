"""tfsep's programs of XLA taken to a machine without TensorFlow, such as one with a GPU, and timed there by JAX."""
