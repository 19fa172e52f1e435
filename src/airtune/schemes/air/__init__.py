"""Air interfaces: how the updates of a round become one, one interface a file."""
