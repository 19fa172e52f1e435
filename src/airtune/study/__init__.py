"""Comparisons and sweeps, and the figures computed from their histories."""
