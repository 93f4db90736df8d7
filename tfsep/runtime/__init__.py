"""How TensorFlow is run: trace context, packed weights, XLA, stateless random numbers, graph memory, progress."""
