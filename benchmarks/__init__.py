"""Measurements: committed commands that print the figures quoted anywhere in this repository."""
