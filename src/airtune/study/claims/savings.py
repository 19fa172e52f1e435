"""What the proposal saves over a family: best case, median, share that reaches a claim, ceiling.

Definitions are those of the system model, section 10.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airtune.study.claims.family import Levels
from airtune.study.claims.histories import Reached
from airtune.study.statistics import median_interval, quantile, quantiles


@dataclass(frozen=True)
class Tested:
    """A claim in one scenario.

    Attributes
    ----------
    scenario : str
    percent : float
        Saved at equal target, median over the seeds [%]; minus infinite where the proposal never
        reaches the target in half of the seeds or more.
    ceiling : float
        The same for the scheme without a radio.
    opponent : str
        The strongest of the group in most seeds.
    how : str
        The weakest source of the figures: ``run``, ``booked``, ``replayed`` or ``forecast``.
    lower_bound : bool
        Whether the opponent never reached the target, so that more is saved than this.
    seeds : tuple of float
        Saved in each seed [%].
    levels : tuple of (str, str)
        Factor and level of the scenario, where it is one of a family.
    """

    scenario: str
    percent: float
    ceiling: float
    opponent: str
    how: str
    lower_bound: bool
    seeds: tuple[float, ...]
    levels: Levels = ()

    def __getitem__(self, factor: str) -> str:
        """Return the level of a factor."""
        return dict(self.levels)[factor]


ORDER = ("run", "booked", "replayed", "forecast")
"""From what was run to what is predicted."""


def strongest(figure: str, group: Mapping[str, Reached]) -> tuple[str, Reached]:
    """Return the opponent with the least time or energy to the target.

    One that never reaches it counts only where none does, with what it had spent.

    Parameters
    ----------
    figure : str
        ``time_s`` or ``energy_j``.
    group : mapping of str to Reached

    Examples
    --------
    >>> slow, never = Reached(9.0, 9.0, 9.0, 20.0, 20.0), Reached(None, None, None, 2.0, 2.0)
    >>> strongest("time_s", {"slow": slow, "never": never})[0]
    'slow'
    """
    there = {name: one for name, one in group.items() if getattr(one, figure) is not None}
    candidates = there or group
    name = min(candidates, key=lambda key: candidates[key].value(figure))
    return name, candidates[name]


def saving(figure: str, mine: Reached, theirs: Reached) -> float:
    """Return what is saved at equal target [%]; minus infinite where it is never reached.

    Examples
    --------
    >>> quick, slow = Reached(5.0, 5.0, 5.0, 9.0, 9.0), Reached(9.0, 20.0, 9.0, 20.0, 20.0)
    >>> saving("time_s", quick, slow)
    75.0
    """
    if getattr(mine, figure) is None:
        return -math.inf
    return 100.0 * (1.0 - mine.value(figure) / theirs.value(figure))


def tested_claim(
    scenario: str,
    figure: str,
    proposal: Mapping[int, Reached],
    reference: Mapping[int, Reached],
    group: Mapping[int, Mapping[str, Reached]],
) -> Tested | None:
    """Test a claim in one scenario, seed by seed; None without a seed that all have.

    Parameters
    ----------
    scenario, figure : str
    proposal, reference : mapping of int to Reached
        Of the seeds.
    group : mapping of int to mapping of str to Reached
        Opponents of the seeds.
    """
    seeds = sorted(seed for seed in group if seed in proposal and seed in reference and group[seed])
    if not seeds:
        return None
    best = {seed: strongest(figure, group[seed]) for seed in seeds}
    saved = [saving(figure, proposal[seed], best[seed][1]) for seed in seeds]
    ceilings = [saving(figure, reference[seed], best[seed][1]) for seed in seeds]
    names = [name for name, _ in best.values()]
    used = [proposal[s].how for s in seeds] + [one.how for _, one in best.values()]
    return Tested(
        scenario,
        _median(saved),
        _median(ceilings),
        max(sorted(set(names)), key=names.count),
        max(used, key=ORDER.index),
        any(getattr(one, figure) is None for _, one in best.values()),
        tuple(saved),
    )


def _median(values: Sequence[float]) -> float:
    found = quantile(values, 0.5)
    return -math.inf if found is None else found


def summary(tested: Iterable[Tested], percent: float) -> dict[str, Any] | None:
    """Sum a claim up over the scenarios of a family; None without any.

    Parameters
    ----------
    tested : iterable of Tested
    percent : float
        What is claimed.

    Returns
    -------
    dict
        ``scenarios``; ``best`` (percent, scenario, opponent, how, ceiling); ``median``, ``p10``,
        ``p90`` over the scenarios; ``reached``, the share of the scenarios with the claimed
        percentage; ``ceiling_reached``, the share in which the scheme without a radio has it:
        nothing can do better; ``ceiling_share``, the median of saved over ceiling; ``never``, the
        share in which the proposal does not reach the target; ``how``, scenarios by source.

    Notes
    -----
    The scenarios of a declared family are all there are, and bookings of one radio condition share
    its runs, so no interval is given that would take them for independent draws.
    """
    cells = list(tested)
    if not cells:
        return None
    values = [one.percent for one in cells]
    best = max(cells, key=lambda one: one.percent)
    shares = [one.percent / one.ceiling for one in cells if one.ceiling > 0]
    count = len(cells)
    reached = sum(value >= percent for value in values) / count
    return {
        "scenarios": count,
        "claimed": percent,
        "best": {
            "percent": _finite(best.percent),
            "scenario": best.scenario,
            "opponent": best.opponent,
            "how": best.how,
            "ceiling": _finite(best.ceiling),
            "lower_bound": best.lower_bound,
        },
        **quantiles([_finite(value) for value in values], missing=-math.inf),
        "reached": reached,
        "ceiling_reached": sum(one.ceiling >= percent for one in cells) / count,
        "ceiling_share": None if not shares else _finite(_median(shares)),
        "never": sum(math.isinf(value) for value in values) / count,
        "how": {how: sum(one.how == how for one in cells) for how in ORDER},
    }


def headline_test(tested: Tested, percent: float) -> dict[str, Any]:
    """Return median, interval and a test of a claim over the seeds of one scenario.

    Parameters
    ----------
    tested : Tested
    percent : float
        What is claimed.

    Returns
    -------
    dict
        ``held``: seeds in which more is saved than is claimed; ``p``: of the one-sided sign test
        that the median is no more than the claim, None where every seed has just that.  Seeds are
        independent and the test counts signs, so it is exact with ties, too; it knows nothing of
        other claims, see :func:`holm`.
    """
    from scipy.stats import binomtest

    low, high, coverage = median_interval(tested.seeds)
    held = sum(value > percent for value in tested.seeds)
    apart = sum(value != percent for value in tested.seeds)
    return {
        "opponent": tested.opponent,
        "ceiling": _finite(tested.ceiling),
        "lower_bound": tested.lower_bound,
        "how": tested.how,
        "seeds": len(tested.seeds),
        **quantiles([_finite(value) for value in tested.seeds], missing=-math.inf),
        "interval": {"low": _finite(low), "high": _finite(high), "coverage": coverage},
        "held": held,
        "p": float(binomtest(held, apart, 0.5, alternative="greater").pvalue) if apart else None,
    }


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return p-values that are corrected for their number (Holm 1979); None is left out.

    Examples
    --------
    >>> holm([0.01, 0.5, None, 0.02])
    [0.03, 0.5, None, 0.04]
    """
    order = sorted((p, index) for index, p in enumerate(values) if p is not None)
    found: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        found[index] = largest
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def factorial(
    figure: str, cells: Mapping[str, Mapping[str, Mapping[int, Mapping[str, Reached]]]]
) -> dict[str, Any]:
    """Return how much is the air and how much the antennas, in one scenario.

    Parameters
    ----------
    figure : str
        ``time_s`` or ``energy_j``.
    cells : mapping
        Array, then interface, then seed, then the schemes of which the best counts.

    Returns
    -------
    dict
        ``median``: of each array and interface, what it takes to the target, None: never;
        ``air``: what the interface over the air saves with each array [%]; ``antennas``: what an
        array saves against ``fixed`` with each interface [%].
    """
    best = {
        array: {
            air: {
                seed: strongest(figure, group)[1] for seed, group in sorted(seeds.items()) if group
            }
            for air, seeds in airs.items()
        }
        for array, airs in cells.items()
    }

    def middle(ones: Mapping[int, Reached]) -> float | None:
        values: list[float | None] = [getattr(one, figure) for one in ones.values()]
        return quantiles(values)["median"] if values else None

    def against(mine: Mapping[int, Reached], theirs: Mapping[int, Reached]) -> float | None:
        both = [seed for seed in mine if seed in theirs]
        if not both:
            return None
        return _finite(_median([saving(figure, mine[s], theirs[s]) for s in both]))

    air, digital = "over the air", "digital"
    return {
        "median": {a: {i: middle(ones) for i, ones in airs.items()} for a, airs in best.items()},
        "air": {a: against(airs[air], airs[digital]) for a, airs in best.items()},
        "antennas": {
            array: {i: against(airs[i], best["fixed"][i]) for i in airs}
            for array, airs in best.items()
            if array != "fixed"
        },
    }
