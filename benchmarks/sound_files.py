"""Sound files of every kind that airtune reads."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from airtune.placement.examples import random_problem
from airtune.placement.files import save_problems
from airtune.radio.channels.base import Paths, Transmitters
from airtune.radio.channels.path_file import PathSet, write_paths

WIDTH, HEADS = 16, 2


def sound(folder: Path) -> dict[str, Path]:
    """Write a sound file of every kind, and return them by kind; models and adapters are folders.

    Parameters
    ----------
    folder : Path
        New or empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "place": folder / "place.npz",
        "wide place": folder / "wide place.npz",
        "plan": folder / "plan.json",
        "scenario": folder / "scenario.yaml",
        "model": folder / "model",
        "adapter": folder / "adapter",
        "gguf": folder / "model.gguf",
        "paths": folder / "paths.npz",
        "departures": folder / "departures.npz",
        "tracks": folder / "tracks.npz",
        "deepmimo": folder / "deepmimo",
        "pilot": folder / "pilot.json",
        "twin": folder / "twin",
    }
    save_problems(files["place"], [random_problem(k, antennas=2, clients=3) for k in range(2)])
    _wide(files["place"], files["wide place"])
    files["plan"].write_text(json.dumps(planning_problem()))
    files["scenario"].write_text("extends: quickstart\nseed: 3\narray:\n  antennas: 2\n")
    _model(files["model"])
    _adapter(files["model"], files["adapter"])
    _gguf(files["gguf"])
    _paths(files["paths"], antennas=1)
    _paths(files["departures"], antennas=2)
    _tracks(files["tracks"])
    _deepmimo(files["deepmimo"])
    files["pilot"].write_text(json.dumps(PILOT))
    files["twin"].mkdir()
    shutil.copy(files["model"] / "config.json", files["twin"])
    return files | _data(folder)


PILOT: dict[str, Any] = {
    "losses": [3.0, 2.2, 1.7, 1.4],
    "batches": [8, 8],
    "batch_noise": 0.4,
    "gamma": 8.7,
    "by": "clients",
    "time_s": 1.0,
    "energy_j": 1.0,
}
"""Of two clients, as `airtune plan` writes it."""


def planning_problem() -> dict[str, Any]:
    """Return a small planning problem with budgets."""
    bound = dict(zip(["L", "mu", "eta", "sigma_g_sq", "G_sq"], (4, 0.5, 0.1, 4, 8), strict=True))
    bound |= dict(zip(["L0", "mu0", "eta0", "sigma0_sq"], (4, 0.05, 0.1, 4), strict=True))
    client = {"omega": 0.5, "cycles_per_sample": 2e7, "kappa": 2.5e-28, "f_min": 3e8, "f_max": 2e9}
    client |= {"batch_max": 16, "tx_power_w": 0.01, "energy_budget_j": 5}
    server = {"cycles_per_sample": 1e7, "kappa": 1e-27, "f_min": 1e9, "f_max": 3e9}
    return {
        "bound": {**bound, "delta_pre": 6, "L_x": 0.5, "W1": 1},
        "clients": [client, client],
        "server": {**server, "batch_max": 32, "rounds_max": 20},
        "mse_star": 0.05,
        "uplink_s": 0.3,
        "downlink_s": 0.1,
        "pilot_s": 0.0,
        "move_s": 0.1,
        "move_j": 0.1,
        "rounds_max": 30,
        "latency_budget_s": 30,
        "energy_budget_j": 100,
    }


def _model(folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from airtune.learning.data import load_sample
    from airtune.learning.tokenizer import train_tokenizer

    texts = [record.instruction for record in load_sample("domains")[:200]]
    tokenizer = train_tokenizer(texts, 300)
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": HEADS, "num_key_value_heads": HEADS}
    config = LlamaConfig(**sizes, **heads, vocab_size=len(tokenizer), max_position_embeddings=256)
    LlamaForCausalLM(config).save_pretrained(folder)


def _adapter(model: Path, folder: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model)
    config = LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=4, target_modules=["q_proj"])
    get_peft_model(base, config).save_pretrained(folder)


def _wide(flat: Path, path: Path) -> None:
    """Write the problems of a file with path delays and resource blocks."""
    draw = np.random.default_rng(0)
    with np.load(flat) as file:
        arrays = {name: file[name] for name in file}
    for prefix in ("", "interferer_"):
        arrays[f"{prefix}delays"] = draw.uniform(0, 1e-6, arrays[f"{prefix}gains"].shape)
    np.savez(path, **arrays, resource_blocks=3, bandwidth_hz=1e6)


def _tracks(path: Path) -> None:
    """Write where 2 clients and 2 interferers are at three times."""
    draw = np.random.default_rng(0)
    places = {name: draw.uniform(5, 90, (3, 2, 3)) for name in ("clients", "interferers")}
    np.savez(path, times=np.array([0.0, 50.0, 100.0]), **places)


def _deepmimo(folder: Path) -> None:
    """Write rays from one base station to six places, in the layout of DeepMIMO v4."""
    draw = np.random.default_rng(0)
    folder.mkdir()
    limits = {"power": (-120, -80), "phase": (-180, 180), "delay": (1e-7, 1e-6)}
    limits |= {"aod_az": (30, 150), "aod_el": (60, 120), "aoa_az": (-150, -30), "aoa_el": (60, 120)}
    arrays = {name: draw.uniform(*ends, (6, 3)) for name, ends in limits.items()}
    arrays["rx_pos"] = draw.uniform([-60, 45, 1], [60, 90, 2], (6, 3))
    arrays["tx_pos"] = np.array([[0.0, 0.0, 20.0]])
    for name, array in arrays.items():
        np.savez(folder / f"{name}_t001_tx000_r000.npz", **{name: array.astype(np.float32)})
    parameters = {"rt_params": {"frequency": 3.5e9, "raytracer_name": "drawn"}}
    (folder / "params.json").write_text(json.dumps({"version": "4.0.0", **parameters}))


def _paths(path: Path, antennas: int) -> None:
    """Write paths of 2 clients and 2 interferers, as many as the scenarios of the tries have.

    Those of clients with several antennas also say in which direction they leave them.
    """
    draw = np.random.default_rng(0)
    blocks = []
    for _ in range(3):
        gains = 1e-6 * (draw.standard_normal((4, 3)) + 1j * draw.standard_normal((4, 3)))
        directions = draw.uniform(-0.7, 0.7, (4, 3, 2))
        both = Paths(gains, directions, draw.uniform(0, 1e-6, (4, 3)), draw.uniform(9, 99, (4, 3)))
        clients = both.of(np.arange(2))
        if antennas > 1:
            clients = replace(clients, departures=draw.uniform(-0.7, 0.7, (2, 3, 2)))
        blocks.append(Transmitters(clients, both.of(np.arange(2, 4))))
    write_paths(path, PathSet(tuple(blocks), 3.5e9, "drawn"))


def _gguf(path: Path) -> None:
    import gguf

    draw = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(256)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(32)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    letters = [chr(33 + i) for i in range(90)]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *letters]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3, *([6] * 256), *([1] * len(letters))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    shapes = {"token_embd": (len(tokens), WIDTH), "output": (len(tokens), WIDTH)}
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        shapes[f"blk.0.{name}"] = (WIDTH, WIDTH)
    shapes |= {"blk.0.ffn_gate": (32, WIDTH), "blk.0.ffn_up": (32, WIDTH)}
    shapes |= {"blk.0.ffn_down": (WIDTH, 32)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", draw.standard_normal(shape).astype(np.float32))
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _data(folder: Path) -> dict[str, Path]:
    import pyarrow
    from pyarrow import parquet

    rows = [{"instruction": f"Say {i}", "input": "", "output": str(i)} for i in range(40)]
    files = {name: folder / f"data.{name}" for name in ("jsonl", "json", "parquet", "txt")}
    files["jsonl"].write_text("\n".join(map(json.dumps, rows)))
    files["json"].write_text(json.dumps(rows))
    parquet.write_table(pyarrow.Table.from_pylist(rows), files["parquet"])
    files["txt"].write_text("\n\n".join(f"Document {i} says {i} times {i}." for i in range(40)))
    files |= {name: folder / f"{name}.jsonl" for name in ("chat", "preference", "corpus")}
    files["corpus txt"] = folder / "corpus.txt"
    talks = []
    for row in rows:
        asked = {"role": "user", "content": row["instruction"]}
        talks.append({"messages": [asked, {"role": "assistant", "content": row["output"]}]})
    files["chat"].write_text("\n".join(map(json.dumps, talks)))
    pairs = [
        {"prompt": row["instruction"], "chosen": row["output"], "rejected": "No."} for row in rows
    ]
    files["preference"].write_text("\n".join(map(json.dumps, pairs)))
    texts = [f"Text {i} of a corpus says {i} times {i}." for i in range(40)]
    files["corpus"].write_text("\n".join(json.dumps({"text": text}) for text in texts))
    files["corpus txt"].write_text("\n\n".join(texts))
    return files
