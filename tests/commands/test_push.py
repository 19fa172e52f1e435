"""The tuned model of a run in a folder to pass on, and on a stand-in for the hub."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
import typer
import yaml
from safetensors import SafetensorError

from airtune import record
from airtune.commands.push import Choice, export, push
from airtune.commands.tuned import finished_cell
from airtune.errors import FailedError, InputError
from hub import Hub
from tuned_run import LINES, settings, trained

ADAPTER = {
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
}
MERGED = {
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    *(f"adapter/{name}" for name in ADAPTER),
}


def names(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def card(content: bytes) -> dict[str, object]:
    return yaml.safe_load(content.decode().split("---\n")[1])


def write(files: dict[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_an_adapter_goes_to_the_hub(tuned, hub: Hub, capsys) -> None:
    run, _ = tuned
    push(run.folder, "me/tiny", Choice(licence="mit", base_model="gpt/gpt2"), private=True)
    out = capsys.readouterr()
    assert out.out == f"movable, seed 0: {hub.address}/me/tiny\n"
    files = hub.repositories["me/tiny"]
    assert set(files) == ADAPTER and hub.private == {"me/tiny"}
    own = run.cells[2].adapter_folder
    assert files["adapter_model.safetensors"] == (own / "adapter_model.safetensors").read_bytes()
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "gpt/gpt2"
    assert card(files["README.md"])["base_model"] == "gpt/gpt2"
    assert card(files["README.md"])["license"] == "mit"
    assert b'PeftModel.from_pretrained(base, "me/tiny")' in files["README.md"]
    assert hub.messages == ["tiny, movable, seed 0"]
    for name, content in files.items():
        assert str(run.folder.parent).encode() not in content, name
    # The run folder keeps what it had.
    assert "small-" in (own / "adapter_config.json").read_text()


def test_a_whole_model_goes_to_the_hub_and_loads(tuned, hub: Hub, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    run, learner = tuned
    push(run.folder, "whole", Choice(scheme="fixed", merged=True))
    assert set(hub.repositories["me/whole"]) == MERGED
    folder = write(hub.repositories["me/whole"], tmp_path / "got")
    ids = torch.arange(3, 19)[None]
    learner._model.load(trained(learner))
    base = AutoModelForCausalLM.from_pretrained(
        learner._model.peft.peft_config["default"].base_model_name_or_path
    )
    with torch.no_grad():
        expected = learner._model.causal(input_ids=ids).logits
        whole = AutoModelForCausalLM.from_pretrained(folder)(input_ids=ids).logits
        adapter = PeftModel.from_pretrained(base, folder, subfolder="adapter")
        assert torch.allclose(whole, expected, atol=1e-5)
        assert torch.allclose(adapter(input_ids=ids).logits, expected, atol=1e-5)
    about = (folder / "README.md").read_text()
    assert 'AutoModelForCausalLM.from_pretrained("me/whole")' in about
    assert '"me/whole", subfolder="adapter"' in (folder / "adapter" / "README.md").read_text()


def test_only_files_of_adapter_and_tokenizer_are_shared(tuned, tmp_path: Path, capsys) -> None:
    whole, _ = tuned
    shutil.copytree(whole.folder, tmp_path / "run")
    run = record.open_folder(tmp_path / "run")
    own = run.cells[1].adapter_folder
    (own / "notes.txt").write_text("mine")
    (own / "adapter_model.bin").write_bytes(b"pickle")
    (own / "chat_template.jinja").write_text("{{ messages }}")
    export(run.folder, tmp_path / "out", Choice(scheme="fixed"))
    assert names(tmp_path / "out") == ADAPTER | {"chat_template.jinja"}
    told = capsys.readouterr().err
    assert "not passed on from the adapter's folder: adapter_model.bin, notes.txt\n" in told


def test_who_will_see_it_is_said_before_the_upload(tuned, hub: Hub, capsys) -> None:
    run, _ = tuned
    push(run.folder, "me/open", Choice())
    assert "airtune: me/open is public; uploading\n" in capsys.readouterr().err
    push(run.folder, "me/shut", Choice(), private=True)
    assert "airtune: me/shut is private; uploading\n" in capsys.readouterr().err
    push(run.folder, "me/open", Choice(), private=True)
    assert "me/open is public (it was there before" in capsys.readouterr().err
    hub.read_only = True
    with pytest.raises(typer.Exit):
        push(run.folder, "me/new", Choice())
    assert "me/new is public" in capsys.readouterr().err
    push(run.folder, "me/new", Choice(), dry_run=True)
    assert "(a new repository: public unless" in capsys.readouterr().out


def test_the_case_of_a_scheme_does_not_count(tuned, capsys) -> None:
    run, _ = tuned
    push(run.folder, "me/tiny", Choice(scheme="Fixed"), private=True, dry_run=True)
    assert "fixed" in finished_cell(run, " FIXED", 0).folder.as_posix()


def test_a_second_upload_replaces_the_first(tuned, hub: Hub) -> None:
    run, _ = tuned
    push(run.folder, "me/tiny", Choice())
    before = dict(hub.repositories["me/tiny"])
    push(run.folder, "me/tiny", Choice(licence="mit"))
    after = hub.repositories["me/tiny"]
    assert {name for name in after if after[name] != before[name]} == {"README.md"}


def test_who_pushes_is_told_what_others_lack(tuned, hub: Hub, capsys) -> None:
    run, _ = tuned
    push(run.folder, "me/tiny", Choice())
    told = capsys.readouterr().err
    assert "--licence" in told and "is not on the hub" in told and "--merged" in told
    push(run.folder, "me/tiny", Choice(licence="mit", base_model="a/b"))
    assert "note" not in capsys.readouterr().err


def test_a_dry_run_uses_no_network(tuned, hub: Hub, capsys) -> None:
    run, _ = tuned
    push(run.folder, "me/tiny", Choice(), dry_run=True)
    assert hub.requests == []
    out = capsys.readouterr().out
    assert all(name in out for name in ADAPTER) and "nothing was uploaded" in out


def test_nobody_is_logged_in(tuned, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = tuned
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(InputError, match=r"does not accept the token; log in with `hf auth login`"):
        push(run.folder, "me/tiny", Choice())
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match=r"push: not logged in to http.*hf auth login"):
        push(run.folder, "me/tiny", Choice())
    assert hub.repositories == {}


def test_the_hub_refuses(tuned, hub: Hub, capsys) -> None:
    run, _ = tuned
    with pytest.raises(typer.Exit) as ended:
        push(run.folder, "others/tiny", Choice())
    assert ended.value.exit_code == 1
    assert "others/tiny was refused" in (told := capsys.readouterr().err)
    assert "rights for others" in told
    hub.read_only = True
    with pytest.raises(typer.Exit):
        push(run.folder, "me/tiny", Choice())
    assert "read-only" in capsys.readouterr().err


def test_the_hub_is_out_of_reach(tuned, hub: Hub, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    run, _ = tuned
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(typer.Exit) as ended:
        push(run.folder, "me/tiny", Choice())
    assert ended.value.exit_code == 1
    assert "http://127.0.0.1:9 cannot be reached" in capsys.readouterr().err
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="HF_HUB_OFFLINE is set"):
        push(run.folder, "me/tiny", Choice())


@pytest.mark.parametrize("name", ["a/b/c", "", "me/ti ny", "me/..", "-x", "me/" + "x" * 100])
def test_names_that_no_repository_can_have(tuned, hub: Hub, name: str) -> None:
    run, _ = tuned
    with pytest.raises(InputError, match=r"REPO .*must be owner/name") as told:
        push(run.folder, name, Choice())
    assert len(str(told.value)) < 400
    assert hub.requests == []


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (Choice(scheme="digital"), r"--scheme digital: the run has ideal, fixed, movable"),
        (Choice(seed=3), r"--seed 3: the run has seeds 0 to 0"),
        (Choice(scheme="ideal"), r"ideal, seed 0 is unfinished; go on with: airtune resume"),
        (Choice(licence="My Own"), r"--licence 'My Own': must be an id"),
        (Choice(base_model="gpt2"), r"--base-model 'gpt2': must be owner/name"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    tuned, tmp_path: Path, choice: Choice, message: str
) -> None:
    run, _ = tuned
    with pytest.raises(InputError, match=message):
        export(run.folder, tmp_path / "out", choice)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run folder"):
        push(tmp_path, "me/tiny", Choice())
    (tmp_path / "point").mkdir()
    (tmp_path / "point" / "run.json").write_text("{}")
    record.create(tmp_path / "sweep", settings(), "sweep", {"vary": []})
    with pytest.raises(InputError, match="is a sweep; name the folder of one of its points"):
        push(tmp_path / "sweep", "me/tiny", Choice())


def test_an_export_is_whole_or_absent(tuned, tmp_path: Path) -> None:
    run, _ = tuned
    export(run.folder, tmp_path / "new" / "out", Choice(merged=True))
    assert names(tmp_path / "new") == {f"out/{name}" for name in MERGED}
    with pytest.raises(InputError, match="must be a new or an empty folder"):
        export(run.folder, tmp_path / "new" / "out", Choice())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--out .*file: cannot be written"):
        export(run.folder, tmp_path / "file", Choice())


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "what/was/copied"),
        SafetensorError("Error while serializing: I/O error: No space left (os error 28)"),
    ],
)
def test_an_export_onto_a_full_disk_names_its_folder(
    tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, merged: bool
) -> None:
    run, _ = tuned

    def full(*given: object, **named: object) -> None:
        raise failure

    monkeypatch.setattr("airtune.commands.push.shutil.copyfile", full)
    monkeypatch.setattr("airtune.commands.push._add_merged", full)
    with pytest.raises(FailedError, match=r"/out: cannot be written: No space left on device \("):
        export(run.folder, tmp_path / "out", Choice(merged=merged))
    assert not names(tmp_path)


def test_a_run_of_an_older_version_is_shared_too(tuned, tmp_path: Path) -> None:
    whole, learner = tuned
    shutil.copytree(whole.folder, tmp_path / "run")
    run = record.open_folder(tmp_path / "run")
    own = run.cells[1].adapter_folder
    for file in ("README.md", "tokenizer.json", "tokenizer_config.json"):
        (own / file).unlink()
    config = json.loads((own / "adapter_config.json").read_text())
    base = learner._model.peft.peft_config["default"].base_model_name_or_path
    config["base_model_name_or_path"] = base
    (own / "adapter_config.json").write_text(json.dumps(config))
    export(run.folder, tmp_path / "out", Choice(scheme="fixed"))
    assert names(tmp_path / "out") == ADAPTER
    found = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert found["base_model_name_or_path"] == Path(base).name
    assert str(len(LINES) - 1) in (tmp_path / "out" / "README.md").read_text()
