"""A federation of Flower as an engine: clients are computed by nodes that stay where data is."""
