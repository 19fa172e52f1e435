"""Energy that this machine draws while it simulates, where its counters can be read.

Two libraries read the counters: zeus and CodeCarbon, both without a network.  Counters are RAPL (or
what Windows and Intel's gadget make of it) for processors and NVML for GPUs; they count the whole
machine, whoever uses it.  CodeCarbon falls back on nameplates, models of the load and, for GPUs
without a counter, samples of their power; what it has from there is kept apart and is called
estimated.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from typing import Any, Protocol

from airtune.errors import InputError, clip

NONE, ZEUS, CODECARBON = "none", "zeus", "codecarbon"
NO_COUNTER = "no energy counter (RAPL, NVML) of this machine can be read"
_JOULES_PER_KWH = 3.6e6
_COUNTING = {"intel_rapl", "windows_emi", "intel_power_gadget"}
"""Modes of CodeCarbon's processors that read a counter; the others are models."""


@dataclass
class Reading:
    """What was read over a block of work.

    Attributes
    ----------
    by : str
        Library and version.
    measured_j, estimated_j : dict of str to float, or None  [J]
        By part (``cpu``, ``gpu``, ``dram``, ``ram``): from counters, and from nameplates or models.
        None where there is no such part.
    wall_s : float  [s]
        Length of the block.
    reason : str or None
        Why nothing is measured.
    """

    by: str
    measured_j: dict[str, float] | None = None
    estimated_j: dict[str, float] | None = None
    wall_s: float = 0.0
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the reading as plain JSON types."""
        return asdict(self)


class Library(Protocol):
    """A library that reads the energy of a block of work; either call may raise anything."""

    def begin(self) -> None:
        """Begin a block."""

    def end(self) -> tuple[dict[str, float], dict[str, float]]:
        """End it, and return what was measured and what estimated, by part [J]."""


def check_installed(name: str) -> None:
    """Refuse a library that is not installed.

    Raises
    ------
    InputError
        Says what to install.
    """
    found = None if name == NONE else find_spec(name)
    if name != NONE and (found is None or found.origin is None):
        raise InputError(
            f"costs.measure = {name!r}: needs the package {name}; install it with: "
            f"pip install 'airtune[{name}]'"
        )


def meter_of(name: str) -> EnergyMeter | None:
    """Return the meter that `costs.measure` names; None for ``none``."""
    if name == NONE:
        return None
    return EnergyMeter(name, _Zeus() if name == ZEUS else _CodeCarbon())


class EnergyMeter:
    """Reads the energy of blocks of work; a library that fails gives a reading without values.

    Parameters
    ----------
    name : str
        ``zeus`` or ``codecarbon``.
    library : Library
    """

    def __init__(self, name: str, library: Library) -> None:
        self._library, self._by = library, f"{name} {_version(name)}".strip()

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Yield a reading that is filled when the block ends, also where it ends with an error."""
        found = Reading(self._by)
        self._safely(found, self._library.begin)
        began = time.monotonic()
        try:
            yield found
        finally:
            found.wall_s = time.monotonic() - began
            parts = None if found.reason else self._safely(found, self._library.end)
            if parts is not None:
                measured, estimated = parts
                found.measured_j, found.estimated_j = measured or None, estimated or None
                found.reason = None if measured else NO_COUNTER

    def _safely(self, found: Reading, read: Callable[[], Any]) -> Any:
        """Ask the library, and note a failure of it as the reason of the reading."""
        try:
            with contextlib.redirect_stdout(sys.stderr):  # stdout is for the results
                return read()
        except Exception as error:  # whatever a library raises on this machine
            found.reason = f"the library failed ({type(error).__name__}: {clip(error)})"
        return None


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


@dataclass
class _Zeus:
    """zeus: counters only."""

    monitor: Any = field(default=None)

    def begin(self) -> None:
        from zeus.monitor import ZeusMonitor

        self.monitor = self.monitor or ZeusMonitor(sync_execution_with="torch")
        self.monitor.begin_window("airtune", sync_execution=bool(self.monitor.gpu_indices))

    def end(self) -> tuple[dict[str, float], dict[str, float]]:
        synchronised = bool(self.monitor.gpu_indices)
        window = self.monitor.end_window("airtune", sync_execution=synchronised)
        parts = {"cpu": window.cpu_energy, "dram": window.dram_energy, "gpu": window.gpu_energy}
        return {name: float(sum(each.values())) for name, each in parts.items() if each}, {}


@dataclass
class _CodeCarbon:
    """CodeCarbon without a network: counters where it finds them, else nameplates and models."""

    tracker: Any = field(default=None)
    gpu_counted: bool = False

    def begin(self) -> None:
        from codecarbon import OfflineEmissionsTracker

        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # before it reads `log_level`
        self.tracker = OfflineEmissionsTracker(
            country_iso_code="USA",
            # It is not used, and is asked of a service where the user has a key of that.
            force_carbon_intensity_g_co2e_kwh=0.0,
            electricitymaps_api_token="",
            measure_power_secs=5,
            output_methods=[],
            emissions_endpoint=False,  # whatever the user's configuration of CodeCarbon says
            tracking_mode="machine",
            allow_multiple_runs=True,
            log_level="critical",
        )
        self.tracker.start()
        self.gpu_counted = self._counts_gpus()

    def end(self) -> tuple[dict[str, float], dict[str, float]]:
        self.tracker.stop()
        data = self.tracker.final_emissions_data
        counted = {
            "gpu": self.gpu_counted and self._counts_gpus(),
            "ram": False,
            "cpu": self._counts_processor(),
        }
        parts = {name: getattr(data, f"{name}_energy") * _JOULES_PER_KWH for name in counted}
        there = {name: joules for name, joules in parts.items() if joules > 0}
        measured = {name: joules for name, joules in there.items() if counted[name]}
        return measured, {name: x for name, x in there.items() if name not in measured}

    def _counts_gpus(self) -> bool:
        """Tell whether all GPUs are read from a counter; else samples of their power are added."""
        parts = [part for part in self.tracker._hardware if type(part).__name__ == "GPU"]
        devices = [device for part in parts for device in part.devices.devices]
        return bool(devices) and not any(
            getattr(device, "_use_power_fallback", True) for device in devices
        )

    def _counts_processor(self) -> bool:
        """Tell whether the processors are read from a counter: all of them, and by their mode."""
        parts = self.tracker._hardware  # it says so nowhere else
        modes = [part._mode for part in parts if type(part).__name__ == "CPU"]
        return bool(modes) and all(mode in _COUNTING for mode in modes)
