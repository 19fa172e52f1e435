"""Experiment trackers: rounds and results of a run, copied to where people compare experiments."""
