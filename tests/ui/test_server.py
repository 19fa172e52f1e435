"""Files of runs: a key for each run, and what they may do in a browser."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from airtune.ui import desk as desks
from airtune.ui.access import Access, Guard
from airtune.ui.desk import Desk
from airtune.ui.runs import Run, Runs
from airtune.ui.server import FILE_POLICY, application


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(desks, "Board", lambda source, changed: None)
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "run.json").write_text("{}")
        (folder / "report.html").write_text(f"report of {name}")
    return Desk(Runs(tmp_path), "quickstart")


def address(desk: Desk, name: str) -> str:
    return desk.address(Run(name, "finished", page=True))


def test_the_key_of_one_run_opens_no_other(desk: Desk) -> None:
    one, two = address(desk, "one"), address(desk, "two")
    assert desk.opens(one)
    assert desk.opens(two)
    key = one.split("/")[2]
    assert len(key) == 64
    assert key != two.split("/")[2]
    for path in (two.replace(two.split("/")[2], key), "/files/", f"/files/{key}", "/files//one/x"):
        assert not desk.opens(path)
    other = Desk(desk.runs, "quickstart")
    assert not other.opens(one)


def test_a_report_may_load_and_send_nothing() -> None:
    parts = dict(part.strip().partition(" ")[::2] for part in FILE_POLICY.split(";"))
    assert parts["default-src"] == parts["connect-src"] == parts["form-action"] == "'none'"
    assert "allow-same-origin" not in parts["sandbox"]
    assert "allow-popups" not in parts["sandbox"]
    assert "allow-top-navigation" not in parts["sandbox"]


@pytest.mark.skipif(find_spec("nicegui") is None, reason="nicegui is not installed")
def test_files_are_served_at_their_own_host_only(desk: Desk) -> None:
    from starlette.testclient import TestClient

    access = Access(8000)
    app: Any = Guard(application(desk), access, desk.opens)
    path = address(desk, "one")
    files = TestClient(app, base_url=access.files_origin)
    found = files.get(path)
    assert (found.status_code, found.text) == (200, "report of one")
    policies = found.headers.get_list("content-security-policy")
    assert policies == [FILE_POLICY, f"frame-ancestors {access.origin}"]
    for other in (address(desk, "two").replace("/two/", "/one/"), "/", "/files/x", "/runs"):
        assert files.get(other).status_code == 403
    own = TestClient(app, base_url=access.origin)
    assert own.get("/assets/ui.js").status_code == 403
    assert own.get(access.address("/runs")).status_code == 200
    assert own.get("/assets/ui.js").status_code == 200
    assert own.get(path).status_code == 403
