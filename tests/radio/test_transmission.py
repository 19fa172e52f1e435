from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from airtune.kinds import Complex
from airtune.radio.array import channel, covariance
from airtune.radio.channels.block_fading import BlockFading
from airtune.radio.layouts import fixed_array
from airtune.radio.transmission import Air, air_at, uniform_forcing
from airtune.radio.units import LinkBudget, client_powers
from airtune.scenario import Scenario

NU = np.array([0.05, 0.1, 0.0, 0.2, 0.1, 0.02, 0.1, 0.15, 0.1, 0.1])


def test_air_at_positions(scenario: Scenario) -> None:
    block = BlockFading(scenario.radio, scenario.clients, 3).block(1).true
    positions = fixed_array(4, scenario.array.region)
    air = air_at(block, positions, LinkBudget.of(scenario.radio, scenario.clients))
    np.testing.assert_array_equal(air.channel, channel(block.clients, positions))
    interference = channel(block.interferers, positions)
    expected = covariance(interference, np.full(2, 10**-0.7), 10**-13.5)
    np.testing.assert_allclose(air.covariance, expected, rtol=1e-12)
    chosen = air.of([4, 1])
    np.testing.assert_array_equal(chosen.channel, air.channel[[4, 1]])
    np.testing.assert_array_equal(chosen.covariance, air.covariance)


@pytest.mark.parametrize("backoff", [1.0, 0.3])
def test_forcing_aligns_and_meets_the_limit(
    backoff: float, air: Air, scenario: Scenario, combine: Callable[[Air], Complex]
) -> None:
    limits = client_powers(scenario.clients) * np.linspace(0.5, 2.0, 10)
    w = combine(air)
    sent = uniform_forcing(air.channel, 3.7 * w, NU, limits, backoff)
    for k in range(10):
        received = np.vdot(sent.beamformer, air.channel[k]) * sent.scalars[k]
        assert received == pytest.approx(NU[k], abs=1e-12)
    assert sent.scalars[2] == 0.0
    # the weakest client uses exactly its share of the limit, nobody more
    assert (sent.powers / limits).max() == pytest.approx(backoff, rel=1e-12)
    # min |w^H g_k| = 1 / sqrt(rho) in the auxiliary channel of section 5
    heard = NU > 0
    g = air.channel[heard] * np.sqrt(limits[heard] / NU[heard] ** 2)[:, None]
    assert np.abs(g @ sent.beamformer.conj()).min() == pytest.approx(backoff**-0.5, rel=1e-12)
    # the direction of w is kept
    ratio = sent.beamformer / w
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)


def test_backoff_divides_the_error(
    air: Air, scenario: Scenario, combine: Callable[[Air], Complex]
) -> None:
    limits, w = client_powers(scenario.clients), combine(air)
    errors = []
    for backoff in (1.0, 0.25):
        u = uniform_forcing(air.channel, w, NU, limits, backoff).beamformer
        errors.append((u.conj() @ air.covariance @ u).real)
    assert errors[1] == pytest.approx(4 * errors[0], rel=1e-12)


def test_all_silent(air: Air, combine: Callable[[Air], Complex]) -> None:
    sent = uniform_forcing(air.channel, combine(air), np.zeros(10), np.ones(10))
    np.testing.assert_array_equal(sent.scalars, 0.0)


def test_forcing_refuses_the_impossible(air: Air, combine: Callable[[Air], Complex]) -> None:
    w = combine(air)
    for backoff in (0.0, 1.1):
        with pytest.raises(ValueError, match="back-off"):
            uniform_forcing(air.channel, w, NU, np.ones(10), backoff)
    deaf = air.channel.copy()
    deaf[0] = 0.0
    with pytest.raises(ValueError, match="does not hear"):
        uniform_forcing(deaf, w, NU, np.ones(10))
