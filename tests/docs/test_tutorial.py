"""docs/tutorial.md: its files do what it says; as a whole it is followed literally (slow)."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from airtune import Scenario, load_scenario
from airtune.registry import CHANNELS, SCHEMES
from airtune.study import compare

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r'^```python title="([^"]+)"\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder; what is registered is forgotten at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("airtune.study.compare.publish", lambda folder: None)  # no figures
    for names in (SCHEMES, CHANNELS):
        monkeypatch.setattr(names, "_objects", dict(names._objects))
        monkeypatch.setattr(names, "_added", list(names._added))


def run(name: str) -> dict[str, object]:
    Path(name).write_text(FILES[name], encoding="utf-8")
    return runpy.run_path(name)


def test_the_scheme_and_the_channel_are_compared(quadratic: object) -> None:
    corners = run("corners.py")["CornerArray"].build(Scenario(), 1).start()  # type: ignore[attr-defined]
    assert sorted(corners.tolist()) == [[0, 0], [0, 4], [4, 0], [4, 4]]
    run("sight.py")
    settings = ["schemes=[corners, fixed]", "radio.channel=sight", "clients.count=3"]
    scenario = load_scenario("quickstart", [*settings, "training.rounds=2"])
    results = compare.compare(scenario, "runs/own")["schemes"]
    assert {"ideal", "corners", "fixed"} <= set(results)
    assert results["corners"]["mse_db"] != results["fixed"]["mse_db"]


def test_the_model_opens_with_the_records(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run("records.py")
    records = [json.loads(line) for line in Path("records.jsonl").read_text().splitlines()]
    assert len(records) == 400
    assert records[1] == {"question": "What is 2 times 3?", "answer": "6", "topic": "small"}
    run("model.py")
    tokenizer = AutoTokenizer.from_pretrained("models/mine")
    model = AutoModelForCausalLM.from_pretrained("models/mine")
    text = records[1]["question"]
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert model.config.vocab_size == len(tokenizer)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "follow_pages.py"
    pages = ["docs/tutorial.md", "docs/laptop.md"]
    done = subprocess.run(
        [sys.executable, script, *pages, "--json", "seconds.json"],
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [step["step"] for step in json.loads(Path("seconds.json").read_text())["steps"]]
    assert {"A first comparison", "Your own scheme", "Your own channel"} < set(steps)
    assert {"Your own data", "Your own model", "Close the lid"} < set(steps)
