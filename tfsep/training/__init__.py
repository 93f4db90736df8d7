"""Train any Keras model by any objective: steps, checkpoints, summaries; no model or data is named."""
