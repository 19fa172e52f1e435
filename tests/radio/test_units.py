from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.radio import units
from airtune.scenario import Clients, Interferers, Radio


@pytest.mark.parametrize(
    ("dbm", "watt"), [(0.0, 1e-3), (30.0, 1.0), (20.0, 0.1), (10.0, 0.01), (-174.0, 10**-20.4)]
)
def test_dbm_known_values(dbm: float, watt: float) -> None:
    assert units.dbm_to_watt(dbm) == pytest.approx(watt, rel=1e-12)


@given(st.floats(-300, 300))
def test_decibels_round_trip(value_db: float) -> None:
    assert units.to_db(units.from_db(value_db)) == pytest.approx(value_db, abs=1e-9)


def test_noise_power_of_one_megahertz() -> None:
    # -174 dBm/Hz + 60 dB + 9 dB = -105 dBm
    assert units.noise_power(-174.0, 1e6, 9.0) == pytest.approx(10**-13.5, rel=1e-12)
    assert units.receiver_noise(Radio()) == pytest.approx(10**-13.5, rel=1e-12)


def test_noise_density_is_k_t_at_room_temperature() -> None:
    boltzmann, kelvin = 1.380649e-23, 290.0
    assert units.noise_power(-174.0, 1.0, 0.0) == pytest.approx(boltzmann * kelvin, rel=0.01)


def test_wavelength() -> None:
    assert units.wavelength(299_792_458.0) == 1.0
    assert units.wavelength(3.5e9) == pytest.approx(0.0856549880, rel=1e-9)


def test_powers_of_the_scenario() -> None:
    np.testing.assert_allclose(
        units.client_powers(Clients(count=3, tx_power_dbm=20.0)), [0.1, 0.1, 0.1]
    )
    np.testing.assert_allclose(
        units.client_powers(Clients(count=2, tx_power_dbm=(0.0, 30.0))), [1e-3, 1.0]
    )
    np.testing.assert_allclose(
        units.interferer_powers(Interferers(count=2, tx_power_dbm=23.0)), [10**-0.7] * 2
    )
    assert units.interferer_powers(Interferers(count=0)).shape == (0,)
