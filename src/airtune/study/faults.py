"""What faults have done to a cell: counts over its rounds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from airtune.record.documents import MetricsLine

CLIENT_ROUNDS = ("left_out", "cut", "slow", "late", "stale", "wrong_reports", "outdated_csi")
"""Kinds that name clients: counted are the times that a client was met."""
ROUNDS = ("jammed", "restarted")
"""Kinds that meet a round."""
MEANS = (
    *("phase_rms_deg", "timing_rms", "out_of_place_rms"),
    *("squared_bias", "stale_bias", "poison_bias"),
)
ANTENNAS = ("dead_antennas", "stuck_antennas")


def fault_figures(lines: Sequence[MetricsLine], clients: int) -> dict[str, float] | None:
    """Return how often faults met a cell, and what they left of the participation.

    Parameters
    ----------
    lines : sequence of MetricsLine
        Of all rounds, round 0 included.
    clients : int
        Registered clients K.

    Returns
    -------
    dict of str to float, or None
        Counts over the rounds of the kinds that were on, means of sizes and biases over the rounds
        that have them,
        `participation`, the mean share of the K clients whose whole update was in the mean, and
        `bias`, the mean squared bias that the bound books.  None where the scenario has no faults.
    """
    met = [(line, line.faults) for line in lines if line.faults is not None]
    if not met:
        return None
    told = {name for _, faults in met for name in faults}
    figures: dict[str, float] = {}
    for name in CLIENT_ROUNDS:
        if name in told:
            figures[name] = sum(len(faults[name]) for _, faults in met)
    for name in ROUNDS:
        if name in told:
            figures[name] = sum(bool(faults[name]) for _, faults in met)
    for name in ANTENNAS:
        if name in told:
            figures[name] = len(met[0][1][name])
    for name in MEANS:
        known = [faults[name] for _, faults in met if faults.get(name) is not None]
        if known:
            figures[name] = float(np.mean(known))
    whole = [len(set(line.clients or ()) - set(line.missing)) / clients for line, _ in met]
    figures["participation"] = float(np.mean(whole))
    figures["bias"] = float(np.mean([line.number("bias") or 0.0 for line, _ in met]))
    return figures
