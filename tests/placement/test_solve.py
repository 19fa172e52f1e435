"""The solver as a whole: optimal on tiny cases, feasible and repeatable on all."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airtune.placement import (
    Placement,
    Problem,
    ProblemError,
    TravelLimit,
    beamform,
    evaluate,
    half_wavelength,
    load_problems,
    random_positions,
    select,
    solve,
    solve_many,
    sparse,
)
from airtune.placement.examples import random_problem
from airtune.placement.references import alternating_cvxpy, differential_evolution
from airtune.placement.travel import match

PUBLIC = sorted(
    (Path(__file__).parents[2].parent / "shared" / "data" / "placement").glob("public_*.npz")
)


def check(problem: Problem, found: Placement) -> None:
    assert found.positions.shape == (problem.antennas, 2)
    assert problem.violation(found.positions) <= 1e-9
    again = evaluate(problem, found.positions, found.beamformer)
    assert again == pytest.approx(found.worst_gain, rel=1e-12)
    assert math.isfinite(found.worst_gain)


def db(ratio: float) -> float:
    return 10 * math.log10(ratio)


def test_two_antennas_on_a_line_reach_the_brute_force_optimum() -> None:
    problem = random_problem(0, antennas=2, clients=2, paths=3, region=(1.2, 0.0))
    grid = np.linspace(0, 1.2, 121)
    best = 0.0
    # for K = 2 the best w is conj of a combination of the two whitened channels
    mixes = [
        (math.cos(t), math.sin(t) * np.exp(1j * p))
        for t in np.linspace(0, np.pi / 2, 40)
        for p in np.linspace(0, 2 * np.pi, 48, endpoint=False)
    ]
    c = np.array(mixes).T
    for i, left in enumerate(grid):
        for right in grid[i:]:
            if right - left < 0.5 - 1e-12:
                continue
            g = problem.auxiliary_channel(np.array([[left, 0.0], [right, 0.0]]))
            w = g.T @ (c / np.linalg.norm(g, axis=1)[:, None])
            power = problem.noise * (np.abs(w) ** 2).sum(axis=0)
            best = max(best, float(((np.abs(g.conj() @ w) ** 2).min(axis=0) / power).max()))
    found = solve(problem)
    check(problem, found)
    assert found.positions[:, 1] == pytest.approx([0, 0])
    assert -0.02 <= db(found.worst_gain / best) <= 0.1


def degenerate() -> dict[str, Problem]:
    weak = random_problem(4, antennas=4, clients=5, paths=4)
    gains = weak.gains.copy()
    gains[0] *= 0.01
    return {
        "one client": random_problem(0, antennas=4, clients=1, paths=5),
        "one antenna": random_problem(1, antennas=1, clients=3, paths=3),
        "many clients": random_problem(2, antennas=2, clients=9, paths=3),
        "one path": random_problem(3, antennas=4, clients=4, paths=1),
        "one weak client": replace(weak, gains=gains),
        "exactly full box": random_problem(5, antennas=16, clients=4, paths=3, region=(1.5, 1.5)),
        "exactly full line": random_problem(6, antennas=6, clients=3, paths=3, region=(2.5, 0.0)),
        "hexagonal only": random_problem(7, antennas=18, clients=3, paths=3, region=(1.5, 1.75)),
        "upright line": random_problem(8, antennas=3, clients=3, paths=3, region=(0.0, 3.0)),
        "a point": random_problem(9, antennas=1, clients=2, paths=3, region=(0.0, 0.0)),
        "no spacing": random_problem(10, antennas=4, clients=3, paths=3, spacing=0.0),
        "strong interferers": random_problem(
            11, antennas=3, clients=4, paths=3, interferers=4, interference_db=60.0
        ),
        "silent interferer": replace(
            random_problem(12, antennas=3, clients=3, paths=3, interferers=1),
            interferer_powers=np.zeros(1),
        ),
        "odd region": random_problem(13, antennas=5, clients=4, paths=4, region=(1.37, 2.9)),
    }


@pytest.mark.parametrize("name", degenerate())
@pytest.mark.parametrize("method", ["auto", "pdd"])
def test_degenerate_problems(name: str, method: str) -> None:
    problem = degenerate()[name]
    found = solve(problem, mode="fast", method=method)
    check(problem, found)
    fixed = beamform(
        problem,
        random_positions(
            problem.antennas, problem.region, problem.spacing, np.random.default_rng(0)
        ),
    )
    assert found.worst_gain >= fixed.worst_gain * (1 - 1e-3)


def test_infeasible_region_is_an_error() -> None:
    with pytest.raises(ProblemError, match="holds at most"):
        random_problem(0, antennas=40, region=(1.0, 1.0))


@pytest.mark.parametrize("method", ["sqp", "pdd", "smooth"])
def test_methods_beat_random_places(method: str) -> None:
    problem = random_problem(20, antennas=4, clients=5, paths=5, interferers=1)
    rng = np.random.default_rng(0)
    places = [random_positions(4, problem.region, 0.5, rng) for _ in range(10)]
    reference = max(beamform(problem, place).worst_gain for place in places)
    found = solve(problem, mode="fast", method=method)
    check(problem, found)
    assert found.method == method
    assert db(found.worst_gain / reference) > 0.5


def test_answers_do_not_depend_on_batch_or_threads() -> None:
    problems = [random_problem(seed, antennas=4, clients=4, paths=4) for seed in range(4)]
    alone = [solve(problem, mode="fast", seed=3) for problem in problems]
    for batch in (
        solve_many(problems, mode="fast", seed=3),
        solve_many(problems, mode="fast", seed=3, threads=2),
        solve_many(problems[::-1], mode="fast", seed=3, threads=2)[::-1],
    ):
        for one, other in zip(alone, batch, strict=True):
            assert np.array_equal(one.positions, other.positions)
            assert np.array_equal(one.beamformer, other.beamformer)


def test_default_mode_and_a_warm_start_keep_up() -> None:
    problem = random_problem(21, antennas=6, clients=6, paths=5)
    default = solve(problem)
    assert db(default.worst_gain / solve(problem, mode="fast").worst_gain) >= -0.3
    drift = np.exp(0.1j * np.random.default_rng(0).normal(size=problem.gains.shape))
    later = replace(problem, gains=problem.gains * drift)
    warm = solve(later, start=default.positions)
    check(later, warm)
    assert db(warm.worst_gain / solve(later).worst_gain) > -0.3
    with pytest.raises(ProblemError, match="start must have shape"):
        solve(problem, start=np.zeros((2, 2)))
    with pytest.raises(ProblemError, match="keep the spacing"):
        solve(problem, start=np.zeros((6, 2)))


def test_movement_cap_and_price() -> None:
    problem = random_problem(22, antennas=4, clients=5, paths=5)
    origin = random_positions(4, problem.region, 0.5, np.random.default_rng(1))
    stay = beamform(problem, origin).worst_gain
    free = solve(problem, mode="fast").worst_gain
    for cap in (0.0, 0.3):
        found = solve(problem, mode="fast", travel=TravelLimit(origin, longest=cap))
        check(problem, found)
        assert np.linalg.norm(found.positions - origin, axis=1).max() <= cap + 1e-9
        assert found.worst_gain >= stay * (1 - 1e-3)
    dear = solve(problem, mode="fast", travel=TravelLimit(origin, price_db=1e6))
    assert np.linalg.norm(dear.positions - origin, axis=1).max() <= 1e-5
    fair = solve(problem, mode="fast", travel=TravelLimit(origin, price_db=1.0))
    _, longest = match(origin, fair.positions)
    assert db(fair.worst_gain) - longest >= db(stay) - 1e-6
    cheap = solve(problem, mode="fast", travel=TravelLimit(origin, price_db=1e-9))
    assert db(cheap.worst_gain / free) > -0.5
    with pytest.raises(ProblemError, match="origin must have shape"):
        solve(problem, travel=TravelLimit(origin[:2]))
    with pytest.raises(ProblemError, match="must not be negative"):
        solve(problem, travel=TravelLimit(origin, longest=-1.0))


def test_bottleneck_matching_is_optimal() -> None:
    from itertools import permutations

    rng = np.random.default_rng(0)
    for _ in range(20):
        old, new = rng.uniform(0, 3, (2, 4, 2))
        order, longest = match(old, new)
        assert sorted(order) == [0, 1, 2, 3]
        ways = [np.linalg.norm(old - new[list(p)], axis=1).max() for p in permutations(range(4))]
        assert longest == pytest.approx(min(ways))
        assert np.linalg.norm(old - new[order], axis=1).max() == pytest.approx(longest)


def test_beamformer_is_close_to_its_semidefinite_bound() -> None:
    cp = pytest.importorskip("cvxpy")
    for seed, interferers in ((0, 0), (1, 2)):
        problem = random_problem(seed, antennas=5, clients=6, paths=5, interferers=interferers)
        positions = half_wavelength(5, problem.region)
        g, R = problem.auxiliary_channel(positions), problem.covariance(positions)
        root = np.linalg.inv(np.linalg.cholesky(R))
        white = (root @ g.T).T  # |b^H white|^2 with ||b|| = 1
        size = np.linalg.norm(white, axis=1).min() ** 2
        B, t = cp.Variable((5, 5), hermitian=True), cp.Variable()
        limits = [B >> 0, cp.real(cp.trace(B)) == 1]
        limits += [cp.real(cp.trace(np.outer(v, v.conj()) / size @ B)) >= t for v in white]
        bound = cp.Problem(cp.Maximize(t), limits).solve(solver=cp.CLARABEL) * size
        best = beamform(problem, positions)
        assert -1e-3 <= db(bound / best.worst_gain) <= 0.25
        cg = beamform(problem, positions, method="oblique")
        assert db(best.worst_gain / cg.worst_gain) <= 0.2
        check_scaled = np.abs(g @ cg.beamformer.conj()).min()
        assert check_scaled == pytest.approx(1.0)
    with pytest.raises(ProblemError, match="method must be one of"):
        beamform(problem, positions, method="guess")
    with pytest.raises(ProblemError, match="positions must have shape"):
        beamform(problem, positions[:, 0])


def test_reference_layouts() -> None:
    region = np.array([4.0, 4.0])
    fixed = half_wavelength(8, region)
    assert np.unique(fixed[:, 0]).size == 2
    assert np.unique(fixed[:, 1]).size == 4
    assert fixed.mean(axis=0) == pytest.approx(region / 2)
    assert np.ptp(fixed, axis=0) == pytest.approx([0.5, 1.5])
    spread = sparse(8, region, 0.5)
    assert np.ptp(spread, axis=0) == pytest.approx(region)
    crowded = sparse(6, np.array([0.6, 1.6]), 0.5)
    assert np.linalg.norm(crowded[:, None] - crowded, axis=2)[~np.eye(6, dtype=bool)].min() >= 0.5
    for seed in range(5):
        places = random_positions(12, np.array([2.0, 2.0]), 0.5, np.random.default_rng(seed))
        assert random_problem(0, antennas=12, region=(2.0, 2.0)).violation(places) <= 1e-9


def test_selection_is_near_the_best_subset() -> None:
    from itertools import combinations

    problem = random_problem(30, antennas=3, clients=3, paths=4)
    places = half_wavelength(6, problem.region)
    best = max(
        beamform(problem, places[list(chosen)], starts=4).worst_gain
        for chosen in combinations(range(6), 3)
    )
    assert db(best / select(problem, places).worst_gain) < 0.3
    with pytest.raises(ProblemError, match="candidates"):
        select(problem, places[:2])


def test_alternating_and_global_references_improve_on_their_start() -> None:
    pytest.importorskip("cvxpy")
    problem = random_problem(31, antennas=3, clients=3, paths=3, region=(2.0, 2.0))
    start = random_positions(3, problem.region, 0.5, np.random.default_rng(0))
    found = alternating_cvxpy(problem, start, rounds=5)
    check(problem, found)
    assert found.worst_gain > beamform(problem, start).worst_gain
    evolved = differential_evolution(problem, iterations=10)
    check(problem, evolved)
    assert evolved.worst_gain <= solve(problem).worst_gain * 1.001


@pytest.mark.skipif(not PUBLIC, reason="the public problems are not beside the repository")
@pytest.mark.parametrize("path", PUBLIC, ids=lambda path: path.stem)
def test_public_problems_in_default_mode(path: Path) -> None:
    known = np.load(path)["best_known"]
    problems = load_problems(path)
    loss = []
    for problem, reference in zip(problems, known, strict=True):
        found = solve(problem)
        check(problem, found)
        loss.append(db(reference / found.worst_gain))
    assert np.median(loss) <= 0.05
    assert max(loss) <= 0.3
