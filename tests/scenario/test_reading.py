"""Files that extend others, keys given twice, and settings of two names."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from airtune.errors import MESSAGE, InputError
from airtune.scenario.file import commented, load, parse, shipped
from airtune.scenario.reading import parse_yaml, read


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "a.yaml"


def test_a_file_holds_what_differs_from_a_shipped_scenario(tmp_path: Path) -> None:
    path = write(tmp_path, a="extends: quickstart\nname: mine\nradio: {paths: {count: 3}}\n")
    base, mine = load("quickstart").to_dict(), load(path).to_dict()
    base["name"] = "mine"
    base["radio"]["paths"]["count"] = 3
    assert mine == base


def test_files_extend_files_relative_to_themselves(tmp_path: Path, monkeypatch) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    write(inner, b="extends: ../c.yaml\nseed: 2\nseeds: 2\nclients: {count: 4}")
    path = write(
        tmp_path,
        a="extends: inner/b.yaml\nseed: 3\n",
        c="extends: cell-edge\nseed: 1\nseeds: 1\nthreads: 1\nschemes: [fixed]\n",
    )
    monkeypatch.chdir(inner)
    scenario = load(path)
    assert (scenario.seed, scenario.seeds, scenario.threads) == (3, 2, 1)
    assert scenario.schemes == ("fixed",)
    assert scenario.clients.count == 4
    assert scenario.clients.distance_m == (400.0, 500.0)  # of cell-edge
    assert scenario.pretraining.steps == 1500  # of paper-v1, which cell-edge extends


def test_lists_are_replaced_and_null_unsets(tmp_path: Path) -> None:
    path = write(tmp_path, a="extends: quickstart\nschemes: [fixed]\nbudget: {latency_s: null}\n")
    scenario = load(path, ["radio.carrier_hz=28GHz"])
    assert scenario.schemes == ("fixed",)
    assert scenario.budget.latency_s is None
    assert scenario.radio.carrier_hz == 28e9


def test_a_folder_of_the_same_name_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "quickstart").mkdir()
    assert load(write(tmp_path, a="extends: quickstart")) == load("quickstart")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a": "extends: a.yaml"}, "a.yaml: extends itself in a circle"),
        ({"a": "extends: b.yaml", "b": "extends: ./a.yaml"}, r"a\.yaml -> .*b\.yaml -> .*a\.yaml"),
        ({"a": "extends: nowhere"}, "a.yaml: extends = 'nowhere': no such file, and the shipped"),
        ({"a": "extends: [b]"}, r"a.yaml: extends = \['b'\]: must be a file, or the name of"),
        ({"a": "extends: ''"}, "a.yaml: extends = '': must be a file"),
        ({"a": "extends: b.yaml", "b": "- 1"}, "b.yaml: must be a mapping of settings"),
        ({"a": "extends: b.yaml", "b": "x: [1"}, "b.yaml: not valid YAML"),
        ({"a": "extends: b.yaml", "b": "seed: 1\nseed: 1"}, "b.yaml: line 2: the setting 'seed'"),
        # the file that holds the value is named, whichever that is
        (
            {"a": "extends: b.yaml\nseed: 3", "b": "radio: {carrier_hz: -1}"},
            r"b.yaml: radio.carrier",
        ),
        (
            {"a": "extends: b.yaml\nradio: {carrier_hz: -1}", "b": "seed: 3"},
            r"a.yaml: radio.carrier",
        ),
        (
            {"a": "extends: b.yaml\nradio: {bandwidth_hz: 1}", "b": "radio: {x: 1}"},
            "b.yaml: unknown",
        ),
        ({"a": "extends: b.yaml\nbound: {eta: 3}", "b": "bound: {L: 4}"}, "a.yaml: bound: eta = 3"),
        ({"a": "extends: b.yaml\nseed: 3", "b": "bound: {eta: 3}"}, "b.yaml: bound: eta = 3"),
        ({"a": "extends: b.yaml\nseed: 3", "b": "lora: {r: 3}"}, "b.yaml: unknown setting lora.r;"),
        (
            {"a": "extends: b.yaml", "b": "training: {objective: sft, client_objective: dpo}"},
            "b.yaml: training.client_objective = dpo and training.objective = sft: two names of",
        ),
        ({"a": "seed: 1\nextends: b.yaml\nextends: b.yaml"}, "line 3: the setting 'extends'"),
    ],
)
def test_what_cannot_be_extended_is_refused_with_file_and_setting(
    files: dict[str, str], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        load(write(tmp_path, **files))


def test_an_option_over_a_bad_value_of_a_file_mends_it(tmp_path: Path) -> None:
    path = write(tmp_path, a="extends: b.yaml", b="radio: {carrier_hz: -1}")
    assert load(path, ["radio.carrier_hz=1GHz"]).radio.carrier_hz == 1e9
    with pytest.raises(InputError, match=r"--set: radio\.carrier_hz"):
        load(path, ["radio.carrier_hz=-2"])


def test_extends_stands_in_files_only() -> None:
    with pytest.raises(InputError, match="extends stands in files"):
        load("quickstart", ["extends=paper-v1"])
    with pytest.raises(InputError, match="unknown setting extends"):
        parse({"extends": "paper-v1"})


def test_shipped_scenarios_that_extend_differ_where_their_heads_say() -> None:
    base = load("paper-v1").to_dict()
    base["name"] = "paper-v2"
    base["clients"] |= {"concurrency": 4, "selection": "proportional-fair"}
    base["budget"]["latency_s"] = None
    assert load("paper-v2").to_dict() == base
    base = load("paper-v1").to_dict()
    base["name"] = "cell-edge"
    base["clients"] |= {"tx_power_dbm": 23.0, "distance_m": [400.0, 500.0]}
    base["radio"]["interferers"] |= {"count": 3, "distance_m": [500.0, 700.0]}
    assert load("cell-edge").to_dict() == base
    base = load("paper-v1").to_dict()
    base["name"] = "dense-cell"
    base["clients"] |= {"tx_power_dbm": 23.0, "distance_m": [35.0, 289.0]}
    interferers = {"count": 4, "tx_power_dbm": 40.0, "distance_m": [490.0, 510.0]}
    base["radio"]["interferers"] |= interferers
    assert load("dense-cell").to_dict() == base
    assert {name for name in shipped() if len(set(read(name).origins.values())) > 1} == {
        "paper-v2",
        "cell-edge",
        "dense-cell",
    }


def test_the_file_of_init_says_how_to_extend() -> None:
    assert "extends: quickstart" in commented(load("quickstart"))


def test_a_key_given_twice_is_refused_in_options_too() -> None:
    with pytest.raises(InputError, match="line 1: the setting 'count' appears twice"):
        load("quickstart", ["radio.paths={count: 3, count: 4}"])


def test_merge_keys_of_yaml_are_no_repetition() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}"
    assert parse_yaml(text, "s") == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "\n".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 10)}]"
            for i in range(8)
        ),
        "a: &a [*a]",
        "a: &a {b: *a}",
    ],
)
def test_aliases_that_explode_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"holds more than|not valid YAML"):
        parse_yaml(text, "s.yaml")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_names_of_one_setting_with_two_values_are_refused(order: tuple[int, int]) -> None:
    both = ["training.objective=dpo", "training.client_objective=sft"]
    with pytest.raises(InputError, match="two names of one setting") as caught:
        load("quickstart", [both[i] for i in order])
    assert all(f"--set {assignment}" in str(caught.value) for assignment in both)


def test_two_names_with_one_value_or_one_name_twice_are_fine() -> None:
    both = ["training.objective=sft", "training.client_objective=sft"]
    assert load("quickstart", both).training.client_objective == "sft"
    again = ["data.format=preference", "training.objective=sft", "training.objective=dpo"]
    assert load("quickstart", again).training.client_objective == "dpo"


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB + "schemes: *a11", "holds more than 100000 values"),
        (f"n: &n {'x' * 60}\ns: &s [{'*n, ' * 4999}*n]\nt: [{'*s, ' * 8}*s]", "more than 2000000"),
        (
            "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60)),
            "in more than 30 others",
        ),
        ("seed: " + "[" * 100_000, "line 1: YAML values in more than 30 others"),
        ("radio: " + "{a: " * 3000 + "1", "line 1: YAML values in more than 30 others"),
        ("&a [*a]", "contains itself"),
        ("radio: &r\n  paths: *r", "contains itself"),
        ("2020-01-01: 3", "line 1: '2020-01-01' is not a setting's name"),
        ("seed: 1\n3: 4", "line 2: '3' is not a setting's name"),
        ("radio: {null: 4}", "line 1: 'null' is not a setting's name"),
        ("seed: " + "7" * 5000, "line 1: a number of more than 400 digits"),
        ("seed: 0x" + "f" * 9000, "line 1: a number of more than 400 digits"),
        ('name: "a\\ud800"', r"line 1: the text '.*' holds \\ud800, which is no text"),
        ('\n\ncache: "a\\0b"', r"line 3: the text '.*' holds \\u0000, which is no text"),
        ("#" * 1_000_001, "is longer than 1000000 bytes"),
    ],
)
def test_what_would_unfold_is_refused_before_it_does(text: str, words: str, tmp_path: Path) -> None:
    began = time.perf_counter()
    path = write(tmp_path, a=text)
    with pytest.raises(InputError, match=words) as caught:
        load(path)
    assert len(str(caught.value)) <= MESSAGE
    assert time.perf_counter() - began < 20


def test_a_path_of_many_sections_is_told() -> None:
    with pytest.raises(InputError, match="no setting lies below"):
        load("quickstart", ["a." * 3000 + "b=1"])


@pytest.mark.parametrize(
    "assignment",
    [
        "radio.bandwidth_hz=1e-300",
        "radio.bandwidth_hz=1e300",
        "array.spacing=5e-324",
        "array.antennas=100000",
        "clients.count=1000000001",
        "model.small.layers=100000",
        "model.small.vocabulary=1000000000",
        "seed=1" + "0" * 30,
        "seeds=1000000000",
        "threads=1000000000",
        "training.rounds=1000000000",
        "bound.L=1e300",
        "bound.mu=1e-300",
        "client_processor.f_max_hz=[1e300]",
    ],
)
def test_numbers_that_nothing_can_be_computed_with_are_refused(assignment: str) -> None:
    with pytest.raises(InputError, match=assignment.partition("=")[0].replace(".", r"\.")):
        load("quickstart", [assignment])


def test_many_seeds_of_many_schemes_are_told_by_their_cells() -> None:
    with pytest.raises(InputError, match=r"seeds = 60000: makes 300000 cells .* at most 100000"):
        load(
            "quickstart",
            ["seeds=60000", "schemes=[ideal, movable, fixed, random-position, digital]"],
        )
