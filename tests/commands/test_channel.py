"""``airtune channel``: paths into a file, and runs from the file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from airtune.commands.app import app
from airtune.commands.channel import export
from airtune.commands.place import place_file
from airtune.errors import InputError
from airtune.radio.channels import Block, Channel, Paths, Transmitters
from airtune.radio.channels.path_file import read_paths
from airtune.registry import CHANNEL_SOURCES, CHANNELS
from airtune.scenario import Scenario, file
from airtune.study import compare


def test_the_file_is_described_as_json(tmp_path: Path) -> None:
    out = tmp_path / "paths.npz"
    line = f"channel block-fading --out {out} --blocks 3 --json --set clients.count=4 --set seed=5"
    answer = CliRunner().invoke(app, line.split())
    assert answer.exit_code == 0
    told = json.loads(answer.stdout)
    assert (told["blocks"], told["clients"]["count"], told["interferers"]["count"]) == (3, 4, 2)
    read = read_paths(out)
    assert told["source"] == read.source
    assert "block-fading; seed 5; " in read.source
    assert '"count": 4' in read.source
    total = np.mean([(np.abs(b.clients.gains) ** 2).sum(axis=1) for b in read.blocks], axis=0)
    given = [one["gain_db"] for one in told["clients"]["each"]]
    np.testing.assert_allclose(given, 10 * np.log10(total))
    plain = CliRunner().invoke(app, line.replace(" --json", "").split()).stdout
    assert f"{given[3]:.1f}" in plain
    assert "3 blocks of 4 clients" in plain


def test_a_comparison_from_the_file_is_that_of_the_drawn_channel(
    quadratic: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "publish", lambda folder: None)  # no page
    settings = ["training.rounds=2", "schemes=[fixed]", "radio.csi.gain_error=0.1"]
    out = tmp_path / "paths.npz"
    assert export("block-fading", out, "quickstart", settings)["blocks"] == 3
    compare.compare(file.load("quickstart", settings), tmp_path / "drawn")
    from_file = [*settings, "radio.channel=file", f"radio.channel_file={out}"]
    compare.compare(file.load("quickstart", from_file), tmp_path / "file")
    one, other = (
        json.loads((tmp_path / name / "results.json").read_text())["schemes"]
        for name in ("drawn", "file")
    )
    assert {"ideal", "fixed"} <= one.keys()
    for name, scheme in one.items():
        scheme = {k: v for k, v in scheme.items() if not k.endswith("_wall_s")}
        assert scheme == {k: other[name][k] for k in scheme}, name


class OneWay(Channel):
    """One path a client, straight ahead."""

    def __init__(self, argument: str, radio: Any, clients: Any, seed: int) -> None:
        self.gain, self.count = float(argument), clients.count

    def block(self, round_index: int) -> Block:
        gains = np.full((self.count, 1), self.gain + 0j)
        clients = Paths(gains, np.zeros((self.count, 1, 2)), np.zeros((self.count, 1)))
        both = Transmitters(clients, clients.of(np.arange(0)))
        return Block(both, both)


def test_a_source_of_ones_own_takes_an_argument(tmp_path: Path) -> None:
    CHANNEL_SOURCES.add("one-way", OneWay)
    try:
        told = export("one-way:0.001", tmp_path / "own.npz", blocks=2)
    finally:
        CHANNEL_SOURCES.remove("one-way")
    assert told["clients"]["each"][0]["gain_db"] == pytest.approx(-60.0)
    assert (read_paths(tmp_path / "own.npz").blocks[1].clients.gains == 0.001).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["wire"], "SOURCE = 'wire': must be one of block-fading"),
        (["wire:of-mine"], "SOURCE = 'wire:of-mine': must be one of"),
        (["block-fading", "--blocks", "0"], "--blocks 0: must be 1"),
        (["file"], "channel_file"),
        (["block-fading", "--scenario", "nowhere"], "nowhere"),
        (["block-fading", "--set", "clients.count=0"], "clients.count"),
    ],
)
def test_a_wrong_word_is_refused(tmp_path: Path, words: list[str], message: str) -> None:
    answer = CliRunner().invoke(app, ["channel", *words, "--out", str(tmp_path / "out.npz")])
    assert isinstance(answer.exception, InputError)
    assert message in str(answer.exception)
    assert not (tmp_path / "out.npz").exists()


def test_a_file_that_cannot_be_is_refused_before_any_path_is_drawn(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "back")
    (tmp_path / "back").symlink_to(tmp_path / "loop")
    (tmp_path / "away").symlink_to(tmp_path / "no" / "out.npz")
    names = ("no/out.npz", ".", "pipe", "loop", "away")
    for out in (tmp_path / name for name in names):
        with pytest.raises(InputError, match="out: "):
            export("block-fading", out)
        with pytest.raises(InputError, match="out: "):
            place_file(tmp_path / "absent.npz", out)
    assert (tmp_path / "pipe").is_fifo()  # not replaced by a file


def test_a_file_for_another_scenario_is_refused_before_any_work(tmp_path: Path) -> None:
    export("block-fading", tmp_path / "paths.npz", overrides=["clients.count=3"], blocks=1)
    scenario = Scenario.model_validate(
        {"radio": {"channel": "file", "channel_file": str(tmp_path / "paths.npz")}}
    )
    with pytest.raises(InputError, match=r"3 clients; clients\.count = 10"):
        compare.check(scenario, "run")
    assert "file" in CHANNELS
