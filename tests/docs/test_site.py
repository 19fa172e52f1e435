"""The documentation site: every page is in it, and what comes of the build is checked."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CHECK = runpy.run_path(str(ROOT / "scripts" / "check_site.py"))
NAV = re.findall(
    r"^ +- (?:[\w ]+: )?([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE
)
OF_THE_ROOT = {"overview.md", "contributing.md", "changelog.md", "security.md"}
DOCUMENTED = [
    name
    for page in sorted((DOCS / "api").glob("*.md"))
    for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
]


def test_every_page_is_in_the_navigation_once() -> None:
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert sorted(NAV) == sorted(pages | OF_THE_ROOT)


def test_the_reference_has_the_contract_of_every_seam() -> None:
    seams = re.findall(r"`src/(airtune/[\w/]+)\.py`", (ROOT / "CONTRIBUTING.md").read_text())
    modules = {seam.replace("/", ".") for seam in seams} - {"airtune.radio.channels.deepmimo"}
    assert len(modules) >= 8
    assert modules <= set(DOCUMENTED)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_the_reference_names_is_there(name: str) -> None:
    parent, _, last = name.rpartition(".")
    module = import_module(parent)
    assert (module if hasattr(module, last) else import_module(name)).__doc__


def built(folder: Path, **pages: str) -> Path:
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    (folder / "style.css").write_text("p { background: url(a.png) }")
    (folder / "a.png").write_bytes(b"")
    return folder


def test_a_sound_site_has_no_problems(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text('<a href="../one.html#here">up</a>')
    site = built(
        tmp_path,
        one='<h1 id="here">One</h1><a href="sub/">down</a><a href="#here">up</a><img src="a.png">'
        '<a href="https://example.org">away</a><link rel="canonical" href="https://example.org">'
        '<img srcset="a.png, a.png?b=1,2 2x"><a href="one.html?q=1#here">asked</a>'
        '<link rel="stylesheet" href="/style.css"><a href="mailto:a@example.org">mail</a>',
    )
    assert CHECK["problems"](site) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('<a href="gone.html">', "gone.html leads nowhere"),
        ('<img src="gone.png">', "gone.png leads nowhere"),
        ('<a href="#gone">', "#gone has no such anchor"),
        ('<a href="one.html#gone">', "one.html#gone has no such anchor"),
        ('<script src="https://cdn.example.org/x.js">', "asks another host"),
        ('<link rel="stylesheet" href="//fonts.example.org/x.css">', "asks another host"),
        ('<link rel="preconnect" href="https://fonts.example.org">', "asks another host"),
        ('<img src="https://example.org/badge.svg">', "asks another host"),
        ('<video poster="https://example.org/a.png">', "asks another host"),
        ('<svg><image href="https://example.org/a.png">', "asks another host"),
        ('<svg><image xlink:href="//example.org/a.png">', "asks another host"),
        ('<input type="image" src="https://example.org/a.png">', "asks another host"),
        ('<link rel="STYLESHEET" href="https://example.org/x.css">', "asks another host"),
        ('<meta http-equiv="Refresh" content="0; url=https://example.org/">', "asks another host"),
        ('<img srcset="a.png 1x, https://example.org/b.png 2x">', "asks another host"),
        ('<img srcset="a.png 1x, gone.png 2x">', "gone.png leads nowhere"),
        ('<a href="gone.html?q=1">', "gone.html?q=1 leads nowhere"),
        ("<style>@import url(https://example.org/a.css);</style>", "asks another host"),
        ('<p style="background: url(http://example.org/a.png)">', "asks another host"),
    ],
)
def test_what_is_wrong_with_a_site_is_found(text: str, said: str, tmp_path: Path) -> None:
    (found,) = CHECK["problems"](built(tmp_path, one=text))
    assert found.startswith("one.html: ") and said in found


def test_fonts_of_other_hosts_are_found_in_style_sheets(tmp_path: Path) -> None:
    site = built(tmp_path, one="<p>")
    (site / "style.css").write_text("@import 'https://example.org/font.css';")
    assert CHECK["problems"](site) == [
        "style.css: asks another host for https://example.org/font.css"
    ]
    assert "no pages" in CHECK["problems"](tmp_path / "empty")[0]


def hooks() -> dict[str, object]:
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    pytest.importorskip("latex2mathml", reason="needs the extra docs")
    return runpy.run_path(str(ROOT / "scripts" / "site_hooks.py"))


def test_links_that_leave_docs_lead_into_the_site() -> None:
    moved = hooks()["moved"]
    assert callable(moved)
    text = "[a](../README.md#use-it) [b](../examples/own_scheme.py) [c](theory.md) [d](https://x.y)"
    assert moved(text, "docs/laptop.md") == (
        "[a](overview.md#use-it) [b](source/examples/own_scheme.py) [c](theory.md) [d](https://x.y)"
    )
    assert moved("[a](../theory.md)", "docs/api/bound.md") == "[a](../theory.md)"
    assert moved("![a](docs/figures/x.png)", "README.md") == "![a](figures/x.png)"
    code = "```\n[a](../README.md)\n```\n`[a](../README.md)`"
    assert moved(code, "docs/laptop.md") == code


def test_only_files_of_the_repository_are_listed(tmp_path: Path) -> None:
    files_of = hooks()["files_of"]
    assert callable(files_of)
    files_of.__globals__["ROOT"] = tmp_path
    (tmp_path / "examples/deeper").mkdir(parents=True)
    for name in ("a.py", "untracked.py", ".secret", "deeper/b.py"):
        (tmp_path / "examples" / name).touch()
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "examples/a.py", "examples/deeper/b.py"], check=True)
    assert files_of("examples") == ["a.py"]


def test_formulas_become_mathml() -> None:
    content = hooks()["on_page_content"]
    assert callable(content)
    page = '<p><span class="arithmatex">\\(a &lt; \\frac{1}{2}\\)</span></p>'
    html = content(page, None, None, None)
    assert html.startswith('<p><math xmlns="http://www.w3.org/1998/Math/MathML" display="inline">')
    assert "<mfrac>" in html and "&#x0003C;" in html and "arithmatex" not in html


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_site_builds_without_a_warning_and_needs_no_other_host(tmp_path: Path) -> None:
    hooks()
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    assert CHECK["problems"](tmp_path) == []
    theory = (tmp_path / "theory" / "index.html").read_text(encoding="utf-8")
    assert theory.count('display="block"') >= 20 and "arithmatex" not in theory
    placement = (tmp_path / "api" / "placement" / "index.html").read_text(encoding="utf-8")
    assert "[wavelengths]" in placement
