"""Directions in which paths leave clients with several antennas: drawn, drifting, in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.radio.channels.path_file import PathSet, read_paths, write_paths
from schemes.radio import radio_of, scenario_with


@pytest.mark.parametrize("more", [{}, {"radio__paths__fading": "rician"}])
def test_draws_do_not_depend_on_the_antennas(more: dict[str, object]) -> None:
    wrong = {"radio__csi__angle_error_deg": 2.0, "radio__csi__gain_error": 0.1, **more}
    one, two = (radio_of(scenario_with(clients__antennas=m, **wrong), 3) for m in (1, 2))
    for name in ("true", "perceived"):
        single, several = getattr(one, name), getattr(two, name)
        assert single.clients.departures is None and several.interferers.departures is None
        for part in ("gains", "directions", "delays"):
            for group in ("clients", "interferers"):
                values = [getattr(getattr(s, group), part) for s in (single, several)]
                assert values[0].tobytes() == values[1].tobytes(), (name, group, part)
    known, true = two.perceived.clients.departures, two.true.clients.departures
    assert 0 < np.abs(known - true).max() < 0.3
    before = radio_of(scenario_with(clients__antennas=2, **wrong), 2).true.clients.departures
    assert 0 < np.abs(true - before).max() < 0.2


def test_departures_are_uniform_over_the_half_sphere() -> None:
    scenario = scenario_with(clients__antennas=2, clients__count=400, radio__paths__count=50)
    along = radio_of(scenario).true.clients.departures[..., 0].ravel()
    quantiles = np.quantile(along, [0.1, 0.25, 0.5, 0.75, 0.9])
    np.testing.assert_allclose(quantiles, [-0.8, -0.5, 0.0, 0.5, 0.8], atol=0.03)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d[:, :, :-1], r"departures must have shape \(1, 10, 10, 2\) as gains has"),
        (lambda d: 3 * d, "departures must have length at most 1"),
        (lambda d: np.full_like(d, np.nan), "departures must be finite numbers"),
        (lambda d: d.astype(str), "departures must hold numbers"),
    ],
)
def test_departures_that_are_none_are_refused(change, message: str, tmp_path: Path) -> None:
    scenario = scenario_with(clients__antennas=2)
    paths = PathSet((radio_of(scenario).true,), 3.5e9, "test")
    write_paths(tmp_path / "p.npz", paths)
    arrays = dict(np.load(tmp_path / "p.npz"))
    arrays["departures"] = change(arrays["departures"])
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_paths(tmp_path / "wrong.npz")
