"""Entry point of the placement solver: methods, modes, warm starts, limited travel, batches."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from airtune.kinds import Complex, Real
from airtune.placement.lattice import lattice, spread_apart
from airtune.placement.problem import (
    FEASIBILITY,
    Placement,
    Problem,
    ProblemError,
    evaluate,
    normalise,
)
from airtune.placement.travel import TravelLimit

MODES = ("fast", "default", "exhaustive")
METHODS = ("auto", "sqp", "pdd", "smooth")


def solve(
    problem: Problem,
    *,
    mode: str = "default",
    method: str = "auto",
    seed: int = 0,
    start: Real | None = None,
    travel: TravelLimit | None = None,
    certify: bool = False,
    grid: float = 0.0,
) -> Placement:
    """Maximise the worst client's gain over positions and beamformer (system model, section 5).

    Parameters
    ----------
    problem : Problem
    mode : {"fast", "default", "exhaustive"}
        How long to search: some milliseconds, some tens of them, about a second (N = 8, K = 10).
    method : {"auto", "sqp", "pdd", "smooth"}
        Local method of the search; "auto" is the best measured one, "sqp".
    seed : int
        The answer depends on it, on the problem and on nothing else.
    start : ndarray, shape (N, 2), optional
        Positions to start from, such as last round's; the search is then shorter  [wavelengths]
    travel : TravelLimit, optional
        Limit or price of the travel from the present positions.
    certify : bool
        Add an upper bound that holds for every placement.
    grid : float
        Distance of the places that antennas can take, along x and y from the corner of the region;
        0: any place.  Few choices are all tried; else the search keeps to the places.
        [wavelengths]

    Returns
    -------
    Placement

    Raises
    ------
    ProblemError
        On an unknown mode or method, or positions that do not fit.

    Examples
    --------
    The first call of a process compiles for some seconds, or reads the machine code from the disk.

    >>> from airtune.placement import half_wavelength
    >>> from airtune.placement.examples import random_problem
    >>> problem = random_problem(0, antennas=2, clients=3, paths=3, region=(1.0, 1.0))
    >>> movable = solve(problem, mode="fast")
    >>> fixed = beamform(problem, half_wavelength(2, problem.region))
    >>> movable.positions.shape, problem.violation(movable.positions) <= 1e-9
    ((2, 2), True)
    >>> movable.worst_gain > fixed.worst_gain
    True
    """
    check_choice(mode, method)
    began = time.perf_counter()
    if not problem.active.any():
        return _silent(problem, start, began)
    places = None if grid == 0 else _places(problem, method, grid, start, travel)
    if travel is not None:
        travel.check(problem)
        positions, a = _within_travel(problem, mode, method, seed, travel, places)
    else:
        positions, a = _unbound(problem, mode, method, seed, start, places)
    positions, w = _feasible(problem, positions, a.conj())
    placement = Placement(
        positions,
        w,
        evaluate(problem, positions, w),
        seconds=time.perf_counter() - began,
        method="sqp" if method == "auto" else method,
    )
    if not certify:
        return placement
    from airtune.placement.certify import upper_bound

    bound, kind = upper_bound(problem)
    return replace(
        placement, upper_bound=bound, bound_kind=kind, seconds=time.perf_counter() - began
    )


def solve_many(
    problems: Sequence[Problem],
    *,
    mode: str = "default",
    method: str = "auto",
    seed: int = 0,
    threads: int = 1,
    certify: bool = False,
) -> list[Placement]:
    """Solve independent problems; the answers depend on neither the batch nor `threads`.

    Parameters
    ----------
    problems : sequence of Problem
    mode, method, seed, certify
        As for `solve`.
    threads : int
        The compiled kernels release the interpreter lock, so threads share the cores.

    Returns
    -------
    list of Placement
    """
    job = partial(solve, mode=mode, method=method, seed=seed, certify=certify)
    if threads == 1 or len(problems) < 2:
        return [job(problem) for problem in problems]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(job, problems))


def beamform(
    problem: Problem,
    positions: Real,
    *,
    method: str = "sqp",
    starts: int = 32,
    seed: int = 0,
    certify: bool = False,
) -> Placement:
    """Best beamformer for antennas that stay where they are (fixed arrays).

    Parameters, returns and errors are those of `beamformer.beamform`, which is imported when this
    is called; the example of `solve` shows both.
    """
    from airtune.placement import beamformer

    return beamformer.beamform(
        problem, positions, method=method, starts=starts, seed=seed, certify=certify
    )


def check_choice(mode: str, method: str) -> None:
    """Check the names of mode and method.

    Raises
    ------
    ProblemError
        If one is unknown; the message lists what there is.
    """
    if mode not in MODES:
        raise ProblemError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if method not in METHODS:
        raise ProblemError(f"method must be one of {', '.join(METHODS)}, not {method!r}")


def _silent(problem: Problem, start: Real | None, began: float) -> Placement:
    """No client sends: any feasible place will do."""
    positions = start
    if positions is None:
        positions = lattice(problem.antennas, problem.region, problem.spacing)
    w = normalise(problem, positions, np.ones(problem.antennas, dtype=np.complex128))
    return Placement(positions, w, math.inf, seconds=time.perf_counter() - began, method="silent")


@dataclass(frozen=True)
class _Places:
    """The only places that antennas can take, shape (G, 2), and some that are feasible (N, 2)."""

    all: Real
    feasible: Real


def _places(
    problem: Problem, method: str, grid: float, start: Real | None, travel: TravelLimit | None
) -> _Places:
    """Return the places of a grid; check that what is given keeps to them."""
    from airtune.placement.places import grid_lattice, grid_places, on_grid

    if method not in ("auto", "sqp"):
        raise ProblemError(f"method must be auto or sqp for places on a grid, not {method!r}")
    origin = start if travel is None else travel.origin
    if origin is not None and not on_grid(origin, grid):
        raise ProblemError(f"the present positions must lie on the grid of {grid:g} wavelengths")
    feasible = grid_lattice(problem.antennas, problem.region, problem.spacing, grid)
    return _Places(grid_places(problem.region, grid), feasible)


def _unbound(
    problem: Problem,
    mode: str,
    method: str,
    seed: int,
    start: Real | None,
    places: _Places | None,
) -> tuple[Real, Complex]:
    from airtune.placement.aim import aim, local_method
    from airtune.placement.kernels.field import pack
    from airtune.placement.search import WARM, Search, effort_for, search
    from airtune.placement.waves import fewer

    if places is not None:
        from airtune.placement.places import best_of_all, choices_of, table_of

        choices = choices_of(places.all, problem.antennas)
        if choices is not None:
            best = best_of_all(problem, places.all, choices, seed=seed)
            return best.positions, best.beamformer.conj()
    exact, _ = pack(problem)
    field = fewer(exact)
    if places is None:
        feasible = lattice(problem.antennas, problem.region, problem.spacing)
        run = Search(field, seed, feasible, exact=exact)
    else:
        table = table_of(field, places.all)
        run = Search(field, seed, places.feasible, table=table, exact=exact)
    z = None if start is None else aim(problem, start)
    effort = effort_for(mode, field.antennas, field.interferers) if start is None else WARM[mode]
    local, effort = local_method(run, method, effort)
    _, z = search(run, effort, z, local)
    return np.ascontiguousarray(z[2:].T), z[0] + 1j * z[1]


def _within_travel(
    problem: Problem,
    mode: str,
    method: str,
    seed: int,
    travel: TravelLimit,
    places: _Places | None,
) -> tuple[Real, Complex]:
    from airtune.placement.near import within_travel

    if places is None:
        return within_travel(problem, mode, method, seed, travel)
    from airtune.placement.places import best_of_all, choices_of

    choices = choices_of(places.all, problem.antennas, travel)
    if choices is not None:
        best = best_of_all(problem, places.all, choices, seed=seed, travel=travel)
        return best.positions, best.beamformer.conj()
    return within_travel(problem, mode, method, seed, travel, places.all)


def _feasible(problem: Problem, positions: Real, w: Complex) -> tuple[Real, Complex]:
    """Clip rounding; if the spacing is still violated, push apart and aim again."""
    positions = np.clip(positions, 0.0, problem.region)
    if problem.violation(positions) > FEASIBILITY:
        x, y = positions[:, 0].copy(), positions[:, 1].copy()
        width, height = map(float, problem.region)
        if spread_apart(width, height, problem.spacing, x, y):
            positions = np.column_stack([x, y])
        else:
            positions = lattice(problem.antennas, problem.region, problem.spacing)
        w = beamform(problem, positions).beamformer
    return positions, normalise(problem, positions, w)
