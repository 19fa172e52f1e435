"""The problem's data, its value and its files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from airtune.commands.place import place_file
from airtune.placement import (
    Problem,
    ProblemError,
    beamform,
    evaluate,
    half_wavelength,
    load_problems,
    save_placements,
    save_problems,
    search,
    solve,
)
from airtune.placement.examples import random_problem
from airtune.placement.kernels.field import pack
from airtune.placement.lattice import lattice
from airtune.placement.problem import capacity_bound, least_distance


def fields(problem: Problem) -> dict[str, object]:
    return {name: getattr(problem, name) for name in Problem.__dataclass_fields__}


def test_worst_gain_is_the_definition() -> None:
    problem = random_problem(1, antennas=3, clients=2, paths=3, interferers=2)
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 4, (3, 2))
    w = rng.normal(size=3) + 1j * rng.normal(size=3)
    R = problem.noise * np.eye(3, dtype=complex)
    for j in range(2):
        v = np.zeros(3, complex)
        for n in range(3):
            for path in range(3):
                turns = problem.interferer_directions[j, path] @ positions[n]
                v[n] += problem.interferer_gains[j, path] * np.exp(2j * np.pi * turns)
        R += problem.interferer_powers[j] * np.outer(v, v.conj())
    gains = []
    for k in range(2):
        h = np.zeros(3, complex)
        for n in range(3):
            for path in range(3):
                turns = problem.directions[k, path] @ positions[n]
                h[n] += problem.gains[k, path] * np.exp(2j * np.pi * turns)
        g = math.sqrt(problem.powers[k]) / problem.weights[k] * h
        gains.append(abs(w.conj() @ g) ** 2 / (w.conj() @ R @ w).real)
    assert evaluate(problem, positions, w) == pytest.approx(min(gains), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"directions": np.zeros((10, 9, 2))}, "directions must have shape"),
        ({"noise": 0.0}, "noise must be positive"),
        ({"weights": -np.ones(10)}, "weights must not be negative"),
        ({"powers": np.zeros(10)}, "powers must be positive"),
        ({"gains": np.full((10, 10), np.nan)}, "gains must be finite"),
        ({"gains": np.zeros((10, 10))}, "gains of client 0 are all 0"),
        ({"antennas": 0}, "antennas must be an integer"),
        ({"antennas": 2.5}, "antennas must be an integer"),
        ({"antennas": math.nan}, "antennas must be an integer"),
        ({"region": np.array([-1.0, 4.0])}, "region must not be negative"),
        ({"region": np.array([0.4, 0.4])}, "holds at most"),
        ({"spacing": math.inf}, "spacing must be finite"),
        ({"interferer_gains": np.zeros(3)}, "interferer_gains must have shape"),
        ({"region": "wide"}, "region must be an array of numbers"),
        ({"gains": np.full((10, 10), 1e308)}, "of client 0: .* = inf: must be 1e-75 .. 1e"),
        ({"gains": np.full((10, 10), 1e-200)}, "of client 0: .* to compute with"),
        ({"powers": np.full(10, 1e308)}, "of client 0: .* to compute with"),
        ({"weights": np.full(10, 5e-324)}, "of client 0: .* to compute with"),
        ({"weights": np.full(10, 1e-50)}, "client 0, .* dB over the noise .* within 600 dB"),
        ({"weights": np.array([1e-17] + [1.0] * 9)}, "must span at most 300 dB"),
        ({"weights": np.ones(10) * 1j}, "weights must be real numbers"),
        ({"noise": 5e-324}, "noise = .*: must be 1e-150 .. 1e.150 W"),
        ({"noise": "loud"}, "noise must be a number, not 'loud'"),
        ({"noise": 10**400}, "noise must be a number"),
        ({"antennas": 100_000, "spacing": 0.0}, "antennas must be an integer from 1 to 1024"),
        ({"antennas": "two"}, "antennas must be a number, not 'two'"),
        ({"region": np.array([1e308, 1e308])}, "region must be 0, or 1e-06 .. 1e.06 wavelengths"),
        ({"spacing": 5e-324}, "spacing must be 0, or 1e-06"),
        (
            {
                "interferer_gains": np.full((1, 10), 1e30),
                "interferer_directions": np.zeros((1, 10, 2)),
                "interferer_powers": np.ones(1),
            },
            "the interferers are .* dB over the noise .*: must be at most 130 dB",
        ),
    ],
)
def test_bad_input_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(ProblemError, match=words):
        Problem(**{**fields(random_problem(0)), **change})  # type: ignore[arg-type]


def test_a_region_that_no_table_holds_is_told() -> None:
    problem = random_problem(0, antennas=2, clients=3)
    wide = Problem(**{**fields(problem), "region": np.array([1e5, 1e5])})  # type: ignore[arg-type]
    with pytest.raises(ProblemError, match=r"region 100000 x 100000 .* grid points"):
        solve(wide, mode="fast")


def test_a_very_long_region_has_a_coarser_grid_and_a_good_placement_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "QUICK_ENTRIES", 50_000)
    problem = random_problem(0, antennas=2, clients=3)
    long = Problem(**{**fields(problem), "region": np.array([4.0, 500.0])})  # type: ignore[arg-type]
    field, _ = pack(long)
    assert search._pitch(pack(problem)[0]) == search.PITCH
    pitch = search._pitch(field)
    assert 3 * search._points(field, pitch) <= search.QUICK_ENTRIES
    assert 3 * search._points(field, pitch / search.COARSER) > search.QUICK_ENTRIES
    # What is right in a part of the region is right in all of it, and there is much more of it.
    assert solve(long, mode="fast").worst_gain > solve(problem, mode="fast").worst_gain


def test_directions_of_padding_may_be_anything_finite() -> None:
    problem = random_problem(0, antennas=2, clients=3)
    gains, directions = problem.gains.copy(), problem.directions.copy()
    gains[0, 3], directions[0, 3] = 0, (1e308, -1e308)
    odd = Problem(**{**fields(problem), "gains": gains, "directions": directions})  # type: ignore[arg-type]
    positions = half_wavelength(2, problem.region)
    assert math.isfinite(evaluate(odd, positions, np.ones(2)))


@pytest.mark.parametrize(
    ("field", "whose"), [("directions", "client"), ("interferer_directions", "interferer")]
)
def test_a_direction_longer_than_a_unit_vector_is_named(field: str, whose: str) -> None:
    problem = random_problem(0, interferers=3, clients=3)
    directions = getattr(problem, field).copy()
    directions[2, 4] = (0.9, -1.2)
    words = (
        rf"^{field} of {whose} 2, path 4 are \(0.9, -1.2\), of length 1.5: must be parts of unit "
        "vectors, of length at most 1$"
    )
    with pytest.raises(ProblemError, match=words):
        Problem(**{**fields(problem), field: directions})  # type: ignore[arg-type]


def test_directions_of_padding_and_rounding_are_no_fault() -> None:
    problem = random_problem(0, interferers=1, clients=3)
    single = problem.directions / np.linalg.norm(problem.directions, axis=-1, keepdims=True)
    single = single.astype(np.float32).astype(float)  # up to 6e-8 longer than 1
    assert (np.linalg.norm(single, axis=-1) > 1).any()
    Problem(**{**fields(problem), "directions": single})  # type: ignore[arg-type]
    gains, directions, weights = (
        getattr(problem, x).copy() for x in ("gains", "directions", "weights")
    )
    gains[0, 3], directions[0, 3] = 0, (7, 7)  # a padding path
    weights[1], directions[1] = 0, (3, 0)  # a padding client
    changed = {"gains": gains, "directions": directions, "weights": weights}
    Problem(**{**fields(problem), **changed})  # type: ignore[arg-type]
    directions[2, 0] = (1.00001, 0)
    with pytest.raises(ProblemError, match="client 2, path 0"):
        Problem(**{**fields(problem), **changed})  # type: ignore[arg-type]


def test_the_file_with_a_direction_too_long_is_named_with_the_instance(tmp_path: Path) -> None:
    path = tmp_path / "problems.npz"
    save_problems(path, [random_problem(seed, antennas=2, clients=3) for seed in range(3)])
    with np.load(path) as file:
        arrays = dict(file)
    arrays["directions"][1, 2, 5] = (3.0, 4.0)
    np.savez(path, **arrays)
    words = r"problems.npz, instance 1: directions of client 2, path 5 are \(3, 4\), of length 5:"
    with pytest.raises(ProblemError, match=words):
        place_file(path, tmp_path / "placed.npz")


def test_problems_of_unlike_sizes_are_padded_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "problems.npz"
    problems = [
        random_problem(1, antennas=2, clients=2, paths=3, interferers=0),
        random_problem(2, antennas=2, clients=4, paths=5, interferers=2),
    ]
    save_problems(path, problems)
    read = load_problems(path)
    positions, w = np.array([[0.0, 0.0], [1.3, 2.1]]), np.array([1.0, 0.5 - 0.2j])
    for problem, again in zip(problems, read, strict=True):
        assert again.gains.shape == (4, 5)
        assert evaluate(again, positions, w) == pytest.approx(
            evaluate(problem, positions, w), rel=1e-12
        )
    with pytest.raises(ProblemError, match="must agree in antennas"):
        save_problems(path, [problems[0], random_problem(1, antennas=3)])
    with pytest.raises(ProblemError, match="at least one"):
        save_problems(path, [])
    with pytest.raises(ProblemError, match="cannot be written"):
        save_problems(tmp_path / "no" / "x.npz", problems)


def test_capacity_bound_holds_for_the_densest_arrays() -> None:
    assert capacity_bound(np.array([3.5, 0.0]), 0.5) == 8
    assert capacity_bound(np.array([1.5, 1.5]), 0.5) >= 16
    for antennas, height in ((5, 1.6), (16, 1.5), (18, 1.75)):
        region = np.array([1.5, height])
        points = lattice(antennas, region, 0.5)
        assert points.shape == (antennas, 2)
        assert least_distance(points) >= 0.5 - 1e-9
        assert (points >= 0).all()
        assert (points <= region + 1e-12).all()


def test_lattice_says_when_nothing_fits() -> None:
    with pytest.raises(ProblemError, match="no arrangement"):
        lattice(17, np.array([1.5, 1.5]), 0.5)


def test_files_round_trip_and_answer_is_recomputable(tmp_path: Path) -> None:
    problems = [random_problem(seed, antennas=3, clients=3, paths=3) for seed in range(2)]
    padded = {
        name: np.stack([np.asarray(getattr(p, name)) for p in problems])
        for name in Problem.__dataclass_fields__
        if name not in ("antennas", "region", "spacing")
    }
    path, out = tmp_path / "in.npz", tmp_path / "out.npz"
    np.savez(path, **padded, antennas=3, region=[4.0, 4.0], spacing=0.5)
    report = place_file(path, out, mode="fast", certify=True)
    with np.load(out) as found:
        assert found["positions"].shape == (2, 3, 2)
        for i, problem in enumerate(load_problems(path)):
            again = evaluate(problem, found["positions"][i], found["beamformer"][i])
            assert again == pytest.approx(found["worst_gain"][i], rel=1e-12)
            assert found["upper_bound"][i] >= again
            row = report["instances"][i]
            assert row["worst_gain"] == pytest.approx(again)
            assert row["mse"] == pytest.approx(1 / again)
            assert row["gap_db"] >= 0
            assert "cells" in row["bound_kind"]
    assert report["summary"]["instances"] == 2
    # whatever had to be compiled is in no instance's time
    assert report["warm_up_seconds"] > 0
    assert sum(row["seconds"] for row in report["instances"]) < 20


def test_beamformer_is_scaled_to_the_weakest_client() -> None:
    problem = random_problem(3, interferers=1)
    found = beamform(problem, half_wavelength(8, problem.region))
    g = problem.auxiliary_channel(found.positions)
    assert np.abs(g @ found.beamformer.conj()).min() == pytest.approx(1.0, rel=1e-12)
    w, R = found.beamformer, problem.covariance(found.positions)
    assert (w.conj() @ R @ w).real == pytest.approx(1 / found.worst_gain, rel=1e-9)


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="not a readable"):
        load_problems(tmp_path / "missing.npz")
    path = tmp_path / "half.npz"
    np.savez(path, gains=np.zeros((1, 2, 3)))
    with pytest.raises(ProblemError, match="'directions' is missing"):
        load_problems(path)
    path.write_text("no zip")
    with pytest.raises(ProblemError, match="not a readable"):
        load_problems(path)
    np.save(tmp_path / "bare.npy", np.zeros(3))
    with pytest.raises(ProblemError, match="not a zip archive"):
        load_problems(tmp_path / "bare.npy")
    for option, words in (
        ({"mode": "slow"}, "mode must be one of"),
        ({"method": "magic"}, "method must be one of"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"seed": -1}, "seed must not be negative"),
    ):
        with pytest.raises(ProblemError, match=words):
            place_file(path, tmp_path / "out.npz", **option)  # type: ignore[arg-type]
    with pytest.raises(ProblemError, match="is a folder, not a file"):
        place_file(path, tmp_path)
    with pytest.raises(ProblemError, match="folder"):
        place_file(path, tmp_path / "none" / "out.npz")


def test_silent_clients_are_left_out(tmp_path: Path) -> None:
    problem = random_problem(5, antennas=3, clients=4, paths=3)
    some = fields(problem)
    some["weights"] = np.array([0.3, 0.0, 0.7, 0.0])
    padded = Problem(**some)  # type: ignore[arg-type]
    short = dict(some)
    for name in ("gains", "directions", "weights", "powers"):
        short[name] = np.asarray(some[name])[[0, 2]]
    assert solve(padded, mode="fast").worst_gain == pytest.approx(
        solve(Problem(**short), mode="fast").worst_gain,
        rel=1e-12,  # type: ignore[arg-type]
    )
    some["weights"] = np.zeros(4)
    silent = solve(Problem(**some), certify=True)  # type: ignore[arg-type]
    assert silent.worst_gain == math.inf
    assert problem.violation(silent.positions) <= 1e-9
    save_placements(tmp_path / "silent.npz", [silent])
