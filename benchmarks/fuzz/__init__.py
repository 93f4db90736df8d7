"""Generated inputs of every kind, with seeds, against every reader: `python -m benchmarks.fuzz`."""
