"""The books of a round of clients with several antennas, summed term by term beside the code."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from airtune.engines import LocalEngine
from airtune.planning import Repetition
from airtune.rounds.federated import FederatedRun
from quadratic import QuadraticLearner
from rounds.test_federated import with_settings

M, P, ETA, CHAIN = 3, 1e-3, 0.4, 0.1


def channels(paths, places: np.ndarray, spacing: float) -> np.ndarray:
    """H_k, (K, N, M): the sum over the paths of section 5 of the system model."""
    lags = spacing * paths.departures[..., :1] * np.arange(M)
    at = np.einsum("kld,nd->kln", paths.directions, places)
    phases = at[..., None] + lags[:, :, None]
    return np.einsum("kl,klnm->knm", paths.gains, np.exp(2j * np.pi * phases))


def least_powers(H: np.ndarray, R: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """||b_k||^2 at full power, with the best w that a search without any derivative finds."""

    def lengths(z: np.ndarray) -> tuple[np.ndarray, float]:
        w = z[: len(R)] + 1j * z[len(R) :]
        met = np.linalg.norm(np.einsum("knm,n->km", H.conj(), w), axis=1)
        return met, float((w.conj() @ R @ w).real)

    def loss(z: np.ndarray) -> float:
        met, noise = lengths(z)
        return float(np.log(noise) - 2 * np.log((np.sqrt(P) / nu * met).min()))

    rng, options = np.random.default_rng(0), {"maxiter": 4000, "xatol": 1e-9, "fatol": 1e-11}
    found = [
        minimize(loss, rng.standard_normal(2 * len(R)), method="Nelder-Mead", options=options)
        for _ in range(12)
    ]
    met, _ = lengths(min(found, key=lambda one: one.fun).x)
    return (nu / met) ** 2 * P / ((nu / met) ** 2).max()


def test_the_books_of_a_round_are_the_sum_over_all_chains(small_scenario) -> None:
    scenario = with_settings(
        small_scenario,
        clients__antennas=M,
        clients__tx_power_dbm=0.0,
        radio__hardware__profile="small-cell",
        radio__silent_symbols=7,
        radio__interferers__count=0,
        training__rounds=1,
    )
    learner = QuadraticLearner(scenario, 1)
    repetition = Repetition(scenario, 1, learner)  # type: ignore[arg-type]
    run = FederatedRun(repetition, "fixed", LocalEngine.over(learner))  # type: ignore[arg-type]
    run.run_round()
    state, plan, radio = run.state, run.plan, scenario.radio
    density = 10 ** ((radio.noise_psd_dbm_hz + radio.noise_figure_db - 30) / 10)
    band = radio.bandwidth_hz
    H = channels(repetition.paths.block(1).true.clients, state.positions, 0.5)
    R = density * band * np.eye(len(state.positions))

    computing = repetition.cycles_per_sample * plan.batch_sizes * plan.frequencies**2
    strongest = np.linalg.svd(H, compute_uv=False)[:, 0] ** 2 * P / (density * band)
    rates = (
        band * radio.efficiency * np.log2(1 + strongest / 10 ** (scenario.digital.snr_gap_db / 10))
    )
    reports = run.scheme.air.reported_bits(repetition.matrix_sizes) / rates
    pilots = M * radio.pilot_symbols_per_client / band
    upload = np.ceil(repetition.matrix_sizes.sum() / 2) / (band * radio.efficiency)
    sent = plan.power_backoff * least_powers(H, R, state.effective_weights)

    each = computing * scenario.client_processor.kappa
    each = each + (pilots + reports) * (P / ETA + M * CHAIN) + (sent / ETA + M * CHAIN) * upload
    np.testing.assert_allclose(state.client_energy_j, each, rtol=1e-6)
    station = 0.2 * len(R) + 0.1
    assert state.latency_s.uplink == pytest.approx(upload)
    assert state.latency_s.pilots == pytest.approx(3 * pilots + reports.sum() + 7 / band)
    uplink = np.sum((sent / ETA + M * CHAIN) * upload) + station * upload
    assert state.energy_j.uplink == pytest.approx(uplink, rel=1e-5)
