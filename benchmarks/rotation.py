"""What turning the array as a whole gains, for movable and for fixed antennas.

    python benchmarks/rotation.py [--out FOLDER] [--seeds N]

Cells of the quickstart (ten clients, two interferers, four antennas in 4 x 4 wavelengths), with
block fading.  Angles are chosen once, before the first round, as `array.rotation: mounted` does;
then the mean error is taken over the rounds that ROUNDS names, with the antennas placed anew for
each where they move.  Goes on where it was stopped; writes rotation.json and the table of
docs/channels.md: by how much the error falls [dB].
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import manual
import resumable
from airtune.learning.sizes import measure
from airtune.planning.facings import facing_scheme
from airtune.planning.repetition import Repetition
from airtune.scenario import Scenario, file

ROOT = Path(__file__).parents[1]
CLUSTERS = ["radio.paths.angles=cluster", "radio.paths.angle_spread_deg=10"]
PATTERNS = ["array.element=tr38901"]
FOUR = ["clients.count=4", "radio.interferers.count=4"]
CASES = {
    "waves from all around": [],
    "waves from all around, 8 dBi elements": PATTERNS,
    "clusters of 10 degrees": CLUSTERS,
    "clusters of 10 degrees, 8 dBi elements": [*CLUSTERS, *PATTERNS],
    "the same, four clients, four interferers": [*CLUSTERS, *PATTERNS, *FOUR],
}
COMMON = [
    "placement.mode=fast",
    "placement.max_travel=null",
    "planning.movement=each-round",
    "aggregation.normalise=block",
]
ROUNDS = (1, 5, 10, 20)
PAIRS = {
    "movable over fixed": ("movable", "fixed"),
    "turned: fixed over fixed": ("fixed turned", "fixed"),
    "turned: movable over movable": ("movable turned", "movable"),
    "both turned: movable over fixed": ("movable turned", "fixed turned"),
}


def scenario_of(case: str, how: str) -> Scenario:
    """Return the quickstart with the settings of a case and arrays that turn or do not."""
    turning = [f"array.rotation.{which}={how}" for which in ("movable", "others")]
    return file.load("quickstart", [*CASES[case], *COMMON, *turning])


def errors(case: str, seed: int) -> dict[str, Any]:
    """Return the mean error of each array over the rounds [dB], and the angles [deg]."""
    found: dict[str, Any] = {}
    for how in ("none", "mounted"):
        scenario = scenario_of(case, how)
        opened = Repetition(scenario, seed, measure(scenario, seed))
        for scheme in ("fixed", "movable"):
            repetition = facing_scheme(opened, scheme)
            array, gains = opened.scheme(scheme).array, []
            places = array.start()
            for index in ROUNDS:
                radio = repetition.radio(index)
                places = array.place(radio, opened.omega, places)
                gains.append(radio.at(places).best_beamformer(opened.omega).worst_gain)
            name = scheme if how == "none" else f"{scheme} turned"
            found[name] = 10.0 * math.log10(float(np.mean(1.0 / np.array(gains))))
            if repetition.facings is not None:
                found[f"{scheme} angles"] = list(repetition.facings.of(1).angles)
    return found


def cells(seeds: int) -> Iterator[resumable.Cell]:
    """Yield every case and seed by its name."""
    for seed in range(1, seeds + 1):
        for case in CASES:
            yield f"{case}; {seed}", partial(errors, case, seed)


def summarise(document: dict[str, Any]) -> dict[str, Any]:
    """Return the spread of what each pair gains [dB], and how many arrays were turned."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, cell in document["cells"].items():
        groups.setdefault(name.rpartition("; ")[0], []).append(cell)
    return {
        case: {
            name: resumable.spread(cell[less] - cell[more] for cell in some)
            for name, (more, less) in PAIRS.items()
        }
        | {
            f"{scheme} turned": f"{sum(any(c[f'{scheme} angles']) for c in some)} of {len(some)}"
            for scheme in ("fixed", "movable")
        }
        for case, some in groups.items()
    }


def rows(summary: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table: median, and 10 to 90 % in brackets."""
    return [
        [
            case,
            *(
                f"{one[name]['median']:.1f} ({one[name]['p10']:.1f} .. {one[name]['p90']:.1f})"
                for name in PAIRS
            ),
            f"{one['fixed turned']}, {one['movable turned']}",
        ]
        for case, one in summary.items()
    ]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--seeds", type=int, default=8)
    arguments = parser.parse_args()
    path = arguments.out / "rotation.json"
    settings = {"cases": CASES, "common": COMMON, "rounds": list(ROUNDS)}
    document = resumable.measure(path, settings, cells(arguments.seeds))
    document["gain_db"] = summarise(document)
    resumable.write(path, document)
    columns = [
        "case",
        *(f"{name} [dB]" for name in PAIRS),
        "seeds in which it turned: fixed, movable",
    ]
    table = "\n".join(manual.table(columns, rows(document["gain_db"])))
    manual.put(ROOT / "docs" / "channels.md", "benchmarks/rotation.py", table)


if __name__ == "__main__":
    main()
