"""Signals without weights: sound files, resampling, short-time transforms, overlap-add, the priors' front ends."""
