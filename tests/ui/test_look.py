"""What is seen of a cell: placements, errors, ways and the gain map."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from matplotlib.image import imread

from airtune.errors import InputError
from airtune.registry import SCHEMES
from airtune.scenario import file
from airtune.schemes import RadioRound
from airtune.schemes.air.analog import forced
from airtune.ui.cell import Cell, open_cell
from airtune.ui.first_round import left_out
from airtune.ui.look import as_json, look


def radio_of(cell: Cell) -> RadioRound:
    return RadioRound.of(cell.scenario, cell.scenario.seed, 1, cell.channel().block(1))


def of_file(*overrides: str, source: str = "quickstart") -> Cell:
    return Cell(source, file.load(source, overrides))


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("aggregation.repetition=4",),
        ("aggregation.alignment=capped",),
        ("aggregation.groups=2", "aggregation.robust=median"),
        ("faults.antennas.dead=1",),
        ("faults.antennas.stuck=2",),
        ("clients.concurrency=4", "clients.selection=proportional-fair"),
        ("radio.resource_blocks=2", "radio.paths.delay_spread_s=1us"),
    ],
)
def test_the_errors_are_those_that_a_run_forecasts(settings: tuple[str, ...]) -> None:
    cell = of_file(*settings)
    seen, count = look(cell), cell.scenario.clients.count
    weights = np.full(count, 1.0 / count)
    if "clients.concurrency=4" in settings:
        radio = radio_of(cell)
        power = radio.powers * (np.abs(radio.perceived.clients.gains) ** 2).sum(axis=1)
        # All average rates are 0 at first: the four of the best channels.
        weights = np.where(power >= np.sort(power)[-4], 0.25, 0.0)
        assert seen.senders == 4
    for name, shown in (("movable", seen.movable_error_db), ("fixed", seen.fixed_error_db)):
        built = SCHEMES[name].build(cell.scenario, cell.scenario.seed)
        at = seen.movable if name == "movable" else seen.fixed
        link = built.array.link(radio_of(cell), weights, at)
        forecast = built.air.forecast(link, weights, np.array([100]))
        assert shown == pytest.approx(10.0 * math.log10(forecast.mse), abs=1e-6)
    assert seen.movable_error_db < seen.fixed_error_db
    assert seen.left_out == ()


@pytest.mark.parametrize(
    "settings",
    [
        ("radio.csi.angle_error_deg=3", "radio.csi.gain_error=0.2"),
        ("faults.antennas.dead=1", "faults.antennas.dead_known=false"),
    ],
)
def test_the_errors_are_those_of_the_air_and_not_what_the_server_believes(
    settings: tuple[str, ...],
) -> None:
    """By the sums themselves: what is received of random symbols against their mean."""
    cell = of_file(*settings)
    seen, count = look(cell), cell.scenario.clients.count
    nu, clients = np.full(count, 1.0 / count), np.arange(count)
    rng = np.random.default_rng(1)
    for name, shown in (("movable", seen.movable_error_db), ("fixed", seen.fixed_error_db)):
        built = SCHEMES[name].build(cell.scenario, cell.scenario.seed)
        at = seen.movable if name == "movable" else seen.fixed
        link = built.array.link(radio_of(cell), nu, at)
        sent = forced(link, clients, nu, 1.0)
        air = link.true.of(clients)
        size = (count + len(at), 40000)
        drawn = (rng.normal(size=size) + 1j * rng.normal(size=size)) / 2**0.5
        symbols, noise = drawn[:count], np.linalg.cholesky(air.covariance) @ drawn[count:]
        received = air.channel.T @ (sent.scalars[:, None] * symbols) + noise
        error = sent.beamformer.conj() @ received - nu @ symbols
        assert shown == pytest.approx(10 * math.log10(np.mean(np.abs(error) ** 2)), abs=0.15)
        believed = built.air.forecast(link, nu, np.array([100])).mse
        assert abs(shown - 10 * math.log10(believed)) > 0.02


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("aggregation.repetition=planned", "aggregation.repetition"),
        ("planning.movement=once", "planning.movement"),
        ("radio.csi.beamformer=measured", "radio.csi.beamformer"),
        ("faults.synchronisation.phase_deg=10", "faults (other than of antennas)"),
        ("faults.antennas.backlash=0.01", "faults.antennas (drives that miss)"),
    ],
)
def test_what_is_not_in_the_errors_is_said(setting: str, name: str) -> None:
    assert left_out(of_file(setting).scenario) == (name,)


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


def test_antennas_that_hear_well_stay() -> None:
    """As in a run: movement is `when-needed` by default."""
    parked = look(of_file("planning.quality_db=30"))
    np.testing.assert_array_equal(parked.movable, parked.parked)
    assert parked.move_s == parked.longest_way == 0.0
    moved = look(of_file("planning.quality_db=30", "planning.movement=each-round"))
    assert moved.longest_way > 0.1


def test_a_round_of_a_run_goes_no_farther_than_it_may() -> None:
    cell = open_cell("quickstart")
    limited = look(Cell(cell.source, cell.scenario, limited=True))
    assert limited.longest_way <= cell.scenario.placement.max_travel + 1e-9
    assert limited.movable_error_db >= look(cell).movable_error_db - 1e-9


@pytest.mark.parametrize(("blocks", "share"), [(1, 0.0), (2, 0.25), (3, 0.0)])
def test_the_map_has_its_brightest_pixel_at_the_best_place(blocks: int, share: float) -> None:
    """By the formula, client by client; y grows upwards, the rows of a picture downwards.

    The block that is drawn lies a share of the band above the carrier.
    """
    settings = (f"radio.resource_blocks={blocks}", "radio.paths.delay_spread_s=1us")
    cell = of_file("array.region=[3.0,2.0]", *settings)
    seen, radio = look(cell), radio_of(cell)
    offset = share * cell.scenario.radio.bandwidth_hz
    count = cell.scenario.clients.count
    x, y = np.linspace(0, 3.0, seen.places[0]), np.linspace(0, 2.0, seen.places[1])
    points = np.stack(np.meshgrid(x, y), axis=-1)

    def power(paths: object, scale: np.ndarray) -> np.ndarray:
        turns = np.einsum("kld,yxd->klyx", paths.directions, points)  # type: ignore[attr-defined]
        gains = paths.gains * np.exp(-2j * np.pi * offset * paths.delays)  # type: ignore[attr-defined]
        field = np.einsum("kl,klyx->kyx", gains, np.exp(2j * np.pi * turns))
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
