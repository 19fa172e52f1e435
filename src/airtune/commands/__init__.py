"""What each command does; the command line parses and calls."""
