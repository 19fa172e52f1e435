"""The worst of bounded errors: closed forms, dense sets of errors, every place of a small case."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from airtune.errors import InputError
from airtune.placement import Problem, beamform, solve
from airtune.placement.examples import random_problem
from airtune.placement.problem import evaluate
from airtune.radio.channels.directions import lift
from airtune.scenario import Csi
from airtune.scenario.file import parse
from airtune.schemes import worst_case
from airtune.schemes.robust import Robust, stacked
from airtune.schemes.worst_case import ErrorSet, Worst, withstand, worst_errors
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import with_settings

WRONG = {"radio__csi__gain_error": 0.05, "radio__csi__angle_error_deg": 1.0}
FAST = {**WRONG, "placement__mode": "fast"}
WORST = {**FAST, "placement__robust": "worst-case", "placement__robust_samples": 3}


def small(seed: int, **kinds: object) -> Problem:
    kind = {
        "antennas": 3,
        "clients": 3,
        "paths": 3,
        "interferers": 1,
        "region": (2.0, 2.0),
        **kinds,
    }
    return random_problem(seed, **kind)  # type: ignore[arg-type]


def by_gain_errors(problem: Problem, gain: float, radius: float, positions, w):
    """t(r, w) for the ball of gain errors alone: |w^H g| less or more the length of its slope.

    Of one beamformer w (N,), or of several (W, N).
    """

    def parts(gains, directions):
        waves = np.exp(2j * np.pi * np.einsum("kld,nd->kln", directions, positions))
        terms = gains * np.einsum("kln,...n->...kl", waves, w.conj())
        reach = radius * gain / np.sqrt(2) * np.linalg.norm(terms, axis=-1)
        return np.abs(terms.sum(axis=-1)), reach

    size, reach = parts(problem.gains, problem.directions)
    heard = problem.powers / problem.weights**2 * np.maximum(0.0, size - reach) ** 2
    size, reach = parts(problem.interferer_gains, problem.interferer_directions)
    leak = (problem.interferer_powers * (size + reach) ** 2).sum(axis=-1)
    return heard.min(axis=-1) / (problem.noise * (np.abs(w) ** 2).sum(axis=-1) + leak)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**30), interferers=st.integers(0, 2), radius=st.floats(0.1, 3.0))
def test_gain_errors_have_the_closed_form(seed: int, interferers: int, radius: float) -> None:
    problem, rng = small(seed, interferers=interferers), np.random.default_rng(seed)
    positions = rng.uniform(0, 2, (3, 2))
    w = rng.normal(size=3) + 1j * rng.normal(size=3)
    wanted = by_gain_errors(problem, 0.05, radius, positions, w)
    found = worst_errors(problem, ErrorSet(0.05, 0.0, radius), positions, w, rng)
    if wanted > 0:
        assert found.gain == pytest.approx(wanted, rel=1e-6)
    # the channels with these errors are no worse for the answer than it says
    assert evaluate(found.problem, positions, w) == pytest.approx(found.gain, rel=1e-9)
    assert_array_equal(found.problem.directions, problem.directions)


def least_drawn(problem: Problem, errors: ErrorSet, count: int, seed: int, ends) -> list[float]:
    """Least t(r, w) of each answer over errors drawn from the spheres and from inside the balls."""
    rng = np.random.default_rng(seed)

    def wrong(gains, directions):
        xi = rng.standard_normal((count, *gains.shape, 4))
        xi *= errors.radius / np.linalg.norm(xi, axis=(2, 3), keepdims=True)
        xi[::3] *= rng.uniform(size=(len(xi[::3]), 1, 1, 1))
        gains = gains * (1 + errors.gain * (xi[..., 0] + 1j * xi[..., 1]) / np.sqrt(2))
        unit = lift(directions)
        # any orthonormal basis of the tangent plane makes the same ball
        first = np.cross(unit, [0.3, -0.5, 0.8])
        first /= np.linalg.norm(first, axis=-1, keepdims=True)
        way = errors.angle * (xi[..., 2:3] * first + xi[..., 3:] * np.cross(unit, first))
        angle = np.linalg.norm(way, axis=-1, keepdims=True)
        turned = np.cos(angle) * unit + np.sin(angle) * way / np.maximum(angle, 1e-300)
        return gains, turned[..., :2]

    clients = wrong(problem.gains, problem.directions)
    others = wrong(problem.interferer_gains, problem.interferer_directions)

    def power(paths, end):
        waves = np.exp(2j * np.pi * (paths[1] @ end.positions.T)) @ end.beamformer.conj()
        return np.abs((paths[0] * waves).sum(axis=-1)) ** 2

    least = []
    for end in ends:
        heard = (problem.powers / problem.weights**2 * power(clients, end)).min(axis=1)
        leak = (problem.interferer_powers * power(others, end)).sum(axis=1)
        noise = problem.noise * np.linalg.norm(end.beamformer) ** 2
        least.append(float((heard / (noise + leak)).min()))
    return least


@pytest.mark.parametrize("seed", range(8))
def test_no_error_of_a_dense_set_is_worse(seed: int) -> None:
    problem = small(seed, antennas=2, clients=2, paths=2, region=(3.0, 3.0))
    errors = ErrorSet(0.1, np.deg2rad(4.0), 2.0)
    placed = solve(problem, mode="fast")
    rng = np.random.default_rng(0)
    found = worst_errors(problem, errors, placed.positions, placed.beamformer, rng)
    (drawn,) = least_drawn(problem, errors, 20000, seed, [placed])
    assert found.gain <= drawn * (1 + 1e-6)
    assert drawn < placed.worst_gain


def solved(some: list[Problem]):
    return solve(stacked(some), mode="fast", seed=1)


def test_on_a_dense_set_of_errors_the_places_are_no_worse_than_the_nominal_ones() -> None:
    errors, better = ErrorSet(0.05, np.deg2rad(1.0), 2.0), []
    for seed in range(4):
        problem = small(seed)
        problem = replace(problem, interferer_powers=30 * problem.interferer_powers)
        nominal = solved([problem])
        rng = np.random.default_rng(seed)
        robust, worst = withstand(problem, errors, solved, 6, rng)
        assert problem.violation(robust.positions) <= 1e-9
        # with the errors that were found worst, exactly what is promised
        found = worst_errors(problem, errors, nominal.positions, nominal.beamformer, rng)
        assert worst.gain >= found.gain * (1 - 1e-3)
        least = least_drawn(problem, errors, 5000, seed, [nominal, robust])
        assert worst.gain <= least[1] * (1 + 1e-6)
        better.append(least[1] / least[0])
    assert min(better) > 1.0
    assert np.median(better) > 2.0


def test_the_answer_is_near_that_of_all_places_and_beamformers() -> None:
    """Two antennas on a line of seven places, gain errors: every pair, beamformers on a grid."""
    errors = ErrorSet(0.2, 0.0, 1.5)
    angle, phase = np.meshgrid(np.linspace(0, np.pi / 2, 41), np.linspace(0, 2 * np.pi, 60, False))
    every = np.stack([np.cos(angle), np.sin(angle) * np.exp(1j * phase)], -1).reshape(-1, 2)
    short = []
    for seed in range(3):
        problem = small(seed, antennas=2, clients=2, region=(1.5, 0.0))
        best = max(
            by_gain_errors(problem, 0.2, 1.5, np.array([[a, 0.0], [b, 0.0]]), every).max()
            for a, b in combinations(np.arange(7) * 0.25, 2)
            if b - a >= 0.5
        )
        _, worst = withstand(
            problem,
            errors,
            lambda some: solve(stacked(some), mode="fast", grid=0.25, seed=1),
            12,
            np.random.default_rng(0),
        )
        nominal = solve(problem, grid=0.25, seed=1)
        nominal_worst = by_gain_errors(problem, 0.2, 1.5, nominal.positions, nominal.beamformer)
        assert worst.gain >= nominal_worst * (1 - 1e-9)
        short.append(10 * np.log10(best / worst.gain))
    assert max(short) < 1.0


def test_an_answer_is_held_against_the_errors_found_for_the_others(monkeypatch) -> None:
    """A search that finds nothing for the last answer does not make it the best one."""
    problem, errors, asked = small(3), ErrorSet(0.1, 0.02, 2.0), []

    def missing_at_last(believed, errors, positions, w, rng):
        asked.append(worst_errors(believed, errors, positions, w, rng))
        missed = Worst(math.inf, believed)
        return missed if len(asked) == 3 else asked[-1]

    monkeypatch.setattr(worst_case, "worst_errors", missing_at_last)
    answer, worst = withstand(problem, errors, solved, 3, np.random.default_rng(0))
    assert len(asked) == 3, "three channels, three answers"
    assert worst.gain <= min(
        evaluate(one.problem, answer.positions, answer.beamformer) for one in asked[:2]
    ) * (1 + 1e-12)


def test_hardly_any_error_is_the_nominal_answer() -> None:
    problem = small(5)
    end, worst = withstand(problem, ErrorSet(1e-9, 1e-9, 1.0), solved, 8, np.random.default_rng(0))
    assert_array_equal(end.positions, solved([problem]).positions)
    assert worst.gain == pytest.approx(end.worst_gain, rel=1e-6)
    silent = replace(problem, weights=np.array([0.5, 0.0, 0.5]))
    kept = worst_errors(
        silent, ErrorSet(0.1, 0.0, 1.0), end.positions, end.beamformer, np.random.default_rng(0)
    )
    assert_array_equal(kept.problem.gains[1], problem.gains[1])
    assert 0 < kept.gain < np.inf


PLACES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])


def radio_of(scenario):
    run = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
    return run.scheme.array, run.repetition.radio(1)


def test_a_run_places_antennas_for_the_worst_errors(small_scenario) -> None:
    scenario = with_settings(small_scenario, **WORST)
    array, radio = radio_of(scenario)
    weights, start = np.full(3, 1 / 3), array.start()
    nominal_array, nominal = radio_of(with_settings(small_scenario, **FAST))
    places = array.place(radio, weights, start)
    assert_array_equal(places, array.place(radio, weights, start))
    errors = ErrorSet(0.05, np.deg2rad(1.0), scenario.placement.robust_deviations)
    problem = radio.problem(weights)

    def worst(at, link) -> float:
        w = link.at(at).best_beamformer(weights).beamformer
        assert np.abs(problem.auxiliary_channel(at) @ w.conj()).min() == pytest.approx(1.0)
        return worst_errors(problem, errors, at, w, np.random.default_rng(0)).gain

    plain = nominal_array.place(nominal, weights, start)
    assert not np.allclose(places, plain)
    assert worst(places, radio) > worst(plain, nominal)
    assert worst(PLACES, radio) >= worst(PLACES, nominal) * (1 - 1e-6)
    run = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
    assert run.run_round()["mse"] > 0


def test_without_errors_it_is_the_nominal_problem(small_scenario) -> None:
    asked = with_settings(small_scenario, placement__robust="worst-case")
    assert radio_of(asked)[1].robust is None
    runs = [run_with(s, "movable", 1, QuadraticLearner(s, 1)) for s in (small_scenario, asked)]
    lines = [[run.run_round()["mse"] for _ in range(2)] for run in runs]
    assert lines[0] == lines[1]


def test_spherical_waves_of_a_file_are_one_message(small_scenario) -> None:
    _, radio = radio_of(with_settings(small_scenario, **WORST))
    clients = radio.perceived.clients
    far = replace(clients, distances=np.full(clients.gains.shape, 30.0))
    both = replace(radio.perceived, clients=far)
    near = replace(radio, block=replace(radio.block, perceived=both))
    with pytest.raises(InputError, match=r"placement\.robust = worst-case: .*spherical"):
        near.at(PLACES).best_beamformer(np.full(3, 1 / 3))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"placement": {"robust_deviations": 0}}, r"placement\.robust_deviations = 0"),
        ({"radio": {"resource_blocks": 2}}, r"radio\.resource_blocks = 2.*worst-case"),
        (
            {"radio": {"paths": {"scatterer_distance_m": [1, 5]}}},
            r"scatterer_distance_m.*worst-case",
        ),
        ({"planning": {"movement": "priced"}}, r"planning\.movement = priced.*worst-case"),
        ({"planning": {"movement": "statistical"}}, r"planning\.movement = stat.*worst-case"),
        ({"placement": {"travel_price_db": 1}}, r"placement\.travel_price_db = 1.*worst-case"),
        ({"aggregation": {"alignment": "capped"}}, r"aggregation\.alignment = .*worst-case"),
        (
            {"radio": {"csi": {"beamformer": "measured"}}, "placement": {"refinements": 1}},
            r"placement\.refinements = 1.*worst-case",
        ),
    ],
)
def test_what_is_not_handled_is_one_message(given: dict, words: str) -> None:
    given = {**given, "placement": {"robust": "worst-case", **given.get("placement", {})}}
    with pytest.raises(InputError, match=words) as error:
        parse(given)
    assert len(str(error.value)) <= 400


def test_the_errors_are_those_of_the_law_of_csi() -> None:
    """With radius sqrt(dimension) the ball holds what `sampled` draws: lengths of errors agree."""
    csi = Csi(gain_error=0.05, angle_error_deg=2.0)
    problem = small(0, clients=40, paths=1)
    drawn = Robust(csi, 64).problem(problem, np.random.default_rng(0))
    size = np.abs(drawn.gains.reshape(64, 40)[1:] / problem.gains.ravel() - 1)
    xi = np.zeros((40, 1, 4))
    xi[..., 0] = 1.0
    one = ErrorSet(0.05, np.deg2rad(2.0), 1.0).applied(problem.gains, problem.directions, xi)
    step = np.abs(one[0] / problem.gains - 1)
    assert np.sqrt((size**2).mean()) == pytest.approx(np.sqrt(2) * step.mean(), rel=0.05)
    xi = np.zeros((40, 1, 4))
    xi[..., 2] = 1.0
    one = ErrorSet(0.05, np.deg2rad(2.0), 1.0).applied(problem.gains, problem.directions, xi)
    turn = np.arccos(np.clip((lift(one[1]) * lift(problem.directions)).sum(axis=-1), -1, 1))
    inside = np.linalg.norm(problem.directions, axis=-1) < 0.95
    np.testing.assert_allclose(turn[inside], np.deg2rad(2.0), rtol=1e-6)


def test_beamformers_at_given_places_withstand_more() -> None:
    problem = small(1)
    problem = replace(problem, interferer_powers=30 * problem.interferer_powers)
    errors, rng = ErrorSet(0.05, np.deg2rad(1.0), 2.0), np.random.default_rng(0)
    nominal = beamform(problem, PLACES / 2)
    before = worst_errors(problem, errors, PLACES / 2, nominal.beamformer, rng)
    _, after = withstand(problem, errors, lambda some: beamform(stacked(some), PLACES / 2), 8, rng)
    assert after.gain > before.gain


def test_errors_that_silence_a_client_whatever_the_answer_leave_the_believed_one() -> None:
    """A single path that may vanish: no answer withstands that, and one for it serves nobody."""
    for seed in range(3):
        problem = small(seed, paths=1)
        errors, rng = ErrorSet(0.8, 0.0, 2.0), np.random.default_rng(seed)
        answer, worst = withstand(problem, errors, solved, 6, rng)
        nominal = solved([problem])
        assert worst.gain < 1e-9 * nominal.worst_gain
        assert_array_equal(answer.positions, nominal.positions)
        assert_array_equal(answer.beamformer, nominal.beamformer)
