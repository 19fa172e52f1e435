from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from airtune.radio.channels import cell
from airtune.scenario import Radio


@pytest.mark.parametrize(
    ("metres", "loss"), [(1000.0, 128.1), (100.0, 90.5), (10.0, 52.9), (300.0, 108.44)]
)
def test_path_loss_known_values(metres: float, loss: float) -> None:
    assert cell.path_loss_db(metres, 128.1, 37.6) == pytest.approx(loss, abs=5e-3)


def test_ring_is_uniform_in_area() -> None:
    distances = cell.ring_distances(20_000, (100.0, 500.0), np.random.default_rng(1))
    assert distances.min() >= 100.0
    assert distances.max() <= 500.0
    share = (distances**2 - 100.0**2) / (500.0**2 - 100.0**2)
    assert stats.kstest(share, "uniform").pvalue > 1e-3


def test_ring_of_no_width() -> None:
    distances = cell.ring_distances(5, (300.0, 300.0), np.random.default_rng(1))
    np.testing.assert_allclose(distances, 300.0)


def test_gains_are_path_loss_and_log_normal_shadowing() -> None:
    radio = Radio(shadowing_db=8.0)
    stations = cell.place_stations(20_000, (100.0, 500.0), radio, 3, "clients")
    loss = 128.1 + 37.6 * np.log10(stations.distances / 1000.0)
    shadowing = -10 * np.log10(stations.path_gains) - loss
    assert stats.kstest(shadowing / 8.0, "norm").pvalue > 1e-3
    plain = cell.place_stations(20_000, (100.0, 500.0), Radio(shadowing_db=0.0), 3, "clients")
    np.testing.assert_array_equal(plain.distances, stations.distances)
    np.testing.assert_allclose(plain.path_gains, 10 ** (-loss / 10))


def test_placement_depends_on_seed_and_group_only() -> None:
    one = cell.place_stations(5, (100.0, 500.0), Radio(), 1, "clients")
    again = cell.place_stations(5, (100.0, 500.0), Radio(), 1, "clients")
    other = cell.place_stations(5, (100.0, 500.0), Radio(), 2, "clients")
    group = cell.place_stations(5, (100.0, 500.0), Radio(), 1, "interferers")
    np.testing.assert_array_equal(one.path_gains, again.path_gains)
    np.testing.assert_array_equal(one.directions, again.directions)
    assert not np.any(one.path_gains == other.path_gains)
    assert not np.any(one.path_gains == group.path_gains)
    assert not np.any(one.directions == group.directions)
