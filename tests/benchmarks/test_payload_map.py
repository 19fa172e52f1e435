"""The map of winners by payload and bandwidth (`benchmarks/payload_map.py`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import payload_map
import payload_map_page as page

Cells = dict[str, Any]


def figures(time_s: float | None) -> dict[str, Any]:
    """Energy is ten times the time; the fast device takes a tenth of both."""

    def of(share: float) -> dict[str, float | None]:
        if time_s is None:
            return dict.fromkeys(("rounds", "time_s", "energy_j"))
        return {"rounds": 7.0, "time_s": share * time_s, "energy_j": 10 * share * time_s}

    return {"devices": {page.SLOW: of(1.0), page.FAST: of(0.1)}}


def row(figure: str, scenario: str, band: float, device: str = page.SLOW) -> page.Row:
    return page.Row(figure, device, scenario, band)


def cells_of(seed: int, payloads: tuple[str, ...] = ("lora", "ffa")) -> Cells:
    """Times of one seed: movable 1, fixed 2, selection 4, digital 3; `ffa` half of `lora`."""
    times = {"movable": 1.0, "fixed": 2.0, "selection": 4.0}
    cells: Cells = {page.reference_name(seed): {}}
    for sent in payloads:
        share = 0.5 if sent == "ffa" else 1.0
        for coding in page.CODINGS:
            places = {
                page.place(name, band): figures(3.0 * share * 1e6 / band)
                for name in page.SCENARIOS
                for band in page.BANDS
            }
            cells[page.bits_name(coding, sent, seed)] = {"places": places}
        for name in page.SCENARIOS:
            for band in page.BANDS[:-1]:
                for scheme, time_s in times.items():
                    cells[page.air_name(name, scheme, sent, band, seed)] = figures(
                        seed * time_s * share * 1e6 / band
                    )
    return cells


def test_the_best_of_payloads_and_parts_of_the_band_counts() -> None:
    cells = cells_of(1)
    here = page.best(cells, row("time_s", "paper-v1", 1e6), "movable")
    assert here == page.Value(0.5, 7.0, "ffa", 1e6)
    assert page.best(cells, row("time_s", "paper-v1", 1e6), "movable", "lora") == page.Value(
        1.0, 7.0, "lora", 1e6
    )
    wide = page.best(cells, row("energy_j", "cell-edge", 2e7), "movable")
    assert wide == page.Value(1.0, 7.0, "ffa", 5e6)  # over the air nothing was run at 20 MHz
    bits = page.best(cells, row("time_s", "cell-edge", 2e7), "digital")
    assert bits == page.Value(0.075, 7.0, "ffa", 2e7, "lloyd-max-1")
    fast = page.best(cells, row("time_s", "paper-v1", 1e6, page.FAST), "fixed")
    assert fast == page.Value(0.1, 7.0, "ffa", 1e6)


def test_who_never_arrives_is_beyond_all_others() -> None:
    cells = cells_of(1, ("lora",))
    for band in page.BANDS[:-1]:
        cells[page.air_name("paper-v1", "movable", "lora", band, 1)] = figures(None)
    found = page.best(cells, row("time_s", "paper-v1", 1e6), "movable")
    assert found is not None and found.value == page.NEVER
    words = "\n".join(page._words(cells, [row("time_s", n, 1e6) for n in page.SCENARIOS]))
    assert "do not pay, and take more time, at: paper-v1, 1 MHz (against fixed)" in words
    assert "less time than every other at: cell-edge, 1 MHz (against fixed)" in words


def test_seeds_count_when_they_have_all_that_the_first_has() -> None:
    cells = cells_of(1) | cells_of(2) | cells_of(3)
    assert page.seeds_of(cells) == [1, 2, 3]
    assert page.best(cells, row("time_s", "paper-v1", 1e6), "fixed", "lora").value == 4.0  # type: ignore[union-attr]
    del cells[page.air_name("cell-edge", "fixed", "ffa", 2e5, 2)]
    assert page.seeds_of(cells) == [1, 3]
    assert page.seeds_of({}) == []


def test_the_section_is_there_once_there_is_a_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "map.png"
    draw = page.draw
    monkeypatch.setattr(page, "draw", lambda *given: draw(*given, out))
    assert page.text({}) == ""
    cells = cells_of(1)
    broken = {k: v for k, v in cells.items() if "fixed; lora" not in k and "fixed; ffa" not in k}
    assert page.text(broken) == ""
    assert not out.exists()
    text = page.text(cells)
    assert "| paper-v1, 1 MHz | 0.5 (ffa, 7 rounds) | 1 (ffa, 7 rounds) |" in text
    assert "1.5 (ffa, 1 bit, 7 rounds)" in text
    assert "| paper-v1, 20 MHz | 0.1 (ffa, 7 rounds, in 5 MHz) |" in text
    assert "more time, at: paper-v1, 20 MHz (against digital)" in text
    assert out.stat().st_size > 10_000


def test_cells_wait_for_what_sets_their_target() -> None:
    every = list(payload_map.tasks(payload_map.Runs(), ["lora"], [1e6], [1, 2]))
    assert len(every) == 2 * (1 + 4 + 6)
    assert len({task.name for task in every}) == len(every)
    assert {task.needs for task in every} == {None, *map(page.reference_name, (1, 2))}
    scenario = payload_map.scenario_of("cell-edge", "mask 4096", 5e6)
    assert (scenario.aggregation.payload_size, scenario.radio.bandwidth_hz) == (4096, 5e6)
