"""The decorator of this package's kernels."""

from airtune.compiled import compiled

__all__ = ["compiled"]
