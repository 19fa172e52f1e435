"""Clients that have missed the broadcast: whom the engine is asked for together."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.engines import RoundUpdates
from airtune.rounds import cell_io
from airtune.rounds.faults import updates_of
from quadratic import QuadraticLearner, run_with
from rounds.test_faults import timeless
from rounds.test_federated import cell_of, execute, with_settings


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_who_is_behind_is_asked_as_before_after_a_resumption(
    small_scenario, tmp_path, stop
) -> None:
    """No round makes a step, so the adapters of all rounds are equal: one array, or copies."""
    scenario = with_settings(
        small_scenario,
        clients__count=7,
        training__rounds=4,
        faults__broadcast={"share": 0.5, "burst_rounds": 3.0},
        faults__stragglers={"share": 1.0, "deadline": 1.0},
    )

    def kill(line: dict[str, object]) -> None:
        if line["round"] == stop:
            raise KeyboardInterrupt

    execute(scenario, "fixed", tmp_path / "whole")
    first = run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1))
    with pytest.raises(KeyboardInterrupt):
        cell_io.execute(first, cell_of(tmp_path / "stopped", "fixed"), kill)
    execute(scenario, "fixed", tmp_path / "stopped")
    assert timeless(tmp_path / "stopped", "fixed") == timeless(tmp_path / "whole", "fixed")


def test_clients_with_equal_adapters_are_asked_together() -> None:
    asked, adapter, old = [], np.zeros(3, np.float32), np.ones(3, np.float32)

    def request(held: np.ndarray, clients: np.ndarray) -> RoundUpdates:
        asked.append((held[0], clients.tolist()))
        return RoundUpdates(np.tile(held, (len(clients), 1)), clients, (), 1.0 / 3)

    stale = {1: adapter.copy(), 2: old, 3: old.copy()}
    updates = updates_of(request, adapter, stale, np.arange(5)).updates
    assert asked == [(0.0, [0, 1, 4]), (1.0, [2, 3])]
    assert updates[:, 0].tolist() == [0.0, 0.0, 1.0, 1.0, 0.0]
