"""Cells that several processes share (`benchmarks/campaigns.py`)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from campaigns import Campaign, Task

FOLDER = Path(__file__).parents[2] / "benchmarks"

SHARED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {folder!r})
from campaigns import Campaign, Task

def work(name):
    def measured(document):
        assert name == "first" or "first" in document["cells"]
        with open({log!r}, "a") as log:
            log.write(name + chr(10))
        time.sleep(0.1)
        return {{"x": 1.0}}
    return measured

names = ["first", *map(str, range(6))]
tasks = [Task(n, work(n), None if n == "first" else "first") for n in names]
Campaign(Path({file!r}), {{"settings": [1]}}).run(tasks)
"""


def test_two_processes_measure_each_cell_once(tmp_path: Path) -> None:
    file, log = tmp_path / "found.json", tmp_path / "log"
    script = SHARED.format(folder=str(FOLDER), log=str(log), file=str(file))
    both = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    names = log.read_text().split()
    assert sorted(names) == sorted({"first", *map(str, range(6))})
    document = json.loads(file.read_text())
    assert set(document["cells"]) == set(names) and document["settings"] == [1]
    assert all(cell["cell_cpu_s"] >= 0 for cell in document["cells"].values())


def test_what_is_there_is_not_measured_again(tmp_path: Path) -> None:
    campaign, done = Campaign(tmp_path / "found.json", {}), []

    def task(name: str) -> Task:
        def work(document: dict[str, object]) -> dict[str, object]:
            done.append(name)
            if name == "stops":
                raise KeyboardInterrupt
            return {"y": len(done)}

        return Task(name, work)

    with pytest.raises(KeyboardInterrupt):
        campaign.run([task("a"), task("stops"), task("b")])
    campaign.run([task("a"), task("b")])
    assert done == ["a", "stops", "b"]
    campaign.run([task("c")], until=time.time() - 1)
    assert set(campaign.read()["cells"]) == {"a", "b"}
    with pytest.raises(ValueError, match="d needs nobody"):
        campaign.run([Task("d", lambda document: {}, "nobody")])
