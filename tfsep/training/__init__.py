"""Training of any Keras model by any objective: steps, checkpoints, summaries; it names no model and no data set."""
