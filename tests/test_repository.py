"""What stands around the package agrees with it: citation, forms, the hosted check, safety."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from airtune import registry

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what CFF 1.2.0 asks
    assert citation["type"] == "software"
    assert citation["title"] == PROJECT["name"]
    assert str(citation["version"]) == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]
    for reference in citation["references"]:
        assert {"authors", "title", "type"} <= set(reference)


def test_the_hosted_check_runs_ci_on_every_version() -> None:
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    job = workflow["jobs"]["all"]
    label = "Programming Language :: Python :: "
    versions = [x.removeprefix(label) for x in PROJECT["classifiers"] if x.startswith(label)]
    assert job["strategy"]["matrix"]["python"] == [v for v in versions if re.match(r"3\.\d", v)]
    assert job["steps"][-1]["run"] == ".ci/run"
    makefile = read("Makefile")
    for name in job["env"]:
        assert re.search(rf"^{name} \?=", makefile, re.MULTILINE), f"make ignores {name}"


def test_the_hosted_check_asks_for_advisories_on_what_is_pinned() -> None:
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    commands = [step.get("run", "") for step in workflow["jobs"]["advisories"]["steps"]]
    (audit,) = (shlex.split(command) for command in commands if command.startswith("pip-audit "))
    assert "--strict" in audit
    assert (ROOT / audit[audit.index("--requirement") + 1]).name == "constraints.txt"
    assert workflow[True]["schedule"], "YAML reads the key `on` as true"


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_is_one(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert form == {"blank_issues_enabled": False}
        return
    assert {"name", "description", "body"} <= set(form)
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    names = [field["id"] for field in asked]
    assert len(set(names)) == len(names)
    assert any(field.get("validations", {}).get("required") for field in asked)
    for field in asked:
        assert field["attributes"]["label"]
        assert (field["type"] == "dropdown") == ("options" in field["attributes"])


def test_there_are_forms_for_bugs_ideas_and_questions() -> None:
    assert {path.stem for path in FORMS} >= {"bug", "idea", "question"}


def test_contributing_names_what_is_there() -> None:
    named = r"`((?:src|tests|docs|examples|benchmarks)/[\w/.-]*)`"
    paths = set(re.findall(named, read("CONTRIBUTING.md")))
    missing = {path for path in paths if not (ROOT / path).exists()}
    assert not missing, f"CONTRIBUTING.md names {sorted(missing)}"


def test_contributing_has_every_seam() -> None:
    seams = {n: r.group for n, r in vars(registry).items() if isinstance(r, registry.Registry)}
    assert len(seams) >= 6
    for name, group in seams.items():
        assert f"| `{name}`, `{group}` |" in read("CONTRIBUTING.md"), name


UNSAFE = {"eval", "exec", "os.system", "os.popen", "yaml.load", "torch.load"}
UNSAFE_MODULES = {"dill", "joblib", "marshal", "pickle", "shelve"}
SUSPECT = r"\b(eval|exec|system|popen|load)\(|dill|joblib|marshal|pickle|shelve|trust_remote|shell="


def test_the_package_does_what_security_promises() -> None:
    """No pickles, no code from files, no shell, no way around `model.trust_remote_code`."""
    for path in sorted((ROOT / "src" / "airtune").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not re.search(SUSPECT, text):
            continue
        for node in ast.walk(ast.parse(text)):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                assert not UNSAFE_MODULES & {alias.name for alias in node.names}, where
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in UNSAFE_MODULES, where
            elif isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in UNSAFE, where
                for keyword in node.keywords:
                    allowed = (
                        isinstance(keyword.value, ast.Constant) and keyword.value.value is True
                    )
                    unsafe = ("allow_pickle", "trust_remote_code", "shell")
                    assert not (allowed and keyword.arg in unsafe), where
                if ast.unparse(node.func) in ("np.load", "numpy.load"):
                    assert any(keyword.arg == "allow_pickle" for keyword in node.keywords), where
