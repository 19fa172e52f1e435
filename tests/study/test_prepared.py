"""A run is not gone on with on another base model or other constants than it began with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airtune import load_scenario, record
from airtune.errors import DamageWarning, InputError
from airtune.scenario import Scenario
from airtune.study import cells

SETTINGS = (
    *("model.small.hidden=16", "model.small.layers=1", "model.small.heads=2"),
    *("model.small.intermediate=32", "model.small.vocabulary=300", "model.lora.rank=1"),
    *("pretraining.steps=1", "pretraining.batch_size=2", "data.max_records=60", "clients.count=2"),
    *("training.rounds=3", "training.batch_size_max=2", "evaluation.records=4", "threads=1"),
    *("evaluation.answers=1", "schemes=[ideal]", "budget.latency_s=", "plan=own"),
    *("placement.mode=fast", "array.antennas=2"),
)


class Stop:
    """Ends a run after its first round, as a kill does."""

    def preparing(self, text: str, fraction: float) -> None:
        """Nothing to show."""

    def told(self, text: str) -> None:
        """Nothing to show."""

    def round_done(self, *done: Any) -> None:
        if done[1] == 1:
            raise KeyboardInterrupt

    def cell_done(self, cell: record.Cell) -> None:
        """Nothing to show."""


def test_other_constants_are_refused(small_scenario: Scenario, quadratic, tmp_path: Path) -> None:
    scenario = small_scenario.model_copy(update={"schemes": ("ideal",)})
    run = record.create(tmp_path / "run", scenario, "run")
    with pytest.raises(KeyboardInterrupt):
        cells.execute(run, Stop())
    path = run.folder / record.names.INPUTS
    document = record.read_json(path)
    del document["sha256"]
    document["prepared"][0]["bound"] = "another"
    record.write_json(path, document)
    with (
        pytest.warns(DamageWarning, match=r"inputs\.json: has no seal"),
        pytest.raises(InputError, match="constants of the bound"),
    ):
        cells.execute(run)
    path.unlink()
    cells.execute(run)
    assert record.check_cell(run.cells[0]).rounds == scenario.training.rounds


@pytest.mark.slow
def test_another_base_model_in_the_cache_is_refused(tmp_path: Path) -> None:
    scenario = load_scenario("quickstart", [*SETTINGS, f"cache={tmp_path / 'cache'}"])
    run = record.create(tmp_path / "run", scenario, "run")
    with pytest.raises(KeyboardInterrupt):
        cells.execute(run, Stop())
    (weights,) = tmp_path.glob("cache/small-*/model.safetensors")
    whole = weights.read_bytes()
    changed = bytearray(whole)
    changed[-1] ^= 1
    weights.write_bytes(changed)
    with pytest.raises(InputError, match=r"small-\w+/model\.safetensors.*is not what it was"):
        cells.execute(run)
    weights.write_bytes(whole)
    cells.execute(run)
    assert record.check_cell(run.cells[0]).rounds == 3
