"""The report of a track: one HTML page with players, pictures, uncertainty and metrics."""
