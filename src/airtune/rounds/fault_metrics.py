"""What a round's line of metrics says of faults, in plain JSON types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from airtune.kinds import Integer, Real
from airtune.rounds.fault_state import Adapter
from airtune.rounds.faults import RoundFaults
from airtune.rounds.state import State
from airtune.schemes import ArrayPolicy
from airtune.schemes.arrays.faulty import FaultyArray


@dataclass(frozen=True)
class FaultOutcome:
    """What faults have done in a round.

    Attributes
    ----------
    wrong : RoundFaults
        What was drawn, of all clients.
    clients : ndarray, int, shape (S,)
        The selected clients.
    left_out : ndarray, int
        Those of them that dropped out before the upload.
    late : ndarray, int
        Those that were not done by the deadline.
    cut : ndarray, int
        Those whose upload broke off.
    stale : mapping of int to ndarray, float32, shape (d,)
        Those that worked with an older adapter, and that one.
    squared_bias : float or None
        From misaligned clients and wrong reports, 0 where no step is made; None in every round of
        what gives no such figure (no sum over the air, a robust rule, or signs).
    stale_bias : float
        From older adapters; 0 where no step is made.
    poisons : bool
        Whether the scenario has poisoned clients.
    poison_bias : float or None
        See :meth:`airtune.rounds.poisoning.Poisoning.bias`.
    """

    wrong: RoundFaults
    clients: Integer
    left_out: Integer
    late: Integer
    cut: Integer
    stale: Mapping[int, Adapter]
    squared_bias: float | None
    stale_bias: float
    poisons: bool = False
    poison_bias: float | None = None

    @property
    def missing(self) -> list[int]:
        """Selected clients whose update is not in the mean, or only in part."""
        gone = np.concatenate([self.left_out, self.late, self.cut])
        return sorted({int(client) for client in gone})


def fault_metrics(outcome: FaultOutcome, array: ArrayPolicy, state: State) -> dict[str, Any]:
    """Return the entry ``faults`` of a round's line; only of the kinds that are on.

    Parameters
    ----------
    outcome : FaultOutcome
    array : ArrayPolicy
    state : State
        After the round: where the antennas were sent, and where they stand.
    """
    wrong, clients = outcome.wrong, outcome.clients
    line: dict[str, Any] = {}
    if wrong.left_out is not None:
        line["left_out"] = outcome.left_out.tolist()
    if wrong.sent is not None:
        line["cut"] = outcome.cut.tolist()
    if wrong.slow is not None:
        line |= {"slow": clients[wrong.slow[clients]].tolist(), "late": outcome.late.tolist()}
    if wrong.missed is not None:
        line["stale"] = sorted(outcome.stale)
    if wrong.report_factors is not None:
        line["wrong_reports"] = clients[wrong.report_factors[clients] != 1.0].tolist()
    if wrong.outdated is not None:
        line["outdated_csi"] = clients[wrong.outdated[clients]].tolist()
    if wrong.jammed is not None:
        line["jammed"] = wrong.jammed
    if wrong.restarted is not None:
        line["restarted"] = wrong.restarted
    if wrong.phases is not None:
        line["phase_rms_deg"] = float(np.rad2deg(_rms(wrong.phases[clients])))
    if wrong.delays is not None:
        line["timing_rms"] = _rms(wrong.delays[clients])
    if isinstance(array, FaultyArray):
        line |= {"dead_antennas": list(array.dead), "stuck_antennas": array.stuck_of_all}
    if state.faults.carriages is not None:
        line["out_of_place_rms"] = _rms(state.faults.carriages.actual - state.positions)
    line |= {"squared_bias": outcome.squared_bias, "stale_bias": outcome.stale_bias}
    if outcome.poisons:
        line["poison_bias"] = outcome.poison_bias
    return line


def _rms(values: Real) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0
