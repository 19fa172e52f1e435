"""The examples run as they stand, on a tiny model and few rounds."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import matplotlib.image
import pytest

from airtune.registry import SCHEMES

FOLDER = Path(__file__).parents[2] / "examples"
NOTEBOOK = FOLDER / "first_steps.ipynb"

TINY = (
    "model.small.hidden=32",
    "model.small.layers=1",
    "model.small.heads=2",
    "model.small.intermediate=64",
    "model.lora.rank=2",
    "pretraining.steps=3",
    "training.rounds=2",
    "training.batch_size_max=4",
    "evaluation.records=30",
    "placement.mode=fast",
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Settings that make an example tiny; its base model is trained once for all of them."""
    return [*TINY, f"cache={tmp_path_factory.mktemp('cache')}"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an example write into a folder of its own, without figures: the report's tests draw."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("airtune.study.compare.publish", lambda run_folder: None)


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def finished_runs() -> list[Path]:
    return sorted(Path().glob("runs/quickstart-*/results.json"))


def test_antennas_are_placed_and_drawn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = example("place_antennas")
    monkeypatch.setattr(script, "MODE", "fast")
    script.main()
    printed = capsys.readouterr().out
    gain, above = (float(line.split()[-2]) for line in printed.splitlines()[:2])
    assert gain > 0
    assert above >= 0
    picture = matplotlib.image.imread(script.PICTURE)
    assert picture.shape[0] > 400
    assert picture[..., :3].std() > 0.1


def test_schemes_are_compared(tiny: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    script = example("compare_schemes")
    script.SETTINGS += tiny
    script.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {row[0] for row in rows[1:]} == {"ideal", "movable", "fixed", "digital"}
    assert len(finished_runs()) == 1


def test_a_scheme_of_ones_own_is_compared(
    tiny: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(SCHEMES, "_objects", dict(SCHEMES._objects))  # what it adds goes again
    monkeypatch.setattr(SCHEMES, "_added", list(SCHEMES._added))
    script = example("own_scheme")
    script.SETTINGS += tiny
    script.main()
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed] == ["corners", "fixed"]
    assert printed[0].split(":")[1] != printed[1].split(":")[1]


def cells() -> list[dict[str, object]]:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_the_notebook_runs(tiny: list[str]) -> None:
    space: dict[str, object] = {}
    for cell in cells():
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), str(cell["id"]), "exec"), space)  # type: ignore[arg-type]
            if cell["id"] == "scenario":
                space["SETTINGS"] += tiny  # type: ignore[operator]
    assert len(finished_runs()) == 1


def test_the_notebook_installs_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    first = next(cell for cell in cells() if cell["cell_type"] == "code")
    assert first["id"] == "install"
    code = compile("".join(first["source"]), "install", "exec")  # type: ignore[arg-type]
    called: list[list[str]] = []
    monkeypatch.setattr("subprocess.run", lambda words, check: called.append(words))
    monkeypatch.setenv("AIRTUNE_SOURCE", "git+https://example.org/airtune")
    exec(code, {})
    assert called == [], "airtune is here"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    exec(code, {})
    assert called[0][1:] == ["-m", "pip", "install", "--quiet", "git+https://example.org/airtune"]
    monkeypatch.delenv("AIRTUNE_SOURCE")
    with pytest.raises(RuntimeError, match="set SOURCE"):
        exec(code, {})


def test_the_notebook_stores_no_outputs() -> None:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    names = [cell["id"] for cell in cells()]
    assert len(set(names)) == len(names)
    for cell in cells():
        assert {"metadata", "source"} <= set(cell)
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
