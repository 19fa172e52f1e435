"""Ray-traced scenes: with Sionna RT where it is there and runs; the ways in which it does not."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from airtune.errors import InputError
from airtune.radio.array import channel
from airtune.radio.channels import scene
from airtune.radio.units import SPEED_OF_LIGHT, wavelength
from airtune.scenario import Clients, Interferers, Radio

CARRIER = 3.5e9
STREET = {"scene": "munich", "carrier_hz": CARRIER, "depth": 3, "seed": 1}
BASE = [8.5, 21.0, 27.0]
USERS = [[45.0, 90.0, 1.5], [60.0, 60.0, 1.5]]


def runs() -> bool:
    """Whether the ray tracer is installed and finds an LLVM that it does not die of."""
    if find_spec("mitsuba") is None or find_spec("sionna") is None:
        return False
    done = subprocess.run([sys.executable, "-c", "import sionna.rt"], check=False)
    return done.returncode == 0


@pytest.mark.slow
def test_a_moved_array_receives_what_is_traced_anew() -> None:
    """The base station moved by five wavelengths: spherical waves agree, plane ones do not."""
    if not runs():
        pytest.skip("needs sionna-rt and LLVM 17")
    rays = scene.traced({**STREET, "base": BASE, "places": USERS})
    assert (rays["gains"] != 0).any(axis=1).all()
    metre = wavelength(CARRIER)
    here = np.arange(2)
    paths = scene._paths(rays, here, 0.0, CARRIER)
    moves = np.array([[5.0, 0.0], [0.0, 5.0]])  # along the room's y and z
    assert paths.distances is not None
    plane = type(paths)(paths.gains, paths.directions, paths.delays)
    for move in moves:
        base = [BASE[0], BASE[1] + move[0] * metre, BASE[2] + move[1] * metre]
        anew = scene.traced({**STREET, "base": base, "places": USERS})["gains"].sum(axis=1)
        near, far = (channel(one, move[None])[:, 0] for one in (paths, plane))
        assert (np.abs(near - anew) / np.abs(anew)).max() < 0.02
        assert (np.abs(far - anew) / np.abs(anew)).max() > 0.02


def rays(request: dict[str, Any]) -> dict[str, Any]:
    """In free space: one path to every second place, as the worker would hand it over."""
    ways = np.array(request["places"]) - np.array(request["base"])
    length = np.linalg.norm(ways, axis=1)[:, None]
    gains = np.where(np.arange(len(ways))[:, None] % 2 == 0, wavelength(CARRIER) / length, 0.0)
    zenith, azimuth = np.arccos(ways[:, 2:] / length), np.arctan2(ways[:, 1:2], ways[:, :1])
    back = {"theta_r": np.pi - zenith, "phi_r": azimuth + np.pi}
    return {
        "gains": gains * np.exp(-2j * np.pi * CARRIER * length / SPEED_OF_LIGHT),
        "tau": length / SPEED_OF_LIGHT,
        "theta_t": zenith,
        "phi_t": azimuth,
        **back,
    }


def radio(**changes: Any) -> Radio:
    others = Interferers(count=1, distance_m=(150, 250))
    return Radio.model_validate({"interferers": others.model_dump(), **changes})


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "traced", rays)
    monkeypatch.setattr(scene, "_version", lambda: "2.2.0")


@pytest.mark.usefixtures("traced")
def test_places_with_paths_are_taken_and_waves_are_spherical() -> None:
    clients = Clients(count=4, distance_m=(30, 150))
    made = scene.Scene("street@1,2,20", radio(paths={"doppler_hz": 2}), clients, 3)
    first, later = made.block(0).true, made.block(2).true
    assert first.clients.gains.shape == (4, 1)
    assert first.interferers.gains.shape == (1, 1)
    assert first.clients.distances is not None
    ways = first.clients.distances[:, 0] * wavelength(CARRIER)
    assert ((ways > np.hypot(30, 18.5) - 1e-6) & (ways < np.hypot(150, 18.5) + 1e-6)).all()
    np.testing.assert_allclose(np.abs(first.clients.gains[:, 0]), wavelength(CARRIER) / ways)
    np.testing.assert_allclose(first.clients.directions[..., 1][:, 0], -18.5 / ways)
    np.testing.assert_allclose(np.abs(first.clients.gains), np.abs(later.clients.gains))
    assert not np.allclose(first.clients.gains, later.clients.gains)
    again = scene.Scene("street@1,2,20", radio(), clients, 4).block(0).true
    assert not np.array_equal(first.clients.gains, again.clients.gains)
    with pytest.raises(ValueError, match="round must be >= 0"):
        made.block(-1)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("street", "needs the base station's place, as street@x,y,z"),
        ("street@1,2", "what follows @ must be x,y,z in m"),
        ("street@1,b,3", "what follows @ must be x,y,z in m"),
    ],
)
def test_a_wrong_argument_is_refused(argument: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        scene.Scene(argument, radio(), Clients(count=2), 0)


@pytest.mark.usefixtures("traced")
def test_too_few_places_with_paths_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        scene, "traced", lambda request: {**rays(request), "gains": 0 * rays(request)["gains"]}
    )
    with pytest.raises(InputError, match="of 56 places for 2 clients only 0 have paths"):
        scene.Scene("munich", radio(), Clients(count=2), 0)


@pytest.mark.parametrize(
    ("worker", "message"),
    [
        ("import os; os.abort()", "needs LLVM 17 or newer, named by .*DRJIT_LIBLLVM_PATH"),
        ("import sys; sys.stderr.write('no such scene'); sys.exit(2)", "scene munich: no such"),
    ],
)
def test_a_process_that_dies_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, worker: str, message: str
) -> None:
    (tmp_path / "dying_worker.py").write_text(worker)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(scene, "WORKER", "dying_worker")
    with pytest.raises(InputError, match=message):
        scene.traced({**STREET, "base": BASE, "places": USERS})


def test_without_the_ray_tracer_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(name: str) -> str:
        raise scene.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(scene.metadata, "version", version)
    with pytest.raises(InputError, match=r"needs sionna-rt 2\.2\.\*.*which is not installed"):
        scene.Scene("munich", radio(), Clients(count=2), 0)
