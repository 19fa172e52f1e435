"""The coding turn: how the updates of a digital scheme are coded, by predicted time.

A bound on the gap says little about how many rounds a run takes, so this choice alone is made by
the prediction of :mod:`airtune.bound.forecast`: the coding with which the target, whatever it is,
is reached first in rounds of the time that the plan leaves for computing.
"""

from __future__ import annotations

from airtune.planning.expected_radio import ExpectedRadio, RadioTurn
from airtune.planning.result import Plan
from airtune.radio.quantisers.coding import Coding


def fastest_coding(radio: RadioTurn, plan: Plan, expected: ExpectedRadio) -> Coding | None:
    """Return the coding of least predicted time; None where there is nothing to choose.

    Parameters
    ----------
    radio : RadioTurn
        The scheme on the air of one round.
    plan : Plan
        What the clients compute: the time of it is taken as given.
    expected : ExpectedRadio
        Where the antennas are, and what a round costs.
    """
    scheme, weights = radio.scheme, expected.weights
    link = scheme.array.expected_link(radio.radio, weights, expected.positions)
    costs, compute_s = expected.costs, plan.latency_s.compute / plan.rounds
    moving = max(0.0, costs.move_s - compute_s) if costs.overlap else costs.move_s
    beside_s = compute_s + moving + costs.downlink_s + costs.pilot_s
    return scheme.air.fastest(link, weights, radio.repetition.matrix_sizes, beside_s)
