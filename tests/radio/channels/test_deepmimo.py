"""A folder in the layout of DeepMIMO v4, written here: no published set could be fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from airtune.commands.channel import export
from airtune.errors import InputError
from airtune.radio.array import channel
from airtune.radio.channels.deepmimo import DeepMimo, read_folder
from airtune.radio.channels.path_file import read_paths
from airtune.scenario import Clients, Interferers, Radio

CARRIER, LIGHT = 3.5e9, 299_792_458.0
BASE = np.array([10.0, -5.0, 20.0])


def geometry(places: int = 30) -> dict[str, Any]:
    """A line of sight and a ground reflection to places north of the base station."""
    rng = np.random.default_rng(3)
    spread = rng.uniform([-60, 40, 0], [60, 150, 0], (places, 3))
    users = BASE * [1, 1, 0] + spread + [0, 0, 1.5]
    mirrored = users * [1, 1, -1]

    def angles(vectors: Any) -> tuple[Any, Any]:
        azimuth = np.rad2deg(np.arctan2(vectors[..., 1], vectors[..., 0])) % 360
        return azimuth, np.rad2deg(np.arccos(vectors[..., 2] / np.linalg.norm(vectors, axis=-1)))

    away = np.stack([users - BASE, mirrored - BASE, np.ones((places, 3))], axis=1)
    back = np.stack([BASE - users, BASE * [1, 1, -1] - users, np.ones((places, 3))], axis=1)
    length = np.linalg.norm(away, axis=-1)
    factor = np.array([1.0, 0.4, 1.0])
    content = {
        "power": 20 * np.log10(factor * LIGHT / CARRIER / (4 * np.pi * length)),
        "phase": np.rad2deg(np.angle(np.exp(-2j * np.pi * length * CARRIER / LIGHT))),
        "delay": length / LIGHT,
    }
    content["aod_az"], content["aod_el"] = angles(away)
    content["aoa_az"], content["aoa_el"] = angles(back)
    for array in content.values():
        array[:, 2] = np.nan  # places have two paths
    content["power"][0] = np.nan  # and the first has none
    return {**content, "rx_pos": users, "tx_pos": BASE[None]}


def write(folder: Path, content: dict[str, Any], code: str = "t001_tx000_r000") -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in content.items():
        data = np.asarray(array, dtype=np.float32)
        np.savez_compressed(folder / f"{name}_{code}.npz", **{name: data})
    parameters = {"rt_params": {"frequency": CARRIER, "raytracer_name": "by hand"}}
    (folder / "params.json").write_text(json.dumps({"version": "4.0.0", **parameters}))
    return folder


def test_the_array_receives_what_the_geometry_says(tmp_path: Path) -> None:
    """Far away: antennas moved along the wall and upwards against the lengths of the ways."""
    content = geometry()
    rays = read_folder(write(tmp_path / "street", content))
    assert rays.carrier_hz == CARRIER
    assert (rays.gains[0] == 0).all()
    assert (rays.gains[:, 2] == 0).all() and (rays.gains[1:, :2] != 0).all()
    np.testing.assert_allclose(rays.delays[1:, 0], 0.0)
    assert (rays.delays[1:, 1] > 0).all()
    step, metre = 0.05, LIGHT / CARRIER
    middle = (content["rx_pos"] - BASE)[1:].mean(axis=0)
    forward = middle * [1, 1, 0] / np.linalg.norm(middle[:2])
    sideways = np.cross([0, 0, 1], forward)
    for place in (1, 7, 20):
        for axis, along in enumerate((sideways, np.array([0.0, 0.0, 1.0]))):
            moved = BASE + step * metre * along
            ends = content["rx_pos"][place] * np.array([[1, 1, 1], [1, 1, -1]])
            longer = np.linalg.norm(ends - moved, axis=1) - np.linalg.norm(ends - BASE, axis=1)
            phase = -2 * np.pi * longer / metre
            expected = 2 * np.pi * step * rays.directions[place, :2, axis]
            np.testing.assert_allclose(phase, expected, atol=2e-5)


def radio(**changes: Any) -> Radio:
    return Radio.model_validate(
        {
            "interferers": {"count": 1, "distance_m": (40, 300)},
            "paths": {"doppler_hz": 2},
            **changes,
        }
    )


def test_clients_are_places_of_the_ring_and_turn_phases(tmp_path: Path) -> None:
    folder = write(tmp_path / "street", geometry())
    near = Clients(count=5, distance_m=(40, 120))
    one, other = (DeepMimo(str(folder), radio(), near, seed) for seed in (1, 2))
    first, later = one.block(0).true, one.block(3).true
    assert first.clients.gains.shape == (5, 3)
    assert first.interferers.gains.shape == (1, 3)
    np.testing.assert_allclose(np.abs(first.clients.gains), np.abs(later.clients.gains))
    assert not np.allclose(first.clients.gains, later.clients.gains)
    assert not np.array_equal(first.clients.gains, other.block(0).true.clients.gains)
    rays = read_folder(folder)
    inside = rays.gains[(rays.distances >= 40) & (rays.distances <= 120)]
    assert np.isin(first.clients.gains[:, 0], inside[:, 0]).all()
    assert not np.isin(first.interferers.gains[:, 0], first.clients.gains[:, 0]).any()
    with pytest.raises(ValueError, match="round must be >= 0"):
        one.block(-1)


def test_a_path_file_is_made_of_a_folder(tmp_path: Path) -> None:
    folder = write(tmp_path / "street", geometry())
    write(folder, geometry(4), "t001_tx000_r001")  # base stations among themselves
    settings = ["clients.distance_m=[40,200]", "radio.interferers.count=0", "clients.count=4"]
    told = export(f"deepmimo:{folder}", tmp_path / "out.npz", overrides=settings, blocks=2)
    assert told["carrier_hz"] == CARRIER and told["clients"]["count"] == 4
    read = read_paths(tmp_path / "out.npz")
    assert "DeepMIMO v4 folder" in read.source and len(read.blocks) == 2
    assert channel(read.blocks[0].clients, np.zeros((2, 2))).shape == (4, 2)
    named = f"deepmimo:{folder}:t001_tx000_r001"
    with pytest.raises(InputError, match=r"clients\.count = 4: only 3 places with paths"):
        export(named, tmp_path / "out.npz", overrides=settings)


@pytest.mark.parametrize("kind", [".npy", ".mat"])
def test_other_kinds_of_files_are_read(tmp_path: Path, kind: str) -> None:
    folder = write(tmp_path / "street", geometry())
    plain = read_folder(folder)
    for path in sorted(folder.glob("*.npz")):
        name = path.stem.partition("_t0")[0]
        with np.load(path) as file:
            array = file[name]
        path.unlink()
        if kind == ".npy":
            np.save(path.with_suffix(kind), array)
        else:
            scipy.io.savemat(path.with_suffix(kind), {name: array})
    assert np.array_equal(read_folder(folder).gains, plain.gains)


def spoilt(folder: Path, kind: str) -> None:
    power = folder / "power_t001_tx000_r000.npz"
    if kind == "no folder":
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    elif kind == "empty":
        for path in folder.glob("power*"):
            path.unlink()
    elif kind == "missing":
        (folder / "phase_t001_tx000_r000.npz").unlink()
    elif kind == "shape":
        np.savez(folder / "delay_t001_tx000_r000.npz", delay=np.zeros((3, 3)))
    elif kind == "pickle":
        np.savez(power, power=np.array([[None]]))
    elif kind == "bytes":
        power.write_bytes(b"PK\x03\x04 and no more")
    elif kind == "places":
        np.savez(folder / "rx_pos_t001_tx000_r000.npz", rx_pos=np.full((30, 3), 1e308))
    elif kind == "json":
        (folder / "params.json").write_text('{"rt_params": 3}')
    elif kind == "carrier":
        (folder / "params.json").write_text('{"rt_params": {"frequency": "3.5"}}')


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no folder", "must be a folder of DeepMIMO v4"),
        ("empty", "has no file power_t"),
        ("missing", r"has no file phase_t001_tx000_r000\.npz or \.npy or \.mat"),
        ("shape", r"delay_t001_tx000_r000 must have shape \(30, 3\), not \(3, 3\)"),
        ("pickle", "not a readable .npz file of plain numbers"),
        ("bytes", "not a readable .npz file"),
        ("places", r"rx_pos_t001_tx000_r000 must be numbers of at most 1e\+09 m"),
        ("json", r"must be JSON with rt_params\.frequency"),
        ("carrier", r"rt_params\.frequency = '3\.5': must be in Hz"),
    ],
)
def test_a_bad_folder_is_refused_in_one_message(tmp_path: Path, kind: str, message: str) -> None:
    folder = write(tmp_path / "street", geometry())
    spoilt(folder, kind)
    with pytest.raises(InputError, match=message) as refused:
        read_folder(folder)
    assert len(str(refused.value)) < 400


def test_too_few_places_are_said(tmp_path: Path) -> None:
    folder = write(tmp_path / "street", geometry())
    far = radio(interferers=Interferers(count=2, distance_m=(600, 1000)).model_dump())
    with pytest.raises(InputError, match=r"radio\.interferers\.count = 2: only 0 places"):
        DeepMimo(str(folder), far, Clients(count=5, distance_m=(40, 120)), 0)
    with pytest.raises(InputError, match=r"has no 't009_tx000_r000'; there is t001_tx000_r000"):
        read_folder(folder, "t009_tx000_r000")
