"""The cells of the benchmark of faults: each is a scenario, and the table shows what is there."""

from __future__ import annotations

import faults


def test_every_fault_has_its_strengths_and_settings_that_can_be_read() -> None:
    points = list(faults.points())
    assert len({point.key for point in points}) == len(points)
    plain = faults.scenario_of(points[0], False, "cache")
    for fault, strengths in faults.FAULTS.items():
        assert len(strengths) == 2
        for strength in strengths:
            mine = [p for p in points if (p.fault, p.strength) == (fault, strength)]
            assert [point.scheme for point in mine] == list(faults.SCHEMES)
            assert faults.scenario_of(mine[0], False, "cache") != plain


def test_the_table_has_a_row_for_what_has_been_measured() -> None:
    entry = {
        "rounds_to_target": 12,
        "time_to_target_s": 18234.5,
        "final_loss": 0.5,
        "participation": 0.9,
        "bias": 0.01,
    }
    cells = {faults.Point(s, "phase error", "10°").key: entry for s in faults.SCHEMES}
    missed = {**entry, "rounds_to_target": None, "time_to_target_s": None, "final_loss": None}
    cells[faults.Point("fixed", "phase error", "10°").key] = missed
    rows = faults.table({"cells": cells}).splitlines()
    cells_shown = [cell.strip() for cell in rows[2].strip("| ").split("|")]
    assert len(rows) == 3
    assert cells_shown[:2] == ["phase error", "10°"]
    hit, miss = "12 (18,200 s) / 0.500 / 90 % / 0.01", "never / diverged / 90 % / 0.01"
    assert cells_shown[2:] == [hit, miss, hit, hit]


def test_a_bias_that_nobody_knows_is_no_zero() -> None:
    """With poisoned labels nobody computes an honest update to compare with."""
    noisy = ("poisoned clients, label-noise", "10 %")
    (point, *_) = (p for p in faults.points() if (p.fault, p.strength) == noisy)
    entry = {
        "rounds_to_target": 12,
        "time_to_target_s": 4.8712,
        "final_loss": 0.5,
        "participation": 1.0,
        "bias": 0.0,
    }
    known = entry | {"settings": ["faults.jammer.share=10%"]}
    shown = [faults._shown(one) for one in (entry | {"settings": list(point.settings)}, known)]
    assert shown == ["12 (4.87 s) / 0.500 / 100 % / -", "12 (4.87 s) / 0.500 / 100 % / 0"]


def test_the_manual_says_what_the_results_say() -> None:
    """Also at which states of the program they were made."""
    found = faults.read()
    page = faults.MANUAL.read_text(encoding="utf-8")
    assert page.split("<!-- faults -->\n")[1].split("\n<!-- end of faults -->")[
        0
    ] == faults.section(found)
    for place in found["environments"]:
        assert place["commit"][:7] in faults.section(found)
