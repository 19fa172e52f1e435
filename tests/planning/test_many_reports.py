"""Pilots and reports of more clients than can report at once, for a plan."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from airtune.planning import many_reports
from airtune.planning.expected_radio import RadioTurn
from airtune.planning.many_reports import pilots_of_all
from airtune.schemes.air import base
from planning.test_alternate import repetition_of
from rounds.test_federated import with_settings

COUNT, TOGETHER = 9, 3
BITS = 600.0


@pytest.fixture
def turn(small_scenario) -> RadioTurn:
    scenario = with_settings(
        small_scenario,
        clients__count=COUNT,
        clients__concurrency=TOGETHER,
        clients__selection="random",
        aggregation__scale_reports="joint",
    )
    return RadioTurn(repetition_of(scenario), "fixed", 1, np.zeros((3, 2)))


def all_and_one(turn: RadioTurn, most: int, monkeypatch):
    """Pilots and reports of all, and of one set alone."""
    monkeypatch.setattr(many_reports, "MOST", most)
    repetition, air, everyone = turn.repetition, turn.scheme.air, np.arange(COUNT)
    places = np.array([[1.0, 1.0], [1.5, 1.0], [2.0, 1.0]])
    link = turn.scheme.array.expected_link(turn.radio, np.full(COUNT, 1 / COUNT), places)
    signalling = replace(
        repetition.signalling(turn.scheme.array, everyone, np.ones(COUNT, bool)),
        reporting=None,
        report_bits=np.full(COUNT, BITS),
    )
    sizes = repetition.matrix_sizes

    def of_set(group):
        return air.pilots(
            link, group, sizes, replace(signalling, report_bits=np.full(len(group), BITS))
        )

    return pilots_of_all(air, link, everyone, sizes, signalling, TOGETHER), of_set, signalling


def test_a_client_spends_what_it_does_in_a_set_of_those_that_transmit(turn, monkeypatch) -> None:
    found, of_set, signalling = all_and_one(turn, 0, monkeypatch)
    silent_s = signalling.silent_symbols / turn.repetition.scenario.radio.bandwidth_hz
    whole_s = silent_s
    for first in range(COUNT // TOGETHER):
        group = np.arange(first, COUNT, COUNT // TOGETHER)
        alone = of_set(group)
        np.testing.assert_allclose(found.pilot_j[group], alone.pilot_j, rtol=1e-9)
        np.testing.assert_allclose(found.times_s[group], alone.times_s, rtol=1e-9)
        whole_s += alone.pilot_s - silent_s
    assert found.pilot_s == pytest.approx(whole_s, rel=1e-9)


def test_sets_tell_of_the_mean_over_all_sets(turn, monkeypatch) -> None:
    found, of_set, _ = all_and_one(turn, 0, monkeypatch)
    seconds = [of_set(np.array(g)).pilot_s for g in itertools.combinations(range(COUNT), TOGETHER)]
    assert found.pilot_s * TOGETHER / COUNT == pytest.approx(np.mean(seconds), rel=0.25)


def test_few_clients_report_in_one_message(turn, monkeypatch) -> None:
    found, of_set, _ = all_and_one(turn, many_reports.MOST, monkeypatch)
    alone = of_set(np.arange(COUNT))
    np.testing.assert_array_equal(found.pilot_j, alone.pilot_j)
    assert found.pilot_s == alone.pilot_s


def test_no_message_of_more_clients_than_transmit_is_computed(turn, monkeypatch) -> None:
    """With thousands of clients it would take hours."""
    sent = []

    def counted(uplink, bits):
        sent.append(len(bits))
        return real(uplink, bits)

    real = base.at_once
    monkeypatch.setattr(base, "at_once", counted)
    monkeypatch.setattr(many_reports, "MOST", 0)
    turn.place(np.ones(COUNT, bool))
    assert sent
    assert max(sent) <= TOGETHER
