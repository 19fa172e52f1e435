"""What one set of places gains in a wide band, over fixed ones and over places for its middle.

    python benchmarks/wideband.py [--out FOLDER] [--seeds N]

The quickstart's cell (ten clients, two interferers, four antennas in 4 x 4 wavelengths, equal
weights) with path delays of 0.1 us in the mean, in bands of 1, 5 and 20 MHz cut into 16 resource
blocks.  All paths are known, and every block has the best beamformer for the places at hand.  Goes
on where it was stopped; writes wideband.json and the table of docs/channels.md: by how much the
mean error over the blocks is below that of the fixed array [dB].
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
from airtune.kinds import Real
from airtune.registry import CHANNELS, SCHEMES
from airtune.scenario import file
from airtune.schemes.link import RadioRound

ROOT = Path(__file__).parents[1]
BANDS_MHZ = (1, 5, 20)
BLOCKS = 16
COLUMNS = {
    "movable": "movable, placed for all blocks",
    "middle": "movable, placed for the middle block",
    "selection": "`selection`",
    "apart": "movable, each block with places of its own",
}


def errors(band_mhz: int, seed: int) -> dict[str, float]:
    """Return the mean error of each choice of places in the first round [dB]."""
    scenario = file.load(
        "quickstart",
        [
            f"radio.bandwidth_hz={band_mhz}MHz",
            f"radio.resource_blocks={BLOCKS}",
            "radio.paths.delay_spread_s=100ns",
            "placement.mode=fast",
            "placement.max_travel=null",
        ],
    )
    paths = CHANNELS[scenario.radio.channel](scenario.radio, scenario.clients, seed)
    radio = RadioRound.of(scenario, seed, 1, paths.block(1))
    count, middle = scenario.clients.count, BLOCKS // 2
    weights = np.full(count, 1.0 / count)

    def error(one: RadioRound, places: Real) -> float:
        return 1.0 / one.at(places).best_beamformer(weights).worst_gain

    found = {}
    for name, scheme, known in (
        ("fixed", "fixed", radio),
        ("selection", "selection", radio),
        ("movable", "movable", radio),
        ("middle", "movable", radio.subbands[middle]),
    ):
        policy = SCHEMES[scheme].build(scenario, seed).array
        places = policy.place(known, weights, policy.start())
        found[name] = float(np.mean([error(one, places) for one in radio.subbands]))
    policy = SCHEMES["movable"].build(scenario, seed).array
    own = [error(one, policy.place(one, weights, policy.start())) for one in radio.subbands]
    found["apart"] = float(np.mean(own))
    return {name: 10.0 * math.log10(value) for name, value in found.items()}


def cells(seeds: int) -> Iterator[resumable.Cell]:
    """Yield every band and seed by its name."""
    for seed in range(seeds):
        for band in BANDS_MHZ:
            yield f"{band}; {seed}", partial(errors, band, seed)


def summarise(document: dict[str, Any]) -> dict[str, Any]:
    """Return the spread of what each choice gains over the fixed array [dB], by band."""
    groups: dict[str, list[dict[str, float]]] = {}
    for name, cell in document["cells"].items():
        groups.setdefault(name.partition("; ")[0], []).append(cell)
    return {
        band: {
            name: resumable.spread(cell["fixed"] - cell[name] for cell in some) for name in COLUMNS
        }
        for band, some in groups.items()
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--seeds", type=int, default=12)
    arguments = parser.parse_args()
    path = arguments.out / "wideband.json"
    settings = {"bands_mhz": list(BANDS_MHZ), "blocks": BLOCKS, "places": list(COLUMNS)}
    document = resumable.measure(path, settings, cells(arguments.seeds))
    document["gain_db"] = summarise(document)
    resumable.write(path, document)
    rows = [
        [
            band,
            *(
                f"{one['median']:.1f} ({one['p10']:.1f} .. {one['p90']:.1f})"
                for one in places.values()
            ),
        ]
        for band, places in document["gain_db"].items()
    ]
    table = "\n".join(manual.table(["band [MHz]", *COLUMNS.values()], rows))
    manual.put(ROOT / "docs" / "channels.md", "benchmarks/wideband.py", table)


if __name__ == "__main__":
    main()
