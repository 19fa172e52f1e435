"""The cells of the study of the claims: how many, of what, in which order, and that they resume."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import claims
import claims_cells
import recompute
from airtune.errors import InputError
from airtune.study.claims.family import read_family
from claims_cells import BEST, IDEAL, LORA, Cell, Job, Study, jobs
from claims_tables import NOTHING, tables
from claims_work import Results, ready, work

FAMILY = read_family()
STUDY = Study(FAMILY)


def test_the_family_has_720_analog_runs_and_each_cell_once() -> None:
    cells = [cell for job in jobs(STUDY) for cell in job.cells]
    counts = Counter((cell.part, cell.how) for cell in cells)
    analog = [c for c in cells if (c.part, c.how) == ("family", "run") and "/" not in c.member]
    assert len([c for c in analog if c.member != IDEAL]) == 720
    assert len([c for c in analog if c.member == IDEAL]) == 3
    assert counts["forecast", "forecast"] == 60 * 6 * 3 * 2
    forecast = {cell.member for cell in cells if cell.how == "forecast"}
    assert not forecast & {"cotaf", "truncated"}
    assert len({cell.key for cell in cells}) == len(cells)


def test_opponents_in_bits_are_there_in_all_90_conditions_the_factorial_in_30() -> None:
    digital = {c.key for job in jobs(STUDY, ["family"]) for c in job.cells if "/" in c.member}
    assert len(digital) == 3 * 2 * (90 * (2 + 4 + 3 + 2) + 30 * 2)
    for member in FAMILY.members("everything"):
        if "/" in member:
            condition = FAMILY.not_drawn[0].name
            assert Cell("family", condition, member, 300).key in digital
    for array in FAMILY.document["factorial"].values():
        for member in array["digital"]:
            assert Cell("family", FAMILY.drawn[-1].name, member, 300).key in digital


def test_whoever_papers_run_sends_plain_lora_and_best_payloads_are_of_the_drawn() -> None:
    cells = [cell for job in jobs(STUDY, ["headline", "plan"]) for cell in job.cells]
    assert not [c for c in cells if "uniform" in c.member and c.payload != LORA]
    drawn = {condition.name for condition in FAMILY.drawn}
    assert {c.point for c in cells if c.part == "plan" and c.payload != LORA} == drawn


def test_own_plans_choose_clocks_and_price_the_ways() -> None:
    cells = [cell for job in jobs(STUDY, ["plan"]) for cell in job.cells]
    scenario = STUDY.scenario(next(cell for cell in cells if cell.member == "movable"))
    processor = scenario.client_processor
    assert (processor.f_min_hz, processor.f_max_hz) == (1e8, 1e9)
    assert scenario.planning.movement == "priced"
    shared = STUDY.scenario(STUDY.of_family(FAMILY.drawn[0], "movable", 300))
    assert shared.client_processor.f_min_hz == shared.client_processor.f_max_hz


def test_no_headline_seed_is_one_of_another_purpose() -> None:
    seeds = {cell.seed for job in jobs(STUDY, ["headline"]) for cell in job.cells}
    headline = set(FAMILY.document["headline"]["seeds"])
    assert len(headline) >= 10
    tuned = {FAMILY.document["headline"]["payload_seed"], *FAMILY.seeds, *range(2), 1000}
    assert not headline & tuned
    assert seeds == headline | {FAMILY.document["headline"]["payload_seed"]}


def test_every_scenario_of_a_headline_can_be_read() -> None:
    first = {cell.member: cell for job in jobs(STUDY, ["headline"]) for cell in job.cells}
    for cell in first.values():
        scenario = STUDY.scenario(replace(cell, payload=LORA))
        assert scenario.threads == 1
    twin = next(c for job in jobs(STUDY) for c in job.cells if c.costs == "twin")
    assert STUDY.scenario(twin).costs.model == FAMILY.document["cost_twin"]


def kept_in(folder: Path) -> Study:
    return replace(STUDY, cache=str(folder))


def line(key: str, how: str = "run", **more: Any) -> str:
    return json.dumps({"cell": key, "how": how, "cpu_s": 3.0, **more}) + "\n"


def test_own_plans_wait_for_the_target_and_best_payloads_for_their_plans(tmp_path: Path) -> None:
    found = [job for job in jobs(STUDY, ["headline"]) if job.learn.point == "paper-v1, own"]
    own = next(job for job in found if job.learn.how == "run" and job.learn.payload == LORA)
    best = next(j for j in found if j.learn.payload == BEST and j.learn.member == "movable")
    file = tmp_path / "cells.jsonl"
    assert not ready(STUDY, own, Results(file).read())
    ideal = Cell("headline", "paper-v1, shared", IDEAL, own.learn.seed).key
    file.write_text(line(ideal, history={"loss": [4.0, 3.0, 2.0]}))
    assert ready(STUDY, own, Results(file).read())
    assert Results(file).read().target("paper-v1, shared", own.learn.seed) == pytest.approx(2.2)
    assert not ready(STUDY, best, Results(file).read())
    with file.open("a") as stream:
        for payload, joules in (("lora", 9.0), ("ffa", 2.0), ("mask-16384", 5.0)):
            key = Cell("headline", "paper-v1, own", "movable", 1000, payload=payload).key
            plan = {"": {"rounds": 9.0, "time_s": 1.0, "energy_j": joules}}
            stream.write(line(key, "plan", plans=plan))
        key = Cell("headline", "paper-v1, own", "movable", 1000, payload="mask-4096").key
        never = {"": {"rounds": None, "time_s": None, "energy_j": None}}
        stream.write(line(key, "plan", plans=never))
    results = Results(file).read()
    assert ready(STUDY, best, results)
    assert results.best_payload(STUDY, best.learn) == "ffa"


def test_cells_of_another_declaration_are_refused_and_a_torn_line_is_cut(tmp_path: Path) -> None:
    file = tmp_path / "cells.jsonl"
    Results(file).begin("one", {"python": "3"})
    with file.open("a") as stream:
        stream.write('{"cell": "torn')
    results = Results(file).read()
    assert results.cells == {}
    results.add(Cell("family", "x", "movable", 1), {"cpu_s": 1.0})
    kept = Results(file).read().cells["family | x | movable | 1 | stand-in | lora"]
    assert kept["declaration"] == "one"
    assert {"commit", "commit_modified"} <= set(kept)
    assert list(Results(file).read().cells) == ["family | x | movable | 1 | stand-in | lora"]
    assert "torn" not in file.read_text()
    with pytest.raises(InputError, match="another declaration"):
        Results(file).begin("two", {})


def test_no_cell_begins_after_the_time_is_up(tmp_path: Path) -> None:
    job = next(jobs(STUDY))
    assert work(job, kept_in(tmp_path), tmp_path / "cells.jsonl", until=0.0) == []


def test_a_job_that_another_command_runs_is_left_to_it(tmp_path: Path) -> None:
    study, job = kept_in(tmp_path), next(jobs(STUDY))

    def begin(*given: object) -> None:
        assert work(job, study, tmp_path / "cells.jsonl", until=None) == []
        raise RuntimeError("begun")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("claims_work._work", begin)
        with pytest.raises(RuntimeError, match="begun"):
            work(job, study, tmp_path / "cells.jsonl", until=None)


def test_a_job_that_fails_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    wrong: Future[list[str]] = Future()
    wrong.set_exception(InputError("no plan"))
    assert claims._show(wrong, Results(Path("none.jsonl"))) is True
    assert "failed: InputError: no plan" in capsys.readouterr().out


def test_what_is_there_is_not_run_again(tmp_path: Path) -> None:
    job = next(jobs(STUDY))
    file = tmp_path / "cells.jsonl"
    file.write_text("".join(line(cell.key) for cell in job.cells))
    assert work(job, kept_in(tmp_path), file, until=None) == []


def test_the_list_counts_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = next(jobs(STUDY)).cells[0]
    file = tmp_path / "cells.jsonl"
    file.write_text(line(first.key))
    claims.listing(STUDY, Results(file).read(), ["family"], every=False)
    shown = capsys.readouterr().out
    assert "family, run: 749 of 750 cells missing, 3.0 s each (measured)" in shown
    assert "h of processor time on one core" in shown


def test_tables_without_cells_say_so_and_the_declaration_is_always_shown(tmp_path: Path) -> None:
    found = tables(STUDY, Results(tmp_path / "none.jsonl"))
    assert found["claims family"] == NOTHING
    assert len(found["claims conditions"].splitlines()) == 32
    for factor in FAMILY.document["factors"].values():
        assert factor["source"] in found["claims ranges"]


def history(loss: list[float], seconds: float) -> dict[str, Any]:
    return {
        "rounds": len(loss) - 1,
        "clients": 10,
        "loss": loss,
        "mse": 0.1,
        "move_s": 0.0,
        "latency_s": {"compute": 0.5, "uplink": seconds},
        "energy_j": {"compute": 1.0, "uplink": seconds},
        "radiated_j": {"uplink": 0.1 * seconds},
    }


FACTS = {"entries": 100, "booked_entries": 100}


def test_tables_of_a_family_at_hand(tmp_path: Path) -> None:
    """One condition and seed: ideal, movable and every opponent, with figures known by hand."""
    one = replace(STUDY, reduced=True)
    name, ideal = one.drawn[0].name, [4.0, 3.0, 2.0]
    file = tmp_path / "cells.jsonl"
    with file.open("w") as stream:

        def put(member: str, seconds: float, loss: list[float]) -> None:
            key = Cell("family", name, member, 300).key
            stream.write(line(key, history=history(loss, seconds), facts=FACTS))

        put(IDEAL, 0.0, ideal)
        for scheme in one.schemes:
            put(scheme, 0.5 if scheme == "movable" else 1.5, ideal)
        for coding in one.codings:
            for array in one.arrays(coding):
                put(f"{array}/{coding}", 9.5, ideal)
    found = tables(one, Results(file).read())
    rows = found["claims family"].splitlines()
    fixed = next(row for row in rows if "95 % faster | 90 % | stand-in | fixed | run |" in row)
    # 1 TFLOP/s: 1 s a round against 2 s; at 30 TFLOP/s 0.517 against 1.517 s
    assert "65.9 % against fixed, ceiling 98.9 %" in fixed
    assert "1 / 11 / 0 / 0" in fixed
    cell = [part.strip() for part in fixed.strip("| ").split("|")]
    assert cell[5] == "1"
    assert cell[8] == "0 %"
    energy = [row for row in rows if "90 % less energy | 90 % | stand-in | fixed |" in row]
    assert ["0 / 0 / 0 / 0" in row for row in energy] == [False] * len(energy)
    assert "1 / 2 / 0 / 0" in energy[0]
    assert "run, 1 TFLOP/s" in energy[0]
    assert not any("| run, 1 MHz" in row for row in rows), "the condition is one of 5 MHz"
    everything = next(row for row in rows if "| everything" in row)
    assert "everything: only digital/uniform-8, digital/lloyd-max-2, fixed, selection" in everything
    air = next(r for r in found["claims factorial"].splitlines() if "movable | over the air" in r)
    assert "90.0 %" in air
    assert "50.0 %" in air
    assert found["claims measures"].splitlines()[2].startswith("| ideal |")


@pytest.mark.slow
def test_the_reduced_form_runs_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["claims.py", "--reduced"])
    claims.main()


def test_updates_are_learnt_once_for_all_jobs_that_replay_them(
    quadratic: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forecast after its run takes the kept updates, to the last bit of its books."""
    import claims_work

    small = replace(STUDY, reduced=True, cache=str(tmp_path / "cache"))
    run, forecast = next(jobs(small, ["family"])), next(jobs(small, ["forecast"]))
    short = Job(forecast.learn, [c for c in forecast.cells if c.member == "fixed"][:1])  # type: ignore[arg-type]
    again = tmp_path / "again.jsonl"
    assert len(work(short, small, again, until=None)) == 1
    file = tmp_path / "cells.jsonl"
    assert len(work(Job(run.learn, run.cells[:1]), small, file, until=None)) == 1

    def learn(*given: object) -> None:
        raise AssertionError("learnt again")

    monkeypatch.setattr(claims_work, "_learn", learn)
    assert len(work(short, small, file, until=None)) == 1
    key = short.cells[0].key
    assert Results(file).read().cells[key]["history"] == Results(again).read().cells[key]["history"]


@pytest.mark.slow
def test_a_file_of_cells_can_be_computed_anew(quadratic: object, tmp_path: Path) -> None:
    """Runs, replays under a cost twin, digital cells and a forecast, by code of its own."""
    small = replace(STUDY, reduced=True, cache=str(tmp_path))
    file = tmp_path / "cells.jsonl"
    wanted = {"ideal": 1, "movable": 2, "digital/lloyd-max-2": 4}
    every = list(jobs(small, ["family"]))
    for member, count in wanted.items():
        job = next(job for job in every if job.learn.member == member)
        assert len(work(Job(job.learn, job.cells[:count]), small, file, until=None)) == count
    job = next(jobs(small, ["forecast"]))
    assert len(work(Job(job.learn, job.cells[:1]), small, file, until=None)) == 1
    found = recompute.study_cells(file)
    assert len(found) == 8
    for cell in found:
        assert recompute.check(cell).wrong == []
        assert cell.compared >= 6
    kept = Results(file).read().cells
    twin = next(entry for key, entry in kept.items() if "movable | 300 | twin" in key)
    assert twin["facts"]["booked_entries"] > 1000 * twin["facts"]["entries"]
    plain = kept[twin["cell"].replace("twin", "stand-in")]
    assert twin["history"]["loss"] == plain["history"]["loss"]


def test_jobs_learn_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All cells of a job follow from one run; what it learns is given to each replay."""
    import claims_work

    calls: list[str] = []

    def learn(cell: Cell, *given: object) -> tuple[Any, dict[str, Any]]:
        calls.append("learn")
        return object(), {"plan": {}}

    def again(cell: Cell, *given: object) -> dict[str, Any]:
        calls.append("again")
        return {"plan": {}}

    monkeypatch.setattr(claims_work, "_learn", learn)
    monkeypatch.setattr(claims_work, "_again", again)
    monkeypatch.setattr(claims_work, "keep", lambda recorded, file: None)
    job = next(job for job in jobs(STUDY) if len(job.cells) > 10)
    short = Job(job.learn, job.cells[:5])
    assert len(work(short, kept_in(tmp_path), tmp_path / "cells.jsonl", until=None)) == 5
    assert calls == ["learn", *["again"] * 4]
    assert claims_cells.CHUNK == 15
