"""Campaigns that try to break airtune: each part is a module with a function `run`."""
