"""The songs model: its training data, and its scores on every set."""
