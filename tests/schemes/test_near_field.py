"""Schemes where wave fronts are spherical: beamformers are exact, places are refined."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.kinds import Complex, Real
from airtune.placement.problem import least_distance
from airtune.registry import SCHEMES
from airtune.schemes import Link, Travel
from schemes.radio import radio_of, scenario_with

NEAR = scenario_with(
    placement__mode="fast", clients__count=5, radio__paths__scatterer_distance_m=[0.8, 3.0]
)
WEIGHTS = np.full(5, 0.2)


def reached(link: Link, w: Complex) -> float:
    """The worst gain that a beamformer has on the spherical waves themselves."""
    air = link.perceived.everybody
    g = np.sqrt(link.radio.powers)[:, None] / WEIGHTS[:, None] * air.channel
    return float((np.abs(g @ w.conj()) ** 2).min() / (w.conj() @ air.covariance @ w).real)


def exact(link: Link) -> float:
    return reached(link, link.best_beamformer(WEIGHTS).beamformer)


@pytest.mark.parametrize("name", ["fixed", "selection", "selection-compact", "movable"])
def test_the_beamformer_is_the_best_of_the_spherical_waves(name: str) -> None:
    policy, radio = SCHEMES[name].build(NEAR, 1).array, radio_of(NEAR)
    link = policy.link(radio, WEIGHTS, policy.place(radio, WEIGHTS, policy.start()))
    best = link.best_beamformer(WEIGHTS)
    assert reached(link, best.beamformer) == pytest.approx(best.worst_gain, rel=1e-6)


def plane_places(radio: object, start: Real) -> Real:
    far = SCHEMES["movable"].build(NEAR, 1).array
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airtune.schemes.arrays.movable.REACHES", ())
        return far.place(radio, WEIGHTS, start)  # type: ignore[arg-type]


@pytest.mark.parametrize("index", [1, 2, 3])
def test_movable_antennas_are_placed_for_the_spherical_waves(index: int) -> None:
    policy, radio = SCHEMES["movable"].build(NEAR, 1).array, radio_of(NEAR, index)
    start = policy.start()
    places = policy.place(radio, WEIGHTS, start)
    assert least_distance(places) >= 0.5 - 1e-9
    assert (places >= -1e-9).all() and (places <= 4.0 + 1e-9).all()
    refined, unrefined = exact(radio.at(places)), exact(radio.at(plane_places(radio, start)))
    assert refined > 1.01 * unrefined
    assert refined > exact(radio.at(start))
    near = policy.place(radio, WEIGHTS, start, Travel(0.1))
    assert np.linalg.norm(near - start, axis=1).max() <= 0.1 + 1e-9
