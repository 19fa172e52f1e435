"""Channels by way of a surface, measured in training configurations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.radio.array import channel, covariance
from airtune.radio.channels.block_fading import BlockFading
from airtune.radio.layouts import fixed_array
from airtune.radio.surface import Hops, SurfaceFading
from airtune.radio.training import (
    Scene,
    Steps,
    _Fit,
    configurations,
    learnt_direct,
    learnt_hops,
    soundings,
    train,
)
from airtune.radio.units import LinkBudget
from airtune.scenario import Csi, Scenario

M, K, N = 12, 3, 4
CSI = Csi(gain_error=0.1, angle_error_deg=0.5)


def cell(seed: int, csi: Csi = CSI, others: int = 2) -> tuple[list[Hops], list[Scene]]:
    """The hops and the scene of a round, true and believed."""
    scenario = Scenario.model_validate(
        {
            "ris": {"elements": M},
            "clients": {"count": K},
            "radio": {"csi": csi.model_dump(), "interferers": {"count": others}},
        }
    )
    radio, clients = scenario.radio, scenario.clients
    hops = SurfaceFading(scenario.ris, radio, clients, seed).hops(2)
    block = BlockFading(radio, clients, seed).block(2)
    places, budget = fixed_array(N, scenario.array.region), LinkBudget.of(radio, clients)
    paths = (block.true, block.perceived)
    scenes = [
        Scene(one, hop.surface(), budget, places) for one, hop in zip(paths, hops, strict=True)
    ]
    return list(hops), scenes


def cascaded(hops: Hops, scene: Scene) -> np.ndarray:
    surface = hops.surface()
    return surface.incident[:, None, :] * surface.to_antennas(scene.positions)


def off(found: np.ndarray, true: np.ndarray) -> float:
    return float(np.sum(np.abs(found - true) ** 2) / np.sum(np.abs(true) ** 2))


@given(st.integers(1, 70), st.booleans())
@settings(max_examples=30, deadline=None)
def test_configurations_are_orthogonal_and_can_be_set(elements: int, stepped: bool) -> None:
    X = configurations(elements, stepped)
    assert np.allclose(X.conj().T @ X, len(X) * np.eye(elements + 1), atol=1e-9)
    assert np.allclose(np.abs(X), 1.0)
    assert np.allclose(X[:, 0], 1.0)
    assert len(X) == soundings(elements, stepped) >= elements + 1
    assert np.allclose(configurations(elements, stepped, np.array([len(X) - 1])), X[-1:])
    if stepped:  # every resolution of the phases has 0 and pi
        assert set(np.unique(X.real)) <= {-1.0, 1.0}
        assert len(X) < 2 * (elements + 1)
        assert len(X) < 1.3 * (elements + 1) or elements < 16
    else:
        assert len(X) == elements + 1


def test_large_surfaces_are_worked_on_in_parts() -> None:
    """All T (M + 1) phases of 10 000 elements would take 1.6 GB, in steps 2.6 GB."""
    assert (soundings(10_000), soundings(10_000, True)) == (10_001, 10_008)
    which = np.array([1, 5, 10_000])
    X = configurations(10_000, False, which)
    assert np.allclose(X @ X.conj().T, 10_001 * np.eye(3), atol=1e-6)
    X = configurations(16_383, True, which)
    assert np.array_equal(X @ X.conj().T, 16_384 * np.eye(3))


@pytest.mark.parametrize("at_once", [64, 5])
@pytest.mark.parametrize("stepped", [False, True])
def test_without_noise_the_measurement_is_the_channel(
    stepped: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airtune.radio.training._AT_ONCE", at_once)
    hops, scenes = cell(1)
    told = train(scenes[0], np.full(K, 1e30), np.random.default_rng(0), stepped_phases=stepped)
    assert off(told.cascaded, cascaded(hops[0], scenes[0])) < 1e-12
    assert off(told.direct, channel(scenes[0].direct.clients, scenes[0].positions)) < 1e-12


def test_errors_are_as_large_as_they_are_said_to_be() -> None:
    """Their covariance by many trainings; the mean of R by every configuration's own."""
    hops, scenes = cell(1)
    scene, X, pilots = scenes[0], configurations(M), np.array([1e3, 1e4, 1e5])
    surface, v = hops[0].surface(), channel(scene.direct.interferers, scene.positions)
    D = surface.to_antennas(scene.positions)
    every = [
        covariance(
            v + (surface.interference * row[1:]) @ D.T,
            scene.budget.interferer_powers,
            scene.budget.noise,
        )
        for row in X
    ]
    assert np.allclose(scene.mean_noise, np.mean(every, axis=0), rtol=1e-9, atol=0)
    rng, H, found = np.random.default_rng(1), cascaded(hops[0], scene), np.zeros((K, N))
    for _ in range(300):
        told = train(scene, pilots, rng)
        found += np.mean(np.abs(told.cascaded - H) ** 2, axis=2) / 300
    assert told.errors == pytest.approx(1.0 / (pilots * (M + 1)))
    assert found == pytest.approx(told.errors[:, None] * np.diag(scene.mean_noise).real, rel=0.1)


def test_dead_antennas_tell_nothing() -> None:
    _, scenes = cell(1)
    rng = np.random.default_rng(0)
    told = train(scenes[0], np.full(K, 1e30), rng, dead=np.array([2]))
    assert np.abs(told.cascaded[:, 2]).max() < 1e-9 * np.abs(told.cascaded[:, 1]).max()
    assert np.abs(told.cascaded[:, [0, 1, 3]]).min() > 0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_strong_pilots_tell_the_hops_and_weak_ones_leave_belief(seed: int) -> None:
    hops, scenes = cell(seed)
    true = cascaded(hops[0], scenes[0])
    d = channel(scenes[0].direct.clients, scenes[0].positions)
    wrong = off(cascaded(hops[1], scenes[1]), true)
    assert 1e-3 < wrong < 0.2
    left = []
    for pilots in (1e-9, 1e6, 1e9):
        rng = np.random.default_rng(0)
        told = train(scenes[0], np.full(K, pilots), rng)
        left.append(off(cascaded(learnt_hops(hops[1], told, scenes[1], CSI), scenes[1]), true))
        # also where least squares alone would tell next to nothing
        assert left[-1] < 1.1 * wrong
    assert left[0] == pytest.approx(wrong, rel=1e-3)
    assert left[1] < 0.5 * wrong
    assert left[2] < 1e-5
    paths = learnt_direct(scenes[1].direct.clients, told, scenes[1], CSI)
    assert off(channel(paths, scenes[1].positions), d) < 1e-2


def test_exact_belief_stays() -> None:
    hops, scenes = cell(1, Csi())
    assert hops[0] is hops[1]
    told = train(scenes[0], np.full(K, 1.0), np.random.default_rng(0))
    assert learnt_hops(hops[1], told, scenes[1], Csi()) is hops[1]


def test_the_step_is_that_of_the_whole_least_squares() -> None:
    """The Schur complement against all numbers at once, with slopes by differences."""
    hops, scenes = cell(2)
    told = train(scenes[0], np.full(K, 1e4), np.random.default_rng(0))
    fit = _Fit(hops[1], told, scenes[1], CSI)
    zero = Steps(np.zeros(fit.wrong.shape), np.zeros(fit.wrong_base.shape))
    sizes = (fit.wrong.size, fit.wrong_base.size)

    def missing(z: np.ndarray) -> np.ndarray:
        at = Steps(z[: sizes[0]].reshape(fit.wrong.shape), z[sizes[0] :])
        return np.concatenate([fit._missing(fit.hops(at)).ravel(), -z])

    unit = 1e-4 * np.eye(sum(sizes))
    slopes = np.array([(missing(e) - missing(-e)) / 2e-4 for e in unit])
    whole = np.linalg.lstsq(-slopes.T, missing(np.zeros(sum(sizes))), rcond=None)[0]
    way = fit.way(zero)
    assert np.concatenate([way.clients.ravel(), way.base]) == pytest.approx(whole, abs=1e-3)


def test_the_server_is_wrong_about_the_middle_of_the_surface_by_the_gain_alone() -> None:
    hops, _ = cell(3, Csi(angle_error_deg=2.0))
    centred = replace(hops[1], elements=np.zeros((1, 2)))
    middle = hops[0].elements.mean(axis=0, keepdims=True)
    true = channel(hops[0].clients, middle)
    assert np.allclose(channel(centred.clients, np.zeros((1, 2))), true, rtol=1e-9)
