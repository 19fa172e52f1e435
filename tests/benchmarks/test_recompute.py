"""Times and energies from histories by code of its own: right ones agree, wrong ones do not."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

import recompute
from airtune import load_scenario, record
from airtune.learning.sizes import sizes_of
from airtune.scenario import Scenario
from airtune.study import cells, compare
from quadratic import QuadraticLearner

SETTINGS = [
    *("training.rounds=2", "clients.count=3", "placement.mode=fast", "threads=1"),
    *("evaluation.answers=0", "budget.latency_s=null", "digital.bits=4", "ris.elements=4"),
]
FEW = "ideal,movable,digital-movable"
EVERY = "ideal,movable,selection,ris,fixed-2n,cotaf,digital,digital-movable"


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over the air and in bits, on a learner with a known answer."""
    return run_of(FEW, tmp_path_factory.mktemp("few") / "run")


@pytest.fixture(scope="module")
def every(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of schemes of every kind, on a learner with a known answer."""
    return run_of(EVERY, tmp_path_factory.mktemp("every") / "run")


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Path:
    place: Path = request.getfixturevalue(request.param)
    return place


def run_of(schemes: str, place: Path) -> Path:
    scenario = load_scenario("paper-v1", [*SETTINGS, f"schemes=[{schemes}]"])

    def outline(scenario: Scenario, seed: int) -> SimpleNamespace:
        sizes = sizes_of(QuadraticLearner(scenario, seed))
        return SimpleNamespace(sizes=sizes, base=SimpleNamespace(parameters=tuple))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airtune.learning.sizes.outline", outline)
        patch.setattr(
            "airtune.learning.learner.prepare",
            lambda scenario, seed, progress=None: QuadraticLearner(scenario, seed),
        )
        run = record.create(place, scenario, "compare")
        cells.execute(run)
        compare.summarise(run)
    for adapter in place.glob("*/seed-0/adapter"):
        save_file(
            {"A": np.zeros((2, 50), np.float32), "B": np.zeros(7, np.float32)},
            adapter / "adapter_model.safetensors",
        )
    return place


SLOW = pytest.mark.slow
KINDS = pytest.mark.parametrize(
    ("folder", "count"), [("few", 3), pytest.param("every", 8, marks=SLOW)], indirect=["folder"]
)


def test_it_shares_no_code_with_the_package() -> None:
    tree = ast.parse(Path(recompute.__file__).read_text(encoding="utf-8"))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    allowed = {"__future__", "argparse", "collections", "dataclasses", "json", "math"}
    assert imported <= allowed | {"numpy", "pathlib", "struct", "sys", "typing"}


@KINDS
def test_every_figure_of_every_kind_of_scheme_agrees(folder: Path, count: int) -> None:
    found = recompute.run_cells(folder)
    assert len(found) == count
    for cell in found:
        assert recompute.check(cell).wrong == []
        assert cell.compared > 20
        assert cell.largest < 1e-9
    assert {cell.entries for cell in found} == {107}


@pytest.mark.parametrize(
    ("folder", "scheme", "name", "part", "what"),
    [
        ("few", "movable", "round_latency_s", "uplink", r"uplink \[s\]"),
        ("few", "movable", "round_energy_j", "compute", r"compute \[J\]"),
        ("few", "digital-movable", "round_latency_s", "movement", r"movement \[s\]"),
        ("few", "digital-movable", "round_energy_j", "uplink", r"uplink \[J\]"),
        pytest.param(
            *("every", "selection", "round_energy_j", "downlink", r"downlink \[J\]"), marks=SLOW
        ),
        pytest.param(
            *("every", "digital", "round_energy_j", "uplink", r"uplink \[J\]"), marks=SLOW
        ),
    ],
    indirect=["folder"],
)
def test_a_wrong_figure_is_found(
    folder: Path, scheme: str, name: str, part: str, what: str
) -> None:
    cell = next(c for c in recompute.run_cells(folder) if c.scheme == scheme)
    parts = cell.lines[2][name]
    parts[part] = 3.0 * parts[part] + 1e-3
    assert any(f"round 2, {what}".replace("\\", "") in text for text in recompute.check(cell).wrong)


@KINDS
def test_it_is_a_command(
    folder: Path, count: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["recompute.py", str(folder)])
    assert recompute.main() == 0
    assert capsys.readouterr().out.startswith(f"{count} cells, ")
    results = json.loads((folder / "results.json").read_text())
    results["scenario"]["client_processor"]["kappa"] *= 2
    other = folder.parent / "other"
    other.mkdir()
    for file in folder.glob("*/seed-0/*.json*"):
        copy = other / file.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    (other / "results.json").write_text(json.dumps(results))
    monkeypatch.setattr("sys.argv", ["recompute.py", str(other)])
    assert recompute.main() == 1
    assert "compute [J]" in capsys.readouterr().out
