"""The JSON schema for editors: fresh, and what it takes and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from airtune.scenario import Scenario, schema
from airtune.scenario.faults import Faults
from airtune.scenario.file import commented, dump, load, shipped

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    document = schema.json_schema()
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def test_the_file_is_fresh() -> None:
    committed = (ROOT / "docs" / "scenario.schema.json").read_text(encoding="utf-8")
    assert committed == schema.text(), (
        "python -m airtune.scenario.schema > docs/scenario.schema.json"
    )


@pytest.mark.parametrize("name", shipped())
def test_shipped_scenarios_are_valid(name: str, validator: Any) -> None:
    text = (ROOT / "src" / "airtune" / "scenarios" / f"{name}.yaml").read_text(encoding="utf-8")
    validator.validate(yaml.safe_load(text))
    validator.validate(yaml.safe_load(dump(load(name))))


def test_ranges_of_what_init_writes_are_in_the_schema() -> None:
    """As docs/faults.md says; what init writes has the meaning and the value alone."""
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    assert "ranges of\nsingle numbers are in [scenario.schema.json](scenario.schema.json)" in page
    sections = json.loads((ROOT / "docs" / "scenario.schema.json").read_text())["$defs"]
    names = {field.annotation.__name__ for field in Faults.model_fields.values()}
    for name in names:
        for setting, allowed in sections[name]["properties"].items():
            text = json.dumps(allowed)
            if ("number" in text or "integer" in text) and setting != "distance_m":
                assert "imum" in text, f"{name}.{setting}"


def test_what_init_writes_is_valid(validator: Any) -> None:
    validator.validate(yaml.safe_load(commented(Scenario())))


@pytest.mark.parametrize(
    "text",
    [
        "extends: quickstart",
        "radio: {carrier_hz: 3.5GHz, noise_psd_dbm_hz: -174 dBm/Hz}",
        "radio: {carrier_hz: 3.5e9}",
        "clients: {tx_power_dbm: [0dBm, 200 mW, 3]}",
        "budget: {latency_s: 20 ms, client_energy_j: [5mJ, null]}",
        "budget: {latency_s: null}",
        "array: {region: [4 wavelengths, 3]}",
        "digital: {bits: auto}",
        "aggregation: {truncation_db: 3 dB}",
        "bound: {L: calibrate}",
        "model: {dtype: bf16}",
        "schemes: [movable, mine]",
        "training: {objective: dpo}",
    ],
)
def test_it_takes_what_airtune_takes(text: str, validator: Any) -> None:
    validator.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "radio: {carrier_hz: 3.5 m}",
        "radio: {carrier_hz: -1}",
        "radio: {carier_hz: 1e9}",
        "extends: 3",
        "digital: {bits: 17}",
        "model: {dtype: fp16}",
        "lr: 0.1",
        "plan: best",
    ],
)
def test_it_refuses_what_airtune_refuses(text: str, validator: Any) -> None:
    assert not validator.is_valid(yaml.safe_load(text))
