"""Places and beamformers for sampled errors of what is believed."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from airtune.errors import InputError
from airtune.placement import Problem, solve
from airtune.placement.examples import random_problem
from airtune.placement.problem import evaluate
from airtune.radio.array import channel
from airtune.radio.channels.base import Paths
from airtune.radio.channels.csi import perceived_paths
from airtune.scenario import Csi
from airtune.scenario.file import parse
from airtune.schemes.robust import Robust
from airtune.streams import torch_seed
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import with_settings

WRONG = {"radio__csi__gain_error": 0.05, "radio__csi__angle_error_deg": 1.0}
SAMPLED = {**WRONG, "placement__robust": "sampled", "placement__robust_samples": 4}


def worst(problem: Problem, samples: int, positions, w) -> float:
    """min over clients and samples of |w^H g|^2 / (w^H mean(R) w), from the stacked paths."""
    K, J = len(problem.gains) // samples, len(problem.interferer_gains) // samples

    def at(gains, directions):
        return channel(Paths(gains, directions, np.zeros(gains.shape)), positions)

    h = at(problem.gains, problem.directions).reshape(samples, K, -1)
    v = at(problem.interferer_gains, problem.interferer_directions).reshape(samples, J, -1)
    limits = (problem.powers / problem.weights**2).reshape(samples, K)
    q = samples * problem.interferer_powers.reshape(samples, J)
    noise = problem.noise * np.eye(len(positions))
    R = np.mean([noise + np.einsum("j,jn,jm->nm", q[s], v[s], v[s].conj()) for s in range(samples)],
                axis=0)  # fmt: skip
    return float((limits * np.abs(h @ w.conj()) ** 2).min() / (w.conj() @ R @ w).real)


def believed_of(true: Problem, csi: Csi, rng: np.random.Generator) -> Problem:
    def wrong(gains, directions):
        paths = perceived_paths(Paths(gains, directions, np.zeros(gains.shape)), csi, rng)
        return paths.gains, paths.directions

    gains, directions = wrong(true.gains, true.directions)
    others = wrong(true.interferer_gains, true.interferer_directions)
    return replace(
        true,
        gains=gains,
        directions=directions,
        interferer_gains=others[0],
        interferer_directions=others[1],
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_answer_is_that_of_all_places_and_beamformers(seed: int) -> None:
    """Two antennas on a line of seven places: every pair, and beamformers on a fine grid."""
    nominal = random_problem(
        seed, antennas=2, clients=2, paths=3, interferers=1, region=(1.5, 0.0), spacing=0.5
    )
    sampled = Robust(Csi(gain_error=0.2, angle_error_deg=5.0), 3).problem(
        nominal, np.random.default_rng(seed)
    )
    found = solve(sampled, mode="exhaustive", grid=0.25, seed=1)
    value = worst(sampled, 3, found.positions, found.beamformer)
    assert value == pytest.approx(evaluate(sampled, found.positions, found.beamformer), rel=1e-9)
    angle, phase = np.meshgrid(np.linspace(0, np.pi / 2, 61), np.linspace(0, 2 * np.pi, 120, False))
    every = np.stack([np.cos(angle), np.sin(angle) * np.exp(1j * phase)], -1).reshape(-1, 2)
    best = 0.0
    for pair in combinations(np.arange(7) * 0.25, 2):
        if pair[1] - pair[0] < 0.5:
            continue
        positions = np.array([[pair[0], 0.0], [pair[1], 0.0]])
        # the same formula, all beamformers at once
        scale = np.sqrt(sampled.powers) / sampled.weights
        h = scale[:, None] * channel(
            Paths(sampled.gains, sampled.directions, np.zeros(sampled.gains.shape)), positions
        )
        gains = (np.abs(every.conj() @ h.T) ** 2).min(axis=1)
        losses = np.einsum("wn,nm,wm->w", every.conj(), sampled.covariance(positions), every).real
        best = max(best, float((gains / losses).max()))
    assert best <= value * (1 + 1e-9)
    assert value <= best * 1.05  # the grid of beamformers is that coarse


def test_the_stacked_problem_holds_the_believed_channel_and_the_mean_interference() -> None:
    nominal = random_problem(4, antennas=3, clients=2, paths=4, interferers=2)
    sampled = Robust(Csi(gain_error=0.1), 5).problem(nominal, np.random.default_rng(0))
    assert_array_equal(sampled.gains[:2], nominal.gains)
    assert_array_equal(sampled.interferer_gains[:2], nominal.interferer_gains)
    assert not np.array_equal(sampled.gains[2:4], nominal.gains)
    assert sampled.interferer_powers.sum() == pytest.approx(nominal.interferer_powers.sum())
    same = Robust(Csi(), 5).problem(nominal, np.random.default_rng(0))
    places = np.array([[0.0, 0.0], [1.0, 0.3], [2.0, 1.0]])
    np.testing.assert_allclose(same.covariance(places), nominal.covariance(places), rtol=1e-12)
    w = np.array([1.0, 0.4j, -0.7])
    assert evaluate(same, places, w) == pytest.approx(evaluate(nominal, places, w))


def test_places_that_allow_for_errors_are_better_where_there_are_some() -> None:
    csi, gains = Csi(gain_error=0.05, angle_error_deg=1.0), []
    for seed in range(16):
        true = random_problem(seed, antennas=4, clients=4, paths=5, interferers=2)
        true = replace(true, interferer_powers=100 * true.interferer_powers)
        rng = np.random.default_rng(100 + seed)
        believed = believed_of(true, csi, rng)
        placed = [
            solve(problem, mode="fast", seed=1)
            for problem in (believed, Robust(csi, 8).problem(believed, rng))
        ]
        gains.append([10 * np.log10(evaluate(true, p.positions, p.beamformer)) for p in placed])
    nominal, robust = np.transpose(gains)
    assert np.median(robust - nominal) > 1.0
    assert (robust > nominal).mean() >= 0.7
    assert np.median(robust) > np.median(nominal)


def test_without_errors_it_is_the_nominal_problem(small_scenario) -> None:
    asked = with_settings(small_scenario, placement__robust="sampled")
    runs = [run_with(s, "movable", 1, QuadraticLearner(s, 1)) for s in (small_scenario, asked)]
    assert runs[1].repetition.radio(1).robust is None
    lines = [[run.run_round()["mse"] for _ in range(2)] for run in runs]
    assert lines[0] == lines[1]


def test_beamformers_allow_for_errors_until_they_are_measured(small_scenario) -> None:
    weights, places = np.full(3, 1 / 3), np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])

    def link(**changes):
        scenario = with_settings(small_scenario, **changes)
        run = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
        return run, run.repetition.radio(1).at(places)

    nominal, (_, robust) = link(**WRONG)[1].best_beamformer(weights), link(**SAMPLED)
    best = robust.best_beamformer(weights)
    believed = robust.radio.problem(weights, places)
    assert best.worst_gain == pytest.approx(evaluate(believed, places, best.beamformer))
    assert best.worst_gain < nominal.worst_gain  # on what is believed
    assert robust.chosen(weights).worst_gain <= best.worst_gain * (1 + 1e-9)
    run, told = link(**SAMPLED, radio__csi__beamformer="measured")
    assert_array_equal(told.best_beamformer(weights).beamformer, nominal.beamformer)
    known = run.repetition.measured(told, run.scheme.array, np.arange(3), "places")
    assert known.radio.robust is None


def radio_of(scenario):
    run = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
    return run.scheme.array, run.repetition.radio(1)


PLACES = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])


def at(problem: Problem, clients: int) -> np.ndarray:
    """Channels of the stacked clients, shape (S, K, N)."""
    paths = Paths(problem.gains, problem.directions, np.zeros(problem.gains.shape))
    return channel(paths, PLACES).reshape(-1, clients, len(PLACES))


@pytest.mark.parametrize("near", [None, (2.0, 5.0)])
def test_sampled_channels_are_as_wrong_as_the_law_says(small_scenario, near) -> None:
    """A relative error of each gain is one of the channel: g^2 sum |a_l|^2 at every antenna."""
    changes = {
        "radio__csi__gain_error": 0.1,
        "radio__paths__scatterer_distance_m": near,
        "placement__robust": "sampled",
        "placement__robust_samples": 64,
    }
    _, radio = radio_of(with_settings(small_scenario, **changes))
    assert radio.near == (near is not None)
    paths = radio.perceived.clients
    for places in (PLACES, None):
        h = at(radio.chosen_for(np.full(3, 1 / 3), places), 3)
        if places is not None:
            np.testing.assert_allclose(h[0], channel(paths, PLACES), rtol=1e-6)
        wrong = np.mean(np.abs(h[1:] - h[0]) ** 2, axis=(0, 2))
        power = np.sum(np.abs(paths.gains) ** 2, axis=1)
        np.testing.assert_allclose(wrong, 0.1**2 * power, rtol=0.5)
        assert np.mean(wrong / power) == pytest.approx(0.1**2, rel=0.25)


def test_a_client_has_the_same_samples_whoever_else_sends(small_scenario) -> None:
    _, radio = radio_of(with_settings(small_scenario, **SAMPLED))
    everybody = radio.chosen_for(np.full(3, 1 / 3))
    two = radio.chosen_for(np.array([0.5, 0.0, 0.5]))
    shape = everybody.gains.shape[1]
    mine = everybody.gains.reshape(4, 3, shape)[:, [0, 2]].reshape(-1, shape)
    assert_array_equal(two.gains, mine)
    assert_array_equal(two.interferer_gains, everybody.interferer_gains)


def test_movable_antennas_go_where_the_samples_are_heard(small_scenario) -> None:
    """The places are those of the solver for the samples, not those for what is believed."""
    array, radio = radio_of(with_settings(small_scenario, **SAMPLED))
    weights, start = np.full(3, 1 / 3), array.start()
    seed = torch_seed(1, "placement", 1) % 2**31
    placed = array.place(radio, weights, start)
    for problem, same in ((radio.chosen_for(weights), True), (radio.problem(weights), False)):
        asked = solve(problem, mode=array.placement.mode, seed=seed, start=start)
        assert np.allclose(placed, asked.positions) == same


def test_the_weakest_client_has_gain_one_with_the_beamformer(small_scenario) -> None:
    _, radio = radio_of(with_settings(small_scenario, **SAMPLED))
    weights = np.full(3, 1 / 3)
    best, problem = radio.at(PLACES).best_beamformer(weights), radio.problem(weights)
    w, g = best.beamformer, problem.auxiliary_channel(PLACES)
    assert np.abs(g @ w.conj()).min() == pytest.approx(1.0)
    noise = (w.conj() @ problem.covariance(PLACES) @ w).real
    assert noise == pytest.approx(1.0 / best.worst_gain)


def test_bad_settings_are_one_message() -> None:
    for given, words in (
        ({"robust": "worst"}, r"placement\.robust = "),
        ({"robust_samples": 1}, r"placement\.robust_samples = 1"),
    ):
        with pytest.raises(InputError, match=words):
            parse({"placement": given})
