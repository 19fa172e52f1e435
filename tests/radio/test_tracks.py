"""Places over time, and the map of shadowing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.errors import InputError
from airtune.radio.shadowing import ShadowingMap
from airtune.radio.tracks import Waypoints, read_tracks, ring_points
from airtune.scenario import Mobility

RING = (50.0, 200.0)


def waypoints(speed: float = 10.0, pause: float = 0.0) -> Waypoints:
    given = Mobility(track="random-waypoint", pause_s=pause)
    start = ring_points(3, RING, given, np.random.default_rng(1))
    return Waypoints(7, "clients", RING, given, np.full(3, speed), start)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 500), min_size=2, max_size=5), st.sampled_from([0.0, 3.0]))
def test_random_waypoints_keep_speed_ground_and_memory(times: list[float], pause: float) -> None:
    track = waypoints(10.0, pause)
    places = [track.at(t) for t in times]  # any order of times
    for t, place in zip(times, places, strict=True):
        np.testing.assert_array_equal(place, waypoints(10.0, pause).at(t))
        assert (place[:, 1] == 1.5 - 10.0).all()
        # points lie within 60 degrees of the normal, so all ways between them do as well
        assert (place[:, 2] >= 50.0 * np.cos(np.pi / 3) * 0.5).all()
        assert (np.linalg.norm(place[:, ::2], axis=1) <= 200.0 + 1e-9).all()
        step = np.linalg.norm(track.at(t + 0.01) - place, axis=1)
        assert (step <= 0.1 + 1e-9).all()


def test_clients_rest_at_their_points() -> None:
    track = waypoints(10.0, pause=5.0)
    times = np.arange(0.0, 300.0, 0.5)
    places = np.array([track.at(t) for t in times])
    resting = (np.linalg.norm(np.diff(places, axis=0), axis=-1) < 1e-12).mean()
    points = len(track._legs[0].points) - 1
    assert 0.3 * points * 5.0 / 300.0 < resting < 1.5 * points * 5.0 / 300.0
    assert waypoints(0.0).at(1e9) == pytest.approx(waypoints(0.0).at(0.0))


def test_points_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airtune.radio.tracks.MOST_POINTS", 200)
    with pytest.raises(InputError, match=r"radio\.mobility\.speed_mps = 350: passes more than"):
        waypoints(350.0).at(1e9)


def test_points_are_spread_over_the_area() -> None:
    points = ring_points(20_000, RING, Mobility(sector_deg=90), np.random.default_rng(1))
    radius = np.hypot(points[:, 0], points[:, 2])
    share = (radius**2 - RING[0] ** 2) / (RING[1] ** 2 - RING[0] ** 2)
    azimuth = np.rad2deg(np.arctan2(points[:, 0], points[:, 2]))
    for uniform in (share, azimuth / 90 + 0.5):
        assert uniform.min() >= 0 and uniform.max() <= 1
        assert uniform.mean() == pytest.approx(0.5, abs=5 / np.sqrt(12 * 20_000))


@pytest.mark.parametrize("apart", [0.0, 5.0, 30.0, 90.0])
def test_shadowing_correlates_as_gudmundson_says(apart: float) -> None:
    rng = np.random.default_rng(2)
    here = rng.uniform(-1e3, 1e3, (8, 2))
    turn = rng.uniform(0, 2 * np.pi, 8)
    there = here + apart * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    values = np.array(
        [[m.at(here), m.at(there)] for m in (ShadowingMap.drawn(30.0, rng) for _ in range(1000))]
    )
    # 1000 independent maps: standard errors of 0.03 to 0.045 at most
    assert values.mean() == pytest.approx(0.0, abs=0.1)
    assert values.var() == pytest.approx(1.0, abs=0.1)
    product = (values[:, 0] * values[:, 1]).mean()
    assert product == pytest.approx(np.exp(-apart / 30.0), abs=0.1)
    # normal: the fourth moment is three
    assert (values**4).mean() == pytest.approx(3.0, abs=0.5)


def arrays() -> dict[str, Any]:
    places = np.zeros((3, 2, 3))
    places[..., 2] = 20.0
    return {"times": np.array([0.0, 1.0, 4.0]), "clients": places}


def test_a_file_is_followed_from_place_to_place(tmp_path: Path) -> None:
    given = arrays()
    given["clients"][:, 0, 0] = [0.0, 3.0, -3.0]
    np.savez(tmp_path / "walk.npz", **given)
    track = read_tracks(str(tmp_path / "walk.npz"), {"clients": 2, "interferers": 4})
    assert set(track) == {"clients"}
    x = [float(track["clients"].at(t)[0, 0]) for t in (-1, 0, 0.5, 1, 2, 4, 99)]
    assert x == pytest.approx([0, 0, 1.5, 3, 1, -3, -3])
    assert track["clients"].largest_speed == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"times": None}, "has no array times"),
        ({"clients": None}, "has no array clients"),
        ({"times": np.array([0.0, 2.0, 1.0])}, "rising"),
        ({"times": np.zeros((3, 1))}, "one list"),
        ({"times": np.array([0.0, 1.0, np.nan])}, "finite"),
        ({"times": np.array([0.0, 1.0, 1e15])}, "at most"),
        ({"clients": np.ones((3, 5, 3))}, r"clients\.count = 2"),
        ({"clients": np.full((3, 2, 3), -1.0)}, "z >= 0"),
        (
            {"times": np.array([0.0, 5e-324, 1.0]), "clients": np.arange(18.0).reshape(3, 2, 3)},
            r"clients go at inf m/s",
        ),
        ({"clients": np.full((3, 2, 3), 1e9)}, "at most"),
        ({"clients": np.full((3, 2, 3), "a")}, "real numbers"),
        ({"interferers": np.ones((3, 1, 2))}, r"radio\.interferers\.count = 1"),
    ],
)
def test_a_wrong_file_is_one_message(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    given = {name: one for name, one in {**arrays(), **changes}.items() if one is not None}
    np.savez(tmp_path / "walk.npz", **given)
    with pytest.raises(InputError, match=words) as caught:
        read_tracks(str(tmp_path / "walk.npz"), {"clients": 2, "interferers": 1})
    assert str(caught.value).startswith("radio.mobility.track_file = ")
    assert len(str(caught.value)) <= 400
