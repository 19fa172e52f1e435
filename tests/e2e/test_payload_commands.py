"""Whole commands with a payload, and with clients that make forward passes only."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

slow = pytest.mark.slow
KINDS = ("flora", "fedex", "fedsa")


def local_steps(kind: str) -> list[str]:
    """Return the settings of an aggregation of digital schemes."""
    steps = ["training.local_steps=2", "training.local_learning_rate=0.5"]
    return [f"digital.aggregation={kind}", *steps]


SMALL_STEPS = ("zeroth_order.learning_rate=0.01", "zeroth_order.sign_rate=0.003")
CASES = [
    pytest.param("fixed", ["aggregation.payload=ffa"], marks=slow),
    pytest.param("fixed", ["aggregation.payload=rolora"], marks=slow),
    pytest.param("fixed", ["aggregation.payload=mask", "aggregation.payload_size=300"], marks=slow),
    pytest.param(
        "digital", ["aggregation.payload=subspace", "aggregation.payload_size=300"], marks=slow
    ),
    pytest.param("zeroth-order", ["zeroth_order.directions=64", *SMALL_STEPS], marks=slow),
    pytest.param("feedsign", ["zeroth_order.directions=64", *SMALL_STEPS], marks=slow),
    pytest.param("massive-digital", [], marks=slow),
    *(pytest.param("digital", local_steps(kind), marks=slow) for kind in KINDS),
]


@pytest.mark.parametrize(("scheme", "settings"), CASES)
def test_a_run_ends_with_an_adapter_that_peft_loads(
    airtune, tiny, cache: Path, tmp_path: Path, scheme: str, settings: list[str]
) -> None:
    settings = [*settings, "clients.tx_power_dbm=20", "aggregation.payload_step=1"]
    options = [part for setting in settings for part in ("--set", setting)]
    folder = tmp_path / "run"
    done = airtune("run", "quickstart", "--scheme", scheme, *tiny, *options, "--out", folder)
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "results.json").read_text())["schemes"][scheme]
    assert results["rounds_to_target"] is None or results["rounds_to_target"] <= 3
    path = folder / scheme / "seed-0" / "adapter"
    assert any(array.any() for name, array in loaded(path, cache).items() if "lora_B" in name)
    again = airtune("resume", folder)
    assert again.returncode == 0 and "is finished" in again.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_goes_on_to_the_same_adapters(
    airtune, command, environment, tiny, cache: Path, tmp_path: Path, kind: str
) -> None:
    """Frozen weights that have changed, and factors that clients keep, are of the checkpoint."""
    given = [*local_steps(kind), "clients.tx_power_dbm=20", "training.rounds=8"]
    options = [part for setting in given for part in ("--set", setting)]
    words = ["run", "quickstart", "--scheme", "digital", *tiny, *options]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = airtune(*words, "--out", whole)
    assert done.returncode == 0, done.stderr
    process = subprocess.Popen(
        [*command, *words, "--out", str(killed)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    place = Path("digital", "seed-0")
    lines, deadline = killed / place / "metrics.jsonl", time.monotonic() + 300
    while not (lines.exists() and lines.read_text().count("\n") >= 3):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "results.json").exists()
    resumed = airtune("resume", killed)
    assert resumed.returncode == 0, resumed.stderr
    rounds = rounds_of(killed / place)
    assert rounds == rounds_of(whole / place)
    assert len(rounds) == 9 and rounds[-1]["loss"] != rounds[0]["loss"]
    folders = [place / "adapter"]
    if kind == "fedsa":
        folders += [place / "adapter" / "clients" / str(client) for client in (0, 9)]
    for folder in folders:
        one, other = (loaded(out / folder, cache) for out in (killed, whole))
        assert list(one) == list(other)
        assert all(np.array_equal(one[name], other[name]) for name in one)
    if kind == "fedsa":
        mean, *own = (loaded(killed / folder, cache) for folder in folders)
        for name in mean:  # A is everybody's, B each client's own
            same = [np.array_equal(mean[name], one[name]) for one in own]
            assert same == [name.partition("lora_")[2].startswith("A")] * 2


def rounds_of(folder: Path) -> list[dict[str, object]]:
    """Return the lines of metrics, without what the clock on the wall says."""
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in line.items() if not k.endswith("_wall_s")} for line in lines]


def loaded(path: Path, cache: Path) -> dict[str, np.ndarray]:
    """Return the matrices of an adapter, which PEFT loads as they were saved."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = json.loads((path / "adapter_config.json").read_text())["base_model_name_or_path"]
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(cache / base), path)
    found = {name: value.numpy() for name, value in model.state_dict().items() if "lora_" in name}
    saved = load_file(path / "adapter_model.safetensors")
    assert len(found) == len(saved) > 0
    for name, value in found.items():
        assert np.array_equal(value, saved[name.replace(".default", "")])
    return saved
