"""Separations measured beside baselines and oracles, and what figures and cases are made of."""
