"""Trace the rays of a scene with Sionna RT and write them; a program of its own.

    python -m airtune.radio.channels.scene_worker REQUEST.json RAYS.npz

Ends with code 2 and one line on stderr where the request cannot be met.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def trace(
    scene: str,
    carrier_hz: float,
    base: list[float],
    places: list[list[float]],
    depth: int,
    seed: int,
) -> dict[str, Any]:
    """Return the paths from a base station to places, one vertical isotropic antenna each.

    Parameters
    ----------
    scene : str
        Name of a scene of Sionna RT, or an XML file.
    carrier_hz : float  [Hz]
    base : list of 3 floats  [m]
    places : list of lists of 3 floats  [m]
    depth : int
        Most reflections.
    seed : int

    Returns
    -------
    dict of str to ndarray
        As :func:`airtune.radio.channels.scene.traced`; gains are those of the base band, of paths
        that are not there 0.

    Raises
    ------
    LookupError
        There is no such scene.
    """
    from sionna import rt

    known = getattr(rt.scene, scene, None) if scene.isidentifier() else None
    if not isinstance(known, str) and not Path(scene).is_file():
        names = [n for n in dir(rt.scene) if "_scene" not in n and n[0] != "_"]
        names = [n for n in names if str(getattr(rt.scene, n)).endswith(".xml")]
        raise LookupError(f"must be an XML file or one of {', '.join(names)}")
    loaded = rt.load_scene(known or scene)
    loaded.frequency = carrier_hz
    alone = {"num_rows": 1, "num_cols": 1, "pattern": "iso", "polarization": "V"}
    loaded.tx_array, loaded.rx_array = rt.PlanarArray(**alone), rt.PlanarArray(**alone)
    loaded.add(rt.Transmitter("base", base))
    for index, place in enumerate(places):
        loaded.add(rt.Receiver(f"place-{index}", place))
    paths = rt.PathSolver()(
        scene=loaded,
        max_depth=depth,
        los=True,
        specular_reflection=True,
        diffuse_reflection=False,
        refraction=False,
        synthetic_array=True,
        seed=seed,
    )
    count = len(places)
    real, imaginary = (np.array(part, dtype=np.float64).reshape(count, -1) for part in paths.a)
    found = {
        name: np.array(getattr(paths, name), dtype=np.float64).reshape(count, -1)
        for name in ("tau", "theta_t", "phi_t", "theta_r", "phi_r")
    }
    valid = np.array(paths.valid).reshape(count, -1) & (found["tau"] > 0)
    turn = np.exp(-2j * np.pi * carrier_hz * found["tau"])
    gains = np.where(valid, (real + 1j * imaginary) * turn, 0.0)
    return {"gains": gains, **{name: np.where(valid, one, 0.0) for name, one in found.items()}}


def main() -> None:
    """Read the request, trace and write."""
    question, answer = sys.argv[1:]
    request = json.loads(Path(question).read_text(encoding="utf-8"))
    try:
        rays = trace(**request)
    except LookupError as error:
        print(error.args[0], file=sys.stderr)
        sys.exit(2)
    with Path(answer).open("wb") as file:
        np.savez(file, **rays)


if __name__ == "__main__":
    main()
