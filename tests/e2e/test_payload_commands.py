"""Whole commands with a payload, and with clients that make forward passes only."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

slow = pytest.mark.slow
SMALL_STEPS = ("zeroth_order.learning_rate=0.01", "zeroth_order.sign_rate=0.003")
CASES = [
    pytest.param("fixed", ["aggregation.payload=ffa"], marks=slow),
    pytest.param("fixed", ["aggregation.payload=rolora"], marks=slow),
    pytest.param("fixed", ["aggregation.payload=mask", "aggregation.payload_size=300"], marks=slow),
    pytest.param(
        "digital", ["aggregation.payload=subspace", "aggregation.payload_size=300"], marks=slow
    ),
    pytest.param("zeroth-order", ["zeroth_order.directions=64", *SMALL_STEPS], marks=slow),
    pytest.param("feedsign", ["zeroth_order.directions=64", *SMALL_STEPS], marks=slow),
    pytest.param("massive-digital", [], marks=slow),
    *(
        pytest.param(
            "digital",
            [
                f"digital.aggregation={kind}",
                "training.local_steps=2",
                "training.local_learning_rate=0.5",
            ],
            marks=slow,
        )
        for kind in ("flora", "fedex", "fedsa")
    ),
]


@pytest.mark.parametrize(("scheme", "settings"), CASES)
def test_a_run_ends_with_an_adapter_that_peft_loads(
    airtune, tiny, cache: Path, tmp_path: Path, scheme: str, settings: list[str]
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    settings = [*settings, "clients.tx_power_dbm=20", "aggregation.payload_step=1"]
    options = [part for setting in settings for part in ("--set", setting)]
    folder = tmp_path / "run"
    done = airtune("run", "quickstart", "--scheme", scheme, *tiny, *options, "--out", folder)
    assert done.returncode == 0, done.stderr
    results = json.loads((folder / "results.json").read_text())["schemes"][scheme]
    assert results["rounds_to_target"] is None or results["rounds_to_target"] <= 3
    path = folder / scheme / "seed-0" / "adapter"
    base = json.loads((path / "adapter_config.json").read_text())["base_model_name_or_path"]
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(cache / base), path)
    loaded = {name: value for name, value in model.state_dict().items() if "lora_" in name}
    saved = load_file(path / "adapter_model.safetensors")
    assert len(loaded) == len(saved) > 0
    for name, value in loaded.items():
        assert np.array_equal(value.numpy(), saved[name.replace(".default", "")])
    assert any(array.any() for name, array in saved.items() if "lora_B" in name)
    again = airtune("resume", folder)
    assert again.returncode == 0 and "is finished" in again.stdout
