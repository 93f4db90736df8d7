"""A model on disk: its folder, its schema, its weights, and the posteriors and source subsets built from it."""
