"""The run folder names the device of the model, and a run is not gone on with on another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from airtune import record
from airtune.errors import InputError
from airtune.scenario import Scenario


def test_the_device_is_named_and_stays(small_scenario: Scenario, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    record.create(folder, small_scenario, "run")
    prepared = {"data": "0" * 8, "adapter": "1" * 8}
    assert "device" not in record.read_environment(folder)
    record.check_prepared(folder, 0, {**prepared, "device": "cuda (A GPU), bfloat16"})
    assert record.read_environment(folder)["device"] == "cuda (A GPU), bfloat16"
    before = record.read_environment(folder)
    record.check_prepared(folder, 0, {**prepared, "device": "cuda (A GPU), bfloat16"})
    with pytest.raises(InputError, match=r"began on cuda \(A GPU\), bfloat16 and this is cpu"):
        record.check_prepared(folder, 0, {**prepared, "device": "cpu"})
    record.check_prepared(folder, 1, prepared)  # an engine that does not say where it computes
    assert record.read_environment(folder) == before
