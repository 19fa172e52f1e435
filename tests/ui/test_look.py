"""What is seen of a cell: placements, errors, ways and the gain map."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from matplotlib.image import imread

from airtune.errors import InputError
from airtune.registry import SCHEMES
from airtune.schemes import RadioRound
from airtune.ui.cell import Cell, open_cell
from airtune.ui.look import as_json, look


def radio_of(cell: Cell) -> RadioRound:
    return RadioRound.of(cell.scenario, cell.scenario.seed, 1, cell.channel().block(1))


def test_the_errors_are_those_that_a_run_forecasts() -> None:
    cell = open_cell("quickstart")
    seen, count = look(cell), cell.scenario.clients.count
    weights = np.full(count, 1.0 / count)
    built = SCHEMES["fixed"].build(cell.scenario, cell.scenario.seed)
    link = built.array.link(radio_of(cell), weights, built.array.start())
    forecast = built.air.forecast(link, weights, np.array([100]))
    sendings = built.air.aggregation.sendings
    error = forecast.mse * sendings
    assert seen.fixed_error_db == pytest.approx(10.0 * math.log10(error), abs=1e-6)
    assert seen.movable_error_db < seen.fixed_error_db


@pytest.mark.parametrize("drive", ["actuator", "pixel"])
def test_antennas_are_where_they_may_be(drive: str) -> None:
    cell = open_cell("quickstart").changed("array.drive", drive)
    seen, array = look(cell), cell.scenario.array
    assert (seen.movable >= -1e-9).all()
    assert (seen.movable <= np.array(array.region) + 1e-9).all()
    apart = np.linalg.norm(seen.movable[:, None] - seen.movable[None], axis=-1)
    assert (apart[~np.eye(len(apart), dtype=bool)] >= array.spacing - 1e-9).all()
    ways = np.linalg.norm(seen.movable - seen.parked, axis=1)
    assert seen.longest_way == pytest.approx(ways.max())
    metres = seen.longest_way * 299_792_458 / cell.scenario.radio.carrier_hz
    assert seen.move_s == pytest.approx(metres / array.drives.speed_mps)
    if drive == "pixel":
        np.testing.assert_allclose(seen.movable / 0.1, np.round(seen.movable / 0.1), atol=1e-6)


def test_a_round_of_a_run_goes_no_farther_than_it_may() -> None:
    cell = open_cell("quickstart")
    limited = look(Cell(cell.source, cell.scenario, limited=True))
    assert limited.longest_way <= cell.scenario.placement.max_travel + 1e-9
    assert limited.movable_error_db >= look(cell).movable_error_db - 1e-9


def test_the_map_has_its_brightest_pixel_at_the_best_place() -> None:
    """By the formula, client by client; y grows upwards, the rows of a picture downwards."""
    cell = open_cell("quickstart").changed("array.region", [3.0, 2.0])
    seen, radio = look(cell), radio_of(cell)
    count = cell.scenario.clients.count
    x, y = np.linspace(0, 3.0, seen.places[0]), np.linspace(0, 2.0, seen.places[1])
    points = np.stack(np.meshgrid(x, y), axis=-1)

    def power(paths: object, scale: np.ndarray) -> np.ndarray:
        turns = np.einsum("kld,yxd->klyx", paths.directions, points)  # type: ignore[attr-defined]
        field = np.einsum("kl,klyx->kyx", paths.gains, np.exp(2j * np.pi * turns))  # type: ignore[attr-defined]
        return scale[:, None, None] * np.abs(field) ** 2

    budget = radio.budget
    wanted = power(radio.true.clients, budget.client_powers * count**2).min(axis=0)
    level = wanted / (
        budget.noise + power(radio.true.interferers, budget.interferer_powers).sum(axis=0)
    )
    picture = imread(io.BytesIO(seen.image))[..., :3].sum(axis=2)[::-1]
    assert picture.shape == level.shape == (seen.places[1], seen.places[0])
    best = np.unravel_index(level.argmax(), level.shape)
    assert picture[best] == picture.max()
    assert seen.high_db == pytest.approx(10.0 * math.log10(level.max()), abs=1e-6)
    # Colours are ordered as levels are.
    order = np.corrcoef(np.clip(np.log10(level), seen.low_db / 10, None).ravel(), picture.ravel())
    assert order[0, 1] > 0.95


def test_a_line_of_antennas_and_a_cell_without_interferers() -> None:
    cell = open_cell("quickstart").changed("array.region", [6.0, 0.0])
    seen = look(cell.changed("radio.interferers.count", 0))
    assert seen.places[1] == 1
    assert (seen.movable[:, 1] == 0).all()
    assert as_json(seen)["image"].startswith("data:image/png;base64,")


def test_antennas_that_do_not_fit_are_told() -> None:
    cell = open_cell("quickstart").changed("array.region", [0.5, 0.5])
    with pytest.raises(InputError, match="region"):
        look(cell.changed("array.antennas", 16))


def test_a_client_nearer_by_is_seen() -> None:
    cell = open_cell("quickstart").changed("clients.tx_power_dbm", 20.0)
    assert look(cell).movable_error_db < look(open_cell("quickstart")).movable_error_db - 5.0
