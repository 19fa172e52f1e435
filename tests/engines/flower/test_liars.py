"""Whole rounds beside a node that lies within the bounds: it may spoil them, and ends no run."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from airtune.engines.flower import frames
from airtune.engines.flower.engine import FlowerEngine
from airtune.learning.learner import prepare
from airtune.planning.repetition import Repetition
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario

from .federations import secure

SUBNORMAL, IMMENSE = np.float32(1e-44), np.float32(9e9)


def rounds_beside(scenario: Scenario, here, change) -> tuple[list[dict], np.ndarray]:
    """Return the lines of two rounds in which node 1 changes the arrays of its answers."""
    engine = FlowerEngine(prepare)
    try:
        engine.start(scenario, 1)
        node = here.opened_ones[-1].nodes_here[1].node
        truly = node.answer

        def lying(message: bytes) -> bytes:
            header, arrays = frames.unpack(truly(message))
            return frames.pack(header, {n: change(n, array) for n, array in arrays.items()})

        node.answer = lying
        run = FederatedRun(Repetition(scenario, 1, engine.learner), "movable", engine)
        return [run.run_round() for _ in range(2)], run.state.adapter
    finally:
        engine.close()


@pytest.mark.filterwarnings("error:a node of the federation has not answered")
@pytest.mark.parametrize("number", [SUBNORMAL, IMMENSE])
def test_updates_out_of_all_proportion_end_no_run(settings, here, number) -> None:
    scenario = Scenario.model_validate({**settings, "schemes": ["movable"]})

    def change(name: str, array: np.ndarray) -> np.ndarray:
        return np.sign(array + SUBNORMAL) * number if name == "updates" else array

    silent = "1" if number == SUBNORMAL else "0, 2"  # node 1 is client 1
    with pytest.warns(RuntimeWarning, match=f"clients {silent} stay silent in round ") as told:
        lines, adapter = rounds_beside(scenario, here, change)
    assert sum("stay silent" in str(one.message) for one in told) == 1
    assert [line["missing"] for line in lines] == [[], []]
    assert all(np.isfinite(line["loss"]) for line in lines)
    assert np.isfinite(adapter).all()
    assert np.any(adapter[len(adapter) // 2 :])  # the others have learnt


@pytest.mark.skipif(find_spec("cryptography") is None, reason="cryptography is not installed")
def test_scales_out_of_all_proportion_lose_a_secure_round_and_end_no_run(settings, here) -> None:
    scenario = secure({**settings, "schemes": ["movable"]}, engine={"workers": 3})

    def change(name: str, array: np.ndarray) -> np.ndarray:
        return np.full_like(array, IMMENSE) if name == "deviations" else array

    with pytest.warns(RuntimeWarning, match="round 2 is lost; its sum, in which others are silent"):
        lines, _ = rounds_beside(scenario, here, change)
    assert [(line["clients"], line["missing"]) for line in lines] == [([], [])] * 2
    assert lines[0]["loss"] == lines[1]["loss"]
