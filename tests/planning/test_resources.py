"""Plans of a scenario with given rounds."""

import numpy as np
import pytest

from airtune.bound import BoundConstants
from airtune.errors import InputError
from airtune.planning import FixedCosts, Plan, make_plan
from airtune.planning.resources import plan_inputs
from airtune.scenario import Scenario

CYCLES = np.linspace(6e6, 1.8e7, 5)


WHO = {
    "omega": np.full(5, 0.2),
    "cycles_per_sample": CYCLES,
    "data_sizes": np.array([100, 100, 100, 100, 7]),
    "pretraining_cycles_per_sample": 1e7,
    "pretraining_steps": 100,
    "pretraining_batch": 32,
}
COSTS = {
    "uplink_s": 0.3,
    "uplink_j": np.full(5, 0.1 * 0.3),
    "downlink_s": 0.1,
    "downlink_j": 0.2,
    "pilot_s": 0.01,
    "pilot_j": np.full(5, 0.001),
    "move_s": 0.2,
    "move_j": 0.3,
}


def plan(
    budget: dict[str, object],
    *,
    mse_star: float = 0.05,
    planning: dict[str, str] | None = None,
    participants: np.ndarray | None = None,
    **costs: object,
) -> Plan:
    server = {"f_min_hz": 1e9, "f_max_hz": 3e9, "kappa": 1e-27}
    scenario = Scenario.model_validate(
        {
            "clients": {"count": 5},
            "budget": budget,
            "training": {"rounds": 20},
            "server_processor": server,
            "planning": planning or {},
        }
    )
    constants = BoundConstants.from_mapping(scenario.bound.model_dump())
    run = plan_inputs(scenario, constants, **WHO)
    return make_plan(run, mse_star, FixedCosts(**{**COSTS, **costs}), participants)


def test_without_budgets_everything_is_large_and_slow() -> None:
    p = plan({})
    assert p.batch_sizes.tolist() == [16, 16, 16, 16, 7]
    assert p.frequencies == pytest.approx(np.full(5, 3e8))
    assert p.server_frequency == pytest.approx(1e9)
    assert p.power_backoff == 1.0
    # the slowest client: 16 x 1.5e7 cycles at 300 MHz
    assert p.latency_s.compute == pytest.approx(20 * 16 * CYCLES[3] / 3e8)
    assert p.energy_j.pretraining == pytest.approx(1e-27 * 1e18 * 100 * 32 * 1e7)


@pytest.mark.parametrize(
    "budget",
    [
        {"latency_s": 30.0},
        {"latency_s": 24.0},
        {"client_energy_j": 0.8},
        {"client_energy_j": 0.45},
        {"latency_s": 26.0, "client_energy_j": 0.5},
    ],
)
def test_the_plan_keeps_its_budgets_and_its_books(budget: dict[str, float]) -> None:
    p = plan(budget)
    assert p.latency_s.total <= budget.get("latency_s", np.inf) * (1 + 1e-9)
    assert np.all(p.client_energy_j <= budget.get("client_energy_j", np.inf) * (1 + 1e-12))
    assert np.all((p.frequencies >= 3e8) & (p.frequencies <= 2e9))
    assert np.all((p.batch_sizes >= 1) & (p.batch_sizes <= [16, 16, 16, 16, 7]))
    work = CYCLES * p.batch_sizes
    assert p.latency_s.compute == pytest.approx(20 * np.max(work / p.frequencies))
    compute = 20 * 2.5e-28 * p.frequencies**2 * work
    assert p.energy_j.compute == pytest.approx(compute.sum())
    radio = 20 * (p.power_backoff * 0.1 * 0.3 + 0.001)
    assert p.client_energy_j == pytest.approx(compute + radio)
    assert p.energy_j.total == pytest.approx(
        p.client_energy_j.sum() + 20 * 0.5 + 1e-27 * p.server_frequency**2 * 100 * 32 * 1e7
    )
    noise = 4.0 * np.sum(0.04 / p.batch_sizes) + 8.0 * 0.05 / p.power_backoff
    q = 0.95**20
    assert p.bound.batch_noise + p.bound.air_noise == pytest.approx(
        (1 - q) / 0.05 * 4 * 0.01 / 2 * noise
    )


def test_no_choice_of_batches_and_backoff_is_better() -> None:
    p = plan({"latency_s": 26.0, "client_energy_j": 0.5})
    deadline = (26.0 - 100 * 32 * 1e7 / 3e9) / 20 - 0.61
    best = np.inf
    for rho in np.linspace(1e-3, 1, 4000):
        noise = 8.0 * 0.05 / rho
        for cycles, top in zip(CYCLES, [16, 16, 16, 16, 7], strict=True):
            sizes = np.arange(1, top + 1)
            clock = np.maximum(3e8, sizes * cycles / deadline)
            energy = 2.5e-28 * clock**2 * sizes * cycles
            fits = (clock <= 2e9) & (energy + rho * 0.03 + 0.001 <= 0.5 / 20)
            noise += 4.0 * 0.04 / sizes[fits].max() if fits.any() else np.inf
        best = min(best, noise)
    q = 0.95**20
    planned = p.bound.batch_noise + p.bound.air_noise
    assert planned <= (1 - q) / 0.05 * 4 * 0.01 / 2 * best * (1 + 1e-12)
    assert p.power_backoff < 1


def test_digital_powers_are_not_scaled() -> None:
    p = plan(
        {"client_energy_j": 0.6},
        backoff=False,
        mse_star=0.0,
        uplink_s=1.0,
        uplink_j=np.full(5, 0.1 * 0.2),
    )
    assert p.power_backoff == 1.0
    assert p.energy_j.uplink == pytest.approx(20 * 5 * 0.1 * 0.2)
    assert p.latency_s.uplink == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("budget", "name"),
    [({"latency_s": 20.0}, "latency_s"), ({"client_energy_j": 0.02}, "client_energy_j")],
)
def test_the_least_budget_that_would_do_is_named(budget: dict[str, float], name: str) -> None:
    with pytest.raises(InputError, match=rf"budget\.{name} = .* to at least") as error:
        plan(budget)
    least = float(str(error.value).split("at least ")[1].split(" ")[0])
    assert plan({name: least}).batch_sizes.min() == 1
    with pytest.raises(InputError):
        plan({name: least * (1 - 1e-8)})


def test_the_total_budget_is_kept_and_named() -> None:
    loose = plan({})
    p = plan({"energy_j": 43.0})
    assert p.energy_j.total <= 43.0 * (1 + 1e-9) < loose.energy_j.total
    assert p.bound.total > loose.bound.total
    assert p.certificate.relative_gap <= 1e-6
    with pytest.raises(InputError, match=r"budget\.energy_j = 10 to at least") as error:
        plan({"energy_j": 10.0})
    least = float(str(error.value).split("at least ")[1].split(" ")[0])
    assert plan({"energy_j": least}).batch_sizes.max() == 1


def test_planned_rounds_and_pretraining_are_no_worse_than_the_given_ones() -> None:
    budget: dict[str, object] = {"latency_s": 31.0, "energy_j": 120.0}
    given = plan(budget)
    rounds = plan(budget, planning={"rounds": "planned"})
    both = plan(budget, planning={"rounds": "planned", "pretraining": "planned"})
    assert both.bound.total < rounds.bound.total <= given.bound.total
    assert 1 <= both.rounds <= 20
    assert 0 <= both.pretraining_steps <= 100
    for p in (rounds, both):
        assert p.latency_s.total <= 31.0 * (1 + 1e-9)
        assert p.energy_j.total <= 120.0 * (1 + 1e-9)


def test_a_movement_that_happens_once_is_booked_once() -> None:
    once = plan({"latency_s": 26.0}, move_s=0.0, move_j=0.0, first_move_s=0.4, first_move_j=1.5)
    assert once.latency_s.movement == pytest.approx(0.4)
    assert once.energy_j.movement == pytest.approx(1.5)
    assert once.latency_s.total <= 26.0 * (1 + 1e-9)
    assert once.energy_j.total < plan({"latency_s": 26.0}).energy_j.total
    with pytest.raises(InputError, match=r"budget\.latency_s") as error:
        plan({"latency_s": 10.0}, move_s=0.0, move_j=0.0, first_move_s=0.4, first_move_j=1.5)
    least = float(str(error.value).split("at least ")[1].split(" ")[0])
    p = plan({"latency_s": least}, move_s=0.0, move_j=0.0, first_move_s=0.4, first_move_j=1.5)
    assert p.latency_s.total == pytest.approx(least, rel=1e-8)


def test_who_is_left_out_computes_nothing_and_costs_bias() -> None:
    present = np.array([True, True, False, True, True])
    p = plan({"client_energy_j": 0.5}, participants=present)
    assert p.batch_sizes[2] == 0
    assert p.client_energy_j[2] == 0.0
    assert p.participants.tolist() == present.tolist()
    q = 0.95**20
    assert p.bound.bias == pytest.approx((1 - q) / (2 * 0.5) * 4 * 0.2**2 * 1.0)
    noise = 4.0 * np.sum(0.25**2 / p.batch_sizes[present]) + 8.0 * 0.05 / p.power_backoff
    assert p.bound.batch_noise + p.bound.air_noise == pytest.approx(
        (1 - q) / 0.05 * 4 * 0.01 / 2 * noise
    )


def test_each_client_may_have_its_own_budget() -> None:
    p = plan({"client_energy_j": [0.5, None, 0.45, None, None]})
    assert p.client_energy_j[0] <= 0.5 * (1 + 1e-12)
    assert p.client_energy_j[2] <= 0.45 * (1 + 1e-12)
    assert p.batch_sizes[1] > p.batch_sizes[2]
    with pytest.raises(InputError, match=r"budget\.client_energy_j\[2\] = 0\.01 to at least"):
        plan({"client_energy_j": [0.5, None, 0.01, None, None]})


def test_budgets_that_must_be_raised_together_are_named_together() -> None:
    with pytest.raises(InputError, match=r"latency_s.* and .*client_energy_j.* together"):
        plan({"latency_s": 5.0, "client_energy_j": 0.02})
