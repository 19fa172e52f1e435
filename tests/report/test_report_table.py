"""Tables, headline, numbers, heights of labels."""

from __future__ import annotations

import io
import itertools
import random

import pytest
from rich.console import Console

from airtune.report import headline, style, totals
from airtune.report.curves import spread
from airtune.report.table import (
    NOT_REACHED,
    energy_rows,
    scheme_rows,
    split_rows,
    terminal_table,
)
from airtune.report.values import common_prefix, read, seconds_unit, si, significant

THIN = "\u202f"


def cells(sheet, name: str) -> dict[str, str]:
    row = next(row for row in sheet.rows if row.name == name)
    return dict(zip(sheet.columns, (cell.text for cell in row.cells), strict=True))


def printed(results, width: int = 100) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(terminal_table(results))
    return out.getvalue()


def test_rows_hold_the_figures_of_the_results(make_results) -> None:
    results = make_results()
    shown = cells(scheme_rows(results), "movable")
    entry = results["schemes"]["movable"]
    assert shown["Rounds to target"] == str(entry["rounds_to_target"])
    assert shown["Time to target [s]"] == f"{entry['time_to_target_s']:.1f}"
    assert shown["Final loss"] == f"{entry['final_loss']:.3f}"
    assert shown["Exact match [%]"] == f"{100 * entry['exact_match']:.1f}"
    assert shown["Aggregation error [dB]"] == "−11.0"
    assert cells(scheme_rows(results), "ideal")["Aggregation error [dB]"] == "–"


def test_target_not_reached_and_no_target_differ(make_results) -> None:
    results = make_results()
    assert cells(scheme_rows(results), "fixed")["Rounds to target"] == NOT_REACHED
    results["target_loss"] = None
    assert cells(scheme_rows(results), "fixed")["Rounds to target"] == "–"


def test_fairness_shows_only_where_it_says_something(make_results) -> None:
    results = make_results()
    assert "Fairness" not in scheme_rows(results).columns
    results["schemes"]["fixed"]["fairness"] = 0.71
    assert cells(scheme_rows(results), "fixed")["Fairness"] == "0.710"


def test_split_has_a_total_unless_figures_are_medians(make_results) -> None:
    sheet = split_rows(make_results(), "energy_j", "J")
    assert sheet.columns[0] == "Pre-training"
    shown = cells(sheet, "movable")
    assert shown["Pre-training"] == f"95.0{THIN}J"
    assert shown["Uplink"] == f"55.8{THIN}mJ"
    assert shown["Total"] == f"296{THIN}J"
    assert "Total" not in split_rows(make_results(seeds=4), "energy_j", "J").columns


def test_radiated_energy_stands_beside_the_electrical_energy(make_results) -> None:
    results = make_results()
    assert "Radiated" not in energy_rows(results).columns  # a folder that does not tell
    sent = {"uplink": 0.011, "pilots": 0.002, "downlink": 1.5}
    results["schemes"]["movable"]["radiated_j"] = sent
    shown = cells(energy_rows(results), "movable")
    assert shown["Radiated"] == f"1.51{THIN}J"
    assert shown["Total"] == f"296{THIN}J"
    assert cells(energy_rows(results), "fixed")["Radiated"] == "–"
    over_seeds = make_results()
    over_seeds["schemes"]["movable"]["radiated_j"] = {
        part: {"median": x, "p10": x, "p90": 2 * x} for part, x in sent.items()
    }
    assert "Radiated" not in energy_rows(over_seeds).columns
    only = {**results, "schemes": {"movable": results["schemes"]["movable"]}}
    out = io.StringIO()
    Console(file=out, width=80).print(*totals.terminal_totals(only))
    lines = out.getvalue().splitlines()
    head = next(line for line in lines if "Component" in line)
    assert head.split()[-1] == "Radiated"
    assert next(line for line in lines if "Uplink" in line).split()[-2:] == ["11.0", "mJ"]
    assert next(line for line in lines if "Compute" in line).split()[-1] == "–"
    assert next(line for line in lines if "Total" in line).split()[-2:] == ["1.51", "J"]


@pytest.mark.parametrize(("seeds", "width"), [(1, 80), (4, 100)])
def test_terminal_table_fits(make_results, seeds: int, width: int) -> None:
    results = make_results(seeds=seeds)
    lines = printed(results, width).splitlines()
    assert max(len(line) for line in lines) <= width
    rows = {
        name: next(line for line in lines if f" {name} " in line) for name in results["schemes"]
    }
    # Nothing is cut or wrapped: each scheme's line holds all its seven figures.
    assert rows["movable"].split()[1:] == ["15", "91.0", "196", "1.573", "4.82", "57.5", "−11.0"]
    assert rows["fixed"].split()[1:4] == ["never"] * 3
    assert len(rows["random-position"].split()) == 8
    assert ("13.5 to 18" in "\n".join(lines)) == (seeds > 1)


def test_a_scheme_that_diverged_is_marked_below_its_name(make_results) -> None:
    results = make_results()
    results["schemes"]["fixed"] |= {"diverged": True, "final_loss": None}
    row = next(row for row in scheme_rows(results).rows if row.name == "fixed")
    assert row.note == "diverged"
    lines = printed(results, 80).splitlines()
    place = next(i for i, line in enumerate(lines) if " fixed " in line)
    assert lines[place + 1].strip().startswith("diverged")
    assert max(map(len, lines)) <= 80


def test_terminal_table_prints_names_as_they_are(make_results) -> None:
    results = make_results(("ideal",))
    results["schemes"]["[red]x[/red]"] = results["schemes"]["ideal"]
    assert "[red]x[/red]" in printed(results)


def test_range_over_seeds_with_repetitions_that_never_reach(make_results) -> None:
    results = make_results(("ideal", "movable"), seeds=4)
    entry = results["schemes"]["movable"]
    entry["rounds_to_target"] = {"median": 14.5, "p10": 12, "p90": None}
    sheet = scheme_rows(results)
    row = next(row for row in sheet.rows if row.name == "movable")
    assert (row.cells[0].text, row.cells[0].spread) == ("14.5", "12 to never")
    entry["rounds_to_target"] = {"median": None, "p10": 12, "p90": None}
    row = next(row for row in scheme_rows(results).rows if row.name == "movable")
    assert (row.cells[0].text, row.cells[0].spread) == (NOT_REACHED, "12 to never")


def test_headline_says_slower_and_more(make_results) -> None:
    results = make_results()
    results["headline"]["faster_pct"]["digital"] = -12.4
    results["headline"]["less_energy_pct"]["digital"] = -3.0
    text = " ".join(headline.sentences(results))
    assert "12\u00a0% slower with 3\u00a0% more energy than digital upload" in text


def test_headline_does_not_round_up_to_a_hundred(make_results) -> None:
    results = make_results()
    results["headline"]["faster_pct"]["digital"] = 99.97
    assert "99.9\u00a0% faster" in " ".join(headline.sentences(results))


def test_headline_when_only_others_reach(make_results) -> None:
    results = make_results()
    for key in ("rounds_to_target", "time_to_target_s", "energy_to_target_j"):
        results["schemes"]["movable"][key] = None
    text = " ".join(headline.sentences(results))
    assert text.startswith("Movable antennas did not reach the target loss")
    assert "the error-free reference, random positions and digital upload did" in text
    assert "faster" not in text
    assert {gain.faster.text for gain in headline.gains(results)} == {
        "movable did not reach the target"
    }


def test_headline_without_a_target(make_results) -> None:
    results = make_results()
    results["target_loss"] = None
    sentences = headline.sentences(results)
    assert sentences[0].startswith("There is no target loss: the error-free reference did not")
    assert sentences[1].startswith("Movable antennas ended at a loss of 1.573")
    assert headline.gains(results) == ()
    del results["schemes"]["ideal"]
    assert "is not among the schemes" in headline.sentences(results)[0]
    single = make_results(("movable",))
    single["target_loss"] = None
    assert len(headline.sentences(single)) == 1


def test_gains_mark_lower_bounds(make_results) -> None:
    results = make_results()
    results["headline"]["faster_pct"]["fixed"] = 31.26
    results["headline"]["less_energy_pct"]["fixed"] = -4.0
    gain = next(g for g in headline.gains(results) if g.name == "fixed")
    assert gain.faster.text == ">\u00a031.3\u00a0%"
    # "At least -4 %" says nothing.
    assert gain.less_energy.text == "target not reached"


def test_sentences_turn_a_lower_bound_of_a_saving_into_an_upper_one_of_a_loss(make_results) -> None:
    # With several seeds a baseline may reach the target in the median, and miss it in some.
    results = make_results(seeds=3)
    name = next(n for n, e in results["schemes"].items() if n not in ("movable", "ideal"))
    results["schemes"][name]["time_to_target_s"] = {"median": 9.0, "p10": 8.0, "p90": 10.0}
    results["schemes"][name]["energy_to_target_j"] = {"median": 9.0, "p10": 8.0, "p90": 10.0}
    results["headline"]["lower_bounds"] = [name]
    results["headline"]["faster_pct"][name] = {"median": 31.3, "p10": 1.0, "p90": 40.0}
    results["headline"]["less_energy_pct"][name] = {"median": -4.0, "p10": -9.0, "p90": 1.0}
    told = " ".join(headline.sentences(results)).replace("\u00a0", " ")
    assert "at least 31 % faster with at most 4 % more energy than" in told


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0, "0"),
        (9.996, "10.0"),
        (0.01234, "0.0123"),
        (1234.5, f"1{THIN}234"),
        (-27.06, "−27.1"),
        (99.96, "100"),
    ],
)
def test_significant(x: float, text: str) -> None:
    assert significant(x) == text


@pytest.mark.parametrize(
    ("x", "unit", "text"),
    [
        (0.05581, "J", "55.8 mJ"),
        (999.7, "J", "1.00 kJ"),
        (1367.0, "s", "1 367 s"),
        (0.12, "s", "120 ms"),
        (0.0, "J", "0 J"),
        (4e-13, "J", "0.000400 nJ"),
    ],
)
def test_si(x: float, unit: str, text: str) -> None:
    assert si(x, unit).replace(THIN, " ") == text


def test_units_of_columns() -> None:
    assert common_prefix([3e3, None, 4e3, 5.0]) == (1e3, "k")
    assert common_prefix([None]) == (1.0, "")
    assert seconds_unit([90.0, 100.0, 110.0]) == (1.0, "s")
    assert seconds_unit([4000.0]) == (60.0, "min")
    assert seconds_unit([0.01]) == (1e-3, "ms")


@pytest.mark.parametrize("raw", [None, "x", float("nan"), float("inf"), True, {}, []])
def test_read_takes_what_is_no_number_as_missing(raw: object) -> None:
    assert read(raw).median is None


def test_labels_keep_their_distance_and_stay_near() -> None:
    draw = random.Random(3)
    for _ in range(200):
        wanted = sorted(draw.random() for _ in range(draw.randint(1, 7)))
        heights = spread(wanted, 0.1)
        gaps = [b - a for a, b in itertools.pairwise(heights)]
        assert all(gap >= 0.1 - 1e-9 for gap in gaps)
        assert all(-1e-9 <= height <= 1 + 1e-9 for height in heights)
    assert spread([0.2, 0.5, 0.9], 0.1) == pytest.approx([0.2, 0.5, 0.9])
    assert spread([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])


def test_every_scheme_looks_different() -> None:
    looks = {(s.color, s.dash, s.marker) for s in style._STYLES.values()}
    assert len(looks) == len(style._STYLES)
    assert len({s.marker for s in style._STYLES.values()}) == len(style._STYLES)
    assert style.scheme_style("a-new-one").label == "a-new-one"
    assert style.ordered_components({"zeta", "uplink", "compute"}) == ["compute", "uplink", "zeta"]
