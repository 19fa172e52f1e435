"""Compiled loops of the placement solver."""
