"""The script that follows pages finds what they say, and makes it small."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "follow_pages.py"))
BIN = Path("bin")


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def typed(sections: list) -> list[str]:
    blocks = [block for section in sections for block in section.blocks]
    return [c for b in blocks if b.kind == "commands" for c in SCRIPT["commands"](b.text)]


def test_every_command_of_the_readme_s_list_is_found() -> None:
    found = typed(SCRIPT["sections"](page("README.md"), "use-it"))
    names = {command.split()[1] for command in found if command.startswith("airtune ")}
    expected = {"init", "check", "compare", "run", "sweep", "resume", "report", "chat", "plan"}
    assert expected | {"calibrate", "place", "schemes"} <= names
    assert not any("#" in command or command.startswith("pip ") for command in found)


def test_the_tutorial_is_found_step_by_step() -> None:
    found = SCRIPT["sections"](page("docs/tutorial.md"))
    steps = [section.title for section in found]
    wanted = ["Install", "A first comparison", "Your own scheme", "Your own channel"]
    assert [step for step in steps if step in wanted] == wanted
    assert steps[-2:] == ["Your own data", "Your own model"]
    files = [b.name for section in found for b in section.blocks if b.kind == "file"]
    assert files == ["corners.py", "sight.py", "records.py", "model.py"]
    assert [b.kind for b in found[0].blocks] == ["install"]
    assert all("training.rounds=2" in section.settings for section in found)
    assert sum(command.startswith("airtune") for command in typed(found)) >= 10


TEXT = """# Page
<!-- follow: a.b=1 c.d=[2,3] -->
```
airtune before
```
## One
```bash
airtune run my.yaml \\
    --scheme movable  # a comment
```
<!-- follow: not -->

```
airtune left-out
```
```python title="own.py"
print(1)
```
```json
{}
```
## Two words
```python
print(2)
```
## Nothing to do
"""


def test_marks_titles_and_languages_say_what_a_block_is() -> None:
    one, two = SCRIPT["sections"](TEXT)
    assert [(b.kind, b.name) for b in one.blocks] == [("commands", ""), ("file", "own.py")]
    assert one.blocks[1].text == "print(1)\n"
    assert one.settings == two.settings == ["a.b=1", "c.d=[2,3]"]
    (command,) = typed([one])
    assert command.split() == ["airtune", "run", "my.yaml", "--scheme", "movable"]
    assert [b.kind for b in two.blocks] == ["python"]
    assert [s.title for s in SCRIPT["sections"](TEXT, "two-words")] == ["Two words"]


def test_settings_are_added_and_the_newest_run_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "my-20261231-000000").mkdir(parents=True)

    def small(command: str) -> list[str]:
        return SCRIPT["small"](command, ["training.rounds=2"], BIN)

    words = small("airtune run my.yaml --scheme movable")
    assert words[:5] == [str(BIN / "airtune"), "run", "my.yaml", "--scheme", "movable"]
    assert "training.rounds=2" in words and f"cache={tmp_path / 'cache'}" in words
    assert "training.rounds=2" in small("airtune --import own compare my.yaml")
    words = small("airtune resume runs/my-20260101-120000")
    assert words[1:] == ["resume", str(Path("runs", "my-20261231-000000"))]
    assert "--set" not in small("airtune plan --problem problem.json")
    assert small("python own.py") == [str(BIN / "python"), "own.py"]


def test_a_page_is_followed_and_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "page.md"
    fence = "```"
    written.write_text(
        f'## Save\n{fence}python title="own.py"\nprint("own")\n{fence}\n'
        f"## Run\n{fence}bash\npython own.py\n{fence}\n{fence}python\nimport own\n{fence}\n"
    )
    monkeypatch.setitem(SCRIPT["main"].__globals__, "environment", lambda: {"python": "3"})
    out = tmp_path / "seconds.json"
    monkeypatch.setattr(sys, "argv", ["follow_pages.py", str(written), "--json", str(out)])
    SCRIPT["main"]()
    assert "2 commands" in capsys.readouterr().out
    saved, ran = json.loads(out.read_text())["steps"]
    assert (saved["step"], saved["commands"]) == ("Save", [])
    assert [one["command"] for one in ran["commands"]] == ["python own.py", "Python"]
    for name in ("seconds", "cpu_seconds"):
        assert ran[name] == pytest.approx(sum(one[name] for one in ran["commands"]))
    assert ran["cpu_seconds"] > 0


def test_what_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = tmp_path / "page.md"
    written.write_text("## Run\n```\npython missing.py\n```\n")
    monkeypatch.setattr(sys, "argv", ["follow_pages.py", str(written)])
    with pytest.raises(SystemExit, match=r"'python missing\.py' ended with 2"):
        SCRIPT["main"]()
    monkeypatch.setattr(sys, "argv", ["follow_pages.py", f"{written}#elsewhere"])
    with pytest.raises(SystemExit, match="nothing to follow"):
        SCRIPT["main"]()


def test_a_clone_is_installed_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    fence = "```"
    install = f"mkdir -p .venv/bin\nln -s '{sys.executable}' .venv/bin/python\n"
    (repository / "page.md").write_text(
        f"## Install\n<!-- follow: install -->\n\n{fence}bash\n{install}{fence}\n"
        f"## Run\n{fence}python\nprint(1)\n{fence}\n"
    )
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a page"]):
        subprocess.run([*git, *words], cwd=repository, check=True)
    monkeypatch.setitem(SCRIPT["main"].__globals__, "ROOT", repository)
    monkeypatch.setitem(SCRIPT["main"].__globals__, "environment", dict)
    out = tmp_path / "seconds.json"
    monkeypatch.setattr(sys, "argv", ["f.py", "page.md", "--install", "--json", str(out)])
    SCRIPT["main"]()
    assert "git clone" in capsys.readouterr().out
    document = json.loads(out.read_text())
    assert [step["step"] for step in document["steps"]] == ["clone", "Install", "Run"]
    assert len(document["steps"][1]["commands"]) == 1
    assert document["from_clone"] is True
