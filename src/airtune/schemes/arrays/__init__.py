"""Array policies: where the antennas of the base station are, one policy a file."""
