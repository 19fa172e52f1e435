"""Receivers of all schemes are made from what the server knows of the air."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from airtune.schemes import Uploads
from quadratic import QuadraticLearner, run_with
from rounds.test_faults import rounds_of
from rounds.test_federated import with_settings


@pytest.mark.parametrize("fault", ["jammer", "antennas"])
@pytest.mark.parametrize("scheme", ["digital", "feedsign"])
def test_packets_too_are_received_by_what_the_server_knows(
    small_scenario, scheme: str, fault: str
) -> None:
    """An unknown jammer, or dead antennas, cost more airtime than known ones, and no packet."""
    settings: dict[str, dict[str, Any]] = {
        "jammer": {"share": 1.0, "power_dbm": 23.0, "known": False},
        "antennas": {"dead": 2, "dead_known": False},
    }
    name = {"jammer": "known", "antennas": "dead_known"}[fault]
    told = {}
    for known in (False, True):
        one = {**settings[fault], name: known}
        scenario = with_settings(small_scenario, array__antennas=4, **{f"faults__{fault}": one})
        told[known] = rounds_of(scenario, scheme, 2)
    for unknown, known in zip(told[False], told[True], strict=True):
        assert unknown["round_latency_s"]["uplink"] > 1.1 * known["round_latency_s"]["uplink"]
        if fault == "jammer":  # known dead antennas change the plan, too
            assert unknown["loss"] == known["loss"]


@pytest.mark.parametrize("scheme", ["digital", "movable", "fixed"])
def test_a_plan_does_not_count_with_dead_antennas_that_nobody_knows(
    small_scenario, scheme: str
) -> None:
    dead = {"dead": 3, "dead_known": False}
    plain = with_settings(small_scenario, array__antennas=4)
    hurt = with_settings(small_scenario, array__antennas=4, faults__antennas=dead)
    told = [
        run_with(one, scheme, 1, QuadraticLearner(one, 1)).current.joint.to_dict()
        for one in (plain, hurt)
    ]
    assert told[0] == told[1]


def test_energies_are_weighed_by_what_the_server_knows(small_scenario) -> None:
    loud = {"share": 1.0, "power_dbm": 40.0}
    errors = {}
    for known in (False, True):
        scenario = with_settings(
            small_scenario, array__antennas=4, faults__jammer={**loud, "known": known}
        )
        errors[known] = np.mean([line["mse"] for line in rounds_of(scenario, "non-coherent", 3)])
    assert errors[False] > 1.2 * errors[True]


def test_words_are_counted_with_the_noise_that_the_server_expects(small_scenario) -> None:
    """Under an unknown jammer the count trusts its sums as in quiet air."""
    run = run_with(small_scenario, "massive-digital", 1, QuadraticLearner(small_scenario, 1))
    radio = run.repetition.radio(1)
    loud = replace(radio.budget, interferer_powers=1e3 * radio.budget.interferer_powers)
    omega = np.array([0.2, 0.3, 0.5])
    rng = np.random.default_rng(0)
    sent = Uploads(rng.laplace(size=(3, 600)), np.arange(3), omega, np.array([600]))
    quiet, fooled, warned = (
        run.scheme.air.combine(sent, run.scheme.array.link(one, omega, run.state.positions), 1.0)
        for one in (radio, replace(radio, true_budget=loud), replace(radio, budget=loud))
    )
    assert quiet.mse < warned.mse < fooled.mse
