"""The pages: code runs, settings are settings, commands can be typed, links lead somewhere.

Python code of most pages runs beside what it shows, RUN_ELSEWHERE says where; the rest runs here.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from airtune.commands.app import app
from airtune.registry import CHANNELS, SCHEMES
from airtune.scenario.file import load, shipped
from airtune.study.sweep import parse_axes

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / ".github").rglob("*.md")]
)

RUN_ELSEWHERE = {
    "docs/calibration.md": "tests/bound/test_calibrate.py",
    "docs/engines.md": "tests/engines/test_engines.py",
    "docs/learning.md": "tests/learning",
    "docs/models-and-data.md": "tests/learning/test_manual.py",
    "docs/planning.md": "tests/commands/test_plan_manual.py",
    "docs/schemes.md": "tests/schemes/test_extension.py",
    "docs/selection.md": "tests/schemes/test_extension.py",
    "docs/tutorial.md": "tests/docs/test_tutorial.py",
}
"""Page to the test, or the folder of tests, that runs its Python code."""

SMALLER = {"README.md": ('"training.rounds=10"', '"training.rounds=2", "placement.mode=fast"')}
"""What is changed in the code of a page that would otherwise run for long."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def blocks(page: Path) -> tuple[tuple[str, str], ...]:
    """Language and text of the fenced blocks of a page, an empty language for plain ones."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^( *)```(\w*)[^\n`]*\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return tuple((kind, re.sub(f"^{indent}", "", body, flags=re.M)) for indent, kind, body in found)


def in_pages(*kinds: str) -> list[Any]:
    """Blocks of some languages over all pages, as parameters of a test."""
    return [
        pytest.param(text, id=f"{name_of(page)}-{number}")
        for page in PAGES
        for number, (kind, text) in enumerate(blocks(page))
        if kind in kinds
    ]


def plug_in(page: Path, name: str) -> None:
    """Run a file of a page that registers something, if the page has it."""
    fence = rf'^```python title="{re.escape(name)}"\n(.*?)^```$'
    for text in re.findall(fence, page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        exec(compile(text, name, "exec"), {})


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget at the end what is registered."""
    for names in (SCHEMES, CHANNELS):
        monkeypatch.setattr(names, "_objects", dict(names._objects))
        monkeypatch.setattr(names, "_added", list(names._added))


@cache
def commands() -> tuple[tuple[str, str], ...]:
    """Page and text of every command line, fenced or indented, that begins with airtune."""
    lines = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        fenced = re.findall(r"^```[^\n`]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        indented = re.findall(r"^ {4}(airtune .*)$", text, re.MULTILINE)
        candidates = [*"\n".join(fenced).splitlines(), *indented]
        lines += [
            (name_of(page), x.strip()) for x in candidates if x.strip().startswith("airtune ")
        ]
    return tuple(dict.fromkeys(line for line in lines if "[" not in line[1]))  # no grammars


@pytest.mark.parametrize("text", in_pages("yaml"))
def test_yaml_is_a_scenario(text: str, tmp_path: Path) -> None:
    """Read as a file, beside a base.yaml that it may extend."""
    (tmp_path / "base.yaml").write_text("extends: quickstart")
    (tmp_path / "page.yaml").write_text(text, encoding="utf-8")
    assert load(tmp_path / "page.yaml")


@pytest.mark.parametrize("text", in_pages("json"))
def test_json_is_well_formed(text: str) -> None:
    assert json.loads(text)


@pytest.mark.parametrize("text", in_pages("toml"))
def test_toml_is_well_formed(text: str) -> None:
    assert tomllib.loads(text)


@pytest.mark.parametrize("text", in_pages("python"))
def test_python_compiles(text: str) -> None:
    compile(text, "block", "exec")


def test_python_that_runs_elsewhere_has_its_test() -> None:
    with_code = {name_of(p) for p in PAGES if any(kind == "python" for kind, _ in blocks(p))}
    for page in sorted(with_code & set(RUN_ELSEWHERE)):
        place = ROOT / RUN_ELSEWHERE[page]
        tests = [place] if place.is_file() else sorted(place.rglob("*.py"))
        assert any(Path(page).name in test.read_text(encoding="utf-8") for test in tests), (
            f"{RUN_ELSEWHERE[page]} does not run {page}"
        )


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name_of(page))
        for page in PAGES
        if name_of(page) not in RUN_ELSEWHERE and any(kind == "python" for kind, _ in blocks(page))
    ],
)
def test_python_of_a_page_runs(
    page: Path, quadratic: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All blocks of a page one after the other, with a quadratic in place of the language model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("airtune.study.compare.publish", lambda folder: None)  # no figures
    space: dict[str, object] = {}
    for kind, text in blocks(page):
        if kind == "python":
            exec(
                compile(text.replace(*SMALLER.get(name_of(page), ("", ""))), page.name, "exec"),
                space,
            )


@pytest.mark.parametrize(
    ("page", "line"),
    [pytest.param(*one, id=f"{one[0]}-{number}") for number, one in enumerate(commands())],
)
def test_a_command_can_be_typed(page: str, line: str, plugged: None) -> None:
    """Its options are known, and what it sets are settings; nothing is run."""
    words = shlex.split(line, comments=True)[1:]
    own = words[0] == "--import"
    if own:
        plug_in(ROOT / page, f"{words[1]}.py")
    words = words[2:] if own else words
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    command.make_context(words[0], words[1:])
    options = list(pairwise(words))
    base = words[1] if words[1:] and words[1] in shipped() else "quickstart"
    scenario = load(base, [value for option, value in options if option == "--set"])
    if axes := [value for option, value in options if option == "--vary"]:
        assert parse_axes(scenario, axes)
    if not own:
        named = [v for option, v in options if option in ("--schemes", "--scheme") if v.islower()]
        assert set(",".join(named).split(",")) - {""} <= set(SCHEMES)


def test_the_placement_of_the_readme_runs_as_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line that writes a problem file, and the line that solves it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    write, place = re.findall(r"^(?:python -m airtune\.placement\S*|airtune place) .*$", text, re.M)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", shlex.split(write, comments=True)[2:])
    module = shlex.split(write)[2]
    importlib.import_module(module).main()
    command = typer.main.get_command(app)
    assert command.main(shlex.split(place, comments=True)[1:], standalone_mode=False) in (None, 0)
    with np.load("placed.npz") as placed:
        assert placed["positions"].shape == (3, 4, 2)
        assert (placed["worst_gain"] > 0).all()


def test_every_extra_is_in_the_table_of_extras() -> None:
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.MULTILINE)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert sorted(re.findall(r"`(\w+)`", " ".join(told))) == sorted(extras["optional-dependencies"])


def test_there_are_commands() -> None:
    assert {page for page, _ in commands()} >= {"README.md", "docs/sweep.md", "docs/schemes.md"}


def anchors(page: Path) -> set[str]:
    """Names of a page's headings, as the hosting platforms make them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.strip().replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", [pytest.param(page, id=name_of(page)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file) if file else page
        assert path.exists(), f"{name_of(page)} links {target}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{name_of(page)} links {target}"
