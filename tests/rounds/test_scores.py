"""The model that stands for a run, and what of it is broadcast."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from airtune.learning.own_factors import OWN
from airtune.rounds import cell_io, federated
from airtune.rounds.scores import shared_model
from rounds.test_aggregation import run_of, scenario_of


@pytest.mark.parametrize("kind", ["flora", "fedex"])
def test_what_was_told_once_is_not_told_again(small_scenario, monkeypatch, kind) -> None:
    """After a round that is lost the broadcast is that of the adapter alone."""
    run, told = run_of(scenario_of(small_scenario, kind)), []
    made, air = federated.broadcast, type(run._air)

    def listened(*given: Any) -> Any:
        sent = made(*given)
        told.append(sent.message.bits / run.scenario.radio.downlink_bits)
        return sent

    monkeypatch.setattr(federated, "broadcast", listened)
    combine = air.combine
    for lost in (False, True, False, False):
        before = run.state.model.copy()
        ends = lambda *given, lost=lost: replace(combine(*given), lost=lost)  # noqa: E731
        monkeypatch.setattr(air, "combine", ends)
        run.run_round()
        assert np.array_equal(run.state.model, before) == lost
    size = len(run.state.adapter)
    assert told[0] == told[2] == size
    assert told[1] == told[3] > size


def test_the_stand_in_has_the_weights_of_the_score(small_scenario, tmp_path, monkeypatch) -> None:
    """The mean of B is that of the clients that take part, and of no other."""
    run = run_of(scenario_of(small_scenario, "fedsa"))
    run.run_round()
    plan, present = run.current.joint.plan, np.array([True, True, False])
    run.current = replace(
        run.current, joint=replace(run.current.joint, plan=replace(plan, participants=present))
    )
    written = []

    def stop(run: object, cell: object, adapter: np.ndarray) -> None:
        written.append(adapter)
        raise KeyboardInterrupt

    monkeypatch.setattr(cell_io, "_save_adapter", stop)
    with pytest.raises(KeyboardInterrupt):
        cell_io.finish(run, None, [])  # type: ignore[arg-type]
    kept, omega = run.sending.own_entries, run.repetition.omega
    own = [run.state.client_states[k][OWN] for k in (0, 1)]
    wanted = (omega[0] * own[0] + omega[1] * own[1]) / (omega[0] + omega[1])
    assert np.allclose(written[0][kept], wanted, atol=1e-6)
    whole = shared_model(run.state, kept, omega)
    assert not np.allclose(written[0], whole, atol=1e-6)
