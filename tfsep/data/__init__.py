"""Isolated sources as waveforms: where they come from and how they are cut, drawn and batched."""

from tfsep.data import pipeline, stems, toy

__all__ = ["pipeline", "stems", "toy"]
