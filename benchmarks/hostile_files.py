"""Files of every kind that airtune reads, and what goes wrong with files."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from airtune.placement.examples import random_problem
from airtune.placement.files import save_problems
from airtune.radio.channels.base import Paths, Transmitters
from airtune.radio.channels.path_file import PathSet, write_paths

NUMBERS = (
    *("0", "-1", "1e308", "1e-308", "1e400", "-1e308", "5e-324", "NaN", "Infinity", "null", "true"),
    *("9" * 400, "9" * 5000, "1e9", "100000", "0.5", '"7"', "[]", "{}", '"' + "x" * 5000 + '"'),
)
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
        "plan": folder / "plan.json",
        "scenario": folder / "scenario.yaml",
        "model": folder / "model",
        "adapter": folder / "adapter",
        "gguf": folder / "model.gguf",
        "paths": folder / "paths.npz",
        "pilot": folder / "pilot.json",
        "twin": folder / "twin",
    }
    save_problems(files["place"], [random_problem(k, antennas=2, clients=3) for k in range(2)])
    files["plan"].write_text(json.dumps(planning_problem()))
    files["scenario"].write_text("extends: quickstart\nseed: 3\narray:\n  antennas: 2\n")
    _model(files["model"])
    _adapter(files["model"], files["adapter"])
    _gguf(files["gguf"])
    _paths(files["paths"])
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


def _paths(path: Path) -> None:
    """Write paths of 2 clients and 2 interferers, as many as the scenarios of the tries have."""
    draw = np.random.default_rng(0)
    blocks = []
    for _ in range(3):
        gains = 1e-6 * (draw.standard_normal((4, 3)) + 1j * draw.standard_normal((4, 3)))
        directions = draw.uniform(-0.7, 0.7, (4, 3, 2))
        both = Paths(gains, directions, draw.uniform(0, 1e-6, (4, 3)), draw.uniform(9, 99, (4, 3)))
        blocks.append(Transmitters(both.of(np.arange(2)), both.of(np.arange(2, 4))))
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


def _truncate(draw: random.Random, content: bytes) -> bytes:
    return content[: draw.randrange(len(content) + 1)]


def _flip(draw: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 4, 50))):
        if changed:
            # Headers stand at the front, directories of archives at the end.
            near = draw.choice((len(changed), min(len(changed), 300)))
            at = draw.choice((draw.randrange(near), len(changed) - 1 - draw.randrange(near)))
            changed[at] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _overwrite(draw: random.Random, content: bytes) -> bytes:
    at, size = draw.randrange(len(content) + 1), draw.choice((1, 4, 8, 64, 1000))
    filling = draw.choice((b"\0" * size, b"\xff" * size, draw.randbytes(size)))
    return content[:at] + filling + content[at + draw.choice((0, size)) :]


def _double(draw: random.Random, content: bytes) -> bytes:
    at = draw.randrange(len(content) + 1)
    return draw.choice((content + content, content[:at] * 2 + content[at:], content[at:]))


def _other(draw: random.Random, content: bytes) -> bytes:
    text = content.decode("utf-8", "replace")
    return draw.choice(
        (
            *(b"", b"\0", b"{}", b"[]", b"null", b"3", b'"x"', b"\xff\xfe", b"PK\x03\x04", b"\n"),
            *(text.encode("utf-16"), text.encode("utf-32"), b"\xef\xbb\xbf" + content),
            *(b"[" * 100_000, b'{"a":' * 100_000, b'{"a": 1' + b"0" * 100_000 + b"}"),
            *(
                b"GGUF\x03\0\0\0" + b"\xff" * 16,
                b"\xff" * 7 + b"\x7f" + content,
                draw.randbytes(999),
            ),
            *(b'{"instruction": "\\ud800", "output": "\\udc00x"}\n' * 3,),
            b'{"instruction": "' + b"a b " * 2_600_000 + b'", "output": "x"}\n',
            b'{"text": "' + b"word " * 2_000_000 + b'"}\n' + content,
        )
    )


def _numbers(draw: random.Random, content: bytes) -> bytes:
    """Put extreme values in place of numbers and texts of JSON and the like."""
    import re

    try:
        text = content.decode()
    except UnicodeDecodeError:
        return _flip(draw, content)
    found = list(re.finditer(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\"[^\"]*\"|true|null", text))
    for one in sorted(draw.sample(found, min(len(found), draw.choice((1, 2, 5)))), key=_start)[
        ::-1
    ]:
        text = text[: one.start()] + draw.choice(NUMBERS) + text[one.end() :]
    return text.encode()


def _start(found: Any) -> int:
    return int(found.start())


CORRUPTIONS: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "cut": _truncate,
    "bits": _flip,
    "bytes": _overwrite,
    "twice": _double,
    "other content": _other,
    "numbers": _numbers,
}


def corrupted(draw: random.Random, kind: str, source: Path, target: Path) -> str:
    """Write a corrupted copy of a file or of a folder, and return what was done to it.

    Parameters
    ----------
    draw : random.Random
    kind : str
        Of :func:`sound`.
    source, target : Path
    """
    if kind in ("place", "paths") and draw.random() < 0.6:
        return _corrupt_arrays(draw, source, target)
    if source.is_dir():
        shutil.copytree(source, target)
        names = sorted(path.name for path in target.iterdir() if path.suffix != ".md")
        file = target / draw.choice(names)
        if draw.random() < 0.1:
            file.unlink()
            return f"{file.name}: missing"
    else:
        file = target
        shutil.copy(source, file)
        if draw.random() < 0.05:
            return _special(draw, file)
    done = draw.choice(tuple(CORRUPTIONS))
    content = file.read_bytes()
    file.write_bytes(CORRUPTIONS[done](draw, content))
    return f"{file.name}: {done}"


def _special(draw: random.Random, file: Path) -> str:
    """Put what is no plain file in its place."""
    file.unlink()
    kind = draw.choice(("folder", "pipe", "missing", "link to itself", "device"))
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    elif kind == "link to itself":
        file.symlink_to(file)
    return kind


def _corrupt_arrays(draw: random.Random, source: Path, target: Path) -> str:
    """Change values, types and shapes of the arrays of a placement problem or of a path file."""
    with np.load(source) as file:
        arrays = {name: file[name] for name in file}
    said = []
    for name in draw.sample(sorted(arrays), draw.choice((1, 1, 2, 3))):
        array, how = (
            arrays[name],
            draw.choice(("value", "value", "all", "type", "shape", "missing")),
        )
        said.append(f"{name}: {how}")
        extreme = draw.choice((np.nan, np.inf, 1e308, -1e308, 5e-324, 1e300, 1e-300, 0, -1, 1e5))
        if how == "missing":
            del arrays[name]
        elif array.dtype.kind == "U" and how != "shape":
            texts = ("", "x" * 100_000, "\x1b[31m\n", "../../file")
            arrays[name] = np.array(draw.choice((extreme, *texts)))
        elif how == "type":
            arrays[name] = array.astype(draw.choice(("U8", "S3", "c16", "i1", "?", "f2", "M8[s]")))
        elif how == "shape":
            one_less, flat = array[..., :-1] if array.ndim else array, array.reshape(-1)
            arrays[name] = draw.choice((one_less, flat, array[None], array.T, flat[:0]))
        else:
            kept = array.astype(complex if array.dtype.kind == "c" else float)
            if how == "all" or not kept.size:
                kept = np.full_like(kept, extreme)
            else:
                kept.reshape(-1)[draw.randrange(kept.size)] = extreme
            arrays[name] = kept
    np.savez(target, **arrays)
    return ", ".join(said)
