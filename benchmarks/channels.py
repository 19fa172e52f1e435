"""What movable antennas gain over others on drawn, 3GPP and near-field channels.

    python benchmarks/channels.py [--out FOLDER] [--seeds N]      needs the extra sionna

Channels of the quickstart's cell (ten clients, two interferers, four antennas in 4 x 4 wavelengths,
equal weights): block fading, umi, umi without line of sight, and block fading with scatterers at 1
to 5 m, whose wave fronts are spherical.  Places are chosen by the paths as the server believes
them, with errors of their angles; the beamformer is the best for the true channels at these places,
as pilots would tell it.  Goes on where it was stopped; writes channels.json and the table of
docs/channels.md: the worst client's gain of movable antennas over each other array [dB].
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import manual
import resumable
from airtune.radio.channels.base import Block
from airtune.registry import CHANNELS, SCHEMES
from airtune.scenario import Scenario, file
from airtune.schemes.link import RadioRound

ROOT = Path(__file__).parents[1]
SOURCES = {
    "block fading": [],
    "umi": ["radio.channel=umi"],
    "umi, not in sight": ["radio.channel=umi", "radio.tr38901.sight=never"],
    "scatterers at 1-5 m": ["radio.paths.scatterer_distance_m=[1,5]"],
}
ERRORS_DEG = (0, 1, 5)
ARRAYS = ("fixed", "sparse", "selection", "fixed-2n", "movable")


def scenario_of(source: str, error_deg: float) -> Scenario:
    """Return the quickstart with a channel and an error of angles."""
    error = [
        f"radio.csi.angle_error_deg={error_deg}",
        "placement.mode=fast",
        "placement.max_travel=null",
    ]
    return file.load("quickstart", [*SOURCES[source], *error])


def gains(source: str, error_deg: float, seed: int) -> dict[str, float]:
    """Return the worst gain of each array in the first round [dB]."""
    scenario = scenario_of(source, error_deg)
    paths = CHANNELS[scenario.radio.channel](scenario.radio, scenario.clients, seed)
    believed = RadioRound.of(scenario, seed, 1, paths.block(1))
    known = replace(believed, block=Block(believed.true, believed.true))
    count = scenario.clients.count
    weights = np.full(count, 1.0 / count)
    found = {}
    for name in ARRAYS:
        policy = SCHEMES[name].build(scenario, seed).array
        places = policy.place(believed, weights, policy.start())
        gain = known.at(places).best_beamformer(weights).worst_gain
        found[name] = 10.0 * math.log10(gain)
    return found


def cells(seeds: int) -> Iterator[resumable.Cell]:
    """Yield every channel, error and seed by its name."""
    for seed in range(seeds):
        for source, error in itertools.product(SOURCES, ERRORS_DEG):
            yield f"{source}; {error}; {seed}", partial(gains, source, error, seed)


def summarise(document: dict[str, Any]) -> dict[str, Any]:
    """Return the spread of what movable antennas gain over each other array [dB]."""
    groups: dict[str, list[dict[str, float]]] = {}
    for name, cell in document["cells"].items():
        groups.setdefault(name.rpartition("; ")[0], []).append(cell)
    return {
        name: {
            other: resumable.spread(cell["movable"] - cell[other] for cell in some)
            for other in ARRAYS[:-1]
        }
        for name, some in groups.items()
    }


def rows(summary: dict[str, Any]) -> list[list[str]]:
    """Return the rows of the table: median, and 10 to 90 % in brackets."""
    return [
        [
            *name.split("; "),
            *(
                f"{one['median']:.1f} ({one['p10']:.1f} .. {one['p90']:.1f})"
                for one in others.values()
            ),
        ]
        for name, others in summary.items()
    ]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--seeds", type=int, default=12)
    arguments = parser.parse_args()
    path = arguments.out / "channels.json"
    settings = {"sources": SOURCES, "errors_deg": list(ERRORS_DEG), "arrays": list(ARRAYS)}
    document = resumable.measure(path, settings, cells(arguments.seeds))
    document["gain_db"] = summarise(document)
    resumable.write(path, document)
    columns = ["channel", "angle error [deg]", *(f"over `{one}` [dB]" for one in ARRAYS[:-1])]
    table = "\n".join(manual.table(columns, rows(document["gain_db"])))
    manual.put(ROOT / "docs" / "channels.md", "benchmarks/channels.py", table)


if __name__ == "__main__":
    main()
