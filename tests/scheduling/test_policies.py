"""Selection policies that look at single clients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.bound.convergence import BoundConstants
from airtune.errors import InputError
from airtune.radio.channels.base import Block, Transmitters
from airtune.radio.channels.block_fading import BlockFading
from airtune.radio.units import interferer_powers, receiver_noise
from airtune.registry import POLICIES, SCHEMES
from airtune.scenario import Scenario
from airtune.scenario.names import check_names
from airtune.scheduling import Candidates, Choice, Policy, choose
from airtune.schemes import RadioRound

SINGLE = ("all", "random", "best-channel", "proportional-fair")


def scenario_of(count: int, limit: int, selection: str, **clients: object) -> Scenario:
    section = {"count": count, "concurrency": limit, "selection": selection, **clients}
    return Scenario.model_validate({"clients": section, "array": {"antennas": 3}})


def candidates_of(
    scenario: Scenario, *, seed: int = 1, index: int = 1, clients: np.ndarray | None = None
) -> Candidates:
    block = BlockFading(scenario.radio, scenario.clients, seed).block(index)
    count = scenario.clients.count
    omega = np.random.default_rng(seed).dirichlet(np.ones(count))
    array = SCHEMES["fixed"].build(scenario, seed).array
    return Candidates(
        radio=RadioRound.of(scenario, seed, index, block),
        clients=np.arange(count) if clients is None else clients,
        limit=scenario.clients.limit,
        omega=omega,
        scaled_weights=omega,
        batch_sizes=np.full(count, 8),
        average_rates=np.zeros(count),
        array=array,
        positions=array.start(),
        constants=BoundConstants.from_mapping(scenario.bound.model_dump()),
        unbiased=scenario.clients.unbiased,
        fair_window=scenario.clients.fair_window,
    )


def perceiving(radio: RadioRound, perceived: Transmitters) -> RadioRound:
    """Return the round with other paths in the server's eyes."""
    return replace(radio, block=Block(radio.true, perceived))


def select(scenario: Scenario, candidates: Candidates) -> Choice:
    return POLICIES[scenario.clients.selection].select(candidates)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(SINGLE),
    count=st.integers(1, 12),
    limit=st.integers(1, 12),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_choices_are_few_enough_eligible_and_repeatable(name, count, limit, seed, data) -> None:
    limit = count if name == "all" else min(limit, count)
    eligible = np.array(
        sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=count)))
    )
    scenario = scenario_of(count, limit, name)
    candidates = candidates_of(scenario, seed=seed, clients=eligible)
    choice = select(scenario, candidates)
    assert len(choice.clients) == min(limit, len(eligible))
    assert set(choice.clients) <= set(eligible)
    assert (np.diff(choice.clients) > 0).all()
    assert choice.spread(candidates.omega).sum() == pytest.approx(1.0)
    again = select(scenario, candidates_of(scenario, seed=seed, clients=eligible))
    assert np.array_equal(choice.clients, again.clients)
    assert np.array_equal(choice.factors, again.factors)


def test_everybody_keeps_the_weights_to_the_last_bit() -> None:
    scenario = scenario_of(7, 7, "all")
    candidates = candidates_of(scenario)
    assert np.array_equal(select(scenario, candidates).spread(candidates.omega), candidates.omega)


def test_best_channel_is_the_best_of_all_sets_and_follows_a_permutation() -> None:
    scenario = scenario_of(9, 4, "best-channel")
    candidates = candidates_of(scenario)
    received = candidates.radio.powers * (
        np.abs(candidates.radio.perceived.clients.gains) ** 2
    ).sum(axis=1)
    strongest = set(np.argsort(received)[-4:])
    assert set(select(scenario, candidates).clients) == strongest
    order = np.random.default_rng(5).permutation(9)
    seen = candidates.radio.perceived
    shuffled = perceiving(candidates.radio, Transmitters(seen.clients.of(order), seen.interferers))
    other = select(scenario, replace(candidates, radio=shuffled, omega=candidates.omega[order]))
    assert set(order[other.clients]) == strongest


def test_sinr_is_the_mean_over_the_region() -> None:
    """At one antenna, averaged over places far apart, signal and interference separately."""
    scenario = Scenario.model_validate(
        {"clients": {"count": 2}, "radio": {"paths": {"count": 3}, "interferers": {"count": 2}}}
    )
    candidates = candidates_of(scenario)
    places = np.random.default_rng(0).uniform(0, 3000, (20_000, 2))
    block = candidates.radio.perceived

    def power(gains: np.ndarray, directions: np.ndarray) -> float:
        return float(np.mean(np.abs(np.exp(2j * np.pi * places @ directions.T) @ gains) ** 2))

    def powers(paths) -> np.ndarray:
        return np.array([power(a, u) for a, u in zip(paths.gains, paths.directions, strict=True)])

    noise = receiver_noise(scenario.radio)
    noise += interferer_powers(scenario.radio.interferers) @ powers(block.interferers)
    expected = candidates.radio.powers * powers(block.clients) / noise
    np.testing.assert_allclose(candidates.sinr, expected, rtol=0.05)


def test_channel_policies_see_what_the_server_perceives() -> None:
    scenario = scenario_of(6, 2, "best-channel")
    candidates = candidates_of(scenario)
    seen = candidates.radio.perceived
    weakest = np.argsort(candidates.sinr)[:2]
    gains = seen.clients.gains.copy()
    gains[weakest] *= 1e4
    radio = perceiving(
        candidates.radio, Transmitters(replace(seen.clients, gains=gains), seen.interferers)
    )
    assert set(select(scenario, replace(candidates, radio=radio)).clients) == set(weakest)


def rotate(name: str, rounds: int, count: int = 6, limit: int = 2, **clients: object) -> np.ndarray:
    """Return the participation counts of a policy over rounds of one channel."""
    scenario = scenario_of(count, limit, name, **clients)
    fading = BlockFading(scenario.radio, scenario.clients, 3)
    counts, candidates = np.zeros(count, int), candidates_of(scenario, seed=3)
    for index in range(1, rounds + 1):
        true = fading.block(index).true
        radio = RadioRound.of(scenario, 3, index, Block(true, true))
        choice = select(scenario, replace(candidates, radio=radio))
        counts[choice.clients] += 1
        if choice.average_rates is not None:
            candidates = replace(candidates, average_rates=choice.average_rates)
    return counts


def test_proportional_fair_averages_as_by_hand() -> None:
    scenario = scenario_of(4, 1, "proportional-fair", fair_window=4.0)
    candidates = candidates_of(scenario)
    rates = np.log2(1 + candidates.sinr)
    average = np.full(4, rates.mean() / 4)
    for _ in range(12):
        choice = select(scenario, candidates)
        best = int(np.argmax(rates / average))
        assert choice.clients.tolist() == [best]
        average = 0.75 * average
        average[best] += 0.25 * rates[best]
        np.testing.assert_allclose(choice.average_rates, average)
        candidates = replace(candidates, average_rates=choice.average_rates)


def test_proportional_fair_serves_everybody_alike_and_best_channel_does_not() -> None:
    fair, best = rotate("proportional-fair", 300), rotate("best-channel", 300)
    assert fair.sum() == best.sum() == 600
    assert fair.min() >= 75  # an even share is 100
    assert best.min() < 5


def test_proportional_fair_reaches_the_even_shares_of_its_optimum() -> None:
    """Constant rates: sum log(share_k r_k) is largest at equal shares, whatever the rates."""
    scenario = scenario_of(5, 2, "proportional-fair", fair_window=50.0)
    candidates, counts = candidates_of(scenario), np.zeros(5)
    for index in range(1000):
        choice = select(scenario, candidates)
        counts[choice.clients] += index >= 500
        candidates = replace(candidates, average_rates=choice.average_rates)
    np.testing.assert_allclose(counts / 1000, 0.2, atol=0.01)


def test_random_sets_are_uniform_and_the_same_for_all_schemes() -> None:
    counts = rotate("random", 1500, count=5, limit=2)
    # 600 expected, standard deviation sqrt(1500 * 0.4 * 0.6) = 19
    assert np.abs(counts - 600).max() < 5 * 19
    scenario = scenario_of(8, 3, "random")
    one = candidates_of(scenario)
    other = replace(
        one, array=SCHEMES["movable"].build(scenario, 1).array, scaled_weights=one.omega[::-1]
    )
    assert np.array_equal(select(scenario, one).clients, select(scenario, other).clients)


def test_unbiased_draws_have_the_mean_over_all_clients_as_their_expectation() -> None:
    scenario = scenario_of(5, 2, "random", unbiased=True)
    candidates = candidates_of(scenario)
    rounds = 4000
    mean = np.zeros(5)
    for index in range(rounds):
        radio = replace(candidates.radio, round=index)
        choice = select(scenario, replace(candidates, radio=radio))
        assert choice.bias_free
        assert len(choice.clients) <= 2
        mean += choice.spread(candidates.omega) / rounds
    # each entry is a mean of draws of variance omega (1 - omega) / 2
    deviation = np.sqrt(candidates.omega * (1 - candidates.omega) / 2 / rounds)
    assert (np.abs(mean - candidates.omega) < 5 * deviation).all()


@pytest.mark.parametrize(
    ("clients", "message"),
    [
        ({"count": 4, "concurrency": 5, "selection": "random"}, "must be at most count = 4"),
        ({"count": 4, "concurrency": 2}, "selection = all: must be random, best-channel"),
        ({"count": 4, "concurrency": 0, "selection": "random"}, "greater than or equal to 1"),
        ({"selection": "best-channel", "unbiased": True}, "unbiased = true: needs selection"),
        ({"fair_window": 1.0}, "greater than 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(clients, message) -> None:
    with pytest.raises(ValueError, match=message):
        Scenario.model_validate({"clients": clients})


def test_a_policy_that_nobody_offers_is_refused_before_a_run() -> None:
    scenario = Scenario.model_validate({"clients": {"selection": "fastest"}})
    with pytest.raises(InputError, match="'fastest': must be one of all, random, best-channel"):
        check_names(scenario)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "returned NoneType"),
        (Choice(np.array([], int), np.array([])), "chose 0 clients; 1 to 2 may send"),
        (Choice(np.arange(3), np.ones(3)), "chose 3 clients"),
        (Choice(np.array([1, 1]), np.ones(2)), "each once"),
        (Choice(np.array([2, 1]), np.ones(2)), "ascending"),
        (Choice(np.array([-1, 0]), np.ones(2)), "must be candidates"),
        (Choice(np.array([0, 99]), np.ones(2)), "must be candidates"),
        (Choice(np.array([0, 1]), np.array([1.0, np.nan])), "must be positive numbers"),
        (Choice(np.array([0, 1]), np.ones(1)), "must be positive numbers"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_refused(answer, message: str) -> None:
    class Wrong(Policy):
        about = "answers what it should not"

        def select(self, candidates):
            return answer

    known = candidates_of(scenario_of(4, 2, "random"))
    with pytest.raises(InputError, match=message) as caught:
        choose("wrong", Wrong(), known)
    assert "clients.selection = 'wrong': in round" in str(caught.value)
