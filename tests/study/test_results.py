"""Results for Python: a dict, a pandas table, a folder that is overwritten only if it is a run."""

from __future__ import annotations

import sys

import pytest

import airtune
from airtune import record
from airtune.errors import InputError
from airtune.study import compare
from airtune.study.results import Results

PARTS = {"compute": 1.0, "uplink": 2.0}


def document(**schemes: float) -> dict[str, object]:
    entries = {
        name: {"final_loss": loss, "energy_j": PARTS, "history": [1], "plan": {"rounds": 2}}
        for name, loss in schemes.items()
    }
    headline = {"faster_pct": {"fixed": 12.0}, "less_energy_pct": {"fixed": -3.0}}
    return {"schemes": entries, "headline": {**headline, "lower_bounds": ["fixed"]}}


def test_one_row_a_scheme() -> None:
    table = Results(document(movable=0.5, fixed=0.7)).to_pandas()
    assert list(table.index) == ["movable", "fixed"]
    assert table.index.name == "scheme"
    assert table["final_loss"].to_dict() == {"movable": 0.5, "fixed": 0.7}
    assert table.loc["fixed", "energy_j.total"] == 3.0
    assert table.loc["fixed", "faster_pct"] == 12.0
    assert table["less_energy_pct"].isna().to_dict() == {"movable": True, "fixed": False}
    assert not {"history", "plan"} & set(table.columns)


def test_quantiles_have_columns_of_their_own() -> None:
    found = document(movable=0.5)
    found["schemes"]["movable"]["final_loss"] = {"median": 1.0, "p10": 0.5, "p90": None}
    found["schemes"]["movable"]["energy_j"] = {"uplink": {"median": 2.0, "p10": 1.0, "p90": 3.0}}
    row = Results(found).to_pandas().loc["movable"]
    assert (row["final_loss"], row["final_loss.p10"]) == (1.0, 0.5)
    assert row["energy_j.uplink.p90"] == 3.0
    assert "energy_j.total" not in row  # medians do not add up


def test_without_pandas_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        Results(document(movable=0.5)).to_pandas()


@pytest.mark.slow
def test_compare_overwrites_a_run_and_shows_bars(
    small_scenario, quadratic, tmp_path, capsys
) -> None:
    few = small_scenario.training.model_copy(update={"rounds": 1})
    scenario = small_scenario.model_copy(update={"schemes": ("ideal", "fixed"), "training": few})
    folder = tmp_path / "run"
    first = airtune.compare(scenario, folder)
    assert "1/1" not in capsys.readouterr().err
    (folder / "fixed" / "mine").write_text("of the user")
    (folder / "fixed" / "seed-7").mkdir()
    (folder / "fixed" / "seed-7" / "plan.json").write_text("of the first run")
    with pytest.raises(InputError, match="new or an empty folder"):
        airtune.compare(scenario, folder)
    second = airtune.compare(scenario, folder, overwrite=True, progress=True)
    assert capsys.readouterr().err.count("1/1") >= 2
    assert (folder / "fixed" / "mine").read_text() == "of the user"
    assert not (folder / "fixed" / "seed-7").exists()
    assert second["schemes"] == first["schemes"]
    assert second.page == folder / "report.html"
    assert airtune.load_results(folder) == second
    assert set(second.to_pandas().index) == {"ideal", "fixed"}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("kept")
    with pytest.raises(InputError, match="is not a run folder"):
        compare.compare(scenario, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "precious").read_text() == "kept"


def test_settings_are_checked_before_anything_is_removed(small_scenario, tmp_path) -> None:
    folder = record.create(tmp_path / "run", small_scenario, "run").folder
    (folder / "ideal").mkdir()
    wrong = small_scenario.model_copy(update={"schemes": ("nowhere",)})
    with pytest.raises(InputError, match="nowhere"):
        compare.compare(wrong, folder, overwrite=True)
    assert (folder / "ideal").is_dir()


def test_budgets_are_checked_before_anything_is_removed(
    small_scenario, quadratic, tmp_path
) -> None:
    folder = record.create(tmp_path / "run", small_scenario, "run").folder
    (folder / "ideal").mkdir()
    tight = small_scenario.model_copy(
        update={
            "schemes": ("ideal", "fixed"),
            "budget": small_scenario.budget.model_copy(update={"latency_s": 1e-9}),
        }
    )
    with pytest.raises(InputError, match="latency"):
        compare.compare(tight, folder, overwrite=True)
    assert (folder / "ideal").is_dir()


def test_a_run_that_is_being_written_is_not_removed(small_scenario, tmp_path) -> None:
    folder = record.create(tmp_path / "run", small_scenario, "run").folder
    (folder / "ideal").mkdir()
    with record.lock(folder), pytest.raises(InputError, match="another process"):
        record.remove(folder)
    assert (folder / "ideal").is_dir()
    record.remove(folder)
    assert not folder.exists()
    record.remove(folder)


def test_public_names_load_on_use() -> None:
    assert airtune.__version__.count(".") >= 1
    assert airtune.Results is Results
    with pytest.raises(AttributeError, match="nothing"):
        _ = airtune.nothing
