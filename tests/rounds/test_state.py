"""The state of a run, saved and loaded (`airtune.rounds.state`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from airtune import record
from airtune.errors import InputError
from airtune.rounds.state import State


def state_with(first: object) -> State:
    """Return a state before the first round, with a moment of the server optimiser."""
    return State(
        adapter=np.zeros(3, np.float32),
        optimizer_state={"steps": np.array(0), "first": np.asarray(first)},
        positions=np.zeros((2, 2)),
        effective_weights=np.zeros(2),
        scaled_weights=np.ones(2),
        average_rates=np.zeros(2),
        participation=np.zeros(2, np.int64),
        client_energy_j=np.zeros(2),
    )


def through_a_file(state: State, folder: Path) -> tuple[int, record.Arrays, dict[str, object]]:
    """Return what a checkpoint of the state holds."""
    cell = record.Cell(folder / "movable" / "seed-0", "movable", 0)
    record.append_metrics(cell, {"round": 0})
    costs = {"latency_s": state.latency_s.to_dict(), "energy_j": state.energy_j.to_dict()}
    record.save_checkpoint(cell, 0, state.arrays(), costs)
    loaded = record.load_checkpoint(cell)
    assert loaded is not None
    return loaded


def test_numbers_in_a_state_stay_numbers(tmp_path: Path) -> None:
    state = state_with(np.zeros(3))
    state.optimizer_state = {"steps": np.array(4), "first": np.array([1.0, 2.0, 3.0])}
    state.client_states = {1: {"drift": np.array(0.25), "control": np.ones((1, 3), np.float32)}}
    again = state_with(np.zeros(3))
    again.load(*through_a_file(state, tmp_path))
    for before, after in (
        (state.optimizer_state, again.optimizer_state),
        (state.client_states[1], again.client_states[1]),
    ):
        assert set(after) == set(before)
        for name, value in before.items():
            assert after[name].shape == value.shape
            assert after[name].dtype == value.dtype
            assert np.array_equal(after[name], value)


@pytest.mark.parametrize("first", [np.zeros(2), np.zeros((3, 1)), 0.0])
def test_the_state_of_another_optimiser_is_refused(tmp_path: Path, first: object) -> None:
    loaded = through_a_file(state_with(np.zeros(3)), tmp_path)
    with pytest.raises(InputError, match=r"training\.server_optimizer: the checkpoint"):
        state_with(first).load(*loaded)
