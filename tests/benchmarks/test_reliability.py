"""The trials that break runs: what they count, write down and take for right."""

from __future__ import annotations

import json
from pathlib import Path

from trials import tiny, writes
from trials.processes import Ended
from trials.results import Results


def test_a_try_is_written_at_once_and_made_once(tmp_path: Path) -> None:
    path, made = tmp_path / "reliability-kills.json", []

    def work(**found: object) -> dict[str, object]:
        made.append(found)
        return found

    results = Results(path, "kills")
    results.attempt("run-0", "run", lambda: work(kills=2))
    results.attempt("run-1", "run", lambda: work(kills=1, wrong="it hangs"))
    again = Results(path, "kills")
    again.attempt("run-0", "run", lambda: work(kills=9))
    again.attempt("run-1", "run", lambda: work(kills=1))  # what went wrong stays written down
    assert (again.failed, len(made)) == (1, 2)
    anew = Results(path, "kills", anew=True)
    anew.attempt("run-0", "run", lambda: work(kills=2))
    anew.attempt("run-1", "run", lambda: work(kills=1))
    assert (anew.failed, len(made)) == (0, 4)
    content = json.loads(path.read_text())
    assert content["summary"] == [{"of": "run", "tries": 2, "passed": 2, "kills": 3}]
    assert [one["name"] for one in content["tries"]] == ["run-0", "run-1"]


def test_how_a_command_ends_is_judged() -> None:
    def wrong(code: int, err: str) -> str | None:
        return Ended(code, "", err, 0.0).wrong([0, 2])

    assert wrong(0, "airtune: warning: damaged") is None
    assert wrong(2, "airtune: x.json: not valid JSON") is None
    assert "0 messages" in (wrong(2, "") or "")
    assert "2 messages" in (wrong(2, "airtune: one\nairtune: two") or "")
    assert "501 characters" not in (wrong(2, "airtune: " + "x" * 391) or "")
    assert "characters" in (wrong(2, "airtune: " + "x" * 500) or "")
    assert "traceback" in (wrong(0, "Traceback (most recent call last):\nKeyError: 3") or "")
    assert "exit code -9" in (wrong(-9, "") or "")


def test_only_changes_below_the_folder_count(tmp_path: Path) -> None:
    below = str(tmp_path)
    assert writes._is_change("open", (tmp_path / "x", "w", 0), below)
    assert not writes._is_change("open", (tmp_path / "x", "r", 0), below)
    assert not writes._is_change("open", (tmp_path.parent / "x", "w", 0), below)
    assert writes._is_change("os.rename", (tmp_path / "x", tmp_path / "y", -1, -1), below)
    assert not writes._is_change("os.listdir", (tmp_path,), below)


def test_runs_are_compared_without_their_clocks(tmp_path: Path) -> None:
    for name, seconds in (("one", 1.0), ("other", 2.0)):
        (tmp_path / name).mkdir()
        document = {"loss": 0.5, "round_wall_s": seconds, "environment": {"date": seconds}}
        (tmp_path / name / "results.json").write_text(json.dumps(document))
    assert tiny.differences(tmp_path / "one", tmp_path / "other") is None
    (tmp_path / "one" / "x.tmp").touch()
    assert "x.tmp" in (tiny.differences(tmp_path / "one", tmp_path / "other") or "")
    (tmp_path / "one" / "x.tmp").unlink()
    (tmp_path / "one" / "results.json").write_text('{"loss": 0.6}')
    assert "results.json" in (tiny.differences(tmp_path / "one", tmp_path / "other") or "")
