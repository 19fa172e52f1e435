"""What a round keeps to be drawn: places, gain maps, and the figures of each client."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune import record
from airtune.radio import links
from airtune.radio.gain_map import weakest_gain_db
from airtune.record import Cell
from airtune.record.documents import GainMap
from airtune.rounds import cell_io, client_metrics
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from airtune.schemes.air import analog
from quadratic import QuadraticLearner, run_with


def kept(scenario: Scenario, scheme: str, folder: Path) -> tuple[FederatedRun, list[Any]]:
    """Return a run after its rounds, and the lines that they left behind."""
    run = run_with(scenario, scheme, 1, QuadraticLearner(scenario, 1))
    cell = Cell(folder / scheme / "seed-0", scheme, 0)
    cell_io.execute(run, cell, lambda line: None)
    return run, record.read_history(cell)[1:]


@pytest.fixture
def faulty(small_scenario: Scenario) -> Scenario:
    data = small_scenario.to_dict()
    data["radio"]["csi"]["angle_error_deg"] = 2.0
    data["training"]["rounds"] = 3
    data["clients"]["selection"], data["clients"]["concurrency"] = "random", 3
    return Scenario.model_validate(data)


def test_clients_figures_are_those_of_the_books_and_the_air(faulty, tmp_path) -> None:
    run, lines = kept(faulty, "movable", tmp_path)
    joules = np.zeros(faulty.clients.count)
    for line in lines:
        figures = line.per_client
        assert figures.clients == line.clients
        assert len(figures.clients) == 3
        joules[figures.clients] += figures.energy_j
        assert np.mean(figures.loss) == pytest.approx(line.train_loss, rel=1e-3)
        radio = run.repetition.radio(line.round)
    assert joules == pytest.approx(run.state.client_energy_j, rel=1e-3)
    last = lines[-1].per_client
    air = radio.at(run.state.positions).true.of(np.array(last.clients))
    sinr = links.single_user_sinr(air.channel, air.covariance, radio.powers[last.clients])
    assert last.snr_db == pytest.approx(10 * np.log10(sinr), abs=0.006)
    gains = 10 * np.log10(np.mean(np.abs(air.channel) ** 2, axis=1))
    assert last.gain_db == pytest.approx(gains, abs=0.006)
    # what is believed of the channels is not what they are
    assert 0.0 < max(abs(a - 1) for line in lines for a in line.per_client.alignment) < 1.0


def test_alignment_is_the_part_in_phase_over_what_was_meant(faulty, tmp_path) -> None:
    """Re(w^H h b) / nu of the true channel, with what the server sent by its belief."""
    seen: list[tuple[Any, Any]] = []
    send = analog.aggregate

    def listen(updates: Any, common: Any, sent: Any, air: Any, *rest: Any, **more: Any) -> Any:
        heard = sent.beamformer.conj() @ air.channel.T * sent.scalars
        seen.append((heard, common.effective_weights))
        return send(updates, common, sent, air, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analog, "aggregate", listen)
        _, lines = kept(faulty, "movable", tmp_path)
    assert len(seen) == len(lines) == 3
    for (heard, nu), line in zip(seen, lines, strict=True):
        assert line.per_client.alignment == pytest.approx(heard.real / nu, rel=1e-3)
    away = [a - 1 for line in lines for a in line.per_client.alignment]
    assert max(map(abs, away)) > 0.01


def test_a_round_of_many_clients_keeps_no_figures_of_each(
    small_scenario, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(client_metrics, "MOST_CLIENTS", small_scenario.clients.count - 1)
    for scheme in ("movable", "ideal"):
        _, lines = kept(small_scenario, scheme, tmp_path)
        assert all(line.per_client is None for line in lines)
        assert all((line.gain_map is None) == (scheme == "ideal") for line in lines)


def test_all_are_aligned_where_the_channels_are_known(small_scenario, tmp_path) -> None:
    _, lines = kept(small_scenario, "movable", tmp_path)
    assert all(a == 1.0 for line in lines for a in line.per_client.alignment)


def test_places_are_kept_where_antennas_move_and_maps_of_arrays_that_do(
    small_scenario, tmp_path
) -> None:
    run, lines = kept(small_scenario, "movable", tmp_path)
    assert all(line.gain_map is not None for line in lines)
    last = next(line for line in reversed(lines) if line.positions is not None)
    np.testing.assert_allclose(last.positions, run.state.positions, atol=1e-4)
    _, lines = kept(small_scenario, "fixed", tmp_path)
    assert [line.positions is not None for line in lines] == [True] + 4 * [False]
    assert all(line.gain_map is None for line in lines)
    _, lines = kept(small_scenario, "ideal", tmp_path)
    assert all(line.positions is None and line.per_client.snr_db is None for line in lines)
    _, lines = kept(small_scenario, "digital", tmp_path)
    assert all(line.per_client.alignment is None for line in lines)


def test_a_map_is_the_gain_to_the_width_of_a_level(small_scenario) -> None:
    run = run_with(small_scenario, "movable", 1, QuadraticLearner(small_scenario, 1))
    weights = run.repetition.omega
    link = run.scheme.array.link(run.repetition.radio(1), weights, run.state.positions)
    kept = GainMap.model_validate(client_metrics.gain_map(link, weights))
    levels = np.frombuffer(base64.b64decode(kept.values), np.uint8).reshape(kept.shape)
    problem = link.radio.problem(weights)
    exact = weakest_gain_db(
        (np.sqrt(problem.powers) / problem.weights)[:, None] * problem.gains,
        problem.directions,
        np.sqrt(problem.interferer_powers)[:, None] * problem.interferer_gains,
        problem.interferer_directions,
        problem.noise,
        *(
            np.linspace(0, side, n)
            for side, n in zip(problem.region, kept.shape[::-1], strict=True)
        ),
    )
    drawn = kept.low_db + kept.step_db * levels
    shown = np.maximum(exact, exact.max() - 40.0)
    assert np.abs(drawn - shown).max() <= 0.51 * kept.step_db + 1e-3


def test_silent_clients_have_no_weight_in_the_mean(small_scenario, tmp_path) -> None:
    data = small_scenario.to_dict()
    data["aggregation"]["truncation_db"] = 5.0
    _, lines = kept(Scenario.model_validate(data), "truncated", tmp_path)
    for line in lines:
        figures = line.per_client
        for client, weight in zip(figures.clients, figures.alignment or [], strict=False):
            assert (weight > 0) == (client in line.clients)
    assert any(0.0 in (line.per_client.alignment or []) for line in lines)
