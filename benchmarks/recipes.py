"""The gallery of recipes, docs/recipes.md: shipped scenarios with what they took, from results.

    python benchmarks/recipes.py

Nothing is run: time, memory and losses come from the files in benchmarks/results/ that other
scripts have written; what no file has is left empty.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import Any

import manual
from airtune.scenario import Scenario
from airtune.scenario.file import shipped

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "recipes.md"
POINTS = {"paper-v1": "shared-plan", "cell-edge": "shared-plan", "paper-v2": "k-4"}
"""Scenario to the point of its study with the scenario's grid; some settings are older ones."""
TITLES = ("recipe", "command", "wall time", "memory", "final loss, `ideal`", "`movable`", "from")


@dataclass(frozen=True)
class Measured:
    """What a file of results tells of a scenario.

    Attributes
    ----------
    source : str
        The file, within benchmarks/results/.
    minutes : float
        Wall time [min].
    gib : float, optional
        Largest resident memory [GiB].
    losses : tuple of float, optional
        Final validation losses of `ideal` and `movable`.
    seeds : int
    """

    source: str
    minutes: float
    gib: float | None = None
    losses: tuple[float, float] | None = None
    seeds: int = 1


def head(name: str) -> tuple[str, str]:
    """Return the command of a shipped scenario and what it shows, from its first line.

    Examples
    --------
    >>> head("quickstart")[0]
    'airtune compare quickstart'
    """
    path = files("airtune") / "scenarios" / f"{name}.yaml"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    command, _, what = first.removeprefix("# ").partition("  -- ")
    return command, what


def _read(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def _quickstart() -> Measured:
    found = _read("quickstart.json")
    losses = tuple(found["schemes"][name]["final_loss"] for name in ("ideal", "movable"))
    return Measured("quickstart.json", found["total_wall_s"] / 60, losses=losses)


def _smollm2() -> Measured:
    seeds = _read("smollm2.json")["seeds"]
    losses = tuple(
        median(seed["schemes"][name]["final_loss"] for seed in seeds)
        for name in ("ideal", "movable")
    )
    minutes = median(seed["total_wall_s"] for seed in seeds) / 60
    gib = max(seed["peak_kib"] for seed in seeds) / 2**20
    return Measured("smollm2.json", minutes, gib, losses, len(seeds))


def _study(name: str) -> Measured:
    """Return the sum of a seed's cells, over the schemes that a comparison has by default."""
    source = f"study/{name}.jsonl"
    lines = (RESULTS / source).read_text(encoding="utf-8").splitlines()
    cells = [cell for cell in map(json.loads, lines) if cell.get("scheme")]
    cells = [cell for cell in cells if cell["point"] == POINTS[name]]
    schemes = Scenario().schemes
    seeds = sorted({cell["seed"] for cell in cells})
    of = {(cell["scheme"], cell["seed"]): cell for cell in cells}
    minutes = median(sum(of[s, seed]["wall_s"] for s in schemes) for seed in seeds) / 60
    losses = tuple(
        median(of[s, seed]["history"]["loss"][-1] for seed in seeds) for s in ("ideal", "movable")
    )
    return Measured(source, minutes, losses=losses, seeds=len(seeds))


def measured() -> dict[str, Measured]:
    """Return what is known of each shipped scenario that was run."""
    found = {"quickstart": _quickstart(), "smollm2": _smollm2()}
    return found | {name: _study(name) for name in POINTS}


def markdown() -> str:
    """Return what stands between the marks: the table, and what has no figures."""
    known = measured()
    rows: list[Sequence[str]] = []
    for name in sorted(known, key=lambda name: known[name].minutes):
        one, (command, what) = known[name], head(name)
        losses = ["", ""] if one.losses is None else [f"{loss:.3f}" for loss in one.losses]
        gib = "" if one.gib is None else f"{one.gib:.1f} GiB"
        source = f"[{one.source}](../benchmarks/results/{one.source}), seeds: {one.seeds}"
        rows.append([what, f"`{command}`", f"{one.minutes:.1f} min", gib, *losses, source])
    text = ["", *manual.table(TITLES, rows, left=2), "", "Not measured:", ""]
    for name in sorted(set(shipped()) - set(known)):
        command, what = head(name)
        text.append(f"- `{command}`: {what}")
    return "\n".join([*text, ""])


if __name__ == "__main__":
    manual.put(PAGE, "recipes", markdown())
    print(f"wrote {PAGE.relative_to(ROOT)}")
