"""Measured energy: counters and estimates are kept apart, also on a machine without any."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from airtune import meter
from airtune.commands import run as command
from airtune.errors import InputError
from airtune.report import machine_energy
from airtune.scenario import Scenario


class Monitor:
    """zeus with counters of two processors, their memory and a GPU."""

    gpu_indices = (0,)

    def __init__(self, sync_execution_with: str) -> None:
        self.open: set[str] = set()

    def begin_window(self, key: str, sync_execution: bool) -> None:
        assert key not in self.open
        self.open.add(key)

    def end_window(self, key: str, sync_execution: bool) -> SimpleNamespace:
        self.open.remove(key)
        return SimpleNamespace(
            cpu_energy={0: 2.0, 1: 3.0}, dram_energy={0: 0.5}, gpu_energy={0: 7.0}
        )


class Blind(Monitor):
    gpu_indices = ()

    def end_window(self, key: str, sync_execution: bool) -> SimpleNamespace:
        self.open.remove(key)
        return SimpleNamespace(cpu_energy=None, dram_energy=None, gpu_energy={})


class CPU:
    def __init__(self, mode: str) -> None:
        self._mode = mode


class RAM:
    pass


def carbon(mode: str, gpu_kwh: float = 0.0) -> type:
    """CodeCarbon whose processors are read in some mode."""

    class Tracker:
        def __init__(self, **settings: object) -> None:
            assert settings["output_methods"] == []
            assert settings["emissions_endpoint"] is False
            self._hardware = [RAM(), CPU(mode)]

        def start(self) -> None:
            print("chatter of the library")

        def stop(self) -> None:
            self.final_emissions_data = SimpleNamespace(
                cpu_energy=1e-6, ram_energy=2e-6, gpu_energy=gpu_kwh
            )

    return Tracker


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    """Put a class in the place of a library's."""

    def put(module: str, name: str, value: object) -> None:
        parts = module.split(".")
        for n in range(1, len(parts) + 1):
            made = ModuleType(".".join(parts[:n]))
            monkeypatch.setitem(sys.modules, made.__name__, made)
        setattr(sys.modules[module], name, value)
        monkeypatch.setattr(meter, "find_spec", lambda package: SimpleNamespace(origin="here"))

    return put


def read(name: str) -> meter.Reading:
    energy = meter.meter_of(name)
    assert energy is not None
    with energy.reading() as reading:
        pass
    return reading


def test_zeus_adds_up_counters_by_part(install) -> None:
    install("zeus.monitor", "ZeusMonitor", Monitor)
    reading = read("zeus")
    assert reading.measured_j == {"cpu": 5.0, "dram": 0.5, "gpu": 7.0}
    assert reading.estimated_j is None and reading.reason is None
    assert reading.wall_s >= 0


def test_zeus_without_counters_measures_nothing_and_says_why(install) -> None:
    install("zeus.monitor", "ZeusMonitor", Blind)
    reading = read("zeus")
    assert (reading.measured_j, reading.estimated_j) == (None, None)
    assert reading.reason == meter.NO_COUNTER


@pytest.mark.parametrize(
    ("mode", "measured", "estimated"),
    [
        ("intel_rapl", {"cpu": 3.6}, {"ram": 7.2}),
        ("cpu_load", None, {"cpu": 3.6, "ram": 7.2}),
        ("constant", None, {"cpu": 3.6, "ram": 7.2}),
        ("a mode of a later version", None, {"cpu": 3.6, "ram": 7.2}),
    ],
)
def test_a_nameplate_is_never_called_measured(install, capsys, mode, measured, estimated) -> None:
    install("codecarbon", "OfflineEmissionsTracker", carbon(mode))
    reading = read("codecarbon")
    assert reading.measured_j == (measured and pytest.approx(measured))
    assert reading.estimated_j == pytest.approx(estimated)
    assert (reading.reason is None) == (measured is not None)
    assert capsys.readouterr().out == "", "stdout is for the results"


def test_a_gpu_is_counted_where_processors_are_not(install) -> None:
    install("codecarbon", "OfflineEmissionsTracker", carbon("cpu_load", gpu_kwh=1e-6))
    reading = read("codecarbon")
    assert reading.measured_j == pytest.approx({"gpu": 3.6})
    assert reading.estimated_j == pytest.approx({"cpu": 3.6, "ram": 7.2})


@pytest.mark.parametrize("step", ["begin_window", "end_window"])
def test_a_library_that_fails_gives_a_reason(install, monkeypatch, step) -> None:
    def fail(self, *args: object, **kwargs: object) -> None:
        raise PermissionError("powercap")

    install("zeus.monitor", "ZeusMonitor", Monitor)
    monkeypatch.setattr(Monitor, step, fail)
    reading = read("zeus")
    assert reading.measured_j is None
    assert reading.reason == "the library failed (PermissionError: powercap)"


def test_an_error_in_the_block_stays_and_the_reading_is_made(install) -> None:
    install("zeus.monitor", "ZeusMonitor", Monitor)
    energy = meter.meter_of("zeus")
    with pytest.raises(KeyboardInterrupt), energy.reading() as reading:
        raise KeyboardInterrupt
    assert reading.measured_j is not None


def test_nothing_is_measured_unless_it_is_asked_for() -> None:
    assert meter.meter_of("none") is None
    assert Scenario().costs.measure == "none"
    meter.check_installed("none")


@pytest.fixture
def scenario(small_scenario: Scenario, quadratic, no_figures) -> Scenario:
    costs = small_scenario.costs.model_copy(update={"measure": "zeus"})
    return small_scenario.model_copy(update={"schemes": ("ideal", "fixed"), "costs": costs})


def start(scenario: Scenario, folder: Path, interrupted=lambda: False) -> dict:
    assert command.start("compare", scenario, folder, True, interrupted)
    return json.loads((folder / "results.json").read_text())


def test_a_run_reports_readings_beside_the_model_and_in_no_result(
    install, scenario, tmp_path
) -> None:
    install("zeus.monitor", "ZeusMonitor", Monitor)
    results = start(scenario, tmp_path / "run")
    (reading,) = results["environment"]["measured_energy"]["fixed/seed-0"]
    assert reading["measured_j"] == {"cpu": 5.0, "dram": 0.5, "gpu": 7.0}
    assert (reading["rounds"], reading["reason"]) == (5, None)
    install("zeus.monitor", "ZeusMonitor", Blind)
    other = start(scenario, tmp_path / "other")
    for document in (results, other):
        del document["environment"]
    assert results == other
    page = (tmp_path / "run/report.html").read_text()
    assert 'id="machine-energy-table"' in page
    assert machine_energy.EXPLAINED in page
    assert "12.5" in page


def test_a_resumed_run_adds_a_reading(install, scenario, tmp_path) -> None:
    install("zeus.monitor", "ZeusMonitor", Monitor)
    seen = iter(range(100))
    with pytest.raises(KeyboardInterrupt):
        start(scenario, tmp_path / "run", lambda: next(seen) >= 7)
    assert command.resume(tmp_path / "run", True, lambda: False)
    results = json.loads((tmp_path / "run/results.json").read_text())
    first, second = results["environment"]["measured_energy"]["fixed/seed-0"]
    assert first["rounds"] + second["rounds"] == 5 and first["rounds"] > 0
    (row,) = [r for r in machine_energy.rows(results).rows if r.name == "fixed"]
    assert [cell.text for cell in row.cells][1:] == ["25.0", "–", "5"]


def test_a_run_without_counters_says_so_once_and_goes_on(
    install, scenario, tmp_path, capsys
) -> None:
    install("zeus.monitor", "ZeusMonitor", Blind)
    results = start(scenario, tmp_path / "run")
    said = " ".join(capsys.readouterr().err.split())
    assert said.count(f"costs.measure = 'zeus': {meter.NO_COUNTER}, so nothing is measured") == 1
    for cell in ("ideal/seed-0", "fixed/seed-0"):
        (reading,) = results["environment"]["measured_energy"][cell]
        assert reading["measured_j"] is None and reading["reason"] == meter.NO_COUNTER


def test_a_missing_library_is_refused_with_what_to_install(scenario, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(meter, "find_spec", lambda package: None)
    with pytest.raises(InputError, match=r"costs\.measure = 'zeus': .* 'airtune\[zeus\]'"):
        start(scenario, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zeus", "codecarbon"])
def test_the_real_library_reads_counters_or_says_that_there_are_none(name: str) -> None:
    pytest.importorskip(name)
    energy = meter.meter_of(name)
    with energy.reading() as reading:
        sum(x * x for x in range(2_000_000))
    assert reading.by.startswith(f"{name} ")
    assert "failed" not in (reading.reason or "")
    assert (reading.measured_j is None) == (reading.reason == meter.NO_COUNTER)
    if name == "codecarbon":
        assert {*(reading.measured_j or {}), *(reading.estimated_j or {})} >= {"cpu", "ram"}
