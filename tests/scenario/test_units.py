"""Numbers with units: converted exactly, refused by name, in files and in options alike."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from airtune.errors import InputError
from airtune.scenario import Scenario
from airtune.scenario.file import dump, load, parse
from airtune.scenario.plausible import quantity_of
from airtune.scenario.units import DIMENSIONS, Quantity, to_base, units_of
from airtune.study.sweep import parse_axes

IN_SI = {
    "Hz": 1, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9, "THz": 1e12, "mHz": 1e-3,
    "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12, "min": 60, "h": 3600,
    "W": 1, "kW": 1e3, "MW": 1e6, "mW": 1e-3, "uW": 1e-6, "nW": 1e-9,
    "W/Hz": 1, "mW/Hz": 1e-3,
    "J": 1, "kJ": 1e3, "MJ": 1e6, "mJ": 1e-3, "uJ": 1e-6, "nJ": 1e-9,
    "Wh": 3600, "mWh": 3.6, "kWh": 3.6e6,
    "m": 1, "km": 1e3, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "nm": 1e-9,
    "m/s": 1, "cm/s": 1e-2, "mm/s": 1e-3, "um/s": 1e-6, "km/h": 1 / 3.6,
    "deg": 1, "°": 1, "rad": 180 / math.pi, "mrad": 0.18 / math.pi,
    "deg/s": 1, "°/s": 1, "rad/s": 180 / math.pi,
    "dB": 1, "dB/decade": 1, "dB/wavelength": 1,
    "wavelengths": 1, "wavelength": 1, "lambda": 1, "λ": 1,
    "bit": 1, "bits": 1, "FLOP/cycle": 1, "W/Hz3": 1, "W/Hz^3": 1, "J/Hz2": 1, "J/Hz^2": 1,
    "": 1, "%": 1e-2,
}  # fmt: skip
"""Every unit that is a multiple, written out a second time."""

ZERO_DB = {
    "dBm": 1e-3, "dBW": 1, "dBm/Hz": 1e-3, "dBm/kHz": 1e-6, "dBm/MHz": 1e-9, "dBW/Hz": 1,
}  # fmt: skip
"""Every unit in decibels of a power: what 0 dB of it is, in watts or watts per hertz."""


def settings_of(
    section: type[BaseModel], prefix: str = ""
) -> Iterator[tuple[str, Quantity | None]]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_of(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", quantity_of(field)


def pairs(kind: str) -> st.SearchStrategy[tuple[str, str]]:
    """Two units of one dimension: both multiples, or one of them a level."""
    both = [
        (a, b)
        for units in DIMENSIONS
        for a in units
        for b in units
        if b and units_of(a) is units and (a in ZERO_DB or b in ZERO_DB) == (kind == "level")
    ]
    return st.sampled_from(both)


def test_the_units_of_the_tests_are_those_of_the_table() -> None:
    assert {unit for units in DIMENSIONS for unit in units} == {*IN_SI, *ZERO_DB}


@given(
    pairs("multiple"),
    st.floats(1e-30, 1e30) | st.floats(-1e30, -1e-30) | st.just(0.0),
    st.sampled_from(["", " ", "  "]),
)
def test_any_value_in_any_unit_is_the_same_in_the_base_unit(
    pair: tuple[str, str], value: float, blank: str
) -> None:
    base, unit = pair
    read = to_base(f"{value!r}{blank}{unit}", base)
    assert read == pytest.approx(value * IN_SI[unit] / IN_SI[base], rel=1e-12, abs=0)


@given(pairs("level"), st.floats(-250, 250), st.floats(1e-25, 1e25))
def test_levels_and_powers_are_the_same_power(
    pair: tuple[str, str], level: float, power: float
) -> None:
    """Both are taken to watts, in decimals, and compared there."""
    base, unit = pair
    value = level if unit in ZERO_DB else power
    read = to_base(f"{value!r} {unit}", base)
    with localcontext() as context:
        context.prec = 50

        def watts(number: float, name: str) -> Decimal:
            if name in ZERO_DB:
                return 10 ** (Decimal(repr(number)) / 10) * Decimal(repr(ZERO_DB[name]))
            return Decimal(repr(number)) * Decimal(repr(IN_SI[name]))

        assert read is not None
        ratio = watts(read, base) / watts(value, unit)
    assert abs(ratio - 1) < Decimal("1e-12")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_plain_number_stays_what_it_is(value: float) -> None:
    assert to_base(repr(value), "Hz") is None
    assert to_base(f"{value!r} Hz", "Hz") == value


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("radio.carrier_hz=3.5GHz", "radio.carrier_hz", 3.5e9),
        ("radio.carrier_hz=3.5 ghz", "radio.carrier_hz", 3.5e9),
        ("radio.carrier_hz=3.5e9", "radio.carrier_hz", 3.5e9),
        ("radio.bandwidth_hz=1 MHz", "radio.bandwidth_hz", 1e6),
        ("clients.tx_power_dbm=0dBm", "clients.tx_power_dbm", 0.0),
        ("clients.tx_power_dbm=100mW", "clients.tx_power_dbm", 20.0),
        ("clients.tx_power_dbm=1 W", "clients.tx_power_dbm", 30.0),
        ("clients.tx_power_dbm=-10 dBW", "clients.tx_power_dbm", 20.0),
        ("radio.interferers.tx_power_dbm=200mW", "radio.interferers.tx_power_dbm", 23.0103),
        ("array.drive_power_w=30 dBm", "array.drive_power_w", 1.0),
        ("array.drive_power_w=5W", "array.drive_power_w", 5.0),
        ("array.speed_mps=3.6km/h", "array.speed_mps", 1.0),
        ("array.speed_mps=50 cm/s", "array.speed_mps", 0.5),
        ("array.region=[3 wavelengths, 2λ]", "array.region", (3.0, 2.0)),
        ("budget.latency_s=20ms", "budget.latency_s", 0.02),
        ("budget.latency_s=2 min", "budget.latency_s", 120.0),
        ("budget.latency_s=", "budget.latency_s", None),
        ("budget.energy_j=1 kWh", "budget.energy_j", 3.6e6),
        ("radio.noise_psd_dbm_hz=-174 dBm/Hz", "radio.noise_psd_dbm_hz", -174.0),
        ("radio.noise_psd_dbm_hz=-114 dBm/MHz", "radio.noise_psd_dbm_hz", -174.0),
        ("radio.noise_psd_dbm_hz=−174 dBm/Hz", "radio.noise_psd_dbm_hz", -174.0),
        ("radio.paths.delay_spread_s=100 ns", "radio.paths.delay_spread_s", 1e-7),
        ("radio.paths.delay_spread_s=0.1µs", "radio.paths.delay_spread_s", 1e-7),
        ("radio.paths.delay_spread_s=0.1μs", "radio.paths.delay_spread_s", 1e-7),
        ("radio.paths.angle_spread_deg=15°", "radio.paths.angle_spread_deg", 15.0),
        ("radio.efficiency=90%", "radio.efficiency", 0.9),
        ("radio.path_loss_slope_db=37.6 dB/decade", "radio.path_loss_slope_db", 37.6),
        ("clients.distance_m=[0.1km, 300 metres]", "clients.distance_m", (100.0, 300.0)),
        ("ris.position_m=[30 m, 0, 4000cm]", "ris.position_m", (30.0, 0.0, 40.0)),
        ("client_processor.f_max_hz=1.5GHz", "client_processor.f_max_hz", 1.5e9),
        ("client_processor.kappa=2e-28 W/Hz³", "client_processor.kappa", 2e-28),
        ("digital.bits=8 bit", "digital.bits", 8),
        ("digital.bits=Auto", "digital.bits", "auto"),
        ("aggregation.truncation_db=3 dB", "aggregation.truncation_db", 3.0),
    ],
)
def test_a_setting_takes_a_number_with_its_unit(override: str, path: str, value: object) -> None:
    scenario: object = load("quickstart", [override])
    found = scenario
    for part in path.split("."):
        found = getattr(found, part)
    assert found == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value)
    assert "GHz" not in dump(scenario)  # type: ignore[arg-type]
    assert parse(scenario.to_dict()) == scenario  # type: ignore[attr-defined]


def test_one_value_a_client_takes_units_too() -> None:
    scenario = load("quickstart", ["clients.count=3", "clients.tx_power_dbm=[0dBm, 10mW, 3]"])
    assert scenario.clients.tx_power_dbm == (0.0, 10.0, 3.0)
    scenario = load("quickstart", ["clients.count=2", "budget.client_energy_j=[5 mJ, null]"])
    assert scenario.budget.client_energy_j == (0.005, None)


def test_a_file_and_a_sweep_take_units(tmp_path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "radio: {carrier_hz: 28 GHz, bandwidth_hz: 10MHz}\nclients: {tx_power_dbm: 23 dBm}"
    )
    scenario = load(path)
    assert (scenario.radio.carrier_hz, scenario.radio.bandwidth_hz) == (28e9, 1e7)
    axes = parse_axes(scenario, ["radio.bandwidth_hz=500 kHz,1MHz,2e6", "clients.tx_power_dbm=1mW"])
    assert [axis.values for axis in axes] == [(5e5, 1e6, 2e6), (0.0,)]
    with pytest.raises(InputError, match="appears twice"):
        parse_axes(scenario, ["radio.bandwidth_hz=1MHz,1e6"])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "radio.carrier_hz=3.5 m",
            'radio.carrier_hz = "3.5 m": must be a number in Hz, or a number ',
        ),
        ("radio.carrier_hz=fast", "one of the units Hz, kHz, MHz, GHz, THz, mHz"),
        ("radio.carrier_hz=3,5 GHz", "must be a number in Hz"),
        ("radio.bandwidth_hz=1mhz", "MHz or mHz?"),
        ("array.drive_power_w=5 mw", "mW or MW?"),
        ("clients.distance_m=[1M, 2M]", "units m, km"),
        ("clients.tx_power_dbm=0 W", "must be greater than 0 W"),
        ("clients.tx_power_dbm=-1 mW", "must be greater than 0 mW"),
        ("clients.tx_power_dbm=[1, 2 km]", "must be a number in dBm"),
        ("clients.tx_power_dbm=400 dBm", "less than or equal to 300"),
        ("budget.latency_s=5 J", "must be a number in s"),
        ("budget.latency_s=-1 ms", "greater than 0"),
        ("budget.latency_s=1e999 h", "finite"),
        ("array.drive_power_w=1e9 dBm", "finite"),
        ("array.drive_power_w=1e99999999999 W", "must be a number in W"),
        ("array.spacing=5 cm", "must be a number in wavelengths"),
        ("radio.noise_psd_dbm_hz=-174 dBm", "dBm/Hz"),
        ("digital.bits=8.5 bit", "whole number from 1 to 16, auto or planned"),
        ("aggregation.truncation_db=3 W", "must be a number or auto"),
    ],
)
def test_a_wrong_unit_is_refused_with_what_is_allowed(override: str, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        load("quickstart", [override])
    assert override.partition("=")[0] in str(caught.value)


SUFFIXES = {
    "_dbm_hz": "dBm/Hz", "_dbm": "dBm", "_slope_db": "dB/decade", "_price_db": "dB/wavelength",
    "_db": "dB", "_hz": "Hz", "_mps": "m/s", "_s": "s", "_w": "W", "_j": "J", "_m": "m",
    "_deg": "deg", "_bits": "bit", "per_cycle": "FLOP/cycle", "kappa": "W/Hz3",
}  # fmt: skip


def test_every_setting_that_is_named_after_a_unit_has_it_with_a_plausible_range() -> None:
    found = 0
    for path, quantity in settings_of(Scenario):
        last = path.rpartition(".")[2]
        unit = next((unit for end, unit in SUFFIXES.items() if last.endswith(end)), None)
        if unit is not None and path not in ("bound.G_sq",):
            assert quantity is not None, path
            assert quantity.unit == unit, path
            found += 1
        if quantity is not None:
            assert quantity.low < quantity.high, path
    assert found >= 40
