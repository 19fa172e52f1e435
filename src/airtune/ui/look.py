"""What the page shows of a cell: positions, errors, ways and the gain map, in one call."""

from __future__ import annotations

import io
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from airtune.errors import InputError, computable
from airtune.kinds import Real
from airtune.placement import Problem
from airtune.radio.channels.turned import with_element
from airtune.radio.gain_map import places_along, weakest_gain_db
from airtune.radio.movement import movement
from airtune.radio.units import wavelength
from airtune.registry import SCHEMES
from airtune.schemes import Effort, RadioRound, Travel
from airtune.schemes.precoding import drawn_problem
from airtune.ui.cell import Cell
from airtune.ui.first_round import heard_well, left_out, true_error, weights_of_senders

ROUND = 1
"""The round whose paths are looked at: the first of a run."""

_DARKEST = 0.1
"""Share of the map in its darkest colour: deep nulls would take up the range."""


@dataclass(frozen=True)
class Look:
    """A cell with its antennas placed.

    Attributes
    ----------
    movable, fixed : ndarray, float, shape (N, 2)
        Positions of the movable antennas, in the order of those that they come from, and of the
        half-wavelength array [wavelengths].
    parked : ndarray, float, shape (N, 2)
        Where the movable antennas come from [wavelengths].
    movable_error_db, fixed_error_db : float
        Aggregation error over v^2 at full power (system model, section 5)  [dB]
    longest_way : float  [wavelengths]
    move_s, move_j : float
        Time until the last antenna has arrived [s], and energy of the drives [J].
    region : tuple of two floats  [wavelengths]
    image : bytes
        The gain map as PNG, the row of the largest y first; a pixel for each place.  Of a wide band
        it is that of the resource block in its middle.
    places : tuple of two int
        Places of the map along x and y, from 0 to the ends of the region.
    low_db, high_db : float
        Levels of its darkest and its brightest colour  [dB]
    seconds : float
        What all of it took.
    senders : int
        Clients that send in the round.
    left_out : tuple of str
        Settings whose effect on the error of a run is not in these errors.
    """

    movable: Real
    fixed: Real
    parked: Real
    movable_error_db: float
    fixed_error_db: float
    longest_way: float
    move_s: float
    move_j: float
    region: tuple[float, float]
    image: bytes
    places: tuple[int, int]
    low_db: float
    high_db: float
    seconds: float
    senders: int = 0
    left_out: tuple[str, ...] = ()


def look(cell: Cell) -> Look:
    """Place the antennas of a cell for the first round of a run, all clients of equal weight.

    The placement is that of the mode `fast`; arrays and sums are those of the schemes `movable` and
    `fixed`, selection and channel that of the round.

    Parameters
    ----------
    cell : Cell

    Returns
    -------
    Look

    Raises
    ------
    InputError
        The settings of array, clients or radio cannot be met.

    Examples
    --------
    >>> from airtune.ui.cell import open_cell
    >>> seen = look(open_cell("quickstart"))
    >>> seen.movable.shape, seen.movable_error_db < seen.fixed_error_db
    ((4, 2), True)
    """
    began = time.perf_counter()
    scenario, seed = cell.scenario, cell.scenario.seed
    with computable("the settings of array, clients and radio"):
        channel = with_element(cell.channel(), scenario.array, scenario.radio.channel)
        radio = RadioRound.of(scenario, seed, ROUND, channel.block(ROUND))
        movable, fixed = (SCHEMES[name].build(scenario, seed) for name in ("movable", "fixed"))
        weights = weights_of_senders(scenario, radio, movable)
        parked, still = movable.array.start(), fixed.array.start()
        travel = Travel()
        if cell.limited:
            settings = scenario.placement
            travel = Travel(settings.max_travel, settings.travel_price_db)
        if heard_well(movable, movable.array.link(radio, weights, parked), weights, scenario):
            placed = parked
        else:
            placed = movable.array.place(radio, weights, parked, travel, Effort(mode="fast"))
        drives = scenario.array.drives
        moved = movement(
            parked,
            placed,
            wavelength_m=wavelength(scenario.radio.carrier_hz),
            speed_mps=drives.speed_mps,
            drive_power_w=drives.power_w,
            stuck=movable.array.stuck,
        )
        errors = []
        for scheme, positions in ((movable, moved.positions), (fixed, still)):
            link = scheme.array.link(radio, weights, positions)
            errors.append(10.0 * math.log10(true_error(scheme, link, weights)))
        image, places, low, high = _picture(
            drawn_problem(radio.middle, weights), radio.client_antennas
        )
    return Look(
        movable=moved.positions,
        fixed=still,
        parked=parked,
        movable_error_db=errors[0],
        fixed_error_db=errors[1],
        longest_way=float(np.linalg.norm(moved.positions - parked, axis=1).max()),
        move_s=moved.time_s,
        move_j=moved.energy_j,
        region=(float(scenario.array.region[0]), float(scenario.array.region[1])),
        image=image,
        places=places,
        low_db=low,
        high_db=high,
        seconds=time.perf_counter() - began,
        senders=int(np.count_nonzero(weights)),
        left_out=left_out(scenario),
    )


def _picture(problem: Problem, client_antennas: int) -> tuple[bytes, tuple[int, int], float, float]:
    """Return the map of the weakest client's gain as PNG, its size, and its outer levels [dB]."""
    from matplotlib.image import imsave

    x, y = (places_along(float(side)) for side in problem.region)
    level = weakest_gain_db(
        problem.effective_gains(),
        problem.directions[problem.active],
        np.sqrt(problem.interferer_powers)[:, None] * problem.interferer_gains,
        problem.interferer_directions,
        problem.noise,
        x,
        y,
        client_antennas=client_antennas,
    )
    if not np.isfinite(level).all():
        raise InputError("the settings of clients and radio: give a gain that is no number")
    low, high = float(np.quantile(level, _DARKEST)), float(level.max())
    file = io.BytesIO()
    imsave(file, level, vmin=low, vmax=high, cmap="cividis", origin="lower", format="png")
    return file.getvalue(), (len(x), len(y)), low, high


def rounded(positions: Real) -> list[list[float]]:
    """Return positions as plain JSON, with four decimals [wavelengths]."""
    pairs: list[list[float]] = np.round(positions, 4).tolist()
    return pairs


def as_json(seen: Look) -> dict[str, Any]:
    """Return what the browser draws, as plain JSON."""
    import base64

    return {
        "movable": rounded(seen.movable),
        "fixed": rounded(seen.fixed),
        "parked": rounded(seen.parked),
        "movableErrorDb": round(seen.movable_error_db, 2),
        "fixedErrorDb": round(seen.fixed_error_db, 2),
        "way": round(seen.longest_way, 3),
        "moveS": seen.move_s,
        "moveJ": seen.move_j,
        "region": list(seen.region),
        "image": f"data:image/png;base64,{base64.b64encode(seen.image).decode()}",
        "places": list(seen.places),
        "lowDb": round(seen.low_db, 1),
        "highDb": round(seen.high_db, 1),
        "seconds": round(seen.seconds, 4),
        "senders": seen.senders,
        "leftOut": list(seen.left_out),
    }
