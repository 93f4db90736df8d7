"""Separators to compare with: classical and supervised ones, and an ideal mask as the upper bound of masking."""
