"""Places for clients with several transmit antennas (:mod:`airtune.placement.client_arrays`).

Searches that know clients of one antenna place for some precoders; these are set anew at the places
that were found, and so on.  Then places and beamformer climb together on the conditions
``||G_k^H w|| >= 1`` themselves (:mod:`airtune.placement.joint`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from airtune.kinds import Complex, Real
from airtune.placement.average import solve_average
from airtune.placement.client_arrays import Aimed, ClientArrays, aim_clients
from airtune.placement.joint import Joint, climb_of
from airtune.placement.problem import FEASIBILITY, Problem, ProblemError, least_distance
from airtune.placement.solver import solve
from airtune.placement.travel import TravelLimit, farthest, match

Search = Callable[[Problem], Real]
"""Finds places, shape (N, 2), for clients of one antenna."""


@dataclass(frozen=True)
class Effort:
    """How long to search.

    Attributes
    ----------
    random : int
        Random precoders that places are found for, besides those for the present places and those
        of the strongest paths.
    turns : int
        Times that places are found for the precoders of the best places.
    climbs : int
        Climbs of places and beamformer together, from the best places that are known by then.
    steps : int
        Most steps of a climb.
    sweeps : int
        Most times that all antennas are tried at neighbouring places of a grid.
    mode : str
        Effort for the places that some precoders want.
    """

    random: int
    turns: int
    climbs: int
    steps: int
    sweeps: int
    mode: str


EFFORTS = {
    "fast": Effort(random=0, turns=1, climbs=2, steps=50, sweeps=2, mode="fast"),
    "default": Effort(random=2, turns=2, climbs=6, steps=100, sweeps=3, mode="fast"),
    "exhaustive": Effort(random=16, turns=4, climbs=20, steps=300, sweeps=6, mode="default"),
}

NEIGHBOURS = tuple((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j)
"""Steps to the neighbouring places of a grid."""

STARTS = 3
"""Random beamformers for each of the places that are tried."""

QUICK = {"starts": 0, "fine": 0}
"""Steps at places beside known ones: few, and from the beamformer there."""

TURNS = 2
"""Times that places for many blocks are found for the precoders of the last ones."""

MOST_VARIABLES = 400
"""Largest climb, 4 N variables: its time grows with their third power."""


@dataclass(frozen=True)
class _Found:
    """Places, the best beamformer there, and their error times the price of the way."""

    aimed: Aimed
    cost: float

    @property
    def places(self) -> Real:
        return self.aimed.placement.positions


def solve_clients(
    problem: ClientArrays,
    start: Real,
    *,
    mode: str = "default",
    method: str = "auto",
    seed: int = 0,
    travel: TravelLimit | None = None,
    grid: float = 0.0,
) -> Real:
    """Return the places of the largest worst gain that a search finds.

    Parameters
    ----------
    problem : ClientArrays
    start : ndarray, float, shape (N, 2)
        Present places, feasible  [wavelengths]
    mode : {"fast", "default", "exhaustive"}
    method : str
        Of :func:`airtune.placement.solve`, which places for given precoders.
    seed : int
    travel : TravelLimit, optional
        Limit or price of the way from the present places.
    grid : float
        Distance of the places that antennas can take; 0: any place  [wavelengths]

    Returns
    -------
    ndarray, float, shape (N, 2)
        No worse than the present ones, price of the way included  [wavelengths]

    Raises
    ------
    ProblemError
        On an unknown mode or method.
    """
    if mode not in EFFORTS:
        raise ProblemError(f"mode must be one of {', '.join(EFFORTS)}, not {mode!r}")
    origin, effort = np.asarray(start, np.float64), EFFORTS[mode]

    def search(one: Problem, near: Real | None) -> Real:
        near = near if travel is None else None
        return solve(
            one,
            mode=effort.mode,
            method=method,
            seed=seed,
            start=near,
            travel=travel,
            grid=grid,
        ).positions

    def found(places: Real, beamformer: Complex | None = None, **options: int) -> _Found:
        aimed = _aimed(problem, places, beamformer, seed, **options)
        return _Found(aimed, _price(problem, origin, places, travel) / aimed.placement.worst_gain)

    here = found(origin)
    tried = [here]
    for index, precoders in enumerate(_precoders(problem, here.aimed, effort.random, seed)):
        near = origin if index == 0 else None
        tried.append(found(search(problem.precoded(precoders), near)))
    tried.sort(key=lambda one: one.cost)
    for _ in range(effort.turns):
        last = tried[0]
        near = last.places if travel is None else None
        places = search(problem.precoded(last.aimed.precoders), near)
        new = found(places, last.aimed.placement.beamformer)
        tried.append(new)
        tried.sort(key=lambda one: one.cost)
        if new.cost >= last.cost * (1 - 1e-6):
            break
    if 4 * len(origin) <= MOST_VARIABLES:
        for one in tried[: effort.climbs]:
            places, w = _climbed(problem, one, effort.steps, travel)
            if grid > 0:
                places = _on_grid(places, problem.rows.region, grid)
            if _price(problem, origin, places, travel) < math.inf:
                tried.append(found(places, w))
    best = min(tried, key=lambda one: one.cost)
    for _ in range(effort.sweeps if grid > 0 else 0):
        before = best.cost
        for antenna, step in product(range(len(origin)), NEIGHBOURS):
            places = best.places.copy()
            places[antenna] += grid * np.array(step)
            places = _on_grid(places, problem.rows.region, grid)
            stays = travel is not None and antenna in travel.stuck
            if not stays and _price(problem, origin, places, travel) < math.inf:
                new = found(places, best.aimed.placement.beamformer, **QUICK)
                best = min(best, new, key=lambda one: one.cost)
        if best.cost == before:
            break
    return best.places


def average_clients(
    problems: Sequence[ClientArrays],
    start: Real,
    *,
    mode: str = "default",
    seed: int = 0,
    travel: TravelLimit | None = None,
    grid: float = 0.0,
) -> Real:
    """Return the places of least mean error over drawn blocks that a search finds.

    Parameters and errors are those of :func:`airtune.placement.solve_average`; the answer is no
    worse on the draws than the present places.
    """
    origin = np.asarray(start, np.float64)

    def judged(places: Real) -> tuple[float, Real, list[Aimed]]:
        aimed = [aim_clients(one, places, starts=STARTS, seed=seed) for one in problems]
        mean = float(np.mean([1.0 / one.placement.worst_gain for one in aimed]))
        return mean * _price(problems[0], origin, places, travel), places, aimed

    best = judged(origin)
    for _ in range(TURNS):
        ones = [one.precoded(aimed.precoders) for one, aimed in zip(problems, best[2], strict=True)]
        places = solve_average(ones, origin, mode=mode, seed=seed, travel=travel, grid=grid)
        new = judged(places)
        if not new[0] < best[0]:
            break
        best = new
    return best[1]


def select_clients(
    problem: ClientArrays, candidates: Real, search: Search, *, turns: int = 3, seed: int = 0
) -> Real:
    """Return the N of given places of the largest worst gain, by exchange from a choice.

    Parameters
    ----------
    problem : ClientArrays
    candidates : ndarray, float, shape (C, 2)  [wavelengths]
    search : callable
        Chooses for clients of one antenna.
    turns : int
        Times that is chosen for the precoders of the last choice, and most sweeps of exchanges.
    seed : int

    Returns
    -------
    ndarray, float, shape (N, 2)  [wavelengths]
    """

    def aimed(places: Real, beamformer: Complex | None = None, **options: int) -> Aimed:
        return _aimed(problem, places, beamformer, seed, **options)

    first = problem.precoded(_strongest(problem))
    best = aimed(search(first))
    for _ in range(turns):
        new = aimed(search(problem.precoded(best.precoders)))
        if not new.placement.worst_gain > best.placement.worst_gain * (1 + 1e-6):
            break
        best = new
    for _ in range(turns):
        before = best.placement.worst_gain
        for antenna in range(len(best.placement.positions)):
            for place in candidates:
                places = best.placement.positions
                if np.any(np.all(places == place, axis=1)):
                    continue
                places = places.copy()
                places[antenna] = place
                new = aimed(places, best.placement.beamformer, **QUICK)
                if new.placement.worst_gain > best.placement.worst_gain * (1 + 1e-6):
                    best = new
        if best.placement.worst_gain <= before * (1 + 1e-6):
            break
    return best.placement.positions


def _aimed(
    problem: ClientArrays, places: Real, beamformer: Complex | None, seed: int, **options: int
) -> Aimed:
    """Return the best beamformer at places, from random ones and perhaps one more."""
    more = None if beamformer is None else beamformer[:, None]
    given = {"starts": STARTS, **options}
    return aim_clients(problem, places, seed=seed, beamformers=more, **given)


def _precoders(problem: ClientArrays, here: Aimed, random: int, seed: int) -> Iterator[Complex]:
    """Yield precoders that places are found for: of the present ones, of paths, at random."""
    yield here.precoders
    yield _strongest(problem)
    rng = np.random.default_rng(seed)
    shape = here.precoders.shape
    for _ in range(random):
        some = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
        yield some / np.linalg.norm(some, axis=1, keepdims=True)


def _strongest(problem: ClientArrays) -> Complex:
    """Return the precoders that bring most power to an antenna, on average over its places.

    The mean of |sum_l a_l c_l^T f exp(+j 2 pi u_l . r)|^2 over far-away places r is
    f^H (sum_l |a_l|^2 conj(c_l) c_l^T) f: its dominant eigenvector.
    """
    each = problem.rows.gains.reshape(problem.clients, problem.antennas, -1)
    return dominant(np.einsum("kml,knl->kmn", each.conj(), each))


def dominant(matrices: Complex) -> Complex:
    """Return unit eigenvectors of the largest eigenvalues of Hermitian matrices, shape (K, M).

    By repeated squaring, which is the power method with 2^40 steps; without LAPACK, whose rounding
    depends on where arrays lie in memory.

    Parameters
    ----------
    matrices : ndarray, complex, shape (K, M, M)
        Positive semidefinite, none of them 0.

    Examples
    --------
    >>> found = dominant(np.array([[[2.0, 1j], [-1j, 2.0]]]))
    >>> bool(np.allclose(found, [[0.5**0.5, -1j * 0.5**0.5]]))
    True
    """
    powers = matrices
    for _ in range(40):
        trace = np.einsum("kmm->k", powers).real[:, None, None]
        powers = np.einsum("kml,kln->kmn", powers / trace, powers / trace)
    column = np.argmax(np.einsum("kmm->km", powers).real, axis=1)
    chosen = np.take_along_axis(powers, column[:, None, None], axis=2)[..., 0]
    return np.asarray(chosen / np.sqrt(np.sum(np.abs(chosen) ** 2, axis=1, keepdims=True)))


def _climbed(
    problem: ClientArrays, found: _Found, steps: int, travel: TravelLimit | None
) -> tuple[Real, Complex]:
    """Return the places at the end of a climb and the beamformer at its start, in their order."""
    placement, box = found.aimed.placement, None
    if travel is not None:
        # the climb keeps the order of its start, which is that of the matching
        order, way = match(travel.origin, placement.positions, travel.stuck)
        limit = travel.longest if travel.price_db == 0 else way
        if limit < FEASIBILITY:
            return placement.positions, placement.beamformer
        box = np.array(travel.bounds(problem.rows, limit)[:, np.argsort(order)])
    joint = Joint.of_client_arrays(problem.rows, problem.antennas, placement)
    places = climb_of(joint, placement.positions, problem.rows.region, steps, box)
    return places, placement.beamformer


def _on_grid(places: Real, region: Real, grid: float) -> Real:
    """Return the nearest places of a grid in the region."""
    last = np.floor(region / grid + FEASIBILITY)
    return np.asarray(np.clip(np.round(places / grid), 0, last) * grid)


def _price(problem: ClientArrays, origin: Real, places: Real, travel: TravelLimit | None) -> float:
    """Return the price of a way as a factor of the error; infinite where antennas may not be."""
    rows = problem.rows
    if len(places) > 1 and least_distance(places) < rows.spacing - FEASIBILITY / 2:
        return math.inf
    if travel is None:
        return 1.0
    from airtune.placement.blocks import DEAREST

    way = farthest(origin, places, travel.stuck)
    if way > travel.longest + FEASIBILITY:
        return math.inf
    return float(10 ** (min(DEAREST, travel.price_db * way / 10) if travel.price_db else 0.0))
