"""A link as plain numbers, to be drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from airtune.kinds import Complex, Real
from airtune.schemes.link import Link
from airtune.schemes.precoding import aligned


def picture(link: Link, effective_weights: Real) -> dict[str, Any]:
    """Return antennas, beamformer and paths as plain JSON types, to be drawn.

    Of a wide band what is drawn is the resource block in its middle, and of clients with several
    antennas the paths that they send over together.

    Parameters
    ----------
    link : Link
    effective_weights : ndarray, float, shape (K,)
        nu_k; clients with 0 are left out.
    """
    link = aligned(link.middle, effective_weights)
    problem = link.radio.problem(effective_weights)
    best = link.best_beamformer(effective_weights)
    return {
        "round": link.radio.round,
        "positions": link.positions.tolist(),
        "beamformer_re": best.beamformer.real.tolist(),
        "beamformer_im": best.beamformer.imag.tolist(),
        "region": problem.region.tolist(),
        "spacing": problem.spacing,
        "clients": {
            **_paths(problem.gains, problem.directions),
            "auxiliary_scale": (np.sqrt(problem.powers) / problem.weights).tolist(),
        },
        "interferers": {
            **_paths(problem.interferer_gains, problem.interferer_directions),
            "powers": problem.interferer_powers.tolist(),
        },
        "noise_w": problem.noise,
        "worst_gain_db": 10.0 * math.log10(best.worst_gain),
    }


def _paths(gains: Complex, directions: Real) -> dict[str, Any]:
    return {
        "gains_re": gains.real.tolist(),
        "gains_im": gains.imag.tolist(),
        "directions": directions.tolist(),
    }
