"""``airtune check``: what it finds, shows and estimates, in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airtune.commands.check import check_and_show
from airtune.study.preflight import Preflight

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMALL = [
    *("clients.count=2", "schemes=[movable]", "placement.mode=fast", "array.antennas=2"),
    *("training.rounds=2", "data.partition=iid", "evaluation.records=4"),
]


def talk(question: str, answer: str | None) -> dict[str, Any]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny LLaMA's configuration and a chat tokenizer, without any weights."""
    from transformers import LlamaConfig

    from airtune.learning.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(["Say hello to number"], vocabulary=300)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": len(tokenizer)}
    LlamaConfig(**shape, **heads, architectures=["LlamaForCausalLM"]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "talks.jsonl"
    rows = [talk(f"Say number {i}", f"number {i}") for i in range(20)]
    rows[4] = talk("Say nothing", "")
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def checked(
    capsys: pytest.CaptureFixture[str], settings: list[str], records: int = 0
) -> dict[str, Any]:
    ok = check_and_show("quickstart", settings, records, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] == ok == (not document["problems"])
    return document


def test_records_are_what_the_template_renders(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoTokenizer

    settings = [*SMALL, f"model.source={model}", f"data.source={data}", "data.format=chat"]
    document = checked(capsys, settings, records=3)
    assert document["ok"] and document["problems"] == []
    assert document["left_out_count"] == 1
    assert document["left_out"] == [{"place": f"{data}:5", "why": "it has no answer"}]
    assert [record["client"] for record in document["records"]] == [0, 1, 0]
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = data.read_text().splitlines()
    for record in document["records"]:
        messages = json.loads(rows[int(record["place"].rpartition(":")[2]) - 1])["messages"]
        whole = tokenizer.apply_chat_template(messages, tokenize=False)
        assert whole.startswith(record["prompt"] + record["learnt"])
        assert record["learnt"] == messages[-1]["content"] + "<|im_end|>"
        learnt = [i for i, m in zip(record["ids"], record["mask"], strict=True) if m]
        assert tokenizer.decode(learnt) == record["learnt"]
    estimates = document["estimates"]
    assert estimates["rounds"] == 2
    assert all(estimates[name] > 0 for name in ("wall_s", "memory_gib", "time_s", "energy_j"))


def test_clients_without_a_backward_pass_need_less_memory(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "talks.jsonl"
    path.write_text("\n".join(json.dumps(talk(f"Say it {i}", f"{i}")) for i in range(20)))
    settings = [*SMALL, f"model.source={model}", f"data.source={path}", "data.format=chat"]
    settings.append("schemes=[fixed, zeroth-order]")
    document = checked(capsys, settings)
    needed = document["client_memory_gib"]
    assert 0 < needed["zeroth-order"] < needed["fixed"] < document["estimates"]["memory_gib"]
    assert check_and_show("quickstart", settings, 0, as_json=False)
    said = capsys.readouterr().out
    assert "Memory of a client: " in said and f"fixed {needed['fixed']:.2g} GiB" in said


def test_examples_that_are_cut_are_counted(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "talks.jsonl"
    rows = [talk(f"Say it {i}", f"{i} " * (60 if i % 4 == 0 else 1)) for i in range(20)]
    path.write_text("\n".join(map(json.dumps, rows)))
    settings = [*SMALL, f"model.source={model}", f"data.source={path}", "data.format=chat"]
    settings.append("data.max_tokens=48")
    document = checked(capsys, settings, records=100)
    longer = [record["cut"] for record in document["records"]]
    assert document["examples"] == len(longer) and document["cut"] == sum(longer)
    assert longer == [len(record["ids"]) == 48 for record in document["records"]]
    assert 1 <= document["cut"] <= 5
    assert check_and_show("quickstart", settings, 0, as_json=False)
    said = capsys.readouterr().out
    assert f"{document['cut']} of {document['examples']} are longer than data.max_tokens" in said


def test_pairs_are_shown_with_both_answers(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"Say {i}", "chosen": f"{i}", "rejected": "no"} for i in range(9)]
    path.write_text("\n".join(map(json.dumps, rows)))
    pairs = ["data.format=preference", "training.client_objective=dpo"]
    settings = [*SMALL, *pairs, f"model.source={model}", f"data.source={path}"]
    (record,) = checked(capsys, settings, records=1)["records"]
    assert record["rejected"] == "no<|im_end|>"
    assert record["rejected_prompt"] == record["prompt"]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (["data.source=none.jsonl"], "none.jsonl does not exist"),
        (["model.source=/no/where"], "'/no/where' does not exist"),
        (["budget.latency_s=0.001"], "raise budget.latency_s"),
        (["placement.method=guess"], "placement.method = 'guess'"),
        (["schemes=[movable, magic]"], "magic"),
        (["training.rounds=0"], "training.rounds"),
        (["data.template=chat"], "data.template: 'chat' needs"),
        (["pretraining.sources=[none.txt]"], "none.txt"),
    ],
)
def test_each_problem_is_a_line_and_nothing_is_trained(
    settings: list[str], match: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    assert not check_and_show("quickstart", [*SMALL, f"cache={cache}", *settings], 0, as_json=False)
    said = capsys.readouterr()
    assert match in said.err
    *_, problem = said.err.splitlines()
    assert problem.startswith("airtune: ") and match in problem
    assert not list(cache.glob("small-*"))


def test_independent_problems_are_all_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    settings = ["placement.method=guess", "data.source=none.jsonl"]
    document = checked(capsys, [*SMALL, *settings])
    assert len(document["problems"]) == 2


def test_an_adapter_to_start_from_is_looked_at(
    capsys: pytest.CaptureFixture[str], model: Path, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "start"
    settings = [*SMALL, f"model.source={model}", f"data.source={data}", "data.format=chat"]
    settings.append(f"model.adapter={folder}")
    (problem,) = checked(capsys, settings)["problems"]
    assert problem.startswith("model.adapter: ") and "adapter_config.json" in problem
    folder.mkdir()
    (folder / "adapter_model.safetensors").touch()
    config = {"peft_type": "LORA", "r": 3, "lora_alpha": 16.0, "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (problem,) = checked(capsys, settings)["problems"]
    assert problem.startswith("model.lora.rank = 8: ") and "needs model.lora.rank=3" in problem
    config |= {"r": 8, "lora_alpha": 16.0, "use_dora": True}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (problem,) = checked(capsys, settings)["problems"]
    assert problem.endswith("start has use_dora; allowed is plain LoRA")
    (folder / "adapter_config.json").write_text(json.dumps(config | {"use_dora": False}))
    (problem,) = checked(capsys, settings)["problems"]
    assert problem.startswith("model.adapter: ") and "header too small" in problem


@pytest.mark.parametrize(
    ("time_s", "shown"),
    [(0.362, "362 ms"), (1.63, "1.63 s"), (0.0, "0 s"), (5000.0, "83 min")],
)
def test_short_plans_are_not_of_no_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, time_s: float, shown: str
) -> None:
    found = Preflight(estimates={"time_s": time_s, "wall_s": 3.2})
    monkeypatch.setattr("airtune.study.preflight.preflight", lambda scenario, records: found)
    assert check_and_show("quickstart", [], 0, as_json=False)
    assert f"Estimates: {shown} simulated, about 3 s on this" in capsys.readouterr().out


def test_strict_data_are_a_problem(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*SMALL, f"model.source={model}", f"data.source={data}", "data.format=chat"]
    (problem,) = checked(capsys, [*settings, "data.strict=true"])["problems"]
    assert problem.startswith(f"data.source: {data}:5: it has no answer (data.strict = true")


def test_wrong_units_are_answered_before_any_training(tmp_path: Path) -> None:
    from airtune.errors import InputError
    from airtune.scenario import file
    from airtune.study.compare import compare

    cache, out = tmp_path / "cache", tmp_path / "out"
    settings = [*SMALL, f"cache={cache}", "budget.latency_s=0.012"]  # 12 s in thousands
    with pytest.raises(InputError, match=r"raise budget\.latency_s"):
        compare(file.load("quickstart", settings), out)
    assert not cache.exists() and not out.exists()


def test_a_carrier_in_gigahertz_is_asked_about(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """No way of wavelengths that long fits into the time: the antennas stay."""
    settings = [*SMALL, f"cache={tmp_path}", "radio.carrier_hz=3.5"]
    check_and_show("quickstart", settings, 0, as_json=False)
    assert "did you mean 3.5GHz?" in capsys.readouterr().err


def test_facts_that_are_known_are_read_and_made_again_when_damaged_or_changed(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airtune.learning import sizes

    made = []
    outline = sizes.outline
    monkeypatch.setattr(
        sizes, "outline", lambda scenario, seed: made.append(seed) or outline(scenario, seed)
    )
    path = tmp_path / "talks.jsonl"
    path.write_text("\n".join(json.dumps(talk(f"Say {i}", f"{i}")) for i in range(12)))
    settings = [*SMALL, f"model.source={model}", f"data.source={path}", "data.format=chat"]
    settings.append(f"cache={tmp_path / 'cache'}")
    first = checked(capsys, settings)
    again = checked(capsys, settings)
    assert len(made) == 1
    assert {k: v for k, v in first["estimates"].items() if k != "wall_s"} == {
        k: v for k, v in again["estimates"].items() if k != "wall_s"
    }
    (facts,) = (tmp_path / "cache").glob("check-*/facts.json")
    facts.write_text("{")
    assert checked(capsys, settings)["ok"] and len(made) == 2
    path.write_text(path.read_text() + "\n" + json.dumps(talk("Say", "")))
    assert checked(capsys, settings)["left_out_count"] == 1 and len(made) == 3
    checked(capsys, settings, records=1)
    assert len(made) == 4


def test_turns_of_others_between_learnt_ones_are_told_apart(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "talks.jsonl"
    rows = [
        {"messages": talk(f"q{i}", "a")["messages"] + talk("r", "b")["messages"]} for i in "12345"
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    data = [f"data.source={path}", "data.format=chat", "data.turns=all"]
    settings = [*SMALL, *data, f"model.source={model}", f"cache={tmp_path / 'cache'}"]
    (record,) = checked(capsys, settings, records=1)["records"]
    learnt = [part["text"] for part in record["parts"] if part["learnt"]]
    assert learnt == ["a<|im_end|>", "b<|im_end|>"]
    assert "".join(part["text"] for part in record["parts"]) == record["prompt"] + record["learnt"]
    assert check_and_show("quickstart", settings, 1, as_json=False)
    assert "<|im_start|>user" in capsys.readouterr().out


def test_records_that_are_left_out_are_counted_by_reason() -> None:
    from airtune.commands.check import left_out_by_reason
    from airtune.learning.data import LeftOut

    long = [LeftOut(f"a:{n}", f"its prompt ({90 + n} tokens) does not fit") for n in (3, 5)]
    empty = LeftOut("a:4", "it has no answer")
    assert left_out_by_reason([]) == []
    assert left_out_by_reason(long) == [
        "Records: left out 2, first at a:3 because its prompt (93 tokens) does not fit"
    ]
    assert left_out_by_reason([long[0], empty, long[1]]) == [
        "Records: left out 3, for 2 reasons",
        "  left out 2, first at a:3 because its prompt (93 tokens) does not fit",
        "  left out 1, at a:4 because it has no answer",
    ]
