"""The documented commands: output, files, exit codes, interruption and resume."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

SCHEMES = ["ideal", "movable", "fixed", "random-position", "digital"]


def metrics(folder: Path, scheme: str) -> list[dict[str, object]]:
    text = (folder / scheme / "seed-0" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    return [{k: v for k, v in line.items() if not k.endswith("_wall_s")} for line in lines]


def adapter(folder: Path, scheme: str) -> dict[str, np.ndarray]:
    return load_file(folder / scheme / "seed-0" / "adapter" / "adapter_model.safetensors")


def test_compare_prints_one_json_document(compared) -> None:
    folder, done = compared
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == json.loads((folder / "results.json").read_text())
    assert list(document["schemes"]) == SCHEMES
    assert set(document) >= {
        "scenario",
        "target_loss",
        "seeds",
        "schemes",
        "headline",
        "environment",
    }
    for entry in document["schemes"].values():
        assert [line["round"] for line in entry["history"]] == [0, 1, 2, 3]
        assert entry["final_perplexity"] == pytest.approx(np.exp(entry["final_loss"]))
    baselines = {"fixed", "random-position", "digital"}
    assert set(document["headline"]["faster_pct"]) == baselines
    assert set(document["headline"]["less_energy_pct"]) == baselines


def test_page_figures_and_adapters_are_written(compared) -> None:
    folder, _ = compared
    assert "<html" in (folder / "report.html").read_text()
    names = {path.stem for path in (folder / "figures").glob("*.pdf")}
    assert names == {path.stem for path in (folder / "figures").glob("*.png")}
    assert len(names) >= 5
    for scheme in SCHEMES:
        assert json.loads((folder / scheme / "seed-0/adapter/adapter_config.json").read_text())
        assert adapter(folder, scheme)


def test_adapter_loads_with_peft_and_gives_the_recorded_loss(compared, cache) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder, _ = compared
    path = folder / "movable" / "seed-0" / "adapter"
    base = json.loads((path / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert base.startswith("small-")
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(cache / base), path)
    loaded = {name: value for name, value in model.state_dict().items() if "lora_" in name}
    saved = adapter(folder, "movable")
    assert len(loaded) == len(saved)
    for name, value in loaded.items():
        assert np.array_equal(value.numpy(), saved[name.replace(".default", "")])


def test_run_of_one_scheme_equals_its_cell_of_the_comparison(
    airtune, tiny, compared, tmp_path
) -> None:
    folder, _ = compared
    done = airtune("run", "quickstart", "--scheme", "movable", *tiny, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert metrics(tmp_path / "run", "movable") == metrics(folder, "movable")
    assert "report.html" in done.stdout
    # a run has totals, no table of one row
    assert "movable: 3 rounds" in done.stdout
    assert all(part in done.stdout for part in ("loss", "Compute", "Uplink", "Total"))
    assert "Rounds" not in done.stdout
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    environment = results["environment"]
    assert environment["command"].startswith("airtune run quickstart --scheme movable --set ")
    assert environment["date"].endswith("+00:00")
    assert environment["schema_version"] == results["schema_version"]
    assert results["schemes"]["movable"]["left_out_records"] == 0
    assert results["schemes"]["movable"]["rouge_l"] is not None
    again = airtune("resume", tmp_path / "run")
    assert again.returncode == 0, again.stderr
    first, _, rest = again.stdout.partition("\n")
    assert first.endswith("is finished, nothing is left to run; its results:")
    assert rest.partition("page:")[0] == done.stdout.partition("page:")[0]
    assert re.search(r"^movable: round 3/3, .*; done, 1/1 cells$", done.stderr, re.MULTILINE)
    assert "round" not in again.stderr  # nothing is told of what has been run already


def test_killed_comparison_resumes_bit_for_bit(
    command, environment, airtune, tiny, compared, tmp_path
) -> None:
    folder, _ = compared
    target = tmp_path / "killed"
    process = subprocess.Popen(
        [*command, "compare", "quickstart", *tiny, "--schemes", "movable", "--out", str(target)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    lines = target / "movable" / "seed-0" / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (lines.exists() and lines.read_text().count("\n") >= 2):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (target / "results.json").exists()
    done = airtune("resume", target, "--json")
    assert done.returncode == 0, done.stderr
    whole, resumed = json.loads((folder / "results.json").read_text()), json.loads(done.stdout)
    assert resumed["target_losses"] == whole["target_losses"]
    for scheme in ("ideal", "movable"):
        assert resumed["schemes"][scheme] == whole["schemes"][scheme]
        assert metrics(target, scheme) == metrics(folder, scheme)
        for name in ("adapter_config.json", "tokenizer.json"):
            place = Path(scheme, "seed-0", "adapter", name)
            assert (target / place).read_bytes() == (folder / place).read_bytes()
        one, other = adapter(target, scheme), adapter(folder, scheme)
        assert all(np.array_equal(one[name], other[name]) for name in other)


def test_interrupt_saves_and_exits_with_130(command, environment, airtune, tiny, tmp_path) -> None:
    target = tmp_path / "stopped by hand"
    process = subprocess.Popen(
        [
            *command,
            *("run", "quickstart", "--scheme", "fixed", *tiny),
            *("--set", "training.rounds=400", "--set", "budget.latency_s="),
            *("--out", str(target)),
        ],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = target / "fixed" / "seed-0" / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (lines.exists() and lines.read_text().count("\n") >= 3):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"airtune: go on with: airtune resume '{target}'\n" in errors
    assert errors.endswith("airtune: interrupted; what is finished is saved\n")
    assert "Traceback" not in errors
    state = json.loads((target / "fixed" / "seed-0" / "checkpoint" / "state.json").read_text())
    assert state["round"] >= 1


def test_report_rebuilds_the_page(airtune, compared) -> None:
    folder, _ = compared
    page = folder / "report.html"
    before = page.read_bytes()
    page.unlink()
    done = airtune("report", folder)
    assert done.returncode == 0, done.stderr
    assert page.read_bytes() == before


def test_init_writes_a_scenario_that_runs(airtune, tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    assert airtune("init", path).returncode == 0
    assert "# " in path.read_text()
    again = airtune("init", path)
    assert again.returncode == 2
    bad = airtune("compare", path, "--set", "training.rounds=0", "--out", tmp_path / "x")
    assert bad.returncode == 2


def test_version_and_completion(airtune, command, environment) -> None:
    import airtune as package

    done = airtune("--version")
    assert (done.returncode, done.stdout) == (0, f"airtune {package.__version__}\n")
    # the shell is looked for among the processes above: here it is bash that waits
    script = f"{shlex.join(command)} --show-completion; exit $?"
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "COMPREPLY" in done.stdout


def test_schemes_are_listed(airtune) -> None:
    done = airtune("schemes")
    assert done.returncode == 0
    for name in SCHEMES:
        assert name in done.stdout


def test_help_is_quick_and_lists_only_what_works(airtune) -> None:
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        done = airtune("--help")
        seconds.append(time.perf_counter() - began)
    assert done.returncode == 0
    for name in (
        "compare",
        "run",
        "resume",
        "plan",
        "place",
        "calibrate",
        "sweep",
        "report",
        "diff",
    ):
        assert f" {name} " in done.stdout
    assert " ui " in done.stdout
    # half a second on an idle machine; tests run beside others
    assert min(seconds) < 1.5


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["compare", "quickstart", "--set", "data.source=nowhere.jsonl"], "nowhere.jsonl"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_bad_input_is_one_clear_message_and_code_2(
    airtune, tmp_path, arguments: list[str], part: str
) -> None:
    done = airtune(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("runs/*/*/seed-*"))


def test_a_used_folder_is_refused_and_kept(airtune, tiny, tmp_path) -> None:
    (tmp_path / "mine").write_text("precious")
    done = airtune("compare", "quickstart", *tiny, "--out", tmp_path)
    assert done.returncode == 2
    assert (tmp_path / "mine").read_text() == "precious"


@pytest.mark.slow
def test_every_scheme_runs_and_resumes_on_the_model(airtune, tiny, tmp_path) -> None:
    from airtune.registry import SCHEMES as TABLE

    names = ",".join(TABLE)
    small = (*tiny, "--set", "ris.elements=16", "--set", "training.rounds=2")
    done = airtune("compare", "quickstart", *small, "--schemes", names, "--out", tmp_path / "one")
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "one" / "results.json").read_text())
    assert set(document["schemes"]) == set(TABLE)
    assert all(np.isfinite(entry["final_loss"]) for entry in document["schemes"].values())
    again = airtune("resume", tmp_path / "one", "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["schemes"] == document["schemes"]
