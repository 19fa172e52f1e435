"""The example of the manual works as printed."""

import json
from pathlib import Path

import pytest

from airtune.commands.plan_problem import plan_file

MANUAL = Path(__file__).parents[2] / "docs" / "planning.md"


def blocks() -> tuple[str, str]:
    """The indented problem and the fenced Python code of the manual."""
    text = MANUAL.read_text(encoding="utf-8")
    problem = text[text.index('    {"bound"') : text.index("`cycles_per_sample`")]
    code = text.split("```python\n")[1].split("```")[0]
    return problem, code


def test_the_example_of_the_manual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problem, code = blocks()
    (tmp_path / "problem.json").write_text(problem)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "planning.md", "exec"), {})
    answer = plan_file("problem.json")
    assert str(answer["rounds"]) in capsys.readouterr().out
    assert answer["latency_s"]["total"] <= json.loads(problem)["latency_budget_s"] * (1 + 1e-9)
    assert {"latency", "number of rounds"} <= set(answer["limits"])
