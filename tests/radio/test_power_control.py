"""Capped alignment against closed form, grid search and uniform forcing."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.kinds import Complex, Real
from airtune.radio.power_control import best_scale, capped_alignment, misalignment
from airtune.radio.transmission import Transmission, uniform_forcing


def draw(seed: int, clients: int, antennas: int, interferers: int = 0) -> tuple[Complex, Complex]:
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((2, clients + interferers, antennas)) * np.sqrt(0.5)
    h = parts[0] + 1j * parts[1]
    v = 3.0 * h[clients:]
    return h[:clients], np.eye(antennas) + v.T @ v.conj()


def error(channel: Complex, covariance: Complex, sent: Transmission, nu: Real) -> float:
    w = sent.beamformer
    missed = misalignment(channel, sent, nu)
    return float((w.conj() @ covariance @ w).real + np.sum(np.abs(missed) ** 2))


def good_beamformer(channel: Complex, covariance: Complex, g: Complex) -> Complex:
    """The best of many random combinations of whitened channels for the weakest client."""
    rng = np.random.default_rng(0)
    mixes = np.exp(2j * np.pi * rng.uniform(size=(3000, len(g))))
    W = np.linalg.solve(covariance, (mixes @ g).T).T
    power = np.einsum("sn,nm,sm->s", W.conj(), covariance, W).real
    return W[np.argmax(np.min(np.abs(W.conj() @ g.T) ** 2, axis=1) / power)]


@pytest.mark.parametrize("seed", range(5))
def test_one_antenna_has_the_threshold_structure(seed: int) -> None:
    """The weakest are at full power, the others aligned; the scale is that of a fine grid."""
    h, R = draw(seed, 8, 1)
    rng = np.random.default_rng(seed)
    nu, powers = rng.uniform(0.05, 0.2, 8), rng.uniform(0.5, 2.0, 8)
    sent = capped_alignment(h, R, np.ones(1, complex), nu, powers)
    strength = np.sqrt(powers) * np.abs(h[:, 0]) / nu
    grid = np.linspace(1e-4, 3.0 / np.median(strength), 200_001)
    short = np.maximum(0.0, 1.0 - grid[:, None] * strength)
    best = np.min(grid**2 + short**2 @ nu**2)
    assert error(h, R, sent, nu) == pytest.approx(best, rel=1e-6)
    capped = np.isclose(sent.powers, powers, rtol=1e-9)
    assert strength[capped].max(initial=0.0) <= strength[~capped].min(initial=np.inf)
    assert np.allclose(misalignment(h, sent, nu)[~capped], 0.0, atol=1e-12)


@pytest.mark.parametrize("snr_db", [-20, -5, 10, 30])
@pytest.mark.parametrize("interferers", [0, 2])
def test_never_worse_than_forcing_and_within_the_powers(snr_db: int, interferers: int) -> None:
    for seed in range(3):
        h, R = draw(seed, 6, 3, interferers)
        nu, powers = np.full(6, 1 / 6), np.full(6, 10 ** (snr_db / 10))
        w = good_beamformer(h, R, np.sqrt(powers)[:, None] * h / nu[:, None])
        forced = error(h, R, uniform_forcing(h, w, nu, powers), nu)
        sent = capped_alignment(h, R, w, nu, powers)
        assert error(h, R, sent, nu) <= forced * (1 + 1e-9)
        assert (sent.powers <= powers * (1 + 1e-9)).all()


@pytest.mark.parametrize("seed", range(3))
def test_two_antennas_reach_the_best_of_a_grid_of_directions(seed: int) -> None:
    h, R = draw(seed, 4, 2, 1)
    nu, powers = np.full(4, 0.25), np.array([0.2, 1.0, 2.0, 5.0])
    sent = capped_alignment(h, R, np.array([1.0, 1.0j]), nu, powers)
    best = np.inf
    g = np.sqrt(powers)[:, None] * h / nu[:, None]
    for angle in np.linspace(0, np.pi / 2, 91):
        for phase in np.linspace(0, 2 * np.pi, 121):
            w = np.array([np.cos(angle), np.sin(angle) * np.exp(1j * phase)])
            gains, noise = np.abs(g @ w.conj()), float((w.conj() @ R @ w).real)
            a = best_scale(gains, nu, noise)
            short = np.maximum(0.0, 1.0 - a * gains)
            best = min(best, a**2 * noise + float(nu**2 @ short**2))
    found = error(h, R, sent, nu)
    assert found <= best * (1 + 1e-9)
    assert found >= 0.99 * best  # the grid is fine


def test_far_below_the_noise_capping_saves_the_mean() -> None:
    """-20 dB, 4 antennas, 10 clients: forcing is worse than sending nothing (0.1), capping not."""
    forced, capped = [], []
    for seed in range(8):
        h, R = draw(seed, 10, 4)
        nu, powers = np.full(10, 0.1), np.full(10, 0.01)
        w = good_beamformer(h, R, np.sqrt(powers)[:, None] * h / nu[:, None])
        forced.append(error(h, R, uniform_forcing(h, w, nu, powers), nu))
        capped.append(error(h, R, capped_alignment(h, R, w, nu, powers), nu))
    assert np.median(forced) > 1.0
    assert 0.08 < np.median(capped) < 0.095
    assert max(capped) < 0.1


def test_silent_clients_stay_silent() -> None:
    h, R = draw(1, 3, 2)
    sent = capped_alignment(h, R, np.ones(2, complex), np.array([0.5, 0.0, 0.5]), np.ones(3))
    assert sent.scalars[1] == 0
    nobody = capped_alignment(h, R, np.ones(2, complex), np.zeros(3), np.ones(3))
    assert not nobody.scalars.any()
