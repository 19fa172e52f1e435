"""Pilots, reports and silence of a round, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.planning import Repetition
from airtune.radio.successive import sdma
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from airtune.schemes import Signalling
from quadratic import QuadraticLearner
from schemes.radio import SIZES, air_of, gaussian, link_of, radio_of, scenario_with, uploads_of

CLIENTS = np.arange(10)
FAST = {"placement__mode": "fast", "ris__elements": 16}


def repetition_of(scenario: Scenario) -> Repetition:
    return Repetition(scenario, 1, QuadraticLearner(scenario))  # type: ignore[arg-type]


def test_electronics_and_pilots_of_every_array() -> None:
    scenario = scenario_with(**FAST, array__field_pilots=3)
    fronts = {name: SCHEMES[name].build(scenario, 1).array for name in SCHEMES}
    found = {
        name: (a.front_end.chains, a.front_end.ports, a.front_end.surface, a.soundings)
        for name, a in fronts.items()
    }
    plain = (4, 0, False, 1)
    assert (
        found["fixed"] == found["sparse"] == found["random-position"] == found["digital"] == plain
    )
    assert found["fixed-2n"] == (8, 0, False, 1)
    assert found["selection"] == found["selection-compact"] == (4, 16, False, 4)
    assert found["ris"] == (4, 0, True, 17)
    assert found["movable"] == (4, 0, False, 3)
    assert found["ideal"][0] == 0
    assert [fronts[name].listenings for name in ("movable", "selection", "ris")] == [3, 1, 1]


@pytest.mark.parametrize(("name", "times"), [("movable", 3), ("selection", 4), ("ris", 17)])
def test_pilots_are_booked_by_array_or_alike(name: str, times: int) -> None:
    scenario = scenario_with(**FAST, array__field_pilots=3, radio__silent_symbols=None)
    array = SCHEMES[name].build(scenario, 1).array
    by_array = scenario_with(scenario, radio__pilot_rule="by-array")
    alike, own = (repetition_of(s).signalling(array, CLIENTS) for s in (scenario, by_array))
    assert (alike.soundings, own.soundings) == (1, times)
    assert alike.silent_symbols == 40  # 10 for each of 4 chains
    assert own.silent_symbols == (120 if name == "movable" else 40)


@pytest.mark.parametrize(("bits", "trained"), [(None, 17), (1, 20), (3, 20)])
def test_a_surface_is_sounded_in_training_configurations_and_once_set(bits, trained) -> None:
    """M + 1 = 17 unknown vectors; stepped phases take a Hadamard matrix."""
    scenario = scenario_with(
        **FAST,
        ris__phase_bits=bits,
        radio__pilot_rule="by-array",
        radio__silent_symbols=40,
        radio__csi__beamformer="measured",
    )
    array = SCHEMES["ris"].build(scenario, 1).array
    told = repetition_of(scenario).signalling(array, CLIENTS)
    assert (told.soundings, told.silent_symbols) == (trained + 1, 80)
    believed = scenario_with(scenario, radio__csi__beamformer="paths")
    told = repetition_of(believed).signalling(array, CLIENTS)
    assert (told.soundings, told.silent_symbols) == (trained, 40)
    fixed = SCHEMES["fixed"].build(scenario, 1).array
    assert repetition_of(scenario).signalling(fixed, CLIENTS).soundings == 1


def test_all_who_may_be_chosen_send_pilots_where_the_choice_looks_at_channels() -> None:
    changes = {"radio__pilot_rule": "by-array", "clients__concurrency": 3}
    sounded = {}
    for policy in ("best-channel", "proportional-fair", "joint", "random"):
        scenario = scenario_with(**FAST, **changes, clients__selection=policy)
        array = SCHEMES["fixed"].build(scenario, 1).array
        sounded[policy] = repetition_of(scenario).signalling(array, CLIENTS).sounded
    assert sounded.pop("random") is None
    assert all(who.tolist() == CLIENTS.tolist() for who in sounded.values())


def test_pilots_and_silence_by_hand() -> None:
    scenario = scenario_with(**FAST)
    link, air = link_of(scenario, "fixed"), air_of(scenario, "fixed")
    few, nobody = np.array([1, 4]), np.zeros(2, dtype=bool)
    plan = Signalling(np.array([0, 1, 4]), soundings=5, silent_symbols=70, reporting=nobody)
    booked = air.pilots(link, few, SIZES, plan)
    radio = scenario.radio
    each = 5 * radio.pilot_symbols_per_client / radio.bandwidth_hz
    assert booked.senders.tolist() == [0, 1, 4]
    assert booked.sending_s == pytest.approx([each] * 3)
    assert booked.pilot_j == pytest.approx(link.radio.powers[[0, 1, 4]] * each)
    assert booked.pilot_s == pytest.approx(3 * each + 70 / radio.bandwidth_hz)
    in_full = air.pilots(link, few, SIZES, replace(plan, reporting=None))
    bits = 2 * len(SIZES) * scenario.aggregation.scale_bits
    turns = bits / air.single_user_rates(link, few)
    assert in_full.sending_s == pytest.approx([each, each + turns[0], each + turns[1]])
    assert in_full.pilot_s == pytest.approx(booked.pilot_s + turns.sum())


def test_joint_reports_take_the_time_of_one_message_at_simultaneous_rates() -> None:
    scenario = scenario_with(**FAST, aggregation__scale_reports="joint")
    link, air = link_of(scenario, "fixed"), air_of(scenario, "fixed")
    bits = np.array([64.0, 0.0, 32.0])
    some, silent = np.array([0, 3, 5]), replace(Signalling(), reporting=np.zeros(3, dtype=bool))
    alone = air.pilots(link, some, SIZES, silent)
    booked = air.pilots(link, some, SIZES, Signalling(report_bits=bits))
    both = np.array([0, 5])
    message = sdma(air.uplink(link, both), bits[[0, 2]])
    assert booked.pilot_s - alone.pilot_s == pytest.approx(message.time_s)
    added = booked.sending_s - alone.sending_s
    assert added == pytest.approx([message.time_s, 0.0, message.time_s])
    in_turn = bits[[0, 2]] / air.single_user_rates(link, both)
    assert message.time_s <= in_turn.sum() * (1 + 1e-9)
    joules = booked.pilot_j - alone.pilot_j
    assert joules[[0, 2]] == pytest.approx(message.energies_j)


@pytest.mark.parametrize("name", ["fixed", "truncated", "cotaf", "obda"])
def test_reports_after_the_first_cost_half_and_keep_the_power_limit(name: str) -> None:
    scenario = scenario_with(**FAST, aggregation__scale_reports="joint")
    link, air = link_of(scenario, name), air_of(scenario, name)
    updates = gaussian(10)
    first = air.combine(uploads_of(updates), link, 1.0)
    again = air.combine(uploads_of(0.9 * updates, memory=first.memory), link, 1.0)
    full = air.reported_bits(SIZES)
    sent = np.ones(10, bool) if first.transmitted is None else first.transmitted
    assert first.report_bits == pytest.approx(np.where(sent, full, 0))
    assert again.report_bits == pytest.approx(np.where(sent, full / 2, 0))
    assert set(first.memory) == set(np.flatnonzero(sent))
    limit = link.radio.powers * first.uplink_s
    for received in (first, again):
        assert np.all(received.uplink_j <= limit * (1 + 1e-9))
    exact = scenario_with(scenario, aggregation__scale_reports="sequential")
    plain = air_of(exact, name).combine(uploads_of(updates), link, 1.0)
    assert plain.report_bits is None
    assert first.mse == pytest.approx(plain.mse, rel=0.1)  # rounded scales are as good


def test_an_air_out_of_range_names_settings() -> None:
    radio = radio_of(scenario_with())
    with pytest.raises(InputError, match=r"clients\.tx_power_dbm.*faults\.poison\.scale") as raised:
        radio.problem(np.full(10, 1e-40))
    assert len(str(raised.value)) <= 390
