"""Where propagation paths come from."""
