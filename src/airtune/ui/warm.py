"""Compile what the live page calls: ``python -m airtune.ui.warm``."""

from __future__ import annotations

from airtune.ui.board import warm_cells
from airtune.ui.look import look

if __name__ == "__main__":
    for cell in warm_cells():
        look(cell)
