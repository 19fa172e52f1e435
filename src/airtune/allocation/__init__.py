"""The exact integer problem: rounds, batches, clocks and back-off for given constants."""
