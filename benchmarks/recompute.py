"""Times and energies computed anew from histories, by code that shares nothing with the package.

    python benchmarks/recompute.py RUN_DIR...          # run folders of airtune run or compare
    python benchmarks/recompute.py --cells FILE        # finished cells of the study of the claims

Only JSON is read (of an adapter: the JSON head of its safetensors file), by the standard library
and numpy.  What the laws of the system model, section 7, determine from a history is computed and
compared, with a relative tolerance of 1e-9:

- the sums: components of every round, time and energy so far, totals of the cell;
- computing: ``t = max_k c B_k / f_k`` with one c for all rounds, ``E = kappa c sum_k B_k f_k^2``;
- uploads over the air: ``t = n_rep ceil(d / 2) / (W eff)``, and
  ``E = radiated / eta + p_client K t + p_bs t``;
- digital uploads and pilots: ``E = radiated / eta + p_client s + p_bs t``, where the time s in
  which clients send lies between t and K t;
- broadcast: ``E = (P_BS / eta + p_bs) t``;
- movement: ``max(0, way - computing)`` or the whole way, and an energy between that of one drive
  and that of all N for this way;
- the crossing of a target, and time and energy there.

What the history does not determine (rates of a digital upload, reports) is taken from it.
"""

from __future__ import annotations

import argparse
import json
import math
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = 1e-9
TINY = 1e-13
"""Absolute tolerance [s], [J]: differences of sums of like size."""

PARTS = ("compute", "uplink", "downlink", "pilots", "movement", "pretraining")
SHARES = {"90": 0.90, "98": 0.98}

HARDWARE = {
    "radiated": (1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "small-cell": (0.4, 0.4, 0.2, 0.1, 0.1, 0.005, 1.0),
    "macro": (0.4, 0.4, 0.4, 0.2, 0.2, 0.005, 1.0),
}
"""Efficiencies of base station and client; watts of a chain, the oscillator, a client, a port's
switch and a surface's controller."""
NAMES = (
    *("pa_efficiency", "client_pa_efficiency", "chain_w", "lo_w"),
    *("client_w", "switch_w", "surface_w"),
)
DRIVES = {"pixel": (1e5, 5e-3), "actuator": (0.5, 0.5), "stepper": (0.1, 5.0)}
"""Speed [m/s] and power [W]."""
MOVING = ("movable", "digital-movable", "zeroth-order-movable")
ANALOG = (
    *("movable", "fixed", "fixed-2n", "sparse", "selection", "selection-compact"),
    *("random-position", "ris"),
)
"""Over the air with all clients aligned: everybody sends during the whole upload."""


@dataclass
class Cell:
    """A history, and what its laws need."""

    name: str
    scheme: str
    scenario: dict[str, Any]
    lines: list[dict[str, Any]]
    batch: np.ndarray
    clocks: np.ndarray
    entries: int | None
    sendings: int = 1
    totals: dict[str, dict[str, float]] | None = None
    wrong: list[str] = field(default_factory=list)
    compared: int = 0
    largest: float = 0.0

    def same(self, what: str, mine: float, theirs: float) -> None:
        """Compare a figure with the one of the package."""
        self.compared += 1
        gap = abs(mine - theirs)
        if gap > TINY:
            self.largest = max(self.largest, gap / max(abs(mine), abs(theirs)))
        if gap > TOLERANCE * max(abs(mine), abs(theirs)) + TINY:
            self.wrong.append(f"{self.name}: {what}: {mine!r}, not {theirs!r}")

    def within(self, what: str, value: float, low: float, high: float) -> None:
        """Check that a figure lies in a range."""
        self.compared += 1
        slack = TOLERANCE * max(abs(low), abs(high)) + TINY
        if not low - slack <= value <= high + slack:
            self.wrong.append(f"{self.name}: {what}: {value!r} is not in [{low!r}, {high!r}]")


def hardware_of(cell: Cell) -> tuple[dict[str, float], float]:
    """Return the figures of the electronics, and what the circuits of the base station draw [W]."""
    given = cell.scenario["radio"]["hardware"]
    base = dict(zip(NAMES, HARDWARE[given["profile"]], strict=True))
    found = {name: base[name] if given.get(name) is None else given[name] for name in NAMES}
    array = cell.scenario["array"]
    antennas = array["antennas"]
    chains = 2 * antennas if cell.scheme == "fixed-2n" else antennas
    selects = "selection" in cell.scheme
    ports = array["selection_places"] * antennas if selects else 0
    station = found["chain_w"] * chains + found["lo_w"] + found["switch_w"] * ports
    station += found["surface_w"] if cell.scheme == "ris" else 0.0
    return found, station + (given.get("site_w") or 0.0)


def check(cell: Cell) -> Cell:
    """Compute a cell anew; what differs is in `wrong`."""
    _sums(cell)
    _computing(cell)
    if cell.scheme != "ideal":
        _air(cell)
        _movement(cell)
    return cell


def _rounds(cell: Cell) -> Iterator[tuple[dict[str, float], dict[str, float], dict[str, Any]]]:
    """Yield latency and energy of the rounds by component, and the line."""
    for line in cell.lines[1:]:
        yield (
            {part: line["round_latency_s"].get(part, 0.0) for part in PARTS},
            {part: line["round_energy_j"].get(part, 0.0) for part in PARTS},
            line,
        )


def _sums(cell: Cell) -> None:
    """Time and energy so far are the sums of the components, and totals are those at the end."""
    first = cell.lines[0]
    if "time_s" not in first:
        return
    sums = {"time_s": [first["time_s"]], "energy_j": [first["energy_j"]]}
    for latency, energy, line in _rounds(cell):
        for name, parts in (("time_s", latency), ("energy_j", energy)):
            sums[name].append(math.fsum(parts.values()))
            cell.same(f"round {line['round']}, {name}", math.fsum(sums[name]), line[name])
    if cell.totals is None:
        return
    for name, kind in (("latency_s", 0), ("energy_j", 1)):
        for part in PARTS:
            if part == "pretraining":
                continue
            total = math.fsum(both[kind][part] for both in _rounds(cell))
            cell.same(f"{name} {part}", total, cell.totals[name][part])


def _computing(cell: Cell) -> None:
    """The slowest client sets the time, with the same cycles a sample in every round."""
    kappa, cycles = cell.scenario["client_processor"]["kappa"], None
    for latency, energy, line in _rounds(cell):
        who = line.get("clients")
        chosen = np.arange(len(cell.batch)) if not isinstance(who, list) else np.array(who, int)
        if len(chosen) < len(cell.batch):  # who computed and was not heard is not in the history
            continue
        slowest = float(np.max(cell.batch / cell.clocks))
        cycles = latency["compute"] / slowest if cycles is None else cycles
        at = f"round {line['round']}, compute"
        cell.same(f"{at} [s]", cycles * slowest, latency["compute"])
        joules = kappa * cycles * float(np.sum(cell.batch * cell.clocks**2))
        cell.same(f"{at} [J]", joules, energy["compute"])


def _air(cell: Cell) -> None:
    """Uploads, pilots and the broadcast."""
    parts, station = hardware_of(cell)
    radio, clients = cell.scenario["radio"], len(cell.batch)
    power = 10 ** (radio["base_station_power_dbm"] / 10 - 3)
    for latency, energy, line in _rounds(cell):
        radiated, at = line["round_radiated_j"], f"round {line['round']}"
        down = latency["downlink"]
        cell.same(f"{at}, radiated in the broadcast", power * down, radiated.get("downlink", 0.0))
        drawn = power * down / parts["pa_efficiency"] + station * down
        cell.same(f"{at}, downlink [J]", drawn, energy["downlink"])
        heard = line.get("clients")
        senders = len(heard) if isinstance(heard, list) else int(heard or clients)
        for name in ("uplink", "pilots"):
            time_s = latency[name]
            fixed = radiated.get(name, 0.0) / parts["client_pa_efficiency"] + station * time_s
            all_j = fixed + parts["client_w"] * senders * time_s
            if name == "uplink" and cell.scheme in ANALOG:
                cell.same(f"{at}, uplink [J]", all_j, energy["uplink"])
            else:
                count = max(senders, clients) if name == "pilots" else senders
                most = fixed + parts["client_w"] * count * time_s
                cell.within(f"{at}, {name} [J]", energy[name], fixed, most)
        if cell.scheme in ANALOG and cell.entries is not None and senders:
            rate = radio["bandwidth_hz"] * radio["efficiency"]
            airtime = cell.sendings * ((cell.entries + 1) // 2) / rate
            if line.get("mse") is not None and line["round"] > 1:  # in the first A has no gradient
                cell.same(f"{at}, uplink [s]", airtime, latency["uplink"])


def _movement(cell: Cell) -> None:
    """What of the way is not beside computing, and the energy of the drives."""
    array, overlap = cell.scenario["array"], cell.scenario["planning"]["overlap"]
    _, power = DRIVES.get(array["drive"], (0.5, 0.5))
    power = power if array.get("drive_power_w") is None else array["drive_power_w"]
    for latency, energy, line in _rounds(cell):
        at, way = f"round {line['round']}", line.get("move_s") or 0.0
        rest = max(0.0, way - latency["compute"]) if overlap else way
        cell.same(f"{at}, movement [s]", rest, latency["movement"])
        if cell.scheme not in MOVING:
            cell.same(f"{at}, way", 0.0, way)
        drives = array["antennas"] * power * way
        cell.within(f"{at}, movement [J]", energy["movement"], power * way, drives)


def crossing(cell: Cell, target: float) -> tuple[float, float, float] | None:
    """Return rounds, time and energy at which the loss first is at a target; None: never."""
    before: tuple[float, float, float, float] | None = None
    time_s = energy_j = 0.0
    for index, line in enumerate(cell.lines):
        if index:
            time_s += math.fsum(line["round_latency_s"].values())
            energy_j += math.fsum(line["round_energy_j"].values())
        else:
            time_s, energy_j = line.get("time_s") or 0.0, line.get("energy_j") or 0.0
        if line.get("evaluated") is False:
            continue
        loss = line.get("loss")
        if loss is not None and loss <= target:
            if before is None:
                return float(index), time_s, energy_j
            share = (before[3] - target) / (before[3] - loss)
            now = (float(index), time_s, energy_j)
            return tuple(a + share * (b - a) for a, b in zip(before[:3], now, strict=True))  # type: ignore[return-value]
        before = None if loss is None else (float(index), time_s, energy_j, loss)
    return None


def run_cells(folder: Path) -> list[Cell]:
    """Return the finished cells of a run folder."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    found = []
    for file in sorted(folder.glob("*/seed-*/finished.json")):
        plan = json.loads((file.parent / "plan.json").read_text(encoding="utf-8"))
        lines = (file.parent / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        found.append(
            Cell(
                name=str(file.parent.relative_to(folder)),
                scheme=file.parents[1].name,
                scenario=results["scenario"],
                lines=[json.loads(line) for line in lines],
                batch=np.array(plan["batch"]["clients"], float),
                clocks=np.array(plan["frequency_hz"]["clients"], float),
                entries=_entries(file.parent / "adapter"),
                sendings=plan.get("repetition") or 1,
                totals=json.loads(file.read_text(encoding="utf-8")),
            )
        )
    _targets(found, results)
    return found


def _entries(adapter: Path) -> int | None:
    """Return d from the JSON head of the adapter's safetensors file; None where there is none."""
    for file in adapter.glob("*.safetensors"):
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            head = json.loads(stream.read(length))
        shapes = [one["shape"] for name, one in head.items() if name != "__metadata__"]
        return int(sum(np.prod(shape) for shape in shapes))
    return None


def _targets(cells: list[Cell], results: dict[str, Any]) -> None:
    """Compare crossings with those of results.json, where it is of one seed."""
    ideal = next((c for c in cells if c.scheme == "ideal"), None)
    if ideal is None or results["seeds"] != 1:
        return
    losses = [line["loss"] for line in ideal.lines if line.get("evaluated") is not False]
    for name, share in SHARES.items():
        if losses[-1] is None or losses[-1] >= losses[0]:
            continue
        target = losses[0] - share * (losses[0] - losses[-1])
        ideal.same(f"target {name}", target, results["target_losses"][name])
        for cell in cells:
            mine = crossing(cell, target)
            theirs = results["schemes"][cell.scheme]["targets"][name]
            keys = ("rounds", "time_s", "energy_j")
            if (mine is None) != (theirs["rounds"] is None):
                cell.wrong.append(f"{cell.name}: target {name}: {mine}, not {theirs}")
            elif mine is not None:
                for key, value in zip(keys, mine, strict=True):
                    cell.same(f"target {name}, {key}", value, theirs[key])


def study_cells(file: Path) -> list[Cell]:
    """Return the cells with a history of a file of the study of the claims."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "history" not in entry:
            continue
        history, plan, facts = entry["history"], entry["plan"], entry["facts"]
        count = int(np.max(history["clients"]))
        found.append(
            Cell(
                name=entry["cell"],
                scheme=entry["cell"].split(" | ")[2].partition("/")[0],
                scenario=facts["books"],
                lines=_lines(history, count),
                batch=np.broadcast_to(np.array(plan["batch"], float), (count,)),
                clocks=np.broadcast_to(np.array(plan["frequency_hz"], float), (count,)),
                entries=facts["booked_entries"],
                sendings=plan["repetition"],
            )
        )
    return found


def _lines(history: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Return columns as lines of rounds."""

    def at(column: Any, index: int) -> Any:
        return column[index] if isinstance(column, list) else column

    lines: list[dict[str, Any]] = [{"round": 0, "loss": history["loss"][0]}]
    for index in range(history["rounds"]):
        line = {"round": index + 1, "loss": history["loss"][index + 1], "clients": count}
        line |= {name: at(history[name], index) for name in ("mse", "move_s")}
        for kind in ("latency_s", "energy_j", "radiated_j"):
            columns = history[kind]
            line[f"round_{kind}"] = {part: at(column, index) for part, column in columns.items()}
        lines.append(line)
    return lines


def main() -> int:
    """Compute anew and compare; 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path, metavar="RUN_DIR")
    parser.add_argument("--cells", type=Path, help="finished cells of the study of the claims")
    given = parser.parse_args()
    cells = [cell for folder in given.folders for cell in run_cells(folder)]
    if given.cells:
        cells += study_cells(given.cells)
    wrong = [text for cell in cells for text in check(cell).wrong]
    largest = max((cell.largest for cell in cells), default=0.0)
    figures = sum(cell.compared for cell in cells)
    print(f"{len(cells)} cells, {figures} figures, largest relative difference {largest:.1e}")
    print("\n".join(wrong[:50]))
    return 1 if wrong or not cells else 0


if __name__ == "__main__":
    sys.exit(main())
