"""Client selection from the command line."""

from __future__ import annotations

import json

import pytest

PARTIAL = ("--set", "clients.concurrency=2", "--set", "clients.selection=proportional-fair")


@pytest.mark.slow
def test_compare_with_two_clients_at_a_time(airtune, tiny, tmp_path) -> None:
    folder = tmp_path / "run"
    done = airtune(
        "compare", "quickstart", *tiny, *PARTIAL, "--schemes", "movable", "--out", folder, "--json"
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    chosen = {}
    for name, entry in document["schemes"].items():
        text = (folder / name / "seed-0" / "metrics.jsonl").read_text()
        chosen[name] = [json.loads(line)["clients"] for line in text.splitlines()[1:]]
        counts = [sum(k in clients for clients in chosen[name]) for k in range(10)]
        expected = sum(counts) ** 2 / (10 * sum(c * c for c in counts))
        assert entry["fairness"] == pytest.approx(expected)
        assert entry["fairness"] < 1
    assert all(len(clients) == 2 for clients in chosen["movable"])
    assert chosen["movable"] == chosen["ideal"]
    page = (folder / "report.html").read_text()
    assert "Who transmitted when" in page
    assert "Fairness" in page
    assert (folder / "figures" / "participation.pdf").is_file()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("clients.concurrency=11", "concurrency = 11: must be at most count = 10"),
        ("clients.concurrency=2", "selection = all: must be random, best-channel"),
        ("clients.selection=luckiest", "clients.selection"),
    ],
)
def test_bad_selections_are_named(airtune, setting, told) -> None:
    done = airtune("compare", "quickstart", "--set", setting)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
