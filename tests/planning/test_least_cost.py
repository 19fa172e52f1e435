"""Least predicted cost against all plans of a fine grid."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.allocation import ResourceProblem, ServerProcessor
from airtune.costs import batch_energy
from airtune.planning.least_cost import GAP, least_cost
from airtune.planning.objective import Objective
from planning.forecasts import objective, problem


def by_grid(p: ResourceProblem, o: Objective, bias: float = 0.0) -> float:
    """Return the least cost over all whole batches and fine grids of windows and back-offs."""
    c, best = p.clients, np.inf
    far = float(np.sum(c.omega**2 / o.reference))
    backoffs = np.geomspace(0.05, 1.0, 24)[:, None]
    for batch in itertools.product(*(range(1, int(most) + 1) for most in c.batch_max)):
        sizes = np.array(batch, float)
        least = max(float(np.max(c.cycles * sizes / c.f_max)), p.beside_s)
        most = max(float(np.max(c.cycles * sizes / c.f_min)), least)
        for window in np.geomspace(least, most, 24):
            own = batch_energy(sizes, window, c.cycles, c.kappa, c.f_min)
            mse = p.mse_star / backoffs[:, 0] + bias
            spread = float(np.sum(c.omega**2 / sizes))
            energy = 1 + o.batch_noise * (spread / far - 1)
            rounds = o.needed * np.sqrt((1 + o.chi * mse) * energy)
            planned = np.ceil(rounds) if p.rounds[0] < p.rounds[1] else p.rounds[1] + 0 * rounds
            joules = own + backoffs * c.radio_j + c.fixed_j
            total = joules.sum(axis=1) + p.round_j
            kept = (mse <= o.largest_mse) & (rounds <= p.rounds[1])
            kept &= np.all(planned[:, None] * joules <= c.budget_j, axis=1)
            cycles = p.steps[0] * p.batches[0] * p.server.cycles
            for clock in np.geomspace(p.server.f_min, p.server.f_max, 9 if cycles else 1):
                first_s, first_j = cycles / clock, p.server.kappa * cycles * clock**2
                fits = kept & (planned * (window + p.round_s) + first_s <= p.latency_s)
                fits &= planned * total + first_j <= p.energy_j
                time, energy_j = rounds * (window + p.round_s) + first_s, rounds * total + first_j
                cost = {"time": time, "energy": energy_j}.get(o.name, time * energy_j)
                best = min(best, float(np.min(np.where(fits, cost, np.inf))))
    return best


TRAINED = {
    "server": ServerProcessor(1e7, 1e-27, 1e9, 3e9),
    "steps": (100, 100),
    "batches": (8, 8),
}
"""Pre-training of 8 s and 8 J at the slowest clock, of 2.7 s and 72 J at the fastest."""


CASES: dict[str, dict[str, Any]] = {
    "free": {},
    "costly radio": {"radio_j": np.array([2.0, 1.0])},
    "latency": {"latency_s": 17.0},
    "clients' energy": {"budget_j": np.array([0.9, 1.5]), "radio_j": np.array([0.02, 0.02])},
    "total energy": {"energy_j": 14.0},
    "given rounds": {"rounds": (30, 30), "latency_s": 30.0},
    "movement beside": {"beside_s": 0.35},
    "clients' tight energy": {
        "budget_j": np.array([0.6, 1.0]),
        "radio_j": np.array([0.06, 0.06]),
    },
    "clients' energy, bad air": {
        "budget_j": np.array([0.791, 1.319]),
        "radio_j": np.array([0.096, 0.096]),
        "mse_star": 0.135,
    },
    "pre-training": TRAINED,
    "pre-training in a hurry": {**TRAINED, "latency_s": 30.0},
    "pre-training with little energy": {**TRAINED, "energy_j": 40.0},
}


@pytest.mark.parametrize(
    ("case", "name"),
    [
        *((case, "energy-delay") for case in CASES),
        *(("free", name) for name in ("time", "energy")),
        ("clients' energy", "time"),
        ("latency", "energy"),
        *(("clients' tight energy", name) for name in ("time", "energy")),
        *(("clients' energy, bad air", name) for name in ("time", "energy")),
        ("pre-training in a hurry", "energy"),
        ("pre-training with little energy", "time"),
    ],
)
def test_no_plan_of_a_fine_grid_is_cheaper(case: str, name: str) -> None:
    p, o = problem(**CASES[case]), objective(name)
    grid, (found, lower) = by_grid(p, o), least_cost(p, o, o.reference)
    assert found is not None
    assert found.value <= grid * (1 + 1e-3)
    assert lower <= found.value
    assert lower <= grid * (1 + 1e-9)
    if case in ("free", "movement beside"):  # budgets and whole samples leave more
        assert lower >= found.value * (1 - 0.025)


@settings(max_examples=8, deadline=None)
@given(
    name=st.sampled_from(["time", "energy", "energy-delay"]),
    mse=st.floats(0, 0.6),
    latency=st.floats(10, 60),
    total=st.floats(4, 40),
    noise=st.floats(0, 0.9),
)
def test_what_is_found_keeps_the_budgets_and_its_bound(
    name: str, mse: float, latency: float, total: float, noise: float
) -> None:
    p = problem(mse_star=mse, latency_s=latency, energy_j=total, radio_j=np.array([0.3, 0.1]))
    o = objective(name, batch_noise=noise, margin=1.5)
    found, lower = least_cost(p, o, o.reference)
    if found is None:
        return
    own = batch_energy(
        found.batch,
        found.window,
        *(getattr(p.clients, one) for one in ("cycles", "kappa", "f_min")),
    )
    round_j = float(np.sum(own + found.backoff * p.clients.radio_j)) + p.round_j
    assert found.rounds * (found.window + p.round_s) <= latency * (1 + 1e-9)
    assert found.rounds * round_j <= total * (1 + 1e-9)
    assert found.batch.tolist() == np.round(found.batch).tolist()
    assert 0 < lower <= found.value


@settings(max_examples=5, deadline=None)
@given(
    name=st.sampled_from(["time", "energy", "energy-delay"]),
    share=st.floats(0.5, 2.0),
    latency=st.floats(17, 60),
)
def test_a_plan_that_is_known_hides_no_better_one(name: str, share: float, latency: float) -> None:
    p, o = problem(latency_s=latency, radio_j=np.array([0.3, 0.1])), objective(name)
    free, least = least_cost(p, o, o.reference)
    if free is None:
        return
    known = share * free.value
    found, lower = least_cost(p, o, o.reference, below=known)
    if free.value < known:
        assert found is not None
        assert (found.rounds, found.value, found.batch.tolist()) == (
            free.rounds,
            free.value,
            free.batch.tolist(),
        )
        assert lower == least
    else:
        assert found is None or found.value >= free.value
        assert lower >= min(known, least)


def test_the_margin_adds_rounds_and_no_cost() -> None:
    p, tight, wide = problem(), objective("energy"), objective("energy", margin=1.5)
    one, other = (least_cost(p, o, o.reference)[0] for o in (tight, wide))
    assert one is not None and other is not None
    assert other.rounds == pytest.approx(1.5 * one.rounds, abs=2)
    assert other.value == pytest.approx(one.value, rel=2 * GAP)


def test_an_error_above_the_largest_has_no_plan() -> None:
    o = objective("time")
    assert least_cost(problem(mse_star=1.2), o, o.reference)[0] is None
    assert least_cost(problem(mse_star=0.1), o, o.reference, bias=1.0)[0] is None
    signs = objective("time", constant=1.6)
    assert least_cost(problem(mse_star=1.2), signs, o.reference)[0] is not None


def test_time_wants_speed_and_energy_slow_clocks() -> None:
    p = problem()
    fast, thrifty = (
        least_cost(p, objective(name), objective(name).reference)[0] for name in ("time", "energy")
    )
    assert fast is not None and thrifty is not None
    assert fast.window < thrifty.window
