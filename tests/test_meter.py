"""Measured energy: counters and estimates are kept apart, also on a machine without any."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from airtune import meter, record
from airtune.commands import run as command
from airtune.errors import InputError
from airtune.report import machine_energy, run_folder
from airtune.report.values import significant
from airtune.scenario import Scenario
from airtune.study.measuring import Measuring


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


class GPU:
    def __init__(self) -> None:
        devices = [SimpleNamespace(_use_power_fallback=False) for _ in range(2)]
        self.devices = SimpleNamespace(devices=devices)


def carbon(mode: str, gpu_kwh: float = 0.0, fallbacks: tuple[bool, ...] = ()) -> type:
    """CodeCarbon whose processors are read in some mode; of a second GPU whether power is sampled.

    `fallbacks` are at the beginning and at the end; without any there is no GPU.
    """

    class Tracker:
        def __init__(self, **settings: object) -> None:
            assert settings["output_methods"] == []
            assert settings["emissions_endpoint"] is False
            assert settings["electricitymaps_api_token"] == ""
            assert settings["force_carbon_intensity_g_co2e_kwh"] == 0.0
            self._hardware = [RAM(), CPU(mode)]
            if fallbacks:
                self._hardware.append(GPU())
            self.fallbacks = iter(fallbacks)

        def start(self) -> None:
            print("chatter of the library")
            self._sample()

        def _sample(self) -> None:
            for part in self._hardware[2:]:
                part.devices.devices[1]._use_power_fallback = next(self.fallbacks)

        def stop(self) -> None:
            self._sample()
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


@pytest.mark.parametrize("fallbacks", [(False, False), (True, True), (True, False), (False, True)])
def test_a_gpu_is_counted_only_where_it_has_a_counter(install, fallbacks) -> None:
    install("codecarbon", "OfflineEmissionsTracker", carbon("cpu_load", 1e-6, fallbacks))
    reading = read("codecarbon")
    rest = {"cpu": 3.6, "ram": 7.2}
    if any(fallbacks):
        assert reading.measured_j is None
        assert reading.estimated_j == pytest.approx({"gpu": 3.6, **rest})
    else:
        assert reading.measured_j == pytest.approx({"gpu": 3.6})
        assert reading.estimated_j == pytest.approx(rest)


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
    plain = scenario.costs.model_copy(update={"measure": "none"})
    other = start(scenario.model_copy(update={"costs": plain}), tmp_path / "other")
    assert results["scenario"]["costs"].pop("measure") == "zeus"
    assert other["scenario"]["costs"].pop("measure") == "none"
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
    assert energies(tmp_path / "run", "fixed")[1:] == ["25.0", "–", "5"]


def energies(run: Path, scheme: str) -> list[str]:
    read = run_folder.load(run)
    (row,) = [r for r in machine_energy.rows(read.results, read.schemes).rows if r.name == scheme]
    return [cell.text for cell in row.cells]


def test_all_energies_are_sums_over_the_seeds_and_failed_readings_are_no_rounds(
    install, monkeypatch, scenario, tmp_path
) -> None:
    install("zeus.monitor", "ZeusMonitor", Monitor)
    ended = iter([False, True, False, False])  # of ideal and fixed, of two seeds

    def end(self: Monitor, key: str, sync_execution: bool) -> SimpleNamespace:
        if next(ended):
            raise PermissionError("powercap")
        return SimpleNamespace(cpu_energy={0: 2.0}, dram_energy=None, gpu_energy={})

    monkeypatch.setattr(Monitor, "end_window", end)
    monkeypatch.setattr(Monitor, "begin_window", lambda *args, **settings: None)
    start(scenario.model_copy(update={"seeds": 2}), tmp_path / "run")
    modelled = sum(
        json.loads(line).get("round_energy_j", {}).get("compute", 0.0)
        for path in (tmp_path / "run/fixed").glob("seed-*/metrics.jsonl")
        for line in path.read_text().splitlines()
    )
    assert modelled > 0
    assert energies(tmp_path / "run", "fixed") == [significant(modelled), "2.00", "–", "5"]


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


def test_a_run_is_resumed_where_the_library_is_no_longer_there(
    install, scenario, tmp_path, monkeypatch, capsys
) -> None:
    install("zeus.monitor", "ZeusMonitor", Monitor)
    seen = iter(range(100))
    with pytest.raises(KeyboardInterrupt):
        start(scenario, tmp_path / "run", lambda: next(seen) >= 7)
    monkeypatch.setitem(sys.modules, "zeus.monitor", None)
    monkeypatch.setattr(meter, "find_spec", lambda package: None)
    assert command.resume(tmp_path / "run", True, lambda: False)
    assert "costs.measure = 'zeus': the library failed" in " ".join(capsys.readouterr().err.split())
    assert command.resume(tmp_path / "run", True, lambda: False), "a finished one, too"


@pytest.mark.parametrize("content", [None, "no JSON"])
def test_a_lost_environment_document_does_not_end_the_run(
    install, scenario, tmp_path, capsys, content
) -> None:
    install("zeus.monitor", "ZeusMonitor", Monitor)
    run, seen = tmp_path / "run", iter(range(100))
    with pytest.raises(KeyboardInterrupt):
        start(scenario, run, lambda: next(seen) >= 7)
    (run / "environment.json").unlink()
    if content is None:
        assert command.resume(run, True, lambda: False)
        results = json.loads((run / "results.json").read_text())
        assert set(results["environment"]["measured_energy"]) == {"fixed/seed-0"}
    else:
        (run / "environment.json").write_text(content)
        measuring = Measuring(scenario, print)
        cell = record.open_folder(run).cells[0]
        with pytest.raises(ZeroDivisionError), measuring.of(cell, lambda: 5):
            1 / 0  # noqa: B018
        said = " ".join(capsys.readouterr().out.split())
        assert "costs.measure = 'zeus': the reading of ideal/seed-0 is not kept: " in said


def test_a_sweep_says_once_that_it_is_not_measured(scenario, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(meter, "find_spec", lambda package: None)
    vary = ["array.antennas=2,3"]
    assert command.start_sweep(scenario, vary, tmp_path / "sweep", True, lambda: False)
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("costs.measure = 'zeus': points of a sweep are not measured") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["zeus", "codecarbon"])
def test_the_real_library_reads_counters_or_says_that_there_are_none(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(name)
    asked: list[str] = []

    def refuse(host: str, *arguments: object, **options: object) -> None:
        asked.append(host)
        raise OSError(f"network use: {host}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("CODECARBON_ELECTRICITYMAPS_API_TOKEN", "a key")
    monkeypatch.setenv("CODECARBON_CO2_SIGNAL_API_TOKEN", "an older one")
    energy = meter.meter_of(name)
    with energy.reading() as reading:
        sum(x * x for x in range(2_000_000))
    assert not asked
    assert reading.by.startswith(f"{name} ")
    assert "failed" not in (reading.reason or "")
    assert (reading.measured_j is None) == (reading.reason == meter.NO_COUNTER)
    if name == "codecarbon":
        assert {*(reading.measured_j or {}), *(reading.estimated_j or {})} >= {"cpu", "ram"}
