"""Separation: a posterior applied to whole waveforms and songs of any length, rate and channel count."""
