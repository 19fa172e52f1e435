"""What a round costs, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.costs import PROFILES, FrontEnd, Hardware
from airtune.radio.movement import Movement, standing
from airtune.rounds.books import Booked, Computing, Electronics, book_round
from airtune.schemes import Overheads, Reception

PLACES = np.zeros((4, 2))
TWO = Computing(np.array([2e9, 1e9]), np.array([1e9, 1e9]), 1e-28)  # 2 s and 1 s


def moving(seconds: float) -> Movement:
    return Movement(seconds, 0.5 * seconds, np.zeros(4), np.arange(4), PLACES)


def book(
    electronics: Electronics,
    moved: Movement | None = None,
    received: Reception | None = None,
    overlap: bool = False,
) -> Booked:
    overheads = Overheads(
        pilot_j=np.array([0.01, 0.02]),
        pilot_s=0.5,
        downlink_s=0.2,
        downlink_j=0.4,
        sending_s=np.array([0.1, 0.2]),
    )
    return book_round(
        TWO, moved or standing(PLACES), overheads, received, electronics, overlap=overlap
    )


def test_electrical_energy_by_hand() -> None:
    hardware = Hardware(0.5, 0.25, chain_w=0.2, lo_w=0.1, client_w=0.3, switch_w=0.01, site_w=1.0)
    # 4 chains, oscillator, 16 switches, site: 0.8 + 0.1 + 0.16 + 1 = 2.06 W
    electronics = Electronics(hardware, FrontEnd(chains=4, ports=16))
    received = Reception(np.zeros(1), np.array([0.004, 0.008]), 2.0, sending_s=np.array([1.5, 0.5]))
    booked = book(electronics, received=received)
    assert booked.pilot_j == pytest.approx([0.01 / 0.25 + 0.3 * 0.1, 0.02 / 0.25 + 0.3 * 0.2])
    assert booked.uplink_j == pytest.approx([0.004 / 0.25 + 0.45, 0.008 / 0.25 + 0.15])
    energy = booked.energy_j
    assert energy.compute == pytest.approx(1e-28 * 1e18 * 3e9)
    assert energy.uplink == pytest.approx(0.466 + 0.182 + 2.06 * 2.0)
    assert energy.pilots == pytest.approx(0.07 + 0.14 + 2.06 * 0.5)
    assert energy.downlink == pytest.approx(0.4 / 0.5 + 2.06 * 0.2)
    radiated = booked.radiated_j
    assert (radiated.uplink, radiated.pilots, radiated.downlink) == pytest.approx(
        (0.012, 0.03, 0.4)
    )
    assert radiated.compute == radiated.movement == 0.0
    clients = booked.before_upload_j(np.array([0, 2]), 3)
    assert clients == pytest.approx([0.2 + 0.07, 0.0, 0.1 + 0.14])


def test_radiated_books_are_what_is_radiated_to_the_last_bit() -> None:
    received = Reception(np.zeros(1), np.array([0.1, 0.2]) / 3, 2.0)
    booked = book(Electronics(PROFILES["radiated"], FrontEnd(4)), received=received)
    assert booked.energy_j.uplink == float((np.array([0.1, 0.2]) / 3).sum())
    assert booked.energy_j.pilots == float(np.array([0.01, 0.02]).sum())
    assert booked.energy_j.downlink == 0.4


@pytest.mark.parametrize(
    ("overlap", "seconds", "movement"),
    [(False, 0.5, 0.5), (False, 3.0, 3.0), (True, 0.5, 0.0), (True, 2.0, 0.0), (True, 3.0, 1.0)],
)
def test_what_of_a_way_is_not_beside_computing(
    overlap: bool, seconds: float, movement: float
) -> None:
    electronics = Electronics(PROFILES["radiated"], FrontEnd(4))
    booked = book(electronics, moving(seconds), overlap=overlap)
    assert booked.latency_s.movement == pytest.approx(movement)
    assert booked.move_s == seconds
    assert booked.energy_j.movement == 0.5 * seconds  # drives always in full
    compute = max(2.0, seconds) if overlap else 2.0 + seconds
    assert booked.latency_s.total == pytest.approx(compute + 0.2 + 0.5)


def test_who_is_silent_draws_nothing_for_sending() -> None:
    silent = Reception(np.zeros(1), np.array([0.1, 0.0]), 2.0, transmitted=np.array([True, False]))
    assert silent.times_s.tolist() == [2.0, 0.0]
    booked = book(Electronics(PROFILES["small-cell"], FrontEnd(4)), received=silent)
    assert booked.uplink_j == pytest.approx([0.1 / 0.4 + 0.1 * 2.0, 0.0])


def test_who_sends_pilots_pays_for_them_selected_or_not() -> None:
    overheads = Overheads(
        np.array([0.01, 0.02, 0.03]), 0.5, senders=np.array([0, 1, 2]), sending_s=np.zeros(3)
    )
    electronics = Electronics(PROFILES["radiated"], FrontEnd(4))
    booked = book_round(TWO, standing(PLACES), overheads, None, electronics)
    joules = booked.before_upload_j(np.array([0, 2]), 4)
    assert joules == pytest.approx([0.21, 0.02, 0.13, 0.0])
