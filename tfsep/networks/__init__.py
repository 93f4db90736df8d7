"""Keras networks from features to features; nothing here knows about probability."""
