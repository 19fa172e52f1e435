"""A scheme of one's own: antennas at the corners of the region, compared with the fixed array.

python examples/own_scheme.py

In a package of one's own an entry point makes the scheme known to every command:

[project.entry-points."airtune.schemes"]
corners = "my_package:CORNERS"
"""

from __future__ import annotations

import numpy as np

from airtune import compare, load_scenario
from airtune.kinds import Real
from airtune.schemes import ArrayPolicy, OverTheAir, Scheme, register

SETTINGS = [
    "schemes=[corners, fixed]",
    "array.antennas=4",
    "training.rounds=5",
    "evaluation.records=100",
]


class CornerArray(ArrayPolicy):
    """Four antennas, one in each corner of the region."""

    about = "four corners"

    def start(self) -> Real:
        """Return the positions, shape (4, 2) [wavelengths]."""
        return np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * np.asarray(self.array.region)


CORNERS = Scheme("corners", CornerArray, OverTheAir, source="this example")


def main() -> None:
    register(CORNERS)
    results = compare(load_scenario("quickstart", SETTINGS))
    for name in ("corners", "fixed"):
        entry = results["schemes"][name]
        print(f"{name}: error {entry['mse_db']:.1f} dB, loss {entry['final_loss']:.3f}")


if __name__ == "__main__":
    main()
