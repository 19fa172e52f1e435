"""Long and large runs: memory and open files over 1 000 rounds, 1 000 clients, 10 000 registered.

Parts, each in a process of its own, with a JSON file of its own in --work; a part whose file is
there is not run again, and one that was interrupted goes on from its run folder:

rounds      a comparison of 1 000 rounds of a tiny model: memory after warm-up stays within 5 %, the
            number of open files does not grow, and late rounds take no longer than early ones
clients     1 000 clients that all transmit, 64 antennas: planned, and a few rounds
registered  10 000 clients with records of their own, of which 10 transmit a round: planned, and a
            few rounds

All go the way of ``airtune compare``, from the plan to the page.  Writes
benchmarks/results/reliability-soak.json.  Run from the repository with the package installed:

    OMP_NUM_THREADS=1 python benchmarks/reliability_soak.py --work FOLDER
    OMP_NUM_THREADS=1 python benchmarks/reliability_soak.py --reduced       seconds; writes nothing
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from airtune import record
from airtune.scenario import Scenario
from airtune.study import cells, compare
from registered_clients import write_records

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "reliability-soak.json"
FLAT = 0.05
"""Largest growth of memory after warm-up."""
SLOWER = 1.25
"""Late rounds may take so many times the processor time of early ones."""
TELLING = 50
"""Rounds from which on such a ratio says something."""
VALIDATION = 40
MIB = 2**20


@dataclass(frozen=True)
class Size:
    """How large the parts are: rounds of each, clients, antennas, registered clients."""

    rounds: int = 1000
    warm_up: int = 100
    clients: int = 1000
    antennas: int = 64
    registered: int = 10_000
    few_rounds: int = 5


REDUCED = Size(rounds=40, warm_up=10, clients=24, antennas=8, registered=120, few_rounds=2)


@dataclass
class Samples:
    """Follows a study, and notes memory, open files and the clock after every round."""

    began: float = field(default_factory=time.perf_counter)
    rounds: list[dict[str, Any]] = field(default_factory=list)
    ready_s: float | None = None

    def preparing(self, text: str, fraction: float) -> None:
        """Data, pre-training and model are being made."""

    def round_done(
        self,
        cell: record.Cell,
        round_index: int,
        loss: float | None,
        time_s: float,
        energy_j: float,
    ) -> None:
        """Note where the process stands."""
        now = time.perf_counter()
        if self.ready_s is None:
            self.ready_s = now - self.began
        self.rounds.append(
            {
                "scheme": cell.scheme,
                "round": round_index,
                "at_s": now - self.began,
                "cpu_s": time.process_time(),
                "memory_mib": resident_bytes() / MIB,
                "open_files": open_files(),
            }
        )

    def told(self, text: str) -> None:
        """Nothing should diverge here."""
        raise RuntimeError(text)

    def cell_done(self, cell: record.Cell) -> None:
        """A cell is finished."""


def resident_bytes() -> int:
    """Return the memory of this process that is not swapped out [bytes]."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        import psutil

        return int(psutil.Process().memory_info().rss)
    return pages * resource.getpagesize()


def open_files() -> int:
    """Return the number of open file descriptors of this process."""
    try:
        return len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        import psutil

        return int(psutil.Process().num_fds())


def growth(values: Sequence[float], window: int) -> float:
    """Return by how much the greatest median of a window exceeds that of the first window.

    Parameters
    ----------
    values : sequence of float
        After warm-up, in order.
    window : int
        Values of a window; windows follow each other, and what is left over at the end is left out.

    Examples
    --------
    >>> growth([4.0, 4.0, 5.0, 5.0, 4.5, 4.5], 2)
    0.25
    """
    medians = [
        float(np.median(values[start : start + window]))
        for start in range(0, len(values) - window + 1, window)
    ]
    return max(medians) / medians[0] - 1.0


def scenario_of(part: str, size: Size, data: Path) -> Scenario:
    """Return the settings of a part."""
    tiny = {"hidden": 32, "layers": 1, "heads": 2, "intermediate": 64}
    settings: dict[str, Any] = {
        "name": f"soak-{part}",
        "threads": 1,
        "cache": str(data.parent / "cache"),
        "model": {"small": tiny, "lora": {"rank": 2}},
        "pretraining": {"steps": 3},
        "evaluation": {"records": VALIDATION, "answers": 2},
        "placement": {"mode": "fast"},
        "schemes": ["ideal", "movable", "digital"],
    }
    if part == "rounds":
        # The paths change from round to round, so antennas are placed anew in each.
        return Scenario.model_validate(
            settings
            | {
                "clients": {"count": 4},
                "training": {"rounds": size.rounds, "batch_size_max": 4, "learning_rate": 1e-4},
                "radio": {"paths": {"doppler_hz": 5.0}},
            }
        )
    count = size.clients if part == "clients" else size.registered
    each = 4
    held = VALIDATION / (count * each + VALIDATION)
    clients: dict[str, Any] = {"count": count}
    if part == "registered":
        clients |= {"concurrency": 10, "selection": "random"}
    return Scenario.model_validate(
        settings
        | {
            "clients": clients,
            "array": {"antennas": size.antennas} if part == "clients" else {},
            "data": {"source": str(data), "partition": "iid", "validation_fraction": held},
            "training": {"rounds": size.few_rounds, "batch_size_max": each, "learning_rate": 1e-3},
        }
    )


def run_part(part: str, size: Size, work: Path) -> dict[str, Any]:
    """Run a part and return its figures.

    Parameters
    ----------
    part : str
    size : Size
    work : Path
        Data, cache and run folder of the part lie here; an unfinished run is resumed.
    """
    folder = work / part
    folder.mkdir(parents=True, exist_ok=True)
    data, target = folder / "data.jsonl", folder / "run"
    if part != "rounds" and not data.exists():
        count = size.clients if part == "clients" else size.registered
        write_records(data, 4 * count + VALIDATION)
    resumed = (target / record.names.RUN).exists()
    if resumed:
        run_folder = record.open_folder(target)
    else:
        scenario = compare.check(scenario_of(part, size, data), "compare")
        run_folder = record.create(target, scenario, "compare")
    samples = Samples()
    cells.execute(run_folder, samples)
    trained = time.perf_counter()
    results = compare.summarise(run_folder)
    page = compare.publish(run_folder)
    known = {
        "resumed": resumed,
        "environment": record.environment(run_folder.scenario),
        "clients": run_folder.scenario.clients.count,
        "antennas": run_folder.scenario.array.antennas,
        "rounds": run_folder.scenario.training.rounds,
        "schemes": list(results["schemes"]),
        "ready_wall_s": samples.ready_s,
        "report_wall_s": time.perf_counter() - trained,
        "page_bytes": page.stat().st_size,
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "diverged": [n for n, entry in results["schemes"].items() if entry["diverged"]],
        "by_scheme": {
            name: _of_scheme(samples.rounds, name, run_folder) for name in results["schemes"]
        },
    }
    return known | (_flatness(samples.rounds, size.warm_up) if part == "rounds" else {})


def _of_scheme(
    rounds: Sequence[Mapping[str, Any]], scheme: str, folder: record.RunFolder
) -> dict[str, Any]:
    """Return times and sizes of one scheme's rounds; the first round bears what is made once."""
    own = [line for line in rounds if line["scheme"] == scheme]
    (cell,) = (cell for cell in folder.cells if cell.scheme == scheme)
    seconds, processor = (np.diff([line[name] for line in own]) for name in ("at_s", "cpu_s"))
    return {
        "rounds_run": len(own),
        "round_wall_s": float(np.median(seconds)) if len(seconds) else None,
        "round_cpu_s": float(np.median(processor)) if len(processor) else None,
        "memory_mib": float(np.median([line["memory_mib"] for line in own])) if own else None,
        "checkpoint_bytes": sum(p.stat().st_size for p in cell.checkpoint_folder.glob("*")),
        "metrics_line_bytes": len(cell.metrics_file.read_bytes().splitlines()[-1]),
    }


def _flatness(rounds: Sequence[Mapping[str, Any]], warm_up: int) -> dict[str, Any]:
    """Return how memory, open files and the time of a round change after each scheme's warm-up.

    A scheme's first rounds load what only it needs, as the compiled kernels of placement.
    """
    found: dict[str, Any] = {
        "warm_up_rounds": warm_up,
        "memory_growth": {},
        "memory_medians_mib": {},
        "open_files": {},
        "slower": {},
    }
    for scheme in dict.fromkeys(line["scheme"] for line in rounds):
        after = [line for line in rounds if line["scheme"] == scheme][warm_up:]
        memory = [line["memory_mib"] for line in after]
        files = [line["open_files"] for line in after]
        seconds = np.diff([line["cpu_s"] for line in after])
        ratio = np.median(seconds[-warm_up:]) / np.median(seconds[:warm_up])
        found["memory_growth"][scheme] = growth(memory, warm_up)
        found["memory_medians_mib"][scheme] = [
            round(float(np.median(memory[start : start + warm_up])), 2)
            for start in range(0, len(memory) - warm_up + 1, warm_up)
        ]
        found["open_files"][scheme] = [files[0], max(files)]
        found["slower"][scheme] = float(ratio)
    return found


def faults(parts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say what is not as it must be."""
    said = [f"{name}: {e['diverged']} diverged" for name, e in parts.items() if e["diverged"]]
    long = parts.get("rounds")
    if long is None:
        return said
    for scheme, share in long["memory_growth"].items():
        if share > FLAT:
            said.append(f"{scheme}: memory grew by {100 * share:.1f} % after warm-up")
    for scheme, (first, most) in long["open_files"].items():
        if most > first:
            said.append(f"{scheme}: open files grew from {first} to {most}")
    for scheme, ratio in long["slower"].items():
        if ratio > SLOWER and long["warm_up_rounds"] >= TELLING:
            said.append(f"{scheme}: late rounds take {ratio:.2f} times the early ones")
    return said


PARTS = ("rounds", "clients", "registered")


def soak(work: Path, parts: Sequence[str], reduced: bool) -> dict[str, Any]:
    """Run the parts that have no result in `work` yet, and return the results of all.

    Raises
    ------
    subprocess.CalledProcessError
        A part failed; it goes on from its run folder the next time.
    """
    work.mkdir(parents=True, exist_ok=True)
    found = {}
    for part in parts:
        result = work / f"{part}.json"
        if not result.exists():
            print(f"== {part}", flush=True)
            own = [sys.executable, __file__, "--inside", part, "--work", str(work)]
            subprocess.run([*own, *(["--reduced"] if reduced else [])], check=True)
        found[part] = json.loads(result.read_text())
    return found


def main() -> None:
    """Run the parts, write the result, and end with 1 where something grows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--work", type=Path, help="where parts are kept; a new folder by default")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--reduced", action="store_true", help="small, and nothing is written")
    parser.add_argument("--inside", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    size = REDUCED if asked.reduced else Size()
    if asked.inside:
        record.write_json(
            asked.work / f"{asked.inside}.json", run_part(asked.inside, size, asked.work)
        )
        return
    with tempfile.TemporaryDirectory() as temporary:
        found = soak(asked.work or Path(temporary), asked.parts, asked.reduced)
    for name, entry in found.items():
        seconds = {n: round(e["round_cpu_s"] or 0.0, 3) for n, e in entry["by_scheme"].items()}
        print(f"{name}: {entry['peak_memory_mib']:.0f} MiB at most, CPU seconds a round {seconds}")
    if not asked.reduced and set(found) == set(PARTS):
        record.write_json(asked.out, {"parts": found})
    if said := faults(found):
        sys.exit("\n".join(said))


if __name__ == "__main__":
    main()
