"""Errors that a person can act on."""

from __future__ import annotations


class InputError(ValueError):
    """A setting, file or argument that cannot be used.

    The message names the setting, its value and what is allowed.  Commands print it without a
    traceback and exit with code 2.
    """
