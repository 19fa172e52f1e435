"""`airtune sweep`: a grid on a tiny LLaMA, killed and resumed; bad input is refused."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

VARIED = ("--vary", "array.antennas=2,3", "--schemes", "fixed", "--seeds", "2")
FEW = ("--set", "training.rounds=2", "--set", "evaluation.answers=0")


@pytest.fixture(scope="session")
def options(tiny: list[str]) -> list[str]:
    return [*tiny, *FEW, *VARIED]


@pytest.fixture(scope="session")
def swept(airtune, options, tmp_path_factory):
    folder = tmp_path_factory.mktemp("swept") / "sweep"
    return folder, airtune("sweep", "quickstart", *options, "--out", folder, "--json")


def test_every_point_is_a_comparison_of_its_own(swept, airtune, tiny, tmp_path) -> None:
    folder, done = swept
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document == json.loads((folder / "results.json").read_text())
    assert document["vary"] == [{"setting": "array.antennas", "values": [2, 3]}]
    assert [point["settings"]["array.antennas"] for point in document["points"]] == [2, 3]
    assert all(point["finished"] == point["cells"] == 4 for point in document["points"])
    alone = airtune(
        *("compare", "quickstart", *tiny, *FEW, "--schemes", "fixed", "--seeds", "2"),
        *("--set", "array.antennas=3", "--out", tmp_path / "alone", "--json"),
    )
    assert alone.returncode == 0, alone.stderr
    own, point = json.loads(alone.stdout), document["points"][1]
    for name, entry in point["schemes"].items():
        assert entry == {k: v for k, v in own["schemes"][name].items() if k != "history"}
    assert point["headline"] == own["headline"]
    assert point["paired"] == own["paired"]
    assert len(own["paired"]["schemes"]["fixed"]["final_loss"]["differences"]) == 2


def test_figures_are_one_column_wide_and_the_page_holds_them(swept) -> None:
    folder, _ = swept
    files = sorted((folder / "figures").glob("*.pdf"))
    assert "final-loss-over-array.antennas" in [path.stem for path in files]
    for path in files:
        box = path.read_bytes().split(b"/MediaBox [")[1].split(b"]")[0].split()
        assert float(box[2]) == pytest.approx(3.5 * 72, abs=0.01)
        assert path.with_suffix(".png").is_file()
    page = (folder / "report.html").read_text()
    assert page.count("<figure>") == len(files)
    assert "antennas 3" in page


def test_killed_sweep_resumes_to_the_same_results(
    command, environment, airtune, options, swept, tmp_path
) -> None:
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
    found, whole = json.loads(done.stdout), json.loads((swept[0] / "results.json").read_text())
    assert found["points"] == whole["points"]
    assert "report.html" in airtune("report", target).stdout


def test_points_that_cannot_keep_a_budget_are_told(airtune, tiny, tmp_path) -> None:
    out = tmp_path / "sweep"
    arguments = ("sweep", "quickstart", *tiny, *FEW, "--schemes", "fixed", "--out", out)
    done = airtune(*arguments, "--vary", "budget.latency_s=1e-6,1000", "--json")
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)["points"]
    assert "raise budget.latency_s" in first["infeasible"][0]
    assert first["finished"] == 0
    assert second["finished"] == 2


@pytest.mark.parametrize(
    ("vary", "told"),
    [
        ("array.antenas=2", "did you mean antennas?"),
        ("array.antennas=0,2", "array.antennas = 0"),
        ("array.antennas=2,2", "appears twice"),
        ("array.antennas=", "names no value"),
        ("array.antennas", "must have the form"),
        ("array.region=[2,2],[4", "not valid YAML"),
        ("schemes=movable", "use --schemes"),
        ("seed=1,2", "use --seeds"),
        ("seed.a=1", "seed is no section"),
    ],
)
def test_bad_values_are_refused(vary: str, told: str) -> None:
    from airtune import load_scenario, sweep
    from airtune.errors import InputError

    with pytest.raises(InputError, match=told.replace("?", r"\?")):
        sweep.parse_axes(load_scenario("quickstart"), [vary])


def test_a_setting_varied_twice_is_refused_before_any_work(airtune, tmp_path) -> None:
    vary = ("--vary", "array.antennas=2", "--vary", "array.antennas=3")
    done = airtune("sweep", "quickstart", *vary, "--out", tmp_path / "none")
    assert done.returncode == 2
    assert "varied twice" in done.stderr
    assert not Path(tmp_path / "none").exists()
