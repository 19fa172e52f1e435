"""Reference placements for studies and baselines."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from airtune.kinds import Real
from airtune.placement.lattice import lattice, spread_apart
from airtune.placement.problem import (
    FEASIBILITY,
    Placement,
    Problem,
    evaluate,
    least_distance,
)
from airtune.placement.solver import beamform


def half_wavelength(antennas: int, region: Real, spacing: float = 0.5) -> Real:
    """Planar array centred in the region (system model, section 3).

    n_x is the largest divisor of N not above sqrt N, along x; N / n_x along y. The array may
    stick out of a small region, since it does not move.

    Parameters
    ----------
    antennas : int
    region : ndarray, shape (2,)  [wavelengths]
    spacing : float
        Distance between neighbours, half a wavelength by default  [wavelengths]

    Returns
    -------
    ndarray, shape (N, 2)  [wavelengths]

    Examples
    --------
    >>> half_wavelength(2, np.array([1.0, 1.0])).tolist()
    [[0.5, 0.25], [0.5, 0.75]]
    """
    nx = max(n for n in range(1, math.isqrt(antennas) + 1) if antennas % n == 0)
    ny = antennas // nx
    x, y = np.meshgrid(
        (np.arange(nx) - (nx - 1) / 2) * spacing + region[0] / 2,
        (np.arange(ny) - (ny - 1) / 2) * spacing + region[1] / 2,
        indexing="ij",
    )
    return np.column_stack([x.ravel(), y.ravel()])


def random_positions(
    antennas: int, region: Real, spacing: float, rng: np.random.Generator, tries: int = 1000
) -> Real:
    """Uniform feasible positions by rejection, antenna by antenna; a lattice where that fails.

    Parameters
    ----------
    antennas : int
    region : ndarray, shape (2,)  [wavelengths]
    spacing : float  [wavelengths]
    rng : numpy.random.Generator
    tries : int
        Draws per antenna before the whole array is drawn again, and whole arrays before giving up
        on rejection.

    Returns
    -------
    ndarray, shape (N, 2)  [wavelengths]
    """
    region = np.asarray(region, dtype=np.float64)
    for _ in range(20):
        placed = np.empty((0, 2))
        for _ in range(antennas):
            draws = rng.uniform(size=(tries, 2)) * region
            gaps = np.linalg.norm(draws[:, None] - placed[None], axis=2)
            free = np.flatnonzero(gaps.min(axis=1, initial=np.inf) >= spacing)
            if not len(free):
                break
            placed = np.vstack([placed, draws[free[0]]])
        if len(placed) == antennas:
            return placed
    return lattice(antennas, region, spacing)


def sparse(antennas: int, region: Real, spacing: float) -> Real:
    """N antennas spread evenly over the whole region, n_x by n_y as in `half_wavelength`.

    Parameters
    ----------
    antennas : int
    region : ndarray, shape (2,)  [wavelengths]
    spacing : float
        If the even grid would be closer than this, a lattice takes its place  [wavelengths]

    Returns
    -------
    ndarray, shape (N, 2)  [wavelengths]
    """
    nx = max(n for n in range(1, math.isqrt(antennas) + 1) if antennas % n == 0)
    counts = [nx, antennas // nx]
    if region[0] > region[1]:
        counts.reverse()
    if min(region) == 0:
        counts = [antennas, 1] if region[1] == 0 else [1, antennas]
    axes = [
        np.linspace(0.0, length, count) if count > 1 else np.array([length / 2])
        for length, count in zip(region, counts, strict=True)
    ]
    x, y = np.meshgrid(*axes, indexing="ij")
    points = np.column_stack([x.ravel(), y.ravel()])
    if least_distance(points) < spacing:
        return lattice(antennas, np.asarray(region), spacing)
    return points


def differential_evolution(
    problem: Problem, *, seed: int = 0, iterations: int = 100, population: int = 15
) -> Placement:
    """SciPy's differential evolution over (Re a, Im a, x, y), the swarm-type reference.

    The spacing is a penalty; the end is pushed apart and given its best beamformer.

    Parameters
    ----------
    problem : Problem
    seed, iterations, population : int

    Returns
    -------
    Placement
    """
    from scipy.optimize import differential_evolution as evolve

    N = problem.antennas
    i, j = np.triu_indices(N, 1)

    def loss(z: Real) -> float:
        positions = z[2 * N :].reshape(N, 2)
        gaps = np.linalg.norm(positions[i] - positions[j], axis=1)
        crowded = float(np.maximum(0.0, problem.spacing - gaps).sum())
        t = evaluate(problem, positions, z[:N] + 1j * z[N : 2 * N])
        return 10 * crowded - math.log(t + 1e-300)

    bounds = [(-1.0, 1.0)] * (2 * N) + [(0.0, float(a)) for _ in range(N) for a in problem.region]
    best = evolve(loss, bounds, seed=seed, maxiter=iterations, popsize=population, polish=False)
    x, y = best.x[2 * N :].reshape(N, 2).T.copy()
    positions = np.column_stack([x, y])
    if problem.violation(positions) > FEASIBILITY:
        width, height = map(float, problem.region)
        if not spread_apart(width, height, problem.spacing, x, y):
            return beamform(problem, lattice(N, problem.region, problem.spacing), seed=seed)
        positions = np.column_stack([x, y])
    return replace(beamform(problem, positions, seed=seed), method="differential evolution")


def alternating_cvxpy(
    problem: Problem,
    start: Real,
    *,
    move: str = "single",
    seed: int = 0,
    rounds: int = 1000,
    tolerance: float = 1e-4,
) -> Placement:
    """Alternating optimisation with a modelling language: the baseline of the literature.

    Beamformer step: minimise w^H R w with Re(e^{-j theta_k} w^H g_k) >= 1, theta_k the phases of
    the last round. Then the positions: one antenna after the other by successive convex
    approximation with curvature bounds (`single`, as is usual), or all at once on the
    linearised problem in a trust region (`joint`, stronger). All are cvxpy problems that are built
    once with parameters (DPP), so only the solver and the parameter update are paid for.

    Parameters
    ----------
    problem : Problem
    start : ndarray, shape (N, 2)  [wavelengths]
    move : {"single", "joint"}
    seed : int
        For the random phases of the first beamformer step.
    rounds : int
        Most rounds.
    tolerance : float
        Ends after a round that raised the worst gain by a smaller factor; `joint`, whose trust
        region may have to shrink first, after five.

    Returns
    -------
    Placement

    Raises
    ------
    ProblemError
        On an unknown move.
    """
    from airtune.placement.alternating import alternate

    return alternate(problem, start, move=move, seed=seed, rounds=rounds, tolerance=tolerance)
