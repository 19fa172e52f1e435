"""What is said of a boolean where none may stand: the setting, the value and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from airtune.errors import InputError
from airtune.scenario import Scenario
from airtune.scenario.allowed import allowed
from airtune.scenario.explain import section_of
from airtune.scenario.file import load, parse, put


def paths(section: type[BaseModel] = Scenario, above: str = "") -> Iterator[str]:
    for name in section.model_fields:
        yield f"{above}{name}"
        below = section_of(section, name)
        if below is not None:
            yield from paths(below, f"{above}{name}.")


def said_of(assignment: str) -> str:
    with pytest.raises(InputError) as caught:
        load("quickstart", [assignment])
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("model.device", "auto, cpu, cuda or mps"),
        ("seed", f"a whole number (>= 0, < {2**64})"),
        ("engine.workers", "a whole number (1 .. 65536) or null"),
        ("radio.bandwidth_hz", "a number (> 0)"),
        ("radio.csi.age_s", "a number (>= 0) or round"),
        ("array.region", "a list of 2 numbers"),
        ("clients.tx_power_dbm", "a number (-300 .. 300) or a list of numbers"),
        ("schemes", "a list of names"),
        ("model.lora.target_modules", "all-linear or a list of names"),
        ("model.source", "text"),
        ("radio.channel_file", "text or null"),
        ("training.learning_rates", "a section of names, each with its value"),
    ],
)
def test_it_names_the_setting_the_value_and_what_is_allowed(path: str, wanted: str) -> None:
    assert said_of(f"{path}=true") == f"--set: {path} = true: must be {wanted}, not a boolean"


@pytest.mark.parametrize(
    ("path", "given", "shown", "wanted"),
    [
        ("array.region", "[true, 4]", "[true, 4]", "a list of 2 numbers"),
        (
            "training.learning_rates",
            "{movable: true}",
            '{"movable": true}',
            "a section of names, each with its value",
        ),
    ],
)
def test_one_among_others_is_named_with_them(
    path: str, given: str, shown: str, wanted: str
) -> None:
    said = said_of(f"{path}={given}")
    assert said == f"--set: {path} = {shown}: must be {wanted}, with no boolean"


def test_booleans_stay_where_they_may_be() -> None:
    options = "data.template_options={enable_thinking: false}"
    assert load("quickstart", [options]).data.template_options == {"enable_thinking": False}
    assert load("quickstart", ["planning.keep_budgets=false"]).planning.keep_budgets is False


def test_a_section_is_said_to_be_one() -> None:
    assert said_of("radio.csi=false") == (
        "--set: radio.csi = false: must be a section of settings (angle_error_deg, gain_error, "
        "beamformer, age_s)"
    )


def test_every_setting_that_refuses_one_says_what_it_may_be() -> None:
    refused = 0
    for path in paths():
        settings: dict[str, Any] = {}
        put(settings, path, True, "a test")
        try:
            parse(settings)
        except InputError as error:
            if "not a boolean" in str(error):
                refused += 1
                assert f"{path} = true: must be " in str(error)
                assert "another value" not in str(error)
                assert len(str(error)) < 390
    assert refused > 250


def test_a_kind_without_words_is_another_value() -> None:
    assert allowed({}) == "another value"
