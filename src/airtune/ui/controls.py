"""What of a scenario the page changes, and between which values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from airtune.errors import InputError, shown
from airtune.scenario import Scenario
from airtune.ui.cell import Cell


@dataclass(frozen=True)
class Slider:
    """A number.

    Attributes
    ----------
    name : str
        Dotted path, of the region with ``.x`` or ``.y``.
    label, unit : str
    low, high, step : float
        A scenario may lie outside; the slider then reaches as far.
    whole : bool
        Whether it is an integer.
    """

    name: str
    label: str
    unit: str
    low: float
    high: float
    step: float
    whole: bool = False


@dataclass(frozen=True)
class Choice:
    """One of several words, each with what it is called on the page."""

    name: str
    label: str
    options: Mapping[str, str]


CONTROLS: dict[str, tuple[Slider | Choice, ...]] = {
    "Array": (
        Slider("array.antennas", "Antennas", "", 1, 16, 1, whole=True),
        Slider("array.region.x", "Region, width", "λ", 0.5, 12, 0.5),
        Slider("array.region.y", "Region, height", "λ", 0, 12, 0.5),
        Choice(
            "array.drive",
            "Drive",
            {
                "actuator": "linear actuator",
                "stepper": "stepper motor",
                "pixel": "pixels (switched ports)",
                "custom": "of the scenario",
            },
        ),
    ),
    "Clients": (
        Slider("clients.count", "Clients", "", 1, 40, 1, whole=True),
        Slider("clients.tx_power_dbm", "Transmit power", "dBm", -30, 40, 1),
    ),
    "Interference and noise": (
        Slider("radio.interferers.count", "Interferers", "", 0, 10, 1, whole=True),
        Slider("radio.interferers.tx_power_dbm", "Power of each", "dBm", -30, 60, 1),
        Slider("radio.noise_psd_dbm_hz", "Noise density", "dBm/Hz", -190, -120, 1),
    ),
    "Paths": (
        Choice(
            "radio.paths.fading",
            "Fading",
            {"rayleigh": "Rayleigh", "rician": "Rician, with line of sight"},
        ),
        Choice(
            "radio.paths.angles",
            "Scatterers",
            {"uniform": "all around", "cluster": "about the line of sight"},
        ),
    ),
}
"""Controls by group."""

_SLIDERS = {c.name: c for group in CONTROLS.values() for c in group if isinstance(c, Slider)}
_CHOICES = {c.name: c for group in CONTROLS.values() for c in group if isinstance(c, Choice)}


def values(scenario: Scenario) -> dict[str, Any]:
    """Return the value of every control; of powers that differ, their mean.

    Examples
    --------
    >>> values(Scenario())["array.region.x"], values(Scenario())["array.drive"]
    (4.0, 'actuator')
    """
    array, radio = scenario.array, scenario.radio
    power = scenario.clients.tx_power_dbm
    return {
        "array.antennas": array.antennas,
        "array.region.x": array.region[0],
        "array.region.y": array.region[1],
        "array.drive": array.drive,
        "clients.count": scenario.clients.count,
        "clients.tx_power_dbm": round(fmean(power), 2) if isinstance(power, tuple) else power,
        "radio.interferers.count": radio.interferers.count,
        "radio.interferers.tx_power_dbm": radio.interferers.tx_power_dbm,
        "radio.noise_psd_dbm_hz": radio.noise_psd_dbm_hz,
        "radio.paths.fading": radio.paths.fading,
        "radio.paths.angles": radio.paths.angles,
    }


def changed(cell: Cell, name: object, value: object) -> Cell:
    """Return a cell with a control at another value.

    Raises
    ------
    InputError
        There is no such control, or the scenario does not take the value.
    """
    if isinstance(name, str) and name in _CHOICES:
        return cell.changed(name, str(value))
    slider = _SLIDERS.get(name) if isinstance(name, str) else None
    if slider is None:
        raise InputError(f"{shown(name)}: must be one of {', '.join([*_SLIDERS, *_CHOICES])}")
    try:
        number = float(str(value))
    except ValueError:
        raise InputError(f"{slider.name} = {shown(value)}: must be a number") from None
    if slider.whole and number.is_integer():
        return cell.changed(slider.name, int(number))
    if not slider.name.startswith("array.region."):
        return cell.changed(slider.name, number)
    width, height = cell.scenario.array.region
    sides = [number, height] if slider.name.endswith("x") else [width, number]
    return cell.changed("array.region", sides)
