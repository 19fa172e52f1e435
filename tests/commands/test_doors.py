"""What comes from outside, by whole command lines in this process: one message, and exit code 2."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from airtune import cli
from airtune.commands.failures import told
from airtune.errors import InputError, RoundWarning, computable
from airtune.placement import save_problems
from airtune.placement.examples import random_problem


class Ended:
    """Exit code and stderr of a command line."""

    def __init__(self, code: object, error: str) -> None:
        self.code, self.error = code, error

    @property
    def message(self) -> str:
        """The only line that is no warning."""
        lines = [line for line in self.error.splitlines() if ": warning: " not in line]
        assert len(lines) == 1, self.error
        assert lines[0].startswith("airtune: ")
        assert len(lines[0]) <= 400
        return lines[0]


@pytest.fixture
def airtune(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> object:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(*words: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["airtune", *words])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return Ended(caught.value.code, capsys.readouterr().err)

    return run


SMALL = (
    *("--set=clients.count=2", "--set=schemes=[movable]", "--set=placement.mode=fast"),
    *("--set=array.antennas=2", "--set=training.rounds=2", "--set=data.partition=iid"),
    *("--set=evaluation.records=4", "--set=data.max_records=40"),
)
WIDE = [f"--vary={name}={','.join(map(str, range(99)))}" for name in "abcd"]
MANY = ["--set=radio.paths.count=10000", "--set=clients.count=1000000"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "quickstart", "--set", "radio.bandwidth_hz=1e-300"], "radio.bandwidth_hz"),
        (["compare", "quickstart", "--seeds", "1000000000"], "seeds = 1000000000"),
        (["sweep", "quickstart", *WIDE], "makes 96059601 points"),
        (["plan", "quickstart", *MANY], "the paths need about"),
    ],
)
def test_sizes_and_numbers(airtune: object, words: list[str], said: str) -> None:
    ended = airtune(*words)  # type: ignore[operator]
    assert ended.code == 2
    assert said in ended.message


def test_interference_that_drowns_the_noise(airtune: object) -> None:
    settings = ("radio.noise_psd_dbm_hz=-300", "radio.interferers.tx_power_dbm=300")
    ended = airtune("plan", "quickstart", *SMALL, *(f"--set={one}" for one in settings))  # type: ignore[operator]
    assert ended.code == 2
    assert "dB over the noise" in ended.message


@pytest.mark.parametrize("place", ["file", "file/below", "link"])
def test_a_cache_in_an_impossible_place(airtune: object, place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "link")
    ended = airtune("check", "quickstart", *SMALL, f"--set=cache={place}")  # type: ignore[operator]
    assert ended.code == 2
    assert f"cache = '{place}': must be a folder that can be written into" in ended.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise RuntimeError('torn')", "RuntimeError: torn"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("class Odd(BaseException): pass\nraise Odd('odd')", "Odd: odd"),
        ("def f(): f()\nf()", "RecursionError"),
        ("class E(Exception):\n  def __str__(self): raise ValueError\nraise E", "E: a E"),
    ],
)
def test_modules_that_raise_or_exit(airtune: object, text: str, said: str, tmp_path: Path) -> None:
    name = f"own_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    ended = airtune("--import", name, "schemes")  # type: ignore[operator]
    assert ended.code == 2
    assert f"--import {name}: cannot be imported" in ended.message
    assert said in ended.message


def test_public_data_of_the_servers_pilot_are_named_by_their_setting(airtune: object) -> None:
    settings = ("objective=time", "pilot=server", "pilot_source=gone.jsonl")
    ended = airtune("plan", "quickstart", *SMALL, *(f"--set=planning.{one}" for one in settings))  # type: ignore[operator]
    assert ended.code == 2
    assert ended.message.startswith("airtune: planning.pilot_source: gone.jsonl does not exist")


PLANS = ("[" * 100_000, '{"rounds_max": ' + "9" * 5000 + "}", "\ud800", "", "[1]", '{"a": 1e400}')


@pytest.mark.parametrize("text", PLANS, ids=range(len(PLANS)))
def test_planning_files_that_are_none(airtune: object, text: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    ended = airtune("plan", "--problem", "p.json")  # type: ignore[operator]
    assert ended.code == 2
    assert ended.message


@pytest.mark.parametrize("words", [["plan", "--problem", "p"], ["place", "p", "--out", "o.npz"]])
def test_pipes_and_folders_are_no_files(airtune: object, words: list[str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    ended = airtune(*words)  # type: ignore[operator]
    assert ended.code == 2
    assert "no file" in ended.message


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["place", "p", "--out", "o.npz"], "p: not a readable .npz file (not a zip archive)"),
        (["plan", "--problem", "p"], "p: is not valid JSON"),
        (["diff", "runs", "runs"], "runs: is not a run folder"),
        (["report", "runs"], "runs: is not a run folder"),
        (["resume", "runs"], "runs: is not a run folder"),
        (["chat", "runs"], "runs: is not a run folder"),
    ],
)
def test_what_may_not_be_read_is_told_by_who_reads_it(
    airtune: object,
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "p").write_text("words")
    (tmp_path / "runs").mkdir()
    # a superuser may read all, and is told so by the system only
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    ended = airtune(*words)  # type: ignore[operator]
    assert ended.code == 2
    assert said in ended.message


def test_text_for_numbers_in_a_placement_file(airtune: object, tmp_path: Path) -> None:
    save_problems(tmp_path / "sound.npz", [random_problem(0, antennas=2, clients=3)])
    with np.load(tmp_path / "sound.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "p.npz", **{**arrays, "noise": np.array(["loud"])})
    ended = airtune("place", "p.npz", "--out", "o.npz")  # type: ignore[operator]
    assert ended.code == 2
    assert "noise must hold numbers" in ended.message


def broken(*_: object) -> None:
    raise KeyError("what")


def test_an_error_of_the_program_is_one_line_and_a_file(
    airtune: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("airtune.commands.schemes.list_schemes", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended = airtune("schemes")  # type: ignore[operator]
    assert ended.code == 1
    assert "this is an error of the program, please report it: KeyError: 'what'" in ended.message
    (file,) = tmp_path.glob("airtune-*.txt")
    assert f"is in {file.name})" in ended.message  # below the folder of the command
    assert "in broken" in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["compare", "nowhere"], "quickstart"),
        (["compare", "quickstart", "--schemes", "fixed,magic"], "magic"),
        (["compare", "quickstart", "--seeds", "0"], "seeds"),
        (["compare", "quickstart", "--set", "array.antennas=500"], "array.region"),
        (["compare", "quickstart", "--set", "placement.method=magic"], "placement.method"),
        (["compare", "quickstart", "--set", "model.source=./nowhere"], "nowhere"),
        (["run", "quickstart", "--scheme", "magic"], "magic"),
        (["run", "quickstart", "--scheme", "fixed", "--engine", "magic"], "magic"),
        (["run", "quickstart"], "--scheme"),
        (["resume", "nowhere"], "nowhere"),
        (["report", "nowhere"], "nowhere"),
        (["compare", "quickstart", "--frobnicate"], "--frobnicate"),
        (["plan"], "--problem"),
        (["plan", "quickstart", "--scheme", "fastest"], "--scheme fastest: must be one of ideal"),
    ],
)
def test_bad_input_is_one_clear_message_and_code_2(
    airtune: object, tmp_path: Path, arguments: list[str], part: str
) -> None:
    ended = airtune(*arguments)  # type: ignore[operator]
    assert ended.code == 2, ended.error
    assert part in ended.error
    assert "Traceback" not in ended.error
    assert not list(tmp_path.glob("runs/*/*/seed-*"))


def test_impossible_budget_is_named_with_the_least_that_would_do(
    airtune: object, tmp_path: Path
) -> None:
    tiny = [
        *("--set=model.small.hidden=32", "--set=model.small.layers=1", "--set=model.small.heads=2"),
        *("--set=model.small.intermediate=64", "--set=model.lora.rank=2", *SMALL),
        *("--set=pretraining.steps=3", f"--set=cache={tmp_path / 'cache'}"),
    ]
    for command in (["compare", "quickstart"], ["plan", "quickstart", "--json"]):
        ended = airtune(*command, *tiny, "--set=budget.latency_s=1e-6")  # type: ignore[operator]
        assert ended.code == 2
        assert "Traceback" not in ended.error
        least = re.search(r"budget\.latency_s = 1e-06 to at least ([\d.e+-]+)", ended.error)
        assert least
        assert not list(tmp_path.glob("runs/*"))
    enough = f"--set=budget.latency_s={float(least[1]) * 1.001}"
    done = airtune("run", "quickstart", "--scheme=ideal", *tiny, enough)  # type: ignore[operator]
    assert done.code == 0, done.error


def test_a_warning_about_a_round_is_one_line(
    airtune: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warns() -> None:
        warnings.warn("clients 1 stay silent in round 3", RoundWarning, stacklevel=2)

    monkeypatch.setattr("airtune.commands.schemes.list_schemes", warns)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the command has filters of its own
        ended = airtune("schemes")  # type: ignore[operator]
    assert ended.code == 0
    assert ended.error == "airtune: warning: clients 1 stay silent in round 3\n"


def test_it_is_told_as_often_as_it_comes(airtune: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one place, as of two schemes that lose the same clients."""

    def warns() -> None:
        for _ in range(2):
            warnings.warn("clients 1 stay silent in round 3", RoundWarning, stacklevel=1)

    monkeypatch.setattr("airtune.commands.schemes.list_schemes", warns)
    ended = airtune("schemes")  # type: ignore[operator]
    assert ended.error == "airtune: warning: clients 1 stay silent in round 3\n" * 2


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("ignore", 0),
        ("ignore::RuntimeWarning", 0),
        ("ignore::UserWarning", 2),
        ("error::RuntimeWarning", 2),
    ],
)
def test_it_is_not_told_who_ignores_warnings(asked: str, told: int) -> None:
    program = """
import sys, warnings
from airtune.commands import calling, schemes
from airtune.errors import RoundWarning

def warns():
    warnings.warn("one", RoundWarning, stacklevel=1)

schemes.list_schemes, sys.argv = warns, ["airtune", "schemes"]
sys.exit(calling.call() or calling.call())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": asked},
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "airtune: warning: one\n" * told)


def test_its_traceback_is_shown_on_demand(airtune: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airtune.commands.schemes.list_schemes", broken)
    ended = airtune("--traceback", "schemes")  # type: ignore[operator]
    assert ended.code == 1
    assert "Traceback (most recent call last)" in ended.error


def test_so_is_what_lies_behind_a_message(airtune: object, monkeypatch: pytest.MonkeyPatch) -> None:
    def misread() -> None:
        try:
            broken()
        except KeyError as error:
            raise InputError("its documents do not fit together") from error

    monkeypatch.setattr("airtune.commands.schemes.list_schemes", misread)
    plain = airtune("schemes")  # type: ignore[operator]
    assert "Traceback" not in plain.error
    ended = airtune("--traceback", "schemes")  # type: ignore[operator]
    assert (plain.code, ended.code) == (2, 2)
    assert "Traceback (most recent call last)" in ended.error
    assert ended.error.endswith("airtune: its documents do not fit together\n")


def test_what_is_written_on_demand_onto_a_full_disk(
    airtune: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1, for nothing that was typed is wrong; what was there stays, and nothing else."""
    save_problems(tmp_path / "p.npz", [random_problem(0, antennas=2, clients=2)])
    (tmp_path / "old.npz").write_bytes(b"old")
    before = sorted(tmp_path.iterdir())

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for words in (["init", "s.yaml"], ["place", "p.npz", "--mode", "fast", "--out", "old.npz"]):
        ended = airtune(*words)  # type: ignore[operator]
        assert ended.code == 1
        assert f"{words[-1]}: cannot be written: No space left on device (" in ended.message
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "old.npz").read_bytes() == b"old"


def test_disks_and_memory_that_are_full(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(OSError(28, "No space left on device", "runs/x")) == 1
    assert told(OSError(28, "No space left on device")) == 1
    assert told(PermissionError(13, "Permission denied", "runs")) == 2
    assert told(MemoryError()) == 1
    assert told(RuntimeError("I/O error: No space left on device (os error 28)")) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "airtune: 'runs/x': No space left on device"
    assert lines[2] == "airtune: 'runs': Permission denied"
    assert lines[4] == "airtune: No space left on device"
    assert len(lines) == 5


def test_only_failures_of_arithmetic_become_bad_input() -> None:
    said = r"p\.npz: .* double precision \(Singular matrix\)"
    with pytest.raises(InputError, match=said), computable("p.npz"):
        np.linalg.inv(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="invalid literal"), computable("p.npz"):
        int("x")


def test_a_plan_of_extreme_numbers_ends(airtune: object, tmp_path: Path) -> None:
    client = {"omega": 1, "cycles_per_sample": 1e30, "kappa": 1e-60, "f_min": 1e-60, "f_max": 1e30}
    client |= {"batch_max": 10_000_000, "tx_power_w": 1e30, "energy_budget_j": 1e-60}
    server = {"cycles_per_sample": 1e-60, "kappa": 1e30, "f_min": 1e-60, "f_max": 1e30}
    bound = {"L": 4, "mu": 0.5, "eta": 0.1, "sigma_g_sq": 1e30, "G_sq": 1e30, "L0": 4, "mu0": 0.05}
    bound |= {"eta0": 0.1, "sigma0_sq": 1e30, "delta_pre": 1e30, "L_x": 1e30, "W1": 1e30}
    problem = {
        "bound": bound,
        "clients": [client],
        "server": {**server, "batch_max": 9, "rounds_max": 9},
    }
    problem |= {"mse_star": 1e30, "uplink_s": 1e-60, "downlink_s": 0, "pilot_s": 0, "move_s": 0}
    problem |= {"move_j": 0, "rounds_max": 9, "latency_budget_s": 1e30, "energy_budget_j": 1e30}
    (tmp_path / "p.json").write_text(json.dumps(problem))
    assert airtune("plan", "--problem", "p.json").code == 2  # type: ignore[operator]
