"""Cells of a sweep that an engine runs by itself: as if all were run here, none of them twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import pytest

from airtune import record
from airtune.engines import LocalEngine
from airtune.errors import InputError
from airtune.registry import ENGINES
from airtune.scenario import Scenario
from airtune.study import sweep, sweep_cell


class Spread(LocalEngine):
    """Runs tasks one after the other in this process, the last one first."""

    begun: ClassVar[list[str]] = []

    @classmethod
    def tasks(
        cls,
        scenario: Scenario,
        function: Callable[..., Any],
        jobs: Sequence[tuple[Any, ...]],
        waiting: Callable[[], None] | None = None,
    ) -> Iterator[tuple[int, Any]]:
        for number in reversed(range(len(jobs))):
            cls.begun.append(f"{jobs[number][0].folder.name} {jobs[number][1]} {jobs[number][2]}")
            if waiting is not None:
                waiting()
            try:
                yield number, function(*jobs[number])
            except InputError as error:
                yield number, error


@pytest.fixture
def scenario(small_scenario: Scenario, quadratic, monkeypatch) -> Scenario:
    monkeypatch.setattr(ENGINES, "_objects", dict(ENGINES._objects))
    monkeypatch.setattr(ENGINES, "_added", list(ENGINES._added))
    monkeypatch.setattr(Spread, "begun", [])
    monkeypatch.setattr(sweep_cell, "_learners", type(sweep_cell._learners)(most=1))
    ENGINES.add("spread", Spread)
    return small_scenario.model_copy(update={"schemes": ("ideal", "fixed"), "seeds": 2})


def swept(scenario: Scenario, engine: str, folder, *vary: str) -> dict[str, Any]:
    settings = scenario.engine.model_copy(update={"name": engine})
    named = scenario.model_copy(update={"engine": settings})
    made = sweep.create(named, sweep.parse_axes(named, vary), folder)
    sweep.execute(made)
    assert all(cell.finished for cell in made.cells) or "latency" in vary[0]
    return sweep.summarise(made)


def test_cells_run_elsewhere_give_the_points_of_a_sweep_here(scenario, tmp_path) -> None:
    vary = ("clients.tx_power_dbm=-20,0",)
    here = swept(scenario, "local", tmp_path / "here", *vary)
    there = swept(scenario, "spread", tmp_path / "there", *vary)
    assert there["points"] == here["points"]
    assert len(Spread.begun) == len(set(Spread.begun)) == 8


def test_a_point_that_cannot_keep_its_budgets_is_noted_as_here(scenario, tmp_path) -> None:
    vary = ("budget.latency_s=1e-9,1e9",)
    here = swept(scenario, "local", tmp_path / "here", *vary)
    there = swept(scenario, "spread", tmp_path / "there", *vary)
    assert there["points"] == here["points"]
    assert there["points"][0]["infeasible"]


def test_a_task_that_comes_twice_does_nothing_and_one_that_runs_is_left_alone(
    scenario, tmp_path
) -> None:
    swept(scenario, "spread", tmp_path / "sweep", "clients.tx_power_dbm=0")
    (point,) = sweep.open_sweep(record.open_folder(tmp_path / "sweep")).points
    cell = next(one for one in point.run.cells if one.scheme == "fixed" and one.seed == 0)
    before = cell.metrics_file.read_bytes()
    sweep_cell.run_cell(point.run, "fixed", 0, str(tmp_path), ())
    assert cell.metrics_file.read_bytes() == before
    cell.finished_file.unlink()
    with (
        record.lock(cell.folder),
        pytest.raises(InputError, match="another process is writing this run"),
    ):
        sweep_cell.run_cell(point.run, "fixed", 0, str(tmp_path), ())
    sweep_cell.run_cell(point.run, "fixed", 0, str(tmp_path), ())
    assert cell.finished
    assert cell.metrics_file.read_bytes() == before


def test_whoever_watches_can_stop_it_and_it_goes_on(scenario, tmp_path) -> None:
    made = sweep.create(
        scenario.model_copy(
            update={"engine": scenario.engine.model_copy(update={"name": "spread"})}
        ),
        sweep.parse_axes(scenario, ["clients.tx_power_dbm=-20,0"]),
        tmp_path / "sweep",
    )

    class Stop:
        left = 3

        def waiting(self) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

        def point_started(self, point: object, seed: int) -> None: ...

        def cell_done(self, cell: object) -> None: ...

    with pytest.raises(KeyboardInterrupt):
        sweep.execute(made, Stop())  # type: ignore[arg-type]
    assert sum(cell.finished for cell in made.cells) == 2
    Spread.begun.clear()
    sweep.execute(made)
    assert all(cell.finished for cell in made.cells)
    assert len(Spread.begun) == 6


def test_a_lock_in_turn_waits_for_its_turn_and_no_longer(tmp_path) -> None:
    with record.lock_in_turn(tmp_path):
        pass
    with (
        record.lock(tmp_path),
        pytest.raises(InputError, match="another process"),
        record.lock_in_turn(tmp_path, timeout_s=0.05),
    ):
        pass
