"""Place movable antennas for ten clients and draw them over the weakest client's gain.

python examples/place_antennas.py
"""

from __future__ import annotations

from math import log10

import numpy as np
from matplotlib.figure import Figure

from airtune.placement import Placement, Problem, beamform, half_wavelength, solve
from airtune.placement.examples import random_problem

ANTENNAS, CLIENTS, MODE = 8, 10, "default"
PICTURE = "placement.png"


def main() -> None:
    problem = random_problem(1, antennas=ANTENNAS, clients=CLIENTS, paths=6, interferers=2)
    fixed = beamform(problem, half_wavelength(ANTENNAS, problem.region))
    movable = solve(problem, mode=MODE, certify=True)

    assert movable.upper_bound is not None
    ceiling_db = 10 * log10(movable.upper_bound / movable.worst_gain)
    print(f"gain of the movable array: {10 * log10(movable.worst_gain / fixed.worst_gain):.1f} dB")
    print(f"no placement is better by more than {ceiling_db:.1f} dB")
    draw(problem, fixed, movable)
    print(f"wrote {PICTURE}")


def draw(problem: Problem, fixed: Placement, movable: Placement) -> None:
    """Draw both arrays over min_k |g_k(r)|^2: what one antenna at r hears of the weakest client."""
    x, y = (np.linspace(0, side, 121) for side in problem.region)
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    gains = np.abs(problem.auxiliary_channel(grid)) ** 2
    weakest_db = 10 * np.log10(gains.min(axis=0).reshape(len(y), len(x)))

    figure = Figure(figsize=(5, 4.2), layout="constrained")
    axes = figure.subplots()
    mesh = axes.pcolormesh(x, y, weakest_db, cmap="viridis", rasterized=True)
    axes.plot(*fixed.positions.T, "s", color="white", mfc="none", label="half a wavelength apart")
    axes.plot(*movable.positions.T, "o", color="white", mec="black", label="placed")
    axes.set(xlabel="x [wavelengths]", ylabel="y [wavelengths]", aspect="equal")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2, facecolor="0.6")
    figure.colorbar(mesh, label="weakest client at one antenna [dB]")
    figure.savefig(PICTURE, dpi=150)


if __name__ == "__main__":
    main()
