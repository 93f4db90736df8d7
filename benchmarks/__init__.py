"""Measurements: committed commands that print the figures quoted anywhere in this repository.

A measurement belongs to one of three packages: ``speed``, ``quality`` or ``priors``. The search
path below keeps the shorter commands working, such as ``python -m benchmarks.sources`` for
``benchmarks/quality/sources.py``.
"""

from pathlib import Path

__path__ += [str(Path(__file__).with_name(package)) for package in ("quality", "priors", "speed")]
