"""The savings on the page of a sweep."""

from __future__ import annotations

import re

import pytest

from airtune.report import sweep_page


@pytest.mark.parametrize("percent, said", [(85.5, "85.5\u00a0%at least"), (None, "–")])
def test_only_a_saving_is_a_lower_bound(make_results, percent, said) -> None:
    point = make_results()
    point["headline"]["faster_pct"] = {"digital": percent}
    point["headline"]["less_energy_pct"] = {"digital": percent}
    point["headline"]["lower_bounds"] = ["digital"]
    point |= {"name": "point-00", "settings": {"aggregation.groups": 1}}
    point |= {"infeasible": [], "cells": 1, "finished": 1}
    sweep = {
        "scenario": point["scenario"],
        "vary": [{"setting": "aggregation.groups", "values": [1]}],
        "schemes": list(point["schemes"]),
        "seeds": 1,
        "points": [point],
    }
    savings = sweep_page.render(sweep, []).partition('id="savings"')[2].partition("</table>")[0]
    shown = re.findall(r"<td>(.*?)</td>", savings)
    assert [re.sub("<[^>]+>", "", cell) for cell in shown][1:] == [said, said]
