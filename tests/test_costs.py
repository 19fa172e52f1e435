"""Cost laws against cases worked out by hand."""

import numpy as np
import pytest

from airtune import costs as cost


def test_cycles_of_a_sample() -> None:
    # 4 x 1e6 parameters x 50 tokens = 2e8 FLOP; two local steps; 16 FLOP a cycle
    assert cost.cycles_per_sample(4 * 1e6 * 50, 16, local_steps=2) == pytest.approx(2.5e7)


def test_compute_time_and_energy() -> None:
    # 1e9 cycles at 0.5 GHz: 2 s at kappa f^3 = 1e-28 * 1.25e26 = 0.0125 W, 0.025 J
    assert cost.compute_time(1e9, 5e8) == pytest.approx(2.0)
    assert cost.compute_energy(1e9, 5e8, 1e-28) == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("batch", "deadline", "expected"),
    [
        (10, 1.0, 1e-28 * 1e9**2 * 1e9),  # 1e9 cycles in 1 s: 1 GHz
        (10, 0.5, 1e-28 * 2e9**2 * 1e9),  # twice the clock: four times the energy
        (10, 100.0, 1e-28 * 3e8**2 * 1e9),  # 10 MHz would do, but 300 MHz is the lowest
        (10, np.inf, 1e-28 * 3e8**2 * 1e9),
    ],
)
def test_batch_energy_takes_the_slowest_clock(batch: int, deadline: float, expected: float) -> None:
    energy = cost.batch_energy(batch, deadline, cycles=1e8, kappa=1e-28, f_min=3e8)
    assert energy == pytest.approx(expected)


def test_upload_of_an_odd_number_of_entries() -> None:
    # 7 real entries: 4 complex symbols; 1 kHz with 80 % for data: 800 symbols a second
    assert cost.over_the_air_time(7, 1e3, 0.8) == pytest.approx(4 / 800)
    assert cost.over_the_air_time(8, 1e3, 0.8) == pytest.approx(4 / 800)


def test_components_add_up() -> None:
    first = cost.Components(compute=1.0, uplink=2.0, movement=0.5)
    second = cost.Components(uplink=1.0, downlink=4.0, pilots=0.25, pretraining=8.0)
    both = first + 2 * second
    assert both == cost.Components(1.0, 4.0, 8.0, 0.5, 0.5, 16.0)
    assert both.total == pytest.approx(30.0)
    assert both.to_dict(total=True) == {
        "compute": 1.0,
        "uplink": 4.0,
        "downlink": 8.0,
        "pilots": 0.5,
        "movement": 0.5,
        "pretraining": 16.0,
        "total": 30.0,
    }
    assert list(both.to_dict()) == [
        "compute",
        "uplink",
        "downlink",
        "pilots",
        "movement",
        "pretraining",
    ]
