"""The three measures of EdgeFlowerTune from the rounds of a run.

EdgeFlowerTune [1]_ compares methods of federated fine-tuning by three protocols: *Quality under
Budget*, the quality that is reached within a budget; *Cost to Target*, the resources that a target
quality takes; *Robustness*, what is left of the quality when conditions are disturbed.  Their text
names communication, time, memory and energy as resources.  Only its abstract and its public code
were at hand, so where the paper leaves a choice it is made here and said: quality is the validation
loss, and what is disturbed is the air.

Bytes are in the units of FlowerTune's leaderboard [2]_: the arrays that the server sends to every
client of a round and gets from every client, over 1024^2, against a limit of 200,000.

References
----------
.. [1] J. Geng et al., "EdgeFlowerTune: Evaluating Federated LLM Fine-Tuning Under Realistic Edge
   System Constraints", arXiv 2605.08636, section 2.2.
.. [2] Flower Labs, benchmarks/flowertune-llm, CommunicationTracker: ``sum(bytes) / 1024**2``,
   "Communication budget ... / 200,000 MB".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from airtune.record.documents import MetricsLine
from airtune.study.statistics import quantiles
from airtune.study.targets import crossing

FLOWERTUNE_LIMIT_MB = 200_000.0
"""Budget of the leaderboard."""

BITS = 32
"""Bits of an entry as Flower carries arrays."""


def traffic_mb(
    clients: float, entries_up: int, entries_down: int, bits_up: float = BITS, bits_down: float = 32
) -> float:
    """Return the traffic of a round in FlowerTune's units.

    Parameters
    ----------
    clients : float
        That take part.
    entries_up, entries_down : int
        Numbers that each client sends, and gets.
    bits_up, bits_down : float
        Of a number.  Over the air nothing is sent in bits; the default is what Flower would carry
        for the same update.

    Examples
    --------
    >>> round(traffic_mb(10, 2**20, 2**20), 6)
    80.0
    """
    return clients * (entries_up * bits_up + entries_down * bits_down) / 8 / 1024**2


def quality_under_budget(
    lines: Sequence[MetricsLine], traffic: float, budget: Mapping[str, float]
) -> dict[str, Any]:
    """Return the best validated quality within all budgets.

    Parameters
    ----------
    lines : sequence of MetricsLine
        Round 0, the untuned model, first.
    traffic : float
        Of a round [MB].
    budget : mapping of str to float
        Limits by name: ``time_s``, ``energy_j``, ``traffic_mb``; what is not named has none.

    Returns
    -------
    dict
        ``loss``, ``perplexity`` and the ``round`` that has them.

    Examples
    --------
    >>> lines = [
    ...     MetricsLine(round=i, time_s=2.0 * i, energy_j=1.0 * i, loss=3.0 - i, evaluated=True)
    ...     for i in range(3)
    ... ]
    >>> quality_under_budget(lines, 1.0, {"time_s": 3.0})["loss"]
    2.0
    """
    within = [
        line
        for line in lines
        if line.evaluated and line.loss is not None and _fits(line, traffic, budget)
    ]
    if not within:
        return {"loss": None, "perplexity": None, "round": None}
    best = min(within, key=lambda line: float(line.loss or 0.0))
    loss = float(best.loss or 0.0)
    return {"loss": loss, "perplexity": math.exp(min(loss, 700.0)), "round": best.round}


def _fits(line: MetricsLine, traffic: float, budget: Mapping[str, float]) -> bool:
    spent = {
        "time_s": float(line.time_s or 0.0),
        "energy_j": float(line.energy_j or 0.0),
        "traffic_mb": traffic * line.round,
    }
    return all(spent[name] <= limit for name, limit in budget.items())


def cost_to_target(
    lines: Sequence[MetricsLine], traffic: float, target: float | None
) -> dict[str, float | None]:
    """Return rounds, time, energy and traffic to a target loss; None: never.

    Between two evaluations rounds, time and energy are interpolated
    (:func:`airtune.study.targets.crossing`); traffic counts whole rounds, for half an update is of
    no use.
    """
    found = crossing(lines, target)
    rounds = found["rounds"]
    sent = None if rounds is None else traffic * math.ceil(rounds - 1e-12)
    return {
        "rounds": rounds,
        "time_s": found["time_s"],
        "energy_j": found["energy_j"],
        "traffic_mb": sent,
    }


def robustness(
    initial: float, undisturbed: float, disturbed: Mapping[str, float | None]
) -> dict[str, Any]:
    """Return the share of the improvement that is left under disturbed conditions.

    Parameters
    ----------
    initial : float
        Loss of the untuned model.
    undisturbed : float
        Loss that is reached within the budget without disturbance, below `initial`.
    disturbed : mapping of str to float or None
        The same by condition; None where nothing is reached, or the run has diverged.

    Returns
    -------
    dict
        ``median`` and ``p10`` of the shares, the ``worst`` and its ``condition``.

    Examples
    --------
    >>> found = robustness(3.0, 1.0, {"noise": 2.0, "interference": 1.5, "none": 1.0})
    >>> found["worst"], found["condition"], found["median"]
    (0.5, 'noise', 0.75)
    """
    gain = initial - undisturbed
    shares = {
        name: 0.0 if loss is None else max(0.0, (initial - loss) / gain)
        for name, loss in disturbed.items()
    }
    worst = min(shares, key=lambda name: shares[name])
    spread = quantiles(list(shares.values()))
    return {
        "median": spread["median"],
        "p10": spread["p10"],
        "worst": shares[worst],
        "condition": worst,
    }
