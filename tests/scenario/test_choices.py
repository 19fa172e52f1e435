"""Choices and registered names: read in any case, written in the canonical one."""

from __future__ import annotations

from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from airtune.errors import InputError
from airtune.registry import SCHEMES
from airtune.scenario import Scenario
from airtune.scenario.base import _settings_with_choices
from airtune.scenario.file import dump, load, parse
from airtune.scenario.names import check_names


def choices(section: type[BaseModel], prefix: str = "") -> dict[str, tuple[str, ...]]:
    found = {f"{prefix}{n}": c for n, c in _settings_with_choices(section).items()}
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= choices(field.annotation, f"{prefix}{name}.")
    return found


CHOICES = choices(Scenario)


def test_literals_are_found_within_unions() -> None:
    assert CHOICES["model.dtype"] == ("float32", "bfloat16")
    assert CHOICES["digital.bits"] == ("auto", "planned")
    assert CHOICES["model.lora.target_modules"] == ("all-linear",)
    assert CHOICES["bound.L"] == ("calibrate",)
    assert len(CHOICES) > 20


@given(st.data())
def test_any_choice_is_read_in_any_case(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(CHOICES)))
    word = data.draw(st.sampled_from(CHOICES[path]))
    written = "".join(data.draw(st.sampled_from([x.lower(), x.upper()])) for x in word)
    nested: object = written
    for part in reversed(path.split(".")):
        nested = {part: nested}
    try:
        scenario = parse(nested)  # type: ignore[arg-type]
    except InputError as error:  # a rule between settings: not about the word
        assert "must be one of" not in str(error) and "should be" not in str(error)
        return
    value: object = scenario
    for part in path.split("."):
        value = getattr(value, part)
    assert value == word


@pytest.mark.parametrize(
    ("word", "dtype"),
    [
        ("bf16", "bfloat16"), ("BF16", "bfloat16"), ("BFLOAT16", "bfloat16"),
        ("torch.bfloat16", "bfloat16"), ("fp32", "float32"), ("float", "float32"),
        ("Float32", "float32"), ("f32", "float32"),
    ],
)  # fmt: skip
def test_short_names_of_number_formats(word: str, dtype: str) -> None:
    assert load("quickstart", [f"model.dtype={word}"]).model.dtype == dtype


@pytest.mark.parametrize("word", ["fp16", "half", "float16", "FP16"])
def test_a_format_that_the_setting_lacks_is_refused_as_written(word: str) -> None:
    with pytest.raises(
        InputError, match=f'model.dtype = "{word}": should be .float32. or .bfloat16'
    ):
        load("quickstart", [f"model.dtype={word}"])


def test_registered_names_are_read_in_any_case_and_written_in_one() -> None:
    scenario = load(
        "quickstart",
        [
            "schemes=[Movable, FIXED_2N, Random-Position]",
            "training.server_optimizer=Yogi",
            "training.client_objective=SFT",
            "training.learning_rates={Fixed: 0.1}",
            "clients.selection=Proportional_Fair",
            "radio.channel=Block-Fading",
            "engine.name=Local",
            "placement.method=SQP",
            "placement.mode=Fast",
            "data.template=Alpaca",
        ],
    )
    assert scenario.schemes == ("movable", "fixed-2n", "random-position")
    assert scenario.training.server_optimizer == "yogi"
    assert scenario.training.client_objective == "sft"
    assert scenario.training.learning_rates == {"fixed": 0.1}
    assert scenario.clients.selection == "proportional-fair"
    assert (scenario.radio.channel, scenario.engine.name) == ("block-fading", "local")
    assert (scenario.placement.method, scenario.placement.mode) == ("sqp", "fast")
    assert scenario.data.template == "alpaca"
    check_names(scenario)
    assert parse(yaml.safe_load(dump(scenario))) == scenario


def test_names_that_differ_in_case_only_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="must not repeat"):
        load("quickstart", ["schemes=[fixed, Fixed]"])
    monkeypatch.setattr(SCHEMES, "_objects", dict(SCHEMES._objects))
    monkeypatch.setattr(SCHEMES, "_added", list(SCHEMES._added))
    SCHEMES.add("FIXED", SCHEMES["fixed"])  # a name of one's own wins as it is written
    assert load("quickstart", ["schemes=[fixed, FIXED]"]).schemes == ("fixed", "FIXED")


def test_an_unknown_name_is_kept_as_written_and_refused_on_use() -> None:
    scenario = load("quickstart", ["schemes=[Mine]"])
    assert scenario.schemes == ("Mine",)
    with pytest.raises(InputError, match="schemes = 'Mine': must be one of"):
        check_names(scenario)


def test_a_template_of_ones_own_keeps_its_case() -> None:
    own = "Q: {instruction} {input}"
    assert load("quickstart", [f"data.template='{own}'"]).data.template == own
    assert get_args(Scenario.model_fields["plan"].annotation) == ("shared", "own")


def test_only_whole_adapters_have_their_broadcast_rounded() -> None:
    rounded = ["radio.downlink_quantizer=lloyd-max", "radio.downlink_bits=4"]
    assert load("quickstart", rounded).radio.downlink_bits == 4
    with pytest.raises(InputError, match=r"radio\.downlink_quantizer = lloyd-max: must be none"):
        load("quickstart", [*rounded, "aggregation.payload=ffa"])
    with pytest.raises(InputError, match=r"downlink_bits = 7: must be 8 to 32"):
        load("quickstart", ["radio.downlink_bits=7"])
