"""Scenarios: what is read, written, overridden and refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from airtune.errors import InputError
from airtune.scenario import Scenario
from airtune.scenario.file import commented, dump, load, parse, shipped


def test_yaml_round_trip_keeps_every_setting() -> None:
    scenario = load("quickstart", ["clients.tx_power_dbm=[1,2,3,4,5,6,7,8,9,10]", "seed=7"])
    assert parse(yaml.safe_load(dump(scenario))) == scenario
    assert parse(yaml.safe_load(commented(scenario))) == scenario


@pytest.mark.parametrize("name", ["quickstart", "paper-v2", "smollm2"])
def test_a_line_left_out_of_a_commented_file_takes_what_it_says(name: str) -> None:
    """With the defaults that stand behind values in their place, it is a file without lines."""
    text = commented(load(name))
    behind = re.compile(r"^( *\w+: ).*  # default: (.*)$", re.MULTILINE)
    marked = behind.findall(text)
    assert parse(yaml.safe_load(behind.sub(r"\1\2", text))) == Scenario()
    changed = sum(map(len, _settings(load(name).to_dict()) - _settings(Scenario().to_dict())))
    assert len(marked) == changed // 2 > 0


def _settings(settings: dict[str, Any], path: str = "") -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for name, value in settings.items():
        inside = isinstance(value, dict)
        found |= _settings(value, f"{path}{name}.") if inside else {(f"{path}{name}", repr(value))}
    return found


def test_commented_file_documents_every_setting() -> None:
    lines = commented(Scenario()).splitlines()
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            assert lines[number - 1].lstrip().startswith("#"), f"no comment above {line!r}"


def test_every_shipped_scenario_loads_and_names_its_command() -> None:
    assert "quickstart" in shipped()
    for name, first_line in shipped().items():
        assert load(name).name == name
        assert first_line.startswith("airtune compare")


def test_scenario_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Scenario().seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("radio.pathz.count=3", ["radio.pathz", "paths"]),
        ("radio.paths.cuont=3", ["radio.paths.cuont", "count"]),
        ("radio.paths.count=-1", ["radio.paths.count", "-1", "greater than or equal to 1"]),
        ("seed=true", ["seed", "true", "boolean"]),
        ("training.rounds=1.5", ["training.rounds", "1.5", "integer"]),
        ("training.rounds=", ["training.rounds", "null"]),
        ("clients.distance_m=[5,2]", ["distance_m", "[5.0, 2.0]", "increasing"]),
        ("clients.tx_power_dbm=[1,2]", ["tx_power_dbm", "[1.0, 2.0]", "10"]),
        ("client_processor.f_max_hz=[2e9,2e9]", ["client_processor.f_max_hz", "10"]),
        ("client_processor.f_max_hz=1e3", ["f_max_hz", "1000", "f_min_hz"]),
        ("bound.eta=3", ["bound", "eta = 3", "0.25"]),
        ("bound.mu=9", ["mu = 9", "L"]),
        ("radio.noise_figure_db=.nan", ["radio.noise_figure_db", "finite"]),
        ("array.region=[1,2,3]", ["array.region", "[1, 2, 3]"]),
        ("name=../x", ["name", "../x"]),
        ("plan=best", ["plan", "best", "shared"]),
        ("schemes=[fixed, fixed]", ["schemes", "repeat"]),
        ("model.small.hidden=31", ["hidden = 31", "heads = "]),
        ("clients=3", ["clients", "3"]),
        ("seed", ["--set", "seed"]),
        ("=3", ["--set", "=3"]),
        ("a.b=[", ["--set", "a.b=["]),
        ("seed.x=3", ["seed"]),
        ("array.region=[true,4]", ["--set: array.region = ", "boolean"]),
        ("radio.hardware.chain_w=true", ["--set: radio.hardware.chain_w = true: ", "boolean"]),
        ("radio.csi.gain_error=1e200", ["radio.csi.gain_error", "10"]),
        ("placement.travel_price_db=1e300", ["placement.travel_price_db", "1e300", "1000000000"]),
        ("digital.snr_gap_db=1e4", ["digital.snr_gap_db", "1e4", "100"]),
        ("planning.keep_budgets=true", ["planning.keep_budgets = true: needs plan = own"]),
        ("clients.tx_power_dbm=1e6", ["clients.tx_power_dbm", "300"]),
        ("seed=2001-13-45", ["--set", "seed=2001-13-45"]),
    ],
)
def test_bad_settings_are_named_with_value_and_what_is_allowed(
    override: str, parts: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        load("quickstart", [override])
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [1", "YAML"),
        ("- 1\n- 2", "mapping"),
        ("seed: 1\nseed: 2", "twice"),
        ("radio:\n  paths:\n    count: 3\n    count: 4", "line 4"),
        ("? [a, b]\n: 1", "line 1"),
        ("a: &a {b: *a}", "YAML"),
        ("[" * 3000, "YAML"),
        ("seed: !!python/object/apply:os.system ['true']", "YAML"),
    ],
)
def test_bad_files_are_refused(tmp_path, text: str, part: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=part):
        load(path)


def test_missing_file_lists_the_shipped_scenarios() -> None:
    with pytest.raises(InputError, match="quickstart"):
        load("nowhere.yaml")


def test_empty_file_is_the_default_scenario(tmp_path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("")
    assert load(path) == Scenario()


def _leaves(section: BaseModel, prefix: str = "") -> list[str]:
    names = []
    for name in type(section).model_fields:
        value = getattr(section, name)
        path = f"{prefix}{name}"
        names += _leaves(value, path + ".") if isinstance(value, BaseModel) else [path]
    return names


@settings(deadline=None)  # of wall time, which a busy machine takes
@given(
    st.sampled_from(_leaves(Scenario())),
    st.one_of(
        st.integers(-(10**12), 10**12),
        st.floats(allow_nan=True),
        st.text(max_size=8),
        st.booleans(),
        st.none(),
        st.lists(st.integers(-3, 3), max_size=3),
        st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    ),
)
def test_any_value_is_either_accepted_or_refused_in_one_sentence(leaf: str, value: object) -> None:
    data: dict[str, object] = {}
    section = data
    *parents, last = leaf.split(".")
    for parent in parents:
        section = section.setdefault(parent, {})  # type: ignore[assignment]
    section[last] = value
    try:
        scenario = parse(data)
    except InputError as error:
        assert "\n" not in str(error).replace(str(value), "")
        assert last in str(error)
    else:
        assert parse(yaml.safe_load(dump(scenario))) == scenario
