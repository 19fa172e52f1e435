"""The cell: the settings that a page changes, and who is moved in it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airtune.errors import InputError
from airtune.radio.channels.block_fading import BlockFading
from airtune.scenario import DRIVES, file
from airtune.ui import controls
from airtune.ui.cell import Spot, open_cell


def test_a_cell_that_was_not_changed_has_the_paths_of_a_run() -> None:
    cell, scenario = open_cell("quickstart"), file.load("quickstart")
    run = BlockFading(scenario.radio, scenario.clients, scenario.seed).block(1).true
    seen = cell.channel().block(1).true
    for group in ("clients", "interferers"):
        np.testing.assert_array_equal(getattr(seen, group).gains, getattr(run, group).gains)
        np.testing.assert_array_equal(
            getattr(seen, group).directions, getattr(run, group).directions
        )


def test_changes_are_overrides_of_a_run() -> None:
    cell = open_cell("quickstart").changed("array.antennas", 6)
    cell = controls.changed(cell, "array.region.y", 2.5)
    cell = controls.changed(cell, "array.drive", "pixel")
    assert cell.scenario == file.load("quickstart", cell.overrides)
    assert cell.scenario.array.region == (4.0, 2.5)
    assert (cell.scenario.array.antennas, cell.scenario.array.drive) == (6, "pixel")


def test_every_control_shows_what_it_sets() -> None:
    cell = open_cell("quickstart")
    shown = controls.values(cell.scenario)
    for group in controls.CONTROLS.values():
        for control in group:
            if isinstance(control, controls.Slider):
                value: object = control.low + control.step
            else:
                value = next(word for word in control.options if word != shown[control.name])
            after = controls.values(controls.changed(cell, control.name, value).scenario)
            assert after == {**shown, control.name: value}


def test_every_drive_can_be_chosen() -> None:
    choices = [c for group in controls.CONTROLS.values() for c in group if c.name == "array.drive"]
    assert [set(choice.options) for choice in choices] == [set(DRIVES)]
    with pytest.raises(InputError, match="speed_mps"):
        controls.changed(open_cell("quickstart"), "array.drive", "custom")


def test_who_is_moved_keeps_the_draws_and_loses_by_the_path_loss() -> None:
    cell = open_cell("quickstart")
    before = cell.stations["clients"][3]
    far = Spot(2.0 * before.distance_m, before.azimuth_deg, before.elevation_deg)
    old = cell.channel().block(1).true.clients.gains
    new = cell.with_station("clients", 3, far).channel().block(1).true.clients.gains
    others = np.arange(len(old)) != 3
    np.testing.assert_array_equal(new[others], old[others])
    slope = cell.scenario.radio.path_loss_slope_db
    lost = 10.0 ** (-slope * math.log10(2.0) / 20.0)
    np.testing.assert_allclose(new[3], lost * old[3], rtol=1e-9)


def test_the_line_of_sight_follows_who_is_moved() -> None:
    cell = open_cell("quickstart").changed("radio.paths.fading", "rician")
    moved = cell.with_station("interferers", 1, Spot(700.0, -30.0, 45.0))
    sight = moved.channel().block(0).true.interferers.directions[1, 0]
    assert sight == pytest.approx([-math.sqrt(0.5) * 0.5, math.sqrt(0.5)])
    assert moved.stations["interferers"][1] == Spot(700.0, -30.0, 45.0)


@given(st.floats(1, 1e5), st.floats(-89, 89), st.floats(-89, 89))
def test_places_go_there_and_back(distance: float, azimuth: float, elevation: float) -> None:
    spot = Spot.of(distance, Spot(distance, azimuth, elevation).direction)
    assert (spot.distance_m, spot.azimuth_deg, spot.elevation_deg) == pytest.approx(
        (distance, azimuth, elevation), abs=1e-5
    )


def test_another_number_of_clients_is_another_draw() -> None:
    cell = open_cell("quickstart").with_station("clients", 9, Spot(50.0, 0.0, 0.0))
    cell = cell.with_station("interferers", 0, Spot(900.0, 0.0, 0.0))
    fewer = cell.changed("clients.count", 5)
    assert set(fewer.moved) == {("interferers", 0)}
    assert len(fewer.stations["clients"]) == 5


def test_places_out_of_reach_are_set_to_the_limit() -> None:
    cell = open_cell("quickstart").with_station("clients", 0, Spot(-5.0, 200.0, -100.0))
    assert cell.moved[("clients", 0)] == Spot(1.0, 89.0, -89.0)


@pytest.mark.parametrize(
    ("group", "index", "spot", "says"),
    [
        ("clients", 10, Spot(1.0, 0.0, 0.0), "not in this cell"),
        ("clients", -1, Spot(1.0, 0.0, 0.0), "not in this cell"),
        ("servers", 0, Spot(1.0, 0.0, 0.0), "not in this cell"),
        ("clients", 0, Spot(math.nan, 0.0, 0.0), "finite"),
    ],
)
def test_who_is_not_there_is_not_moved(group: str, index: int, spot: Spot, says: str) -> None:
    with pytest.raises(InputError, match=says):
        open_cell("quickstart").with_station(group, index, spot)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("array.antennas", 0, "antennas"),
        ("array.antennas", 2.5, "antennas"),
        ("array.antennas", "many", "must be a number"),
        ("clients.count", 201, "at most 200"),
        ("array.drive", "wings", "drive"),
        ("array.region.x", "nan", "region"),
        ("cache", "/tmp", "must be one of"),
        (None, 1, "must be one of"),
    ],
)
def test_what_a_scenario_does_not_take_is_refused(name: object, value: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        controls.changed(open_cell("quickstart"), name, value)


def test_channels_that_place_by_themselves_are_told() -> None:
    cell = open_cell("quickstart")
    scenario = cell.scenario.model_copy(
        update={"radio": cell.scenario.radio.model_copy(update={"channel": "umi"})}
    )
    other = type(cell)(cell.source, scenario)
    with pytest.raises(InputError, match="umi"):
        other.with_station("clients", 0, Spot(1.0, 0.0, 0.0))
