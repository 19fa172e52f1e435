"""One federated round of an OpenLLaMA-3B-shaped model; a process of its own, called by learning.py.

    python benchmarks/learning_memory.py '{"data": FILE, "quantization": "nf4", "threads": 2}'

Prints one line of JSON: the peak of the resident memory and the seconds.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from airtune.learning.learner import prepare
from airtune.registry import SERVER_OPTIMIZERS
from airtune.scenario import Scenario

CLIENTS, TOKENS = 10, 128
# The public configuration of openlm-research/open_llama_3b_v2.
SHAPE = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 3200,
    "intermediate_size": 8640,
    "num_hidden_layers": 26,
    "num_attention_heads": 32,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def peak_gib() -> float:
    """Return the largest resident memory of this process so far."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / (2**30 if sys.platform == "darwin" else 2**20)


def long_records(file: Path, folder: Path) -> Path:
    """Keep the records that fill all tokens."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    kept = [row for row in rows if len(row["instruction"]) > 40 and len(row["output"]) > 500]
    path = folder / "long.jsonl"
    path.write_text("\n".join(map(json.dumps, kept[:60])))
    return path


def main(job: dict[str, Any]) -> dict[str, Any]:
    """Build the model, run the round."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.json").write_text(json.dumps(SHAPE))
        scenario = Scenario.model_validate(
            {
                "threads": job["threads"],
                "model": {
                    "source": name,
                    "random_weights": True,
                    "quantization": job["quantization"],
                },
                "data": {
                    "source": str(long_records(Path(job["data"]), folder)),
                    "partition": "iid",
                    "max_tokens": TOKENS,
                },
                "clients": {"count": CLIENTS},
            }
        )
        began = time.perf_counter()
        learner = prepare(scenario, 1)
    built, building = peak_gib(), time.perf_counter() - began
    adapter = learner.initial_adapter()
    optimizer = SERVER_OPTIMIZERS[scenario.training.server_optimizer]
    state = optimizer.init(adapter, scenario.training)
    began = time.perf_counter()
    updates = learner.client_updates(adapter, range(CLIENTS), [1] * CLIENTS, 1, 1)
    mean = np.zeros(learner.size)
    for weight, update in zip(learner.data_sizes, updates, strict=True):
        mean += weight / learner.data_sizes.sum() * update.update
    optimizer.step(adapter, mean, state, scenario.training)
    return {
        "clients": CLIENTS,
        "tokens": [update.tokens for update in updates],
        "finite": all(update.finite for update in updates),
        "adapter_entries": learner.size,
        "peak_gib_after_building": built,
        "peak_gib": peak_gib(),
        "building_s": building,
        "round_s": time.perf_counter() - began,
        "threads": job["threads"],
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
