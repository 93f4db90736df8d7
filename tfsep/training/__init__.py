"""Train any Keras model by any objective: steps, checkpoints, summaries; no model or data is named.

How one prior is trained is written in :mod:`tfsep.recipes.train_priors`.
"""
