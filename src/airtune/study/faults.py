"""What faults have done to a cell: counts over its rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from airtune.record.documents import MetricsLine
from airtune.study.statistics import Quantiles, quantiles

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
        that have them, `participation`, the mean share of the K clients whose whole update was in a
        mean by which the server stepped, and `bias`, the mean squared bias that the bound books;
        without `bias` where that of poisoned clients is not known in any round.
        None where the scenario has no faults.
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
    whole = [len(_learnt(line)) / clients for line, _ in met]
    figures["participation"] = float(np.mean(whole))
    if "poison_bias" not in told or "poison_bias" in figures:
        figures["bias"] = float(np.mean([line.number("bias") or 0.0 for line, _ in met]))
    return figures


def _learnt(line: MetricsLine) -> set[int]:
    """Return the clients whose whole update the server's step of a round holds."""
    if line.not_finite is not None or line.rejected:
        return set()
    return set(line.clients or ()) - set(line.missing)


def over_fault_figures(seeds: Sequence[Mapping[str, float]]) -> dict[str, Quantiles]:
    """Merge what :func:`fault_figures` returns over the seeds, each figure over those that have it.

    Parameters
    ----------
    seeds : sequence of mapping

    Examples
    --------
    >>> over_fault_figures([{"cut": 1}, {"cut": 3, "bias": 0.5}])["bias"]["median"]
    0.5
    """
    names = dict.fromkeys(name for figures in seeds for name in figures)
    return {name: quantiles([one[name] for one in seeds if name in one]) for name in names}
