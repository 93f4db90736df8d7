"""Render songs with isolated stems from notes, behind ``bin/render``: composer, drums, synthesisers, singing."""
