"""A surface whose phases follow from channels that are measured."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from airtune.planning import Repetition
from airtune.radio.array import channel
from airtune.radio.channels.base import Block, Paths
from airtune.registry import SCHEMES
from airtune.scenario import Csi, Scenario
from airtune.schemes import RadioRound
from airtune.schemes.arrays.base import Trial
from quadratic import QuadraticLearner
from rounds.test_federated import with_settings
from rounds.test_places import arrival

WRONG = {
    "radio__csi__gain_error": 0.3,
    "radio__csi__angle_error_deg": 3.0,
    "radio__pilot_symbols_per_client": 1000,
    "radio__silent_symbols": 400,
    "ris__elements": 16,
    "plan": "own",
}
MEASURED = {**WRONG, "radio__csi__beamformer": "measured"}


def seen(paths: Paths, places: np.ndarray) -> np.ndarray:
    return channel(paths, places)


def opened(scenario: Scenario) -> tuple[Any, RadioRound, np.ndarray, np.ndarray]:
    """The surface, the first round, places of the antennas, weights."""
    repetition = Repetition(scenario, 1, QuadraticLearner(scenario, 1))  # type: ignore[arg-type]
    array = SCHEMES["ris"].build(scenario, scenario.seed).array
    return array, repetition.radio(1), array.start(), np.full(3, 1 / 3)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_phases_are_better_where_channels_are_measured(small_scenario, seed: int) -> None:
    """The gain of the true air with the best beamformer for it: the phases are all that differs.

    Interferers send no pilots, so there are none.
    """
    strong = {"ris__base_intercept_db": 85.0, "ris__client_intercept_db": 85.0, "seed": seed}
    strong["radio__interferers__count"] = 0
    array, radio, places, weights = opened(with_settings(small_scenario, **WRONG, **strong))
    csi = Csi(gain_error=0.3, angle_error_deg=3.0)

    def gain_db(array: Any, radio: RadioRound) -> float:
        link = array.link(radio, weights, places)
        true = replace(link.radio, block=Block(link.radio.true, link.radio.true)).at(places)
        return 10 * float(np.log10(true.best_beamformer(weights).worst_gain))

    believed = gain_db(array, radio)
    told = gain_db(array.trained(radio, np.arange(3), Trial(places, 1000, csi)), radio)
    exact = {**WRONG, "radio__csi__gain_error": 0.0, "radio__csi__angle_error_deg": 0.0}
    known, clear, _, _ = opened(with_settings(small_scenario, **exact, **strong))
    best = gain_db(known, clear)
    assert best - believed > 1.0
    assert told - believed > 0.5 * (best - believed)


def test_without_errors_everything_is_as_without_measuring(small_scenario) -> None:
    exact = {**WRONG, "radio__csi__gain_error": 0.0, "radio__csi__angle_error_deg": 0.0}
    one, _ = arrival(with_settings(small_scenario, **exact), "ris")
    told, _ = arrival(
        with_settings(small_scenario, **exact, radio__csi__beamformer="measured"), "ris"
    )
    places = one.moved.positions
    for which in ("true", "perceived"):
        pair = (getattr(arrived.link.radio, which).clients for arrived in (one, told))
        a, b = (seen(paths, places) for paths in pair)
        assert np.array_equal(a, b)


def test_who_sends_no_pilots_is_believed_as_before(small_scenario) -> None:
    scenario = with_settings(small_scenario, **MEASURED)
    array, radio, places, weights = opened(scenario)
    trial = Trial(places, 1000, scenario.radio.csi)
    told = array.trained(radio, np.array([1]), trial)
    after = told.learnt.surface(array.fading.surface(1)[1]).incident
    before = array.fading.surface(1)[1].incident
    assert np.array_equal(after[[0, 2]], before[[0, 2]])
    assert not np.allclose(after[1], before[1])
    # another round knows nothing of it
    later = replace(radio, round=2)
    pair = (one.link(later, weights, places).radio.perceived for one in (array, told))
    a, b = (seen(paths.clients, places) for paths in pair)
    assert np.array_equal(a, b)


def test_what_is_known_of_hops_does_not_grow_old(small_scenario) -> None:
    """Other paths go on before the clients send; those of a surface are of the whole round."""
    exact = {**MEASURED, "radio__csi__gain_error": 0.0, "radio__csi__angle_error_deg": 0.0}
    array, radio, places, _ = opened(with_settings(small_scenario, **exact))
    told = array.trained(radio, np.arange(3), Trial(places, 10, Csi(gain_error=0.8))).learnt
    assert not np.allclose(told.direct.gains, radio.perceived.clients.gains, rtol=1e-6, atol=0)
    assert np.array_equal(
        told.surface(array.fading.surface(1)[1]).incident, array.fading.surface(1)[0].incident
    )
    assert np.array_equal(told.hops.base.gains, array.fading.hops(1)[0].base.gains)


@pytest.mark.parametrize("bits", [None, 2])
def test_pilots_of_a_large_surface_are_counted_without_its_training(small_scenario, bits) -> None:
    changes = {**WRONG, "ris__elements": 10_000, "ris__phase_bits": bits}
    array, _, _, _ = opened(with_settings(small_scenario, **changes))
    tracemalloc.start()
    try:
        assert array.soundings == (10_001 if bits is None else 10_008)
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("told", [True, False])
def test_a_surface_before_an_array_with_a_dead_antenna(small_scenario, told: bool) -> None:
    faults = {"faults__antennas__dead": 1, "faults__antennas__dead_known": told}
    there, _ = arrival(with_settings(small_scenario, **MEASURED, **faults), "ris")
    assert np.isfinite(there.link.true.everybody.channel).all()
