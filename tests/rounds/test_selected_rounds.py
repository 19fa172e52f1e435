"""Rounds in which some of the clients transmit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from airtune import record
from airtune.bound.convergence import participation_bias
from airtune.record import Cell
from airtune.registry import POLICIES
from airtune.rounds import cell_io
from airtune.scenario import Scenario
from airtune.schemes import link as radio_link
from airtune.study import cells, compare
from quadratic import QuadraticLearner, run_with

COUNT, LIMIT = 6, 2
PARTIAL = [name for name in POLICIES if name != "all"]


@pytest.fixture
def partial(small_scenario: Scenario) -> Scenario:
    """Two of six clients transmit, chosen at random."""
    data = small_scenario.to_dict()
    data["clients"] |= {"count": COUNT, "concurrency": LIMIT, "selection": "random"}
    return Scenario.model_validate(data)


def with_clients(scenario: Scenario, **clients: object) -> Scenario:
    data = scenario.to_dict()
    data["clients"] |= clients
    return Scenario.model_validate(data)


def execute(scenario: Scenario, scheme: str, folder: Path, stop_at: int | None = None):
    learner = QuadraticLearner(scenario, 1)
    run = run_with(scenario, scheme, 1, learner)
    cell = Cell(folder / scheme / "seed-0", scheme, 0)

    def stop(line: dict[str, object]) -> None:
        if line["round"] == stop_at:
            raise KeyboardInterrupt

    cell_io.execute(run, cell, stop)
    cell_io.finish(run, cell, learner.samples(learner.initial_adapter(), 1))
    return run, record.read_metrics(cell)[1:]


def test_a_round_is_gradient_descent_on_the_clients_chosen(partial, tmp_path) -> None:
    """Weights renormalised over the set (system model, section 4)."""
    learner = QuadraticLearner(partial, 1, noise=0.0)
    run = run_with(partial, "ideal", 1, learner)
    theta = np.zeros(learner.size)
    for _ in range(4):
        line = run.run_round()
        chosen = line["clients"]
        assert len(chosen) == LIMIT
        weights = learner.data_sizes[chosen] / learner.data_sizes[chosen].sum()
        theta -= 0.3 * (theta - weights @ learner.optima[chosen])
        assert np.allclose(run.state.adapter, theta, atol=1e-5)
        omega = learner.data_sizes / learner.data_sizes.sum()
        assert line["share"] == pytest.approx(omega[chosen].sum())
        present = np.isin(np.arange(COUNT), chosen)
        assert line["bias"] == participation_bias(run.repetition.constants, omega, present)
        assert line["bias"] > 0


def test_without_concurrency_there_is_no_bias(small_scenario, tmp_path) -> None:
    _, lines = execute(small_scenario, "fixed", tmp_path)
    assert all(line["share"] == 1.0 and line["bias"] == 0.0 for line in lines)
    assert all(line["clients"] == [0, 1, 2] for line in lines)


@pytest.mark.parametrize("policy", PARTIAL)
@pytest.mark.parametrize("scheme", ["movable", "digital"])
def test_resume_is_bit_for_bit_with_every_policy(partial, tmp_path, policy, scheme) -> None:
    scenario = with_clients(partial, selection=policy)
    whole, lines = execute(scenario, scheme, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        execute(scenario, scheme, tmp_path / "stopped", stop_at=3)
    resumed, again = execute(scenario, scheme, tmp_path / "stopped")
    assert np.array_equal(resumed.state.adapter, whole.state.adapter)
    assert [line["clients"] for line in again] == [line["clients"] for line in lines]
    for name, array in whole.state.arrays().items():
        assert np.array_equal(resumed.state.arrays()[name], array), name


@pytest.mark.parametrize("policy", [name for name in PARTIAL if name != "joint"])
def test_all_schemes_of_a_comparison_choose_the_same_clients(partial, tmp_path, policy) -> None:
    scenario = with_clients(partial, selection=policy)
    chosen = {
        scheme: [line["clients"] for line in execute(scenario, scheme, tmp_path)[1]]
        for scheme in ("ideal", "movable", "random-position", "digital")
    }
    assert all(sets == chosen["ideal"] for sets in chosen.values())


def test_only_the_clients_chosen_spend_energy_and_time(partial, tmp_path) -> None:
    for scheme in ("fixed", "digital"):
        run, lines = execute(partial, scheme, tmp_path)
        counts = np.bincount(np.concatenate([line["clients"] for line in lines]), minlength=COUNT)
        assert np.array_equal(run.state.participation, counts)
        assert np.array_equal(run.state.client_energy_j > 0, counts > 0)
        booked = sum(
            line["round_energy_j"][name]
            for line in lines
            for name in ("compute", "uplink", "pilots")
        )
        assert run.state.client_energy_j.sum() == pytest.approx(booked)


def test_scales_are_remembered_while_a_client_is_silent(partial, tmp_path) -> None:
    """nu_k of a set is what the members last reported, brought to the weights of the set."""
    run, _ = execute(partial, "fixed", tmp_path)
    seen = run.state.participation > 0
    assert np.array_equal(run.state.scaled_weights[~seen], run.repetition.omega[~seen])
    before = run.state.scaled_weights.copy()
    line = run.run_round()
    silent = np.setdiff1d(np.arange(COUNT), line["clients"])
    assert np.array_equal(run.state.scaled_weights[silent], before[silent])
    assert (run.state.scaled_weights[line["clients"]] != before[line["clients"]]).all()
    share = run.repetition.omega[line["clients"]].sum()
    nu = run.state.effective_weights
    assert np.flatnonzero(nu).tolist() == line["clients"]
    np.testing.assert_allclose(run.state.scaled_weights[line["clients"]] / share, nu[nu > 0])


def test_a_dropped_client_leaves_weights_of_the_rest(partial) -> None:
    learner = QuadraticLearner(partial, 1, noise=0.0)
    first = run_with(partial, "ideal", 1, learner)
    lost, kept = first.run_round()["clients"]
    learner.broken[(1, lost)] = True
    run = run_with(partial, "ideal", 1, learner)
    line = run.run_round()
    assert (line["clients"], line["dropped"]) == ([kept], [lost])
    assert line["share"] == pytest.approx(run.repetition.omega[kept])
    assert np.allclose(run.state.adapter, 0.3 * learner.optima[kept], atol=1e-5)


def test_unbiased_rounds_report_no_bias(partial, tmp_path) -> None:
    scenario = with_clients(partial, unbiased=True)
    _, lines = execute(scenario, "movable", tmp_path)
    assert all(line["bias"] == 0.0 and line["share"] < 1 for line in lines)


def test_fairness_is_jain_s_index_of_the_participation_counts(partial, quadratic, tmp_path) -> None:
    scenario = with_clients(partial, selection="best-channel").model_copy(
        update={"schemes": ("ideal", "fixed")}
    )
    folder = record.create(tmp_path / "run", scenario, "compare")
    cells.execute(folder)
    results = compare.summarise(folder)
    for name, entry in results["schemes"].items():
        lines = record.read_metrics(Cell(tmp_path / "run" / name / "seed-0", name, 0))[1:]
        counts = np.bincount(np.concatenate([line["clients"] for line in lines]), minlength=COUNT)
        expected = counts.sum() ** 2 / (COUNT * (counts**2).sum())
        assert entry["fairness"] == pytest.approx(expected)
        assert LIMIT / COUNT <= entry["fairness"] < 1.0
    assert results["schemes"]["ideal"]["fairness"] == results["schemes"]["fixed"]["fairness"]


def test_a_plan_counts_the_clients_that_transmit(partial) -> None:
    """Batches, clocks and each client's energy as with everybody; the energy of two in turn."""
    partial = partial.model_copy(update={"plan": "own"})
    learner = QuadraticLearner(partial, 1)
    turn = run_with(partial, "ideal", 1, learner).plan
    everybody = with_clients(partial, concurrency=None, selection="all")
    whole = run_with(everybody, "ideal", 1, learner).plan
    assert np.array_equal(turn.batch_sizes, whole.batch_sizes)
    assert turn.energy_j.compute == pytest.approx(whole.energy_j.compute * LIMIT / COUNT)
    assert np.array_equal(turn.client_energy_j, whole.client_energy_j)


def test_the_work_of_a_round_does_not_grow_with_the_registered_clients(
    small_scenario, tmp_path, monkeypatch
) -> None:
    """3 of 3 and 3 of 2000: as many updates, radio problems as small, lines as short."""
    seen: dict[int, dict[str, list[int]]] = {}
    sizes: dict[int, tuple[int, int]] = {}
    for count in (3, 2000):
        scenario = with_clients(small_scenario, count=count, concurrency=3, selection="random")
        work = seen[count] = {"updates": [], "heard": []}
        learner = QuadraticLearner(scenario, 1)
        update, build = learner.client_update, radio_link.Problem

        def counted(*given, work=work, update=update):
            work["updates"].append(1)
            return update(*given)

        def built(*, work=work, build=build, **given):
            work["heard"].append(len(given["gains"]))
            return build(**given)

        monkeypatch.setattr(learner, "client_update", counted)
        monkeypatch.setattr(radio_link, "Problem", built)
        run = run_with(scenario, "movable", 1, learner)
        cell = Cell(tmp_path / str(count), "movable", 0)
        cell_io.execute(run, cell, lambda line: None)
        monkeypatch.setattr(radio_link, "Problem", build)
        state = run.state.arrays()
        sizes[count] = (
            sum(array.size for array in state.values()),
            len((cell.folder / "metrics.jsonl").read_bytes()),
        )
    assert seen[2000] == seen[3]
    assert set(seen[3]["heard"]) == {3}
    assert len(seen[3]["updates"]) == 3 * small_scenario.training.rounds
    # a few numbers for each client, never one for each entry of its update
    assert sizes[2000][0] - sizes[3][0] <= 6 * 1997
    assert sizes[2000][1] < 1.2 * sizes[3][1]


def test_a_round_in_which_nobody_could_send_has_no_sender(small_scenario) -> None:
    data = small_scenario.to_dict()
    data["aggregation"]["truncation_db"] = 300.0
    scenario = Scenario.model_validate(data)
    learner = QuadraticLearner(scenario, 1)
    run = run_with(scenario, "truncated", 1, learner)
    line = run.run_round()
    assert (line["transmitted"], line["clients"], line["share"]) == (0, [], 0.0)
    assert line["bias"] > 0
    assert not run.state.participation.any()
    assert line["round_energy_j"]["uplink"] == 0.0
    assert line["round_energy_j"]["compute"] > 0.0
