"""The benchmark of the choice of ports: what it has measured, and that a stopped one goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import resumable

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def test_the_ports_of_each_scheme_are_within_a_fifth_of_a_decibel_of_every_choice() -> None:
    document = json.loads((RESULTS / "ports.json").read_text())
    medians = {"spread": [], "compact": []}
    for name, ways in document["loss_db"].items():
        for pool, way in (("spread", "choose"), ("compact", "select")):
            if pool in name:
                medians[pool].append(ways[way]["median"])
    assert all(len(some) == 4 and max(some) < 0.2 for some in medians.values())
    cells = document["cells"].items()
    again = [cell["choose"] for name, cell in cells if "3 of 12, spread" in name]
    assert resumable.spread(again)["median"] < 0.2


def test_a_stopped_measurement_goes_on(tmp_path: Path) -> None:
    file, done = tmp_path / "x.json", []

    def cell(name: str, *, fail: bool = False):
        def work() -> dict[str, float]:
            if fail:
                raise KeyboardInterrupt
            done.append(name)
            return {"value": float(len(done))}

        return name, work

    with pytest.raises(KeyboardInterrupt):
        resumable.measure(file, {"a": 1}, [cell("one"), cell("two", fail=True)])
    document = resumable.measure(file, {"a": 1}, [cell("one"), cell("two")])
    assert done == ["one", "two"]
    assert document["cells"] == {"one": {"value": 1.0}, "two": {"value": 2.0}}
    resumable.measure(file, {"a": 2}, [cell("one")])  # of other settings
    assert done == ["one", "two", "one"]
