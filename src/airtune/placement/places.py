"""Placement on given places: a grid of pixels, or the ports of a larger array."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations, product

import numpy as np

from airtune.kinds import Real
from airtune.memory import demand
from airtune.placement.beamformer import beamform
from airtune.placement.kernels.construct import Table
from airtune.placement.kernels.field import Field, channel, workspace
from airtune.placement.problem import (
    FEASIBILITY,
    Placement,
    Problem,
    ProblemError,
    least_distance,
)
from airtune.placement.travel import TravelLimit, match

MOST_PLACES = 100_000
"""Places of a grid; a table holds the channels of all of them."""

SOME = 256
"""Places whose channels are computed at a time."""

ENUMERATED = 300
"""Choices of places up to which all are tried."""


def grid_places(region: Real, grid: float) -> Real:
    """Return the places of a grid that begins in the corner of the region.

    Parameters
    ----------
    region : array_like, shape (2,)  [wavelengths]
    grid : float
        Distance of neighbours along x and y  [wavelengths]

    Returns
    -------
    ndarray, shape (G, 2)  [wavelengths]

    Raises
    ------
    ProblemError
        There are more than 100 000.

    Examples
    --------
    >>> grid_places([0.25, 0.1], 0.1).round(3).tolist()
    [[0.0, 0.0], [0.0, 0.1], [0.1, 0.0], [0.1, 0.1], [0.2, 0.0], [0.2, 0.1]]
    """
    counts = [math.floor(float(length) / grid + FEASIBILITY) + 1 for length in region]
    if counts[0] * counts[1] > MOST_PLACES:
        raise ProblemError(
            f"grid {grid:g} wavelengths in a region of {region[0]:g} x {region[1]:g}: has "
            f"{counts[0] * counts[1]} places; at most {MOST_PLACES} are allowed"
        )
    x, y = np.meshgrid(np.arange(counts[0]) * grid, np.arange(counts[1]) * grid, indexing="ij")
    places = np.column_stack([x.ravel(), y.ravel()])
    return np.asarray(np.minimum(places, np.asarray(region, float)))


def grid_lattice(antennas: int, region: Real, spacing: float, grid: float) -> Real:
    """Return feasible positions on a grid: n_x by n_y near the middle, or packed row by row.

    Parameters
    ----------
    antennas : int
    region : array_like, shape (2,)  [wavelengths]
    spacing : float
        Least distance of two antennas  [wavelengths]
    grid : float  [wavelengths]

    Returns
    -------
    ndarray, shape (N, 2)  [wavelengths]

    Raises
    ------
    ProblemError
        So many antennas do not fit on the grid, as far as rows and columns can tell.

    Examples
    --------
    >>> grid_lattice(2, [1.0, 1.0], 0.5, 0.2).round(3).tolist()  # 0.6 is the least that fits
    [[0.4, 0.2], [0.4, 0.8]]
    """
    step = max(1, math.ceil(spacing / grid - FEASIBILITY))
    counts = [math.floor(float(length) / grid + FEASIBILITY) + 1 for length in region]
    fit = [(count - 1) // step + 1 for count in counts]
    if fit[0] * fit[1] < antennas:
        raise ProblemError(
            f"region {region[0]:g} x {region[1]:g} wavelengths with spacing {spacing:g} on a grid "
            f"of {grid:g}: {fit[0] * fit[1]} antennas fit, not {antennas}"
        )
    shapes = [
        (n, antennas // n)
        for n in range(1, antennas + 1)
        if antennas % n == 0 and n <= fit[0] and antennas // n <= fit[1]
    ]
    if shapes:
        nx, ny = min(shapes, key=lambda shape: abs(shape[0] - shape[1]))
        corner = [
            max(0, (count - 1 - (n - 1) * step)) // 2
            for count, n in zip(counts, (nx, ny), strict=True)
        ]
        pairs = [(corner[0] + i * step, corner[1] + j * step) for i in range(nx) for j in range(ny)]
    else:
        pairs = [(i * step, j * step) for i in range(fit[0]) for j in range(fit[1])][:antennas]
    return np.array(pairs, dtype=np.float64) * grid


def on_grid(positions: Real, grid: float) -> bool:
    """Tell whether all positions, shape (N, 2), are places of a grid."""
    steps = np.asarray(positions) / grid
    return bool(np.all(np.abs(steps - np.round(steps)) * grid <= 1e-6))


def table_of(field: Field, places: Real) -> Table:
    """Return the channels at given places, shape (G, 2), in the solver's scale.

    Raises
    ------
    InputError
        They would not fit into memory.
    """
    rows, count = field.clients + field.interferers, len(places)
    demand(f"{count} places for {rows} transmitters", 64.0 * rows * count)
    px, py = np.ascontiguousarray(places.T, dtype=np.float64)
    tr, ti = np.empty((rows, count)), np.empty((rows, count))
    # as the channels of so many antennas, some groups of them at a time
    part = field.group * (1 + SOME // field.group)
    many = field._replace(antennas=part)
    work = workspace(many)
    for start in range(0, count, part):
        x, y = np.zeros(part), np.zeros(part)
        end = min(start + part, count)
        x[: end - start], y[: end - start] = px[start:end], py[start:end]
        channel(many, x, y, work)
        for values, row in ((tr, 0), (ti, 1)):
            table = work.g[row, : part * rows].reshape(part, rows)
            values[:, start:end] = table[: end - start].T
    return Table(px, py, tr, ti)


def choices_of(
    places: Real, antennas: int, travel: TravelLimit | None = None
) -> list[tuple[int, ...]] | None:
    """Return the choices of places that antennas can take; None if there are too many to try all.

    Parameters
    ----------
    places : ndarray, shape (G, 2)  [wavelengths]
    antennas : int
    travel : TravelLimit, optional
        Each antenna goes no farther than its limit.
    """
    if travel is None:
        if math.comb(len(places), antennas) > ENUMERATED:
            return None
        return list(combinations(range(len(places)), antennas))
    distance = np.linalg.norm(places[None] - np.asarray(travel.origin)[:, None], axis=2)
    limits = travel.discs(travel.longest)[2]
    reached = [np.flatnonzero(distance[n] <= limits[n] + 1e-9) for n in range(antennas)]
    if math.prod(map(len, reached)) > ENUMERATED:
        return None
    some = {tuple(sorted(int(at) for at in chosen)) for chosen in product(*reached)}
    return sorted(chosen for chosen in some if len(set(chosen)) == antennas)


def best_of_all(
    problem: Problem,
    places: Real,
    choices: Iterable[tuple[int, ...]],
    *,
    seed: int = 0,
    starts: int = 4,
    travel: TravelLimit | None = None,
) -> Placement:
    """Try choices of places and return the best.

    Every choice gets a beamformer from few starts, the eight best ones from many.

    Parameters
    ----------
    problem : Problem
    places : ndarray, shape (G, 2)  [wavelengths]
    choices : iterable of tuple of int
        From `choices_of`.
    seed, starts : int
    travel : TravelLimit, optional
        Price of the way; the antennas of the answer are then in the order of its origin.

    Raises
    ------
    ProblemError
        No choice keeps the spacing.
    """

    def matched(chosen: tuple[int, ...]) -> tuple[Real, float]:
        positions = places[list(chosen)]
        if travel is None:
            return positions, 0.0
        origin = np.asarray(travel.origin)
        for n in travel.stuck:
            at = int(np.linalg.norm(positions - origin[n], axis=1).argmin())
            positions[[n, at]] = positions[[at, n]]
        order, way = match(origin, positions, travel.stuck)
        return positions[order], travel.price_db * way

    def loss(positions: Real, price: float, starts: int) -> tuple[float, Placement]:
        end = beamform(problem, positions, starts=starts, seed=seed)
        return price - 10 * math.log10(end.worst_gain), end

    tried = []
    for chosen in choices:
        positions, price = matched(chosen)
        if problem.antennas > 1 and least_distance(positions) < problem.spacing - FEASIBILITY:
            continue
        tried.append((loss(positions, price, starts)[0], chosen))
    if not tried:
        raise ProblemError(f"no {problem.antennas} of {len(places)} places keep the spacing")
    ends = [loss(*matched(chosen), 32) for _, chosen in sorted(tried)[:8]]
    return min(ends, key=lambda end: end[0])[1]


def choose(problem: Problem, places: Real, *, mode: str = "default", seed: int = 0) -> Placement:
    """Choose N of given places: all choices where they are few, else the search on a table.

    Places are added one by one, exchanged, and then a few at a time taken out and put back
    elsewhere, as :func:`airtune.placement.solve` does for any place.

    Parameters
    ----------
    problem : Problem
        `antennas` is N; `spacing` is not looked at, one antenna is at each place.
    places : ndarray, shape (C, 2)
        In the region, at least N  [wavelengths]
    mode : {"fast", "default", "exhaustive"}
    seed : int

    Returns
    -------
    Placement

    Raises
    ------
    ProblemError
        With fewer than N places.

    Examples
    --------
    >>> from airtune.placement.examples import random_problem
    >>> problem = random_problem(0, antennas=2, clients=3, region=(2.0, 2.0))
    >>> pool = grid_places(problem.region, 0.5)
    >>> chosen = choose(problem, pool)
    >>> len(pool), chosen.positions.shape, bool((chosen.positions % 0.5 == 0).all())
    (25, (2, 2), True)
    """
    if len(places) < problem.antennas:
        raise ProblemError(
            f"selection needs at least {problem.antennas} candidates, not {len(places)}"
        )
    distinct = replace(problem, spacing=0.5 * least_distance(places) if len(places) > 1 else 0.0)
    if not problem.active.any():
        return beamform(problem, places[: problem.antennas], seed=seed)
    choices = choices_of(places, problem.antennas)
    if choices is not None:
        return replace(best_of_all(distinct, places, choices, seed=seed), method="selection")
    positions = search_places(distinct, places, places[: problem.antennas], mode, seed)
    return replace(beamform(problem, positions, seed=seed), method="selection")


def search_places(problem: Problem, places: Real, feasible: Real, mode: str, seed: int) -> Real:
    """Return the best positions that a search from scratch finds on given places, shape (N, 2)."""
    from airtune.placement.kernels.field import pack
    from airtune.placement.search import ROUGH, Search, effort_for, search
    from airtune.placement.waves import fewer

    exact, _ = pack(problem)
    field = fewer(exact)
    run = Search(field, seed, feasible, table=table_of(field, places), exact=exact)
    effort = effort_for(mode, field.antennas, field.interferers)
    _, z = search(run, effort, None, lambda z, bar: run.climb(z, effort.steps, ROUGH, bar))
    return np.ascontiguousarray(z[2:].T)
