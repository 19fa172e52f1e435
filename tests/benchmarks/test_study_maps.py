"""The study's maps: what they show, and which of them the page shows."""

from __future__ import annotations

from studies import pictures, regimes

COMPACT = "selection-compact"


def test_a_map_leaves_blank_what_is_missing() -> None:
    assert pictures.entry_text(None) == ""
    assert pictures.entry_text((None, False)) == "–"
    assert pictures.entry_text((-12.4, False)) == "−12"
    assert pictures.entry_text((40.0, True)) == "≥40"


def test_the_page_shows_the_maps_of_the_strongest_of_those_spread_out() -> None:
    rows = [
        {"baseline": name, "faster_pct": {"median": x}}
        for name, x in (("sparse", 5.0), ("sparse", None), (COMPACT, 3.0), ("fixed", -9.0))
    ]
    assert regimes.strongest(rows[:3], regimes.SPREAD_OUT) == "sparse"
    assert regimes.strongest([rows[0], *rows[2:]], regimes.SPREAD_OUT) == COMPACT
    assert regimes.strongest(rows[3:], regimes.SPREAD_OUT) is None
