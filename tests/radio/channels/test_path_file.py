"""Path files: what is written is read again, and what is wrong is said in one message."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.errors import InputError
from airtune.radio.channels.base import Paths, Transmitters
from airtune.radio.channels.block_fading import BlockFading
from airtune.radio.channels.path_file import FileChannel, PathSet, read_paths, write_paths
from airtune.radio.units import wavelength
from airtune.scenario import Clients, Csi, Interferers, Radio

CARRIER = 3.5e9


def arrays(blocks: int = 3, clients: int = 2, paths: int = 4, others: int = 1) -> dict[str, Any]:
    rng = np.random.default_rng(5)
    shape, other = (blocks, clients, paths), (blocks, others, paths)
    return {
        "gains": rng.standard_normal(shape) + 1j,
        "directions": rng.uniform(-0.7, 0.7, (*shape, 2)),
        "delays": rng.uniform(0, 1e-6, shape),
        "interferer_gains": rng.standard_normal(other) + 1j,
        "interferer_directions": rng.uniform(-0.7, 0.7, (*other, 2)),
        "interferer_delays": rng.uniform(0, 1e-6, other),
        "carrier_hz": CARRIER,
        "source": "a test",
    }


def radio(path: Path, **changes: Any) -> Radio:
    defaults = {"interferers": Interferers(count=1), "carrier_hz": CARRIER}
    return Radio(channel="file", channel_file=str(path), **{**defaults, **changes})


@pytest.mark.parametrize("others", [0, 2])
def test_blocks_of_a_drawn_channel_come_back_bit_for_bit(tmp_path: Path, others: int) -> None:
    settings = Radio(interferers=Interferers(count=others), csi=Csi(angle_error_deg=1.0))
    clients = Clients(count=3)
    drawn = BlockFading(settings, clients, 4)
    path = tmp_path / "paths.npz"
    write_paths(path, PathSet(tuple(drawn.block(t).true for t in range(4)), 3.5e9, "test"))
    known = settings.model_copy(update={"channel": "file", "channel_file": str(path)})
    read = FileChannel(known, clients, 4)
    for t in (3, 1, 0):
        for view in ("true", "perceived"):
            for group in ("clients", "interferers"):
                for part in ("gains", "directions", "delays"):
                    one, other = (
                        getattr(getattr(getattr(c.block(t), view), group), part)
                        for c in (drawn, read)
                    )
                    assert np.array_equal(one, other), (t, view, group, part)
    assert np.array_equal(read.block(7).true.clients.gains, drawn.block(3).true.clients.gains)
    with pytest.raises(ValueError, match="round must be >= 0"):
        read.block(-1)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4)),
    others=st.integers(0, 2),
    near=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_whatever_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory,
    shape: tuple[int, int, int],
    others: int,
    near: bool,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)

    def paths(count: int, length: int) -> Paths:
        size = (count, length)
        turn, radius = rng.uniform(0, 2 * np.pi, size), rng.uniform(0, 1, size)
        return Paths(
            rng.standard_normal(size) + 1j * rng.uniform(0.1, 1, size),
            np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=-1),
            rng.uniform(0, 1e-6, size),
            rng.uniform(1, 1e4, size) if near else None,
        )

    blocks, clients, length = shape
    made = tuple(Transmitters(paths(clients, length), paths(others, 2)) for _ in range(blocks))
    file = tmp_path_factory.mktemp("paths") / "paths.npz"
    write_paths(file, PathSet(made, CARRIER, "drawn"))
    read = read_paths(file)
    assert (read.carrier_hz, read.source, len(read.blocks)) == (CARRIER, "drawn", blocks)
    for one, other in zip(made, read.blocks, strict=True):
        for group in ("clients", "interferers"):
            before, after = getattr(one, group), getattr(other, group)
            for part in ("gains", "directions", "delays"):
                assert np.array_equal(getattr(before, part), getattr(after, part))
            if near:
                np.testing.assert_allclose(after.distances, before.distances, rtol=1e-14)
            else:
                assert after.distances is None


def test_distances_are_metres_in_the_file_and_wavelengths_in_memory(tmp_path: Path) -> None:
    content = arrays()
    content["distances"] = np.full(content["gains"].shape, 12.0)
    content["gains"][:, :, -1] = 0
    content["distances"][:, :, -1] = np.nan  # of paths that fill up nothing matters
    np.savez(tmp_path / "near.npz", **content)
    clients = read_paths(tmp_path / "near.npz").blocks[0].clients
    assert clients.distances is not None
    np.testing.assert_allclose(clients.distances[:, :-1], 12.0 / wavelength(CARRIER))
    assert np.isinf(clients.distances[:, -1]).all()


def test_waves_from_beyond_what_can_be_counted_are_plane(tmp_path: Path) -> None:
    content = arrays()
    content["distances"] = np.full(content["gains"].shape, 1e308)
    np.savez(tmp_path / "far.npz", **content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clients = read_paths(tmp_path / "far.npz").blocks[0].clients
    assert clients.distances is not None
    assert np.isinf(clients.distances).all()


def test_interferers_may_be_absent(tmp_path: Path) -> None:
    content = {k: v for k, v in arrays().items() if not k.startswith("interferer")}
    np.savez(tmp_path / "alone.npz", **content)
    none = radio(tmp_path / "alone.npz", interferers=Interferers(count=0))
    assert FileChannel(none, Clients(count=2), 0).block(1).true.interferers.gains.shape == (0, 1)


def broken(**changes: Any) -> dict[str, Any]:
    content = arrays()
    for name, value in changes.items():
        if value is None:
            del content[name]
        else:
            content[name] = value(content[name]) if callable(value) else value
    return content


def spoilt(index: tuple[int, ...], value: complex) -> Any:
    def change(array: Any) -> Any:
        array[index] = value
        return array

    return change


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (broken(gains=None), "no array gains"),
        (broken(source=None, carrier_hz=None), "no array carrier_hz, source"),
        (broken(interferer_delays=None), "no array interferer_delays"),
        (broken(gains=np.ones((3, 2))), r"gains must have shape \(T, K, L\), not \(3, 2\)"),
        (broken(gains=np.ones((3, 0, 4))), r"gains must have shape \(T, K, L\)"),
        (broken(directions=np.zeros((3, 2, 4))), r"directions must have shape \(3, 2, 4, 2\)"),
        (broken(delays=np.zeros((3, 2, 5))), r"delays must have shape \(3, 2, 4\)"),
        (broken(delays=np.full((3, 2, 4), "a")), "delays must hold numbers"),
        (broken(gains=spoilt((0, 0, 0), np.nan)), "gains must be finite"),
        (broken(directions=spoilt((0, 0, 0, 0), np.inf)), "directions must be finite"),
        (broken(directions=spoilt((0, 0, 0, 0), 1.1)), r"length at most 1, not 1\."),
        (broken(directions=spoilt((0, 0, 0, 0), 1e300)), "length at most 1, not inf"),
        (broken(delays=spoilt((1, 1, 1), -1e-9)), "delays must be >= 0 s, not -1e-09"),
        (broken(gains=spoilt((1, 1), 0)), "client 1 has no path of gain > 0 in block 1"),
        (broken(carrier_hz=-1.0), r"carrier_hz = -1\.0: must be one number > 0"),
        (broken(carrier_hz=np.zeros(2)), r"carrier_hz must be a single value, its shape is \(2,\)"),
        (broken(source=np.array(["a"])), r"source must be a single value, its shape is \(1,\)"),
        (broken(source=3), "source = 3: must be one text"),
        (broken(interferer_gains=np.ones((2, 1, 4)), interferer_delays=np.ones((2, 1, 4)),
                interferer_directions=np.zeros((2, 1, 4, 2))),
         "interferer_gains must have T = 3 blocks"),
        (broken() | {"distances": np.zeros((3, 2, 4))}, r"must be at least 0\.001 m, not 0"),
        (broken() | {"distances": np.full((3, 2, 4), 1e-300)}, r"at least 0\.001 m, not 1e-300"),
        (broken() | {"distances": np.full((3, 2, 4), np.nan)}, r"at least 0\.001 m, not nan"),
        (broken() | {"distances": np.ones((3, 2, 1))}, r"distances must have shape \(3, 2, 4\)"),
        (broken(gains=np.full((3, 2, 4), None)), "not a readable .npz file of plain numbers"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_in_one_message(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, **content)
    with pytest.raises(InputError, match=message) as refused:
        read_paths(path)
    assert str(path) in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + b"\0" * 40, b"\x93NUMPY" + b"\0" * 100])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"file\.npz: not a readable \.npz file"):
        read_paths(tmp_path / "file.npz")
    with pytest.raises(InputError, match=r"not a readable \.npz file"):
        read_paths(tmp_path / "absent.npz")


@pytest.mark.parametrize(
    ("clients", "changes", "message"),
    [
        (3, {}, r"has the paths of 2 clients; clients\.count = 3"),
        (2, {"interferers": Interferers(count=2)}, r"1 interferers; radio\.interferers\.count = 2"),
        (2, {"carrier_hz": 2.8e9}, r"carrier of 3\.5e\+09 Hz; radio\.carrier_hz = 2\.8e\+09"),
    ],
)
def test_a_file_for_another_scenario_is_refused(
    tmp_path: Path, clients: int, changes: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "paths.npz", **arrays())
    with pytest.raises(InputError, match=message):
        FileChannel(radio(tmp_path / "paths.npz", **changes), Clients(count=clients), 0)


def test_the_setting_is_named_where_the_file_is_bad(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"")
    with pytest.raises(InputError, match=r"^radio\.channel_file = .*bad\.npz: not a readable"):
        FileChannel(radio(tmp_path / "bad.npz"), Clients(count=2), 0)


@pytest.mark.parametrize(
    "changes", [{"channel": "file"}, {"channel_file": "paths.npz"}, {"channel_file": ""}]
)
def test_a_file_and_its_channel_belong_together(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="channel = file needs a channel_file"):
        Radio(**changes)
