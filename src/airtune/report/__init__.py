"""Figures and the self-contained page of a finished or partly finished run.

:func:`build` reads a run folder and nothing else; matplotlib and jinja2 load when it is called.
"""

from __future__ import annotations

from airtune.report.page import build
from airtune.report.table import scheme_rows, terminal_table

__all__ = ["build", "scheme_rows", "terminal_table"]
