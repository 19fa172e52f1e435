"""The tuned model of a comparison: passed on and talked with, as a user types it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from hub import TOKEN, running_hub

pytestmark = pytest.mark.slow  # the same in this process: tests/commands/test_push.py, test_chat.py


def test_push_uploads_what_the_comparison_tuned(compared, command, environment, tmp_path) -> None:
    folder, _ = compared
    with running_hub() as hub:
        done = subprocess.run(
            [*command, "push", str(folder), "me/tuned", "--scheme", "digital", "--private"],
            capture_output=True,
            text=True,
            check=False,
            env={
                **environment,
                "PYTHONPATH": environment["PYTHONPATH"].partition(":")[2],  # with the network
                "HF_ENDPOINT": hub.address,
                "HF_TOKEN": TOKEN,
                "HF_HOME": str(tmp_path),
            },
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"digital, seed 0: {hub.address}/me/tuned\n"
    files = hub.repositories["me/tuned"]
    own = folder / "digital" / "seed-0" / "adapter"
    assert set(files) == {path.name for path in own.iterdir()}
    assert files["adapter_model.safetensors"] == (own / "adapter_model.safetensors").read_bytes()
    # Nothing but what an upload needs, and nothing of this machine.
    asked = {request.partition("?")[0] for request in hub.requests}
    api = "/api/models/me/tuned"
    assert asked - {"POST /api/validate-yaml"} == {
        "GET /api/whoami-v2",
        "GET /api/models/me/tuned",
        "POST /api/repos/create",
        f"POST {api}/preupload/main",
        f"POST {api}/commit/main",
    }
    assert not any("torch" in agent for agent in hub.agents)


def test_without_a_login_push_says_how(compared, airtune) -> None:
    folder, _ = compared
    done = airtune("push", folder, "me/tuned")
    assert done.returncode == 2
    assert done.stdout == "" and "hf auth login" in done.stderr
    assert "Traceback" not in done.stderr


def test_chat_answers_a_prompt(compared, airtune) -> None:
    folder, _ = compared
    done = airtune("chat", folder, "--prompt", "What is 3 bags by 7 kilos?", "--max-tokens", 8)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n") and "Warning" not in done.stderr
    wrong = airtune("chat", folder, "--scheme", "nothing", "--prompt", "Hi.")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("airtune: --scheme nothing: the run has ideal, movable")


def test_every_adapter_has_a_card_with_the_figures_of_the_run(compared) -> None:
    folder, _ = compared
    results = json.loads((folder / "results.json").read_text())
    for scheme, figures in results["schemes"].items():
        own = folder / scheme / "seed-0" / "adapter"
        text = ModelCard.load(own / "README.md").text
        assert f"| {figures['final_loss']:.4g} |\n" in text
        if figures["mse_db"] is not None:
            assert f"{figures['mse_db']:.1f} dB" in text
        settings = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
        assert settings["training"] == {"rounds": 3, "batch_size_max": 4}
        assert "cache" not in settings
        assert str(Path.home()) not in text and str(folder.parent) not in text
