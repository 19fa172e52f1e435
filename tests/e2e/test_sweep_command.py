"""`airtune sweep` as a user types it, on a tiny LLaMA: killed, resumed, reported."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest


@pytest.mark.slow
def test_killed_sweep_resumes_to_the_same_results(
    command, environment, airtune, tiny, tmp_path
) -> None:
    few = ("--set", "training.rounds=2", "--set", "evaluation.answers=0", "--schemes", "fixed")
    options = [*tiny, *few, "--vary", "array.antennas=2,3"]
    whole = airtune("sweep", "quickstart", *options, "--out", tmp_path / "whole", "--json")
    assert whole.returncode == 0, whole.stderr
    document = json.loads(whole.stdout)
    assert document == json.loads((tmp_path / "whole" / "results.json").read_text())
    assert [point["settings"]["array.antennas"] for point in document["points"]] == [2, 3]

    target = tmp_path / "killed"
    process = subprocess.Popen(
        [*command, "sweep", "quickstart", *options, "--out", str(target)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 250
    first = target / "point-00" / "fixed" / "seed-0" / "metrics.jsonl"
    while not first.exists():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (target / "results.json").exists()
    finished = sorted(target.glob("point-*/*/seed-*/finished.json"))
    untouched = {path: path.stat().st_mtime_ns for path in finished}
    done = airtune("resume", target, "--json")
    assert done.returncode == 0, done.stderr
    assert untouched == {path: path.stat().st_mtime_ns for path in finished}
    assert json.loads(done.stdout)["points"] == document["points"]
    assert (target / "report.html").is_file()
