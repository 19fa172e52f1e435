"""Runs on disk: interrupted, resumed, refused (`airtune.rounds.cell_io`)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from airtune import record
from airtune.costs import Components
from airtune.errors import DamageWarning, InputError
from airtune.record import documents
from airtune.registry import SCHEMES
from airtune.rounds import cell_io
from airtune.study import cells, compare
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import cell_of, execute, with_settings


@pytest.mark.parametrize(
    ("scheme", "killed_at"),
    [*((name, 1) for name in SCHEMES), ("movable", 0), ("movable", 3), ("digital", 3)],
)
def test_resume_is_bit_for_bit(small_scenario, tmp_path, scheme: str, killed_at: int) -> None:
    whole = execute(small_scenario, scheme, tmp_path / "whole")

    class KilledError(Exception):
        """Stands for the end of the process."""

    def kill(line: dict[str, object]) -> None:
        if line["round"] == killed_at + 1:
            raise KilledError

    cell = cell_of(tmp_path / "killed", scheme)
    learner = QuadraticLearner(small_scenario, 1)
    first = run_with(small_scenario, scheme, 1, learner)
    with pytest.raises(KilledError):
        cell_io.execute(first, cell, kill)
    resumed = execute(small_scenario, scheme, tmp_path / "killed")
    assert np.array_equal(resumed.state.adapter, whole.state.adapter)

    def timeless(folder: Path) -> list[dict[str, object]]:
        lines = record.read_metrics(cell_of(folder, scheme))
        return [{k: v for k, v in line.items() if not k.endswith("_wall_s")} for line in lines]

    assert timeless(tmp_path / "killed") == timeless(tmp_path / "whole")
    for name in ("finished.json", "placement.json", "samples.json"):
        one, other = (tmp_path / f / scheme / "seed-0" / name for f in ("killed", "whole"))
        assert one.exists() == other.exists()
        assert not one.exists() or one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    "changes",
    [
        {"training__server_optimizer": "adam", "training__learning_rate": 0.1},
        {"radio__paths__fading": "rician", "radio__paths__angles": "cluster"},
        {"radio__csi__angle_error_deg": 3.0, "radio__csi__gain_error": 0.1},
        {"aggregation__form": "waveform", "aggregation__normalise": "loaded"},
        {"placement__max_travel": 0.4},
        {"aggregation__normalise": "global", "array__region": [4.0, 0.0]},
        {"radio__interferers__count": 0, "clients__count": 1},
        {"evaluation__every": 3},
        {"planning__movement": "when-needed", "planning__quality_db": -30.0},
        {"planning__movement": "once"},
        {
            "placement__robust": "sampled",
            "placement__robust_samples": 3,
            "radio__csi__angle_error_deg": 1.0,
        },
        {
            "radio__channel": "tracks",
            "radio__mobility__track": "random-waypoint",
            "radio__csi__age_s": "round",
        },
        {"planning__movement": "priced", "placement__travel_price_db": 4.0, "plan": "own"},
        {"planning__movement": "statistical", "planning__drift_db": 0.0, "planning__draws": 3},
    ],
    ids=lambda changes: ",".join(changes),
)
def test_resume_is_bit_for_bit_in_other_settings(small_scenario, tmp_path, changes) -> None:
    scenario = with_settings(small_scenario, **changes)
    whole = execute(scenario, "movable", tmp_path / "whole")

    def stop(line: dict[str, object]) -> None:
        if line["round"] == 3:
            raise KeyboardInterrupt

    learner = QuadraticLearner(scenario, 1)
    first = run_with(scenario, "movable", 1, learner)
    with pytest.raises(KeyboardInterrupt):
        cell_io.execute(first, cell_of(tmp_path / "stopped", "movable"), stop)
    resumed = execute(scenario, "movable", tmp_path / "stopped")
    assert np.array_equal(resumed.state.adapter, whole.state.adapter)
    assert np.array_equal(resumed.state.positions, whole.state.positions)
    assert resumed.state.energy_j == whole.state.energy_j
    assert resumed.state.placed_error == whole.state.placed_error


def test_an_interrupted_finish_is_repeated(
    small_scenario, quadratic, no_figures, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = with_settings(small_scenario, schemes=["ideal", "fixed"])
    folder = record.create(tmp_path / "run", scenario, "compare")
    write = record.write_json

    def torn(path: Path, document: object) -> None:
        if path.name == "samples.json":
            raise KeyboardInterrupt
        write(path, document)

    monkeypatch.setattr("airtune.record.write_json", torn)
    with pytest.raises(KeyboardInterrupt):
        cells.execute(folder)
    monkeypatch.setattr("airtune.record.write_json", write)
    cells.execute(folder)
    results, whole = compare.summarise(folder), compare.compare(scenario, tmp_path / "whole")
    assert {**results, "environment": None} == {**whole, "environment": None}


def test_two_processes_cannot_write_one_run(small_scenario, tmp_path) -> None:
    folder = record.create(tmp_path / "run", small_scenario, "compare")
    with record.lock(folder.folder), pytest.raises(InputError, match="another process"):
        cells.execute(folder)


def test_damaged_cells_are_named(small_scenario, tmp_path) -> None:
    execute(small_scenario, "fixed", tmp_path)
    cell = cell_of(tmp_path, "fixed")
    (cell.folder / "metrics.jsonl").unlink()
    with pytest.raises(InputError, match="seed-0: damaged"):
        record.load_checkpoint(cell)


def test_another_plan_is_refused_on_resume(small_scenario, tmp_path) -> None:
    execute(small_scenario, "fixed", tmp_path)
    other = with_settings(small_scenario, training__batch_size_max=4)
    with pytest.raises(InputError, match=r"plan\.json"):
        execute(other, "fixed", tmp_path)


def written_anew(file: Path, plan: dict[str, object]) -> None:
    """Write a plan, with its seal, as a version would that makes another one."""
    record.write_document(file, documents.PlanDocument, plan, sealed=True)


@pytest.mark.parametrize(
    "changed",
    [
        {"power_backoff": 0.5},
        {"repetition": 2},
        {"coding": {"quantizer": "entropy", "bits": 2, "feedback": False, "share": 1.0}},
        {"payload": {"payload": "ffa", "payload_size": None}},
    ],
)
def test_a_plan_of_other_powers_sendings_or_coding_is_refused_on_resume(
    small_scenario, tmp_path, changed: dict[str, object]
) -> None:
    execute(small_scenario, "fixed", tmp_path)
    file = cell_of(tmp_path, "fixed").plan_file
    written_anew(file, json.loads(file.read_text()) | changed)
    with pytest.raises(InputError, match=r"plan\.json is not the plan"):
        execute(small_scenario, "fixed", tmp_path)


@pytest.mark.parametrize(
    ("movement", "name", "value"),
    [
        ("when-needed", "max_travel", 0.25),
        ("when-needed", "max_travel", None),
        ("priced", "travel_price_db", 3.0),
        ("once", "positions", [[0.5, 0.0], [1.5, 0.5]]),
    ],
)
def test_a_plan_of_other_ways_is_refused_on_resume(
    small_scenario, tmp_path, movement: str, name: str, value: object
) -> None:
    """Antennas would go to other places than in the rounds before."""
    scenario = with_settings(
        small_scenario,
        planning__movement=movement,
        planning__draws=2,
        placement__max_travel=0.5,
        plan="own",
    )
    execute(scenario, "movable", tmp_path)
    file = cell_of(tmp_path, "movable").plan_file
    known = json.loads(file.read_text())
    assert known["radio"][name] != value
    written_anew(file, known | {"radio": known["radio"] | {name: value}})
    told = re.escape(f"(radio.{name}" + ("" if name == "positions" else f": {value}, now "))
    with pytest.raises(InputError, match=rf"plan\.json is not the plan .*{told}") as caught:
        execute(scenario, "movable", tmp_path)
    assert len(str(caught.value).removeprefix(str(tmp_path))) <= 400


def test_ways_of_a_plan_do_not_matter_to_antennas_without_drives(small_scenario, tmp_path) -> None:
    execute(small_scenario, "fixed", tmp_path)
    file = cell_of(tmp_path, "fixed").plan_file
    known = json.loads(file.read_text())
    written_anew(file, known | {"radio": known["radio"] | {"max_travel": 0.123}})
    assert execute(small_scenario, "fixed", tmp_path).state.round == 5


def test_a_plan_of_an_older_version_that_tells_no_ways_is_gone_on_with(
    small_scenario, tmp_path
) -> None:
    execute(small_scenario, "movable", tmp_path)
    file = cell_of(tmp_path, "movable").plan_file
    known = json.loads(file.read_text())
    written_anew(file, {k: v for k, v in known.items() if k != "radio"})
    assert execute(small_scenario, "movable", tmp_path).state.round == 5


def test_a_plan_of_an_older_version_tells_neither_and_is_gone_on_with(
    small_scenario, tmp_path
) -> None:
    execute(small_scenario, "fixed", tmp_path)
    file = cell_of(tmp_path, "fixed").plan_file
    known = json.loads(file.read_text())
    written_anew(file, {k: v for k, v in known.items() if k not in ("power_backoff", "repetition")})
    assert execute(small_scenario, "fixed", tmp_path).state.round == 5


def test_compare_writes_the_documented_folder(
    small_scenario, quadratic, no_figures, tmp_path
) -> None:
    scenario = with_settings(small_scenario, clients__tx_power_dbm=-10.0)
    results = compare.compare(scenario, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "results.json").read_text()) == results
    for name in ("scenario.yaml", "environment.json", "report.html"):
        assert (tmp_path / "run" / name).stat().st_size > 0
    assert set(results["schemes"]) == set(scenario.schemes)
    components = {"compute", "uplink", "downlink", "pilots", "movement", "pretraining"}
    for name, entry in results["schemes"].items():
        assert set(entry["energy_j"]) == set(entry["latency_s"]) == components
        assert entry["fairness"] == 1.0
        assert (entry["mse_db"] is None) == (name == "ideal")
        folder = tmp_path / "run" / name / "seed-0"
        assert (folder / "adapter").is_dir()
        assert (folder / "checkpoint" / "state.json").is_file()
        assert len((folder / "metrics.jsonl").read_text().splitlines()) == 6
        total = Components(**entry["energy_j"]).total
        assert entry["history"][-1]["energy_j"] == pytest.approx(total)


def test_records_that_are_left_out_stand_in_folder_results_and_page(
    small_scenario, quadratic, no_figures, tmp_path, monkeypatch
) -> None:
    records = [{"place": f"talks.jsonl:{n}", "why": "the answer is empty"} for n in range(7, 300)]
    left_out = {"count": len(records), "records": records}
    monkeypatch.setattr(quadratic, "left_out", lambda self: left_out, raising=False)
    scenario = small_scenario.model_copy(update={"schemes": ("ideal", "fixed")})
    results = compare.compare(scenario, tmp_path / "run")
    saved = json.loads((tmp_path / "run" / "fixed" / "seed-0" / "left_out.json").read_text())
    assert saved["count"] == 293
    assert saved["records"] == records[:100]
    assert results["schemes"]["fixed"]["left_out_records"] == 293
    assert results["left_out"] == {"count": 293, "records": records[:5]}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Left out 293 records, first at talks.jsonl:7 because the answer is empty." in page


def test_answers_are_compared_with_their_references() -> None:
    before = [{"prompt": "p", "reference": "a b", "answer": "a"}, {"prompt": "q", "answer": "x"}]
    after = [{"prompt": "p", "answer": "a b"}, {"prompt": "q", "answer": "y"}]
    one, other = cell_io.compared_answers(before, after)
    assert (one["before"], one["after"], one["rouge_l_after"]) == ("a", "a b", 1.0)
    assert one["rouge_l_before"] == pytest.approx(2 / 3)
    assert other["rouge_l_before"] is other["rouge_l_after"] is None


def test_repeating_a_compare_gives_the_same_results(
    small_scenario, quadratic, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(compare, "publish", lambda run: run.folder)  # no figures
    one, other = (compare.compare(small_scenario, tmp_path / name) for name in ("one", "other"))
    # The command, the time and the commit of a run may differ, its figures may not.
    assert one.pop("environment").keys() == other.pop("environment").keys()
    assert one == other


def test_a_plan_that_cannot_be_made_stops_before_any_round(
    small_scenario, quadratic, tmp_path
) -> None:
    scenario = with_settings(
        small_scenario,
        plan="own",
        budget__client_energy_j=0.031,
        clients__distance_m=[2000, 2000],
        pretraining__charge=False,
        digital__quantizer="uniform",
        digital__bits=4,
    )
    with pytest.raises(InputError, match=r"'digital'.*budget\.client_energy_j"):
        compare.compare(scenario, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_changed_plan_of_an_unfinished_cell_is_refused(small_scenario, tmp_path) -> None:
    """Also where what has changed decides nothing: it stands in the results."""

    def stop(line: dict[str, object]) -> None:
        raise KeyboardInterrupt

    cell = cell_of(tmp_path, "fixed")
    run = run_with(small_scenario, "fixed", 1, QuadraticLearner(small_scenario, 1))
    with pytest.raises(KeyboardInterrupt):
        cell_io.execute(run, cell, stop)
    plan = json.loads(cell.plan_file.read_text())
    plan["energy_j"]["compute"] = 1.0
    cell.plan_file.write_text(json.dumps(plan))
    with pytest.raises(InputError, match=r"plan\.json: has been changed or damaged"):
        execute(small_scenario, "fixed", tmp_path)
    del plan["sha256"]
    cell.plan_file.write_text(json.dumps(plan))
    with pytest.warns(DamageWarning, match=r"plan\.json: has no seal"):
        execute(small_scenario, "fixed", tmp_path)


def test_every_document_of_a_cell_is_sealed(small_scenario, tmp_path) -> None:
    """Between the documents and digests.json, which comes last, a flipped bit would be digested."""
    execute(small_scenario, "fixed", tmp_path)
    cell = cell_of(tmp_path, "fixed")
    documents = (cell.plan_file, cell.holdings_file, cell.left_out_file, cell.placement_file)
    for file in (*documents, cell.finished_file, cell.digests_file):
        assert len(json.loads(file.read_text())["sha256"]) == 64, file
