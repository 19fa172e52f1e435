"""Places chosen by paths that have gone on when the clients send (`radio.csi.age_s`)."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from airtune.errors import InputError
from airtune.planning.repetition import Repetition
from airtune.radio.channels.base import Block, Channel, Transmitters
from airtune.rounds import places
from airtune.rounds.places import Standing
from airtune.scenario.file import parse
from quadratic import QuadraticLearner, run_with
from rounds.test_federated import with_settings

WALKING = {
    "radio__channel": "tracks",
    "radio__csi__beamformer": "measured",
    "radio__silent_symbols": 400,
    "radio__pilot_symbols_per_client": 400,
    "clients__tx_power_dbm": 30.0,
    "radio__interferers__tx_power_dbm": 35.0,
}


def arrival(scenario, scheme: str = "movable", index: int = 1, computing_s: float = 0.25):
    """The radio of a round when it opens, and where the antennas come to stand in it."""
    run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
    state, repetition = run.state, run.repetition
    weights = state.effective_weights
    now = Standing(
        repetition, run.scheme, run.current, 0, state.positions, weights, computing_s=computing_s
    )
    radio = run.faults.radio(index, run.faults.of_round(index), repetition.radio)
    clients = np.arange(scenario.clients.count)
    return run, radio, places.arrive(now, radio, run._forecast, clients, lambda moved: None)


def assert_same(one: Transmitters, other: Transmitters) -> None:
    for a, b in ((one.clients, other.clients), (one.interferers, other.interferers)):
        assert_array_equal(a.gains, b.gains)
        assert_array_equal(a.directions, b.directions)


@pytest.mark.parametrize("overlap", [True, False])
def test_paths_are_as_old_as_computing_and_moving_take(small_scenario, overlap: bool) -> None:
    changes = {"radio__channel": "tracks", "radio__csi__age_s": "round"}
    scenario = with_settings(small_scenario, **changes, planning__overlap=overlap)
    for scheme, computing_s in (("movable", 1e-4), ("movable", 0.25), ("fixed", 0.25)):
        run, radio, there = arrival(scenario, scheme, 2, computing_s)
        move_s = there.moved.time_s
        assert (move_s > 1e-3) == (scheme == "movable")
        age = max(computing_s, move_s) if overlap else computing_s + move_s
        assert_same(there.link.radio.true, run.repetition.paths.later(2, age))
        assert_same(there.link.radio.perceived, radio.perceived)
        assert_same(radio.true, radio.perceived)  # known without error when the round opens


def test_a_jammer_stays_with_older_paths(small_scenario) -> None:
    changes = {"radio__csi__age_s": 0.1, "faults__jammer__share": 1.0}
    scenario = with_settings(small_scenario, radio__channel="tracks", **changes)
    run, radio, there = arrival(scenario)
    count = scenario.radio.interferers.count
    true = there.link.radio.true.interferers
    assert len(true.gains) == len(radio.true.interferers.gains) == count + 1
    assert_array_equal(true.gains[count:], radio.true.interferers.gains[count:])
    later = run.repetition.paths.later(1, 0.1).interferers
    assert_array_equal(true.gains[:count, : later.gains.shape[1]], later.gains)


def test_without_age_nothing_is_drawn_or_changed(small_scenario) -> None:
    scenario = with_settings(small_scenario, radio__channel="tracks")
    _, radio, there = arrival(scenario)
    assert there.link.radio is radio


def mse_db(scenario, scheme: str, rounds: int = 4) -> float:
    run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
    lines = [run.run_round() for _ in range(rounds)]
    return float(10 * np.log10(np.mean([line["mse"] for line in lines])))


def test_old_places_lose_what_they_were_chosen_for(small_scenario) -> None:
    """Beamformers are measured: of a fixed array old paths change nothing but the luck."""
    walking = with_settings(small_scenario, **WALKING)
    # a thousandth of the coherence time, and ten times as long
    fresh, old = (with_settings(walking, radio__csi__age_s=age) for age in (4e-5, 0.4))
    known = mse_db(walking, "movable")
    assert mse_db(fresh, "movable") == pytest.approx(known, abs=1.0)
    assert mse_db(old, "movable") > known + 3.0
    assert mse_db(old, "fixed") == pytest.approx(mse_db(walking, "fixed"), abs=3.0)


@pytest.mark.parametrize("channel", ["block-fading", "file"])
def test_paths_of_whole_rounds_have_no_age(channel: str) -> None:
    file = "x.npz" if channel == "file" else None
    radio = {"csi": {"age_s": "round"}, "channel": channel, "channel_file": file}
    with pytest.raises(InputError, match=r"csi\.age_s = round: must be 0 with channel = "):
        parse({"radio": radio})


def test_a_channel_without_later_paths_has_no_age(small_scenario) -> None:
    """A channel of one's own that says nothing of the time within a round."""

    class Still(Channel):
        def block(self, round_index: int) -> Block:
            return made.paths.block(round_index)

    scenario = with_settings(small_scenario, radio__channel="tracks")
    made = run_with(scenario, "fixed", 1, QuadraticLearner(scenario, 1)).repetition
    aged = with_settings(scenario, radio__csi__age_s=0.5)
    assert replace(made, channel=Still()).paths.max_doppler_hz is None
    with pytest.raises(InputError, match=r"radio\.csi\.age_s = 0\.5: must be 0 with") as caught:
        _ = replace(made, scenario=aged, channel=Still()).paths
    assert len(str(caught.value)) <= 400


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("scheme", ["movable", "fixed", "selection"])
def test_the_broadcast_goes_over_the_paths_of_the_beginning(
    small_scenario, monkeypatch, scheme: str, overlap: bool
) -> None:
    changes = {"radio__channel": "tracks", "radio__csi__age_s": 0.3, "planning__overlap": overlap}
    scenario = with_settings(small_scenario, **changes)
    run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
    links, made, old = [], Repetition.broadcast_link, run.state.positions

    def kept(self, array, before, upload, *others):
        links.append((upload, made(self, array, before, upload, *others)))
        return links[-1][1]

    monkeypatch.setattr(Repetition, "broadcast_link", kept)
    run.run_round()
    ((upload, broadcast),) = links
    paths = run.repetition.paths
    assert_same(broadcast.radio.true, paths.block(1).true)
    assert_same(upload.radio.true, paths.later(1, 0.3))
    moving = scheme == "movable" and overlap
    assert_array_equal(broadcast.positions, old if moving else upload.positions)


@pytest.mark.parametrize("overlap", [True, False])
def test_switched_ports_are_measured_just_before_the_clients_send(
    small_scenario, overlap: bool
) -> None:
    walking = {**WALKING, "radio__csi__age_s": "round", "planning__overlap": overlap}
    run, _, there = arrival(with_settings(small_scenario, **walking), "selection")
    assert there.link.radio.age_s == 0.25
    assert_same(there.link.radio.true, run.repetition.paths.later(1, 0.25))
    h = there.link.true.everybody.channel
    known = there.link.perceived.everybody.channel
    assert np.linalg.norm(known - h) < 0.2 * np.linalg.norm(h)


@pytest.mark.parametrize("overlap", [True, False])
def test_whoever_is_waited_for_makes_the_paths_older(
    small_scenario, monkeypatch, overlap: bool
) -> None:
    """Stragglers that take ten times as long: the age is that of the books."""
    changes = {
        "radio__channel": "tracks",
        "radio__csi__age_s": "round",
        "planning__overlap": overlap,
    }
    slow = {"faults__stragglers__share": 1.0, "faults__stragglers__slowdown": 10.0}
    ages, there, arrive = [], [], places.arrive

    def kept(*given):
        there.append(arrive(*given))
        return there[-1]

    monkeypatch.setattr(places, "arrive", kept)
    for more in ({}, slow):
        scenario = with_settings(small_scenario, **changes, **more)
        run = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
        there.clear()
        run.run_round()
        age, latency = there[0].link.radio.age_s, run.state.latency_s
        assert age == pytest.approx(latency.compute + latency.movement)
        ages.append((age, latency.compute))
    assert ages[1][1] == pytest.approx(10 * ages[0][1]) and ages[1][0] > ages[0][0]


def test_who_goes_back_finds_paths_that_have_gone_on(small_scenario) -> None:
    """Of steps that find more error the antennas return from: later, and to be measured again."""
    walking = {**WALKING, "radio__csi__age_s": "round", "placement__refinements": 1}
    walking["planning__movement"] = "each-round"
    scenario = with_settings(small_scenario, **walking, planning__overlap=False)
    run = run_with(scenario, "movable", 1, QuadraticLearner(scenario, 1))
    forecasts = []

    def worse(link):
        forecasts.append(link)
        error = -float(len(forecasts))  # the refined places are asked for first
        return SimpleNamespace(error=lambda backoff: error)

    state = run.state
    now = Standing(
        run.repetition, run.scheme, run.current, 0, state.positions, state.effective_weights,
        computing_s=0.1,
    )  # fmt: skip
    radio = run.repetition.radio(1)
    there = places.arrive(now, radio, worse, np.arange(3), lambda moved: None)
    found, before = forecasts
    assert 0.1 < before.radio.age_s < found.radio.age_s < there.link.radio.age_s
    assert there.link.radio.age_s == pytest.approx(0.1 + there.moved.time_s)
    assert_same(there.link.radio.true, run.repetition.paths.later(1, there.link.radio.age_s))
    np.testing.assert_allclose(sorted(map(tuple, there.link.positions)),
                               sorted(map(tuple, before.positions)))  # fmt: skip
    h = there.link.true.everybody.channel
    known = there.link.perceived.everybody.channel
    assert np.linalg.norm(known - h) < 0.2 * np.linalg.norm(h)
    # as often as pilots are booked: at the places, refined, and back
    assert run.repetition.remeasurements(run.scheme.array) == 3
    still = with_settings(scenario, radio__csi__age_s=0.0)
    assert replace(run.repetition, scenario=still).remeasurements(run.scheme.array) == 2
