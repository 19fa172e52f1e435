"""The study's page: what is made of the cells, how it is worded, the same bytes every time."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from airtune.record.documents import MetricsLine
from airtune.scenario import Scenario
from airtune.study.targets import crossing
from studies import (
    claims,
    components,
    details,
    electrical,
    headline,
    movement,
    phrases,
    policies,
    sections,
    tables,
)
from studies.points import Point
from studies.results import Results


def history(losses: list[float], seconds: float, compute: float) -> dict[str, object]:
    rounds = range(len(losses))
    return {
        "history": {
            "loss": losses,
            "time_s": [seconds * i for i in rounds],
            "compute_s": [compute * i for i in rounds],
            "energy_j": [2 * seconds * i for i in rounds],
            "compute_j": [2 * compute * i for i in rounds],
        },
        "participation": [1, 1, 0],
        "batch": [16, 16, 16],
    }


def cells_of(losses: dict[str, list[float]]) -> dict[str, dict[int, dict[str, object]]]:
    slow = {"digital": 10.0}
    return {name: {0: history(x, slow.get(name, 1.0), 0.5)} for name, x in losses.items()}


COMPACT = "selection-compact"
LOSSES = {
    "ideal": [5.0, 1.0, 1.0, 1.0],
    "movable": [5.0, 3.0, 1.2, 1.0],
    "fixed": [5.0, 4.0, 3.0, 1.3],
    "fixed-2n": [5.0, 1.3, 1.2, 1.1],
    "cotaf": [5.0, 4.5, 4.0, 3.5],
    "digital": [5.0, 1.1, 1.0, 1.0],
}


def best_of(figure: tables.Figure, excluded: tuple[str, ...] = ()) -> str:
    best = tables.against_best(figure, (*tables.NOT_OVER_THE_AIR, *excluded))
    assert best is not None
    return best.baseline


def test_savings_and_the_best_competitor() -> None:
    found = tables.outcomes(cells_of(LOSSES))
    # the target is 5 - 0.9 * 4 = 1.4
    there = 1 + (3.0 - 1.4) / (3.0 - 1.2)  # on the straight line between two evaluations
    assert found["movable"][0].seconds == pytest.approx(there)
    assert found["movable"][0].rounds == pytest.approx(there)
    time, energy = tables.time_of(found), tables.energy_of(found)
    for figure in (time, energy):
        digital = tables.saved(figure, "digital")
        assert digital is not None
        assert digital.percents == pytest.approx([100 * (1 - there / (10 * 3.6 / 3.9))])
        assert (digital.missed, digital.better) == (0, 1)
    cotaf = tables.saved(time, "cotaf")
    assert cotaf is not None
    assert cotaf.missed == 1
    assert cotaf.percents == pytest.approx([100 * (1 - there / 3)])
    assert best_of(time) == "fixed-2n"
    assert best_of(time, tables.MORE_HARDWARE) == "fixed"
    assert found["fixed"][0].fairness == pytest.approx(2 / 3)


def test_another_compute_speed_is_booked_again() -> None:
    found = tables.outcomes(cells_of(LOSSES), compute_speed=5.0)
    # rounds of half a second on the air and a tenth of computing
    assert found["movable"][0].seconds == pytest.approx((1 + 1.6 / 1.8) * (0.5 + 0.1))
    assert found["digital"][0].joules == pytest.approx(3.6 / 3.9 * 2 * (9.5 + 0.1))


def test_the_page_crosses_a_target_where_the_package_does() -> None:
    losses = [5.0, None, 3.0, None, 1.2, 1.0]
    page = tables._crossing(losses, 1.4)
    lines = [
        MetricsLine(round=i, time_s=1.0 * i, energy_j=i * i, loss=x, evaluated=x is not None)
        for i, x in enumerate(losses)
    ]
    package = crossing(lines, 1.4)
    assert page is not None
    assert page.of(range(6)) == pytest.approx(package["rounds"])
    assert page.of([i * i for i in range(6)]) == pytest.approx(package["energy_j"])
    assert tables._crossing(losses, 0.5) is None
    assert crossing(lines, 0.5)["rounds"] is None


def test_perplexity_is_the_exponential_of_the_last_loss() -> None:
    values = tables.perplexity_of(cells_of(LOSSES)).values
    assert values["fixed"][0] == pytest.approx(math.exp(1.3))


def saved(percents: list[float | None], missed: int = 0, quantity: str = "time") -> tables.Saved:
    better = sum(x is not None and x > 0 for x in percents)
    seeds = tuple(range(len(percents)))
    return tables.Saved(quantity, "fixed", seeds, tuple(percents), missed, better, 0.5)


def test_a_loss_is_not_hidden_by_one_seed_in_which_the_baseline_failed() -> None:
    one = saved([-20.0, -12.5, -12.5, -12.5, 3.0], missed=1)
    assert phrases.percent(one).startswith("at least −12.5 % (")
    assert phrases.percent(one).endswith("reached in 4 of 5 seeds")
    assert phrases.percent(saved([-12.5] * 2, missed=2)) == "baseline never there"
    assert phrases.percent(saved([40.0] * 2, missed=2)) == "at least 40.0 %, baseline never there"
    assert phrases.percent(saved([None, None, 5.0])) == "movable never there"
    assert phrases.percent(saved([None, 4.0, 5.0, 6.0, 7.0])) == "5.0 % (never to 6.6)"


@pytest.mark.parametrize(
    ("quantity", "percent", "missed", "told"),
    [
        ("time", -18.5, 0, "18.5 % slower"),
        ("energy", -45.8, 0, "45.8 % more energy"),
        ("energy", 45.8, 0, "45.8 % less energy"),
        ("perplexity", -1.2, 0, "1.2 % higher perplexity"),
        ("time", 30.0, 1, "at least 30.0 % faster"),
        ("time", -30.0, 1, "at most 30.0 % slower"),
        ("time", 0.01, 0, "no difference"),
    ],
)
def test_savings_in_words(quantity: str, percent: float, missed: int, told: str) -> None:
    assert phrases.words(saved([percent], missed, quantity)) == told


def test_verdicts_go_by_the_median_and_count_the_seeds() -> None:
    assert phrases.verdict(saved([96.0, 97.0, 98.0]), 95.0) == "yes"
    assert phrases.verdict(saved([90.0, 97.0, 98.0]), 95.0) == "yes (in 2 of 3 seeds)"
    assert phrases.verdict(saved([90.0, 91.0, 98.0]), 95.0) == "no (in 1 of 3 seeds)"
    assert phrases.verdict(saved([96.0] * 3, missed=1), 95.0) == "yes; a lower bound"
    assert phrases.verdict(saved([10.0] * 3, missed=1), 95.0) == "no; a lower bound"
    assert phrases.verdict(saved([None] * 3), 95.0) == "no"


def test_what_is_never_reached_names_the_least_that_was() -> None:
    assert phrases.spread([4.0, 5.0]) == "4.50 (4.10 to 4.90)"
    assert phrases.spread([4.0, None, None]) == "never (least: 4.00)"
    assert phrases.spread([4.0, 4.0, 4.0, None]) == "4.00 (4.00 to never)"
    assert phrases.spread([None]) == "never"


def test_a_reference_that_diverged_at_the_end_sets_no_target() -> None:
    cells = cells_of(LOSSES | {"ideal": [2.8, 1.0, None]})
    assert tables.targets(cells) == {0: None}
    assert tables.targets(cells_of(LOSSES)) == pytest.approx({0: 1.4})


def test_parts_go_up_to_the_target_and_computing_is_booked_again() -> None:
    cells = cells_of(LOSSES)
    for seeds in cells.values():
        seeds[0]["history"]["movement_s"] = [0.25 * i for i in range(4)]
    found = tables.outcomes(cells, compute_speed=5.0)
    # movable is there within two rounds, COTAF never in three
    there = 1 + 1.6 / 1.8
    assert found["movable"][0].parts_s == pytest.approx(
        {"compute": 0.1 * there, "movement": 0.25 * there}
    )
    assert found["cotaf"][0].parts_s == pytest.approx({"compute": 0.3, "movement": 0.75})


def outcome(seconds: float | None, joules: float | None, **parts: float) -> tables.Outcome:
    return tables.Outcome(
        rounds=None if seconds is None else 10,
        seconds=seconds,
        joules=joules,
        spent_s=9.0,
        spent_j=9.0,
        parts_s=parts,
        parts_j=parts,
        loss=1.0,
        mse=None,
        fairness=1.0,
        planned=30,
        batch=16.0,
        most_client_j=0.2,
    )


def test_each_figure_has_a_best_of_its_own_on_the_seeds_that_all_have() -> None:
    found = {
        "movable": {0: outcome(2.0, 2.0), 1: outcome(2.0, 2.0), 2: outcome(2.0, 2.0)},
        "quick": {0: outcome(1.0, 4.0), 1: outcome(1.0, 4.0), 2: outcome(8.0, 9.0)},
        "lean": {0: outcome(4.0, 1.0), 1: outcome(4.0, 1.0)},
        "digital": {0: outcome(0.5, 0.5), 1: outcome(0.5, 0.5), 2: outcome(0.5, 0.5)},
    }
    time = tables.against_best(tables.time_of(found))
    energy = tables.against_best(tables.energy_of(found))
    assert time is not None
    assert energy is not None
    assert (time.baseline, energy.baseline) == ("quick", "lean")
    assert time.compared == (0, 1)
    assert time.percents == pytest.approx((-100.0, -100.0))
    with_digital = tables.against_best(tables.time_of(found), ())
    assert with_digital is not None
    assert with_digital.baseline == "digital"


def test_the_reason_names_what_is_spent_and_saved() -> None:
    found = {
        "movable": {0: outcome(2.0, 2.0, downlink=1.0, movement=1.0)},
        "fixed": {0: outcome(1.6, 1.6, downlink=1.5, pilots=0.1)},
    }
    saving = tables.saved(tables.time_of(found), "fixed")
    assert saving is not None
    assert components.explained(found, saving) == (
        "Time against Fixed: 25.0 % slower (1 seed). Rounds: 10 against 10. Movable saves 0.50 s "
        "of downlink and 0.10 s of pilots. Movable adds 1.0 s of movement. Drives that cost "
        "nothing would bring this to 37.5 % saved."
    )


def stored(results: Results, point: Point, documents: dict[tuple[str, int], object]) -> None:
    for cell in point.cells():
        if (cell.scheme, cell.seed) in documents:
            content = documents[cell.scheme, cell.seed]
            name = {"scheme": cell.scheme, "seed": cell.seed, "learning_rate": cell.rate}
            results.add(cell, {**name, **content}, {})


def test_only_complete_seeds_are_counted_and_refused_ones_are_named(
    small_scenario, tmp_path
) -> None:
    point = Point("claims", "here", small_scenario, ("ideal", "movable"), (0, 1, 2), {})
    done = history([3.0, 1.0], 1.0, 0.5)
    refused = {"infeasible": "raise budget.latency_s = 12 to at least 17.400000001"}
    documents = {(name, 0): done for name in point.schemes}
    documents |= {(name, 1): refused for name in point.schemes}
    stored(Results(tmp_path), point, documents | {("ideal", 2): done})
    counted = tables.counted(point, Results(tmp_path))
    assert counted.seeds == (0, 1)
    assert counted.complete
    assert {name: set(seeds) for name, seeds in counted.cells.items()} == {
        "ideal": {0},
        "movable": {0},
    }
    told = phrases.which_seeds(counted)
    assert told.startswith("Of seed 0; not finished yet: seed 2. Left out: seed 1, where no plan")
    assert "at least 17.4)" in told
    assert "Movable" not in told
    apart = replace(counted, cells={"ideal": {0: done, 1: done}, "movable": {0: done}})
    apart = replace(apart, infeasible={"movable": {1: "too slow"}})
    assert "Left out: Movable in seed 1, where" in phrases.which_seeds(apart)


def test_sparing_the_drives_changes_the_proposal_and_nothing_else(
    small_scenario, tmp_path, monkeypatch
) -> None:
    names = ("ideal", "movable", "fixed", "digital")
    place = Point("cell-edge", "shared-plan", small_scenario, names, (0,), {})
    stored(
        Results(tmp_path), place, {(n, 0): d[0] for n, d in cells_of(LOSSES).items() if n in names}
    )
    spared = Point("cell-edge", "shared-plan-when-needed", small_scenario, ("movable",), (0, 1), {})
    faster = history([5.0, 3.0, 1.2, 1.0], 0.5, 0.5)
    stored(Results(tmp_path), spared, {("movable", 0): faster, ("movable", 1): faster})
    monkeypatch.setattr(sections, "movement", lambda options: [spared])
    counted = tables.counted(place, Results(tmp_path))
    point = claims.Measured(place, counted, tables.outcomes(counted.cells))
    text = movement.when_needed(sections.Options(Results(tmp_path), tmp_path), [point])
    # the target is 5 - 0.9 x 4 = 1.4: movable there in 1.89 rounds, fixed in 2.94,
    # digital in 0.92 of 10 s
    rows = {row.split("|")[2].strip(): row.split("|")[3:7] for row in text.splitlines()[-5:] if row}
    assert [cell.strip() for cell in rows["Fixed"]] == ["67.9 %", "35.8 %", "67.9 %", "35.8 %"]
    assert [cell.strip() for cell in rows["Digital"]] == ["89.8 %", "79.5 %", "89.8 %", "79.5 %"]
    assert rows["the best over the air"][0].strip() == "Fixed: 67.9 %"


def test_both_books_stand_side_by_side(small_scenario, tmp_path, monkeypatch) -> None:
    names = ("ideal", "movable", "selection")
    losses = {**{n: LOSSES[n] for n in names[:2]}, "selection": LOSSES["fixed"]}
    new = Point("electrical", "cell-edge", small_scenario, names, (0,), {})
    stored(Results(tmp_path), new, {(n, 0): history(x, 3.0, 0.5) for n, x in losses.items()})
    before = Point("cell-edge", "shared-plan", small_scenario, (*names[:2], COMPACT), (0,), {})
    cells = cells_of({**{n: LOSSES[n] for n in names[:2]}, COMPACT: LOSSES["fixed"]})
    place = claims.Measured(
        before, tables.Counted(cells, (0,), True, (), {}), tables.outcomes(cells)
    )
    default = f"cell-edge: {headline.POLICY}"
    moved = Point("policies", default, small_scenario, ("movable",), (0,), {})
    stored(Results(tmp_path), moved, {("movable", 0): history(LOSSES["movable"], 2.0, 0.4)})
    monkeypatch.setattr(sections, "electrical", lambda options: [new])
    monkeypatch.setattr(sections, "policies", lambda options: [moved])
    text = electrical.chapter(sections.Options(Results(tmp_path), tmp_path), [place])
    # the target is 1.4: movable there in 1.89 rounds of 3 s (1 s before),
    # selection in 2.94
    assert "| Movable | 5.67 | 1.89 | 11.3 | 3.78 |" in text
    assert "| Selection | 8.82 | 2.94 | 17.6 | 5.88 |" in text
    assert "| Selection | 35.8 % | 35.8 % | 35.8 % | 35.8 % |" in text
    assert "### cell-edge, electrical" in text
    # the default policy and the one of the books stand in the tables of components, each by name
    rows = [line.split("|")[1:] for line in text.splitlines() if line.startswith("| Movable, ")]
    assert [(row[0].strip(), row[-2].strip()) for row in rows] == [
        ("Movable, when needed", "0.756"),
        ("Movable, each round", "0.944"),
        ("Movable, when needed", "1.51"),
        ("Movable, each round", "1.89"),
    ]
    assert "Movement takes no time in any of these cells" in text


def test_movement_policies_stand_side_by_side(small_scenario, tmp_path, monkeypatch) -> None:
    place = Point("electrical", "cell-edge", small_scenario, ("ideal", "movable"), (0, 1), {})
    always = {(n, s): history(LOSSES[n], 3.0, 0.5) for n in place.schemes for s in place.seeds}
    stored(Results(tmp_path), place, always)
    once = small_scenario.model_copy(
        update={"planning": small_scenario.planning.model_copy(update={"movement": "once"})}
    )
    moved = Point("policies", "cell-edge: once", once, ("movable",), (0, 1), {})
    quick = history(LOSSES["movable"], 1.0, 0.5)
    never = history([LOSSES["movable"][0]] * len(LOSSES["movable"]), 1.0, 0.5)
    stored(Results(tmp_path), moved, {("movable", 0): quick})
    monkeypatch.setattr(sections, "electrical", lambda options: [place])
    monkeypatch.setattr(sections, "policies", lambda options: [moved])
    options = sections.Options(Results(tmp_path), tmp_path)
    # the same rounds in a third of the time and energy; only seed 0 is there
    text = policies.chapter(options)
    assert "all scenarios and seeds, `each-round` 1: `once` 0.111, `each-round` 1.00." in text
    assert "| cell-edge | once | 1.89 | 1.89 | 3.78 |" in text
    stored(Results(tmp_path), moved, {("movable", 1): never})
    # a seed that never gets there makes the middle of two never
    assert "`each-round` 1.00, `once` –" in policies.chapter(options)


def test_seeds_that_have_only_begun_count_while_none_is_complete(small_scenario, tmp_path) -> None:
    point = Point("claims", "here", small_scenario, ("ideal", "movable"), (0, 1), {})
    stored(Results(tmp_path), point, {("ideal", 0): history([3.0, 1.0], 1.0, 0.5)})
    counted = tables.counted(point, Results(tmp_path))
    assert (counted.seeds, counted.complete, counted.unfinished) == ((0,), False, (0, 1))
    assert phrases.which_seeds(counted).startswith("No seed is complete yet")


def test_a_table_tells_who_overran_the_budget(small_scenario) -> None:
    budget = small_scenario.budget.model_copy(update={"latency_s": 5.0})
    scenario = small_scenario.model_copy(update={"budget": budget})
    point = Point("cell-edge", "shared-plan", scenario, tuple(LOSSES), (0,), {})
    cells = cells_of(LOSSES)
    counted = tables.Counted(cells, (0,), True, (), {})
    place = claims.Measured(point, counted, tables.outcomes(cells))
    text = details.details([place])
    assert "Over the budget of 5 s in all rounds" in text
    assert "Digital (up to 30.0 s)." in text
    assert "| COTAF | 0/1 | never | never | never |" in text
    judged = claims.verdicts([place], {})
    # 1.89 rounds of a second against 0.97
    assert "| cell-edge, shared plan | the best over the air: Fixed, 2N | 94.1 % slower" in judged
    assert "| Aim: 97 % faster | cell-edge, shared plan | digital | 79.5 % faster" in judged
    assert "| paper-v1, shared plan | digital | not run yet | – |" in judged


def test_the_headline_shows_savings_beside_what_no_radio_would_save() -> None:
    cells = cells_of({name: LOSSES[name] for name in ("ideal", "movable", "fixed", "digital")})
    counted = tables.Counted(cells, (0,), True, (), {})
    point = Point("electrical", "place", Scenario(), tuple(cells), (0,), {})
    place = headline.Measured(point, counted, tables.outcomes(cells))
    found = place.outcomes
    for quantity, name in (("time", "seconds"), ("energy", "joules")):
        mine, least, theirs = (getattr(found[s][0], name) for s in ("movable", "ideal", "digital"))
        assert place.against(quantity, "digital").percents == pytest.approx(
            [100 * (1 - mine / theirs)]
        )
        assert headline.ceiling(place, quantity, "digital").percents == pytest.approx(
            [100 * (1 - least / theirs)]
        )
    rows = [x for x in headline.table([place], "page.md").splitlines() if x.startswith("| [place]")]
    assert [x.split(" | ")[1] for x in rows] == ["Digital", "Fixed", "Selection", "Fixed, 2N"]
    assert rows[2].count("–") == 4, "what was not run has no figure"
    said = list(headline.sentences([place, place]))
    assert len(said) == 4
    assert "of the time" in said[0]
