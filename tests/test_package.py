"""What goes into wheel and sdist, and what stands around a release."""

from __future__ import annotations

import importlib.util
import json
import re
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "check_package", ROOT / "scripts" / "check_package.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pictures_and_links_of_the_readme_lead_somewhere_from_the_index(script) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    made = script.absolute(text, "owner/name", "v1.0")
    targets = re.findall(r"\]\(([^)\s]+)\)", made)
    assert len(targets) == len(re.findall(r"\]\(([^)\s]+)\)", text)) > 10
    assert all(target.startswith(("https://", "http://", "#")) for target in targets)
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", made)
    head = "https://raw.githubusercontent.com/owner/name/v1.0/"
    assert pictures
    for picture in pictures:
        assert (ROOT / picture.removeprefix(head)).is_file(), picture


def test_what_the_site_is_built_from_is_in_the_sdist() -> None:
    lines = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()
    named = {name for line in lines if line.startswith("include ") for name in line.split()[1:]}
    assert {"mkdocs.yml", "Makefile", "constraints.txt", "Containerfile"} <= named


@pytest.fixture
def packages(script, tmp_path, monkeypatch):
    """Write a wheel and an sdist of a repository of two files, each without some of them."""
    monkeypatch.setattr(
        script,
        "tracked",
        lambda *under: (
            {"src/airtune/a.py", "src/airtune/b.css"} | (set() if under else {"README.md"})
        ),
    )

    def write(in_wheel: set[str], in_sdist: set[str]) -> tuple[Path, Path]:
        wheel, sdist = tmp_path / "a.whl", tmp_path / "a.tar.gz"
        with zipfile.ZipFile(wheel, "w") as made:
            for name in {*in_wheel, "airtune-1.dist-info/METADATA"}:
                made.writestr(name, "")
        with tarfile.open(sdist, "w:gz") as archive:
            for name in in_sdist:
                archive.addfile(tarfile.TarInfo(f"airtune-1/{name}"))
        return wheel, sdist

    return write


ALL_WHEEL = {"airtune/a.py", "airtune/b.css"}
ALL_SDIST = {"src/airtune/a.py", "src/airtune/b.css", "README.md"}


def test_whole_packages_pass(script, packages) -> None:
    script.look(*packages(ALL_WHEEL, ALL_SDIST))


@pytest.mark.parametrize(
    ("in_wheel", "in_sdist", "message"),
    [
        (ALL_WHEEL - {"airtune/b.css"}, ALL_SDIST, "a.whl lacks airtune/b.css"),
        (ALL_WHEEL | {"tests/c.py"}, ALL_SDIST, "a.whl has besides tests/c.py"),
        (ALL_WHEEL, ALL_SDIST - {"README.md"}, "a.tar.gz lacks README.md"),
        (ALL_WHEEL, ALL_SDIST | {"x.pyc"}, "a.tar.gz has besides x.pyc"),
    ],
)
def test_what_lacks_or_does_not_belong_is_refused(
    script, packages, in_wheel, in_sdist, message
) -> None:
    with pytest.raises(SystemExit, match=re.escape(message)):
        script.look(*packages(in_wheel, in_sdist))


def test_the_release_is_checked_before_it_is_published() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    assert workflow[True] == {"push": {"tags": ["v*"]}}, "YAML reads the key `on` as true"
    assert workflow["permissions"] == {"contents": "read"}
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    assert publish["needs"] == ["build", "check", "test"]
    assert publish["permissions"] == {"id-token": "write"}
    check, test = workflow["jobs"]["check"], workflow["jobs"]["test"]
    typed = [step.get("run", "") for step in build["steps"]]
    assert any("check_package.py --build-only" in run for run in typed)
    assert not any("constraints" in run or "make" in run for run in typed), "nothing is installed"
    assert any("--is-ancestor" in run and "origin/main" in run for run in typed)
    assert any("check_package.py --built" in step.get("run", "") for step in check["steps"])
    assert ".ci/run" in [step.get("run") for step in test["steps"]]
    for job in (build, check, test, publish):
        assert job is publish or "permissions" not in job
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
            assert "${{" not in step.get("run", ""), "values go through the environment"


def test_what_may_write_the_pages_runs_no_package() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/site.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    build, deploy = workflow["jobs"]["build"], workflow["jobs"]["deploy"]
    assert "permissions" not in build and deploy["permissions"] == {"contents": "write"}
    assert build["steps"][0]["with"]["persist-credentials"] is False
    assert deploy["needs"] == "build"
    for step in [*build["steps"], *deploy["steps"]]:
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
        assert "${{" not in step.get("run", ""), "values go through the environment"
    words = " ".join(step.get("run", "") for step in deploy["steps"])
    assert not re.search(r"\b(python|pip|make|mike|mkdocs)\b", words)


@pytest.mark.parametrize("names", [(), ("a.whl",), ("a.whl", "b.whl", "a.tar.gz")])
def test_only_one_wheel_and_one_sdist_are_taken_from_dist(
    script, tmp_path, monkeypatch, names
) -> None:
    monkeypatch.setattr(script, "DIST", tmp_path)
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(SystemExit, match="not one of each"):
        script.built()


def test_the_image_is_built_from_what_it_copies() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    assert ignored[0] == "*"
    assert {f"!{name}" for line in copied for name in line.split()} <= set(ignored)


def test_the_containers_use_what_is_there() -> None:
    text = (ROOT / "Containerfile").read_text()
    for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    makefile = (ROOT / "Makefile").read_text()
    assert container["postCreateCommand"] == "make .venv/.installed-dev"
    assert "$(VENV)/.installed-dev:" in makefile


def test_every_extra_is_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = (ROOT / "constraints.txt").read_text().lower().replace("_", "-")
    for extra, needs in project["optional-dependencies"].items():
        for need in needs:
            name = re.split(r"[<>=\[ ]", need)[0].lower().replace("_", "-")
            if name != project["name"]:
                assert re.search(rf"^{re.escape(name)}==", pinned, re.MULTILINE), (extra, name)
