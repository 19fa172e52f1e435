"""The tables of docs/learning.md, written from benchmarks/results/learning.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import manual

Results = dict[str, Any]


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(manual.table(titles, rows))


def matmul(found: Results) -> str:
    """GFLOP/s of fp32 products."""
    rates = found["flops_per_s"]
    first = next(iter(rates.values()))
    titles = ["Product (rows x inner x columns)", *(f"{name}, GFLOP/s" for name in rates)]
    sizes = {"square": [found["side"]] * 3, **found["shapes"]}
    rows = [
        [f"{label}: {' x '.join(map(str, sizes[label]))}"]
        + [f"{rate[label] / 1e9:.0f}" for rate in rates.values()]
        for label in first
    ]
    return table(titles, rows)


def round_(found: Results) -> str:
    """Rates of client updates."""
    rows = [
        [
            name,
            f"{min(entry['seconds']):.1f}",
            f"{entry['flops_per_s'] / 1e9:.0f}",
            f"{entry['matmul_flops_per_s'] / 1e9:.0f}",
            f"{100 * entry['share']:.0f} %",
        ]
        for name, entry in found["layouts"].items()
    ]
    titles = ["Workers x threads", "Seconds", "GFLOP/s", "2048^3 product", "Share"]
    padding = found["padded_tokens"] / found["tokens"]
    return (
        table(titles, rows)
        + f"\n\n{found['clients']} clients, batch {found['batch']}, {found['tokens']} tokens of "
        f"which {found['responses']} in responses. Padded batches would hold {padding:.2f} times "
        "the tokens; plain transformers and PEFT on such batches reach "
        f"{found['plain_flops_per_s_1_thread'] / 1e9:.0f} GFLOP/s of real tokens with one thread."
    )


def flower(found: Results) -> str:
    """Seconds of a round, the first left out: it starts workers and loads the kept model."""
    rows = []
    for name, entry in found.items():
        if name == "environment":
            continue
        own = median(entry["airtune"]["seconds"][1:])
        rows.append([f"{name}: airtune", f"{own:.2f}", "1", ""])
        for label, theirs in entry.items():
            if isinstance(theirs, dict) and "largest_loss_difference" in theirs:
                seconds = median(theirs["seconds"][1:])
                gap = f"{theirs['largest_loss_difference']:.0e}"
                rows.append(
                    [f"{name}: Flower, {label}", f"{seconds:.2f}", f"{seconds / own:.1f}", gap]
                )
    return table(["Round of 10 clients", "Seconds", "Times airtune's", "Loss differs by"], rows)


def memory(found: Results) -> str:
    """Peak memory of the 3 B shape."""
    rows = [
        [
            name,
            f"{entry['peak_gib_after_building']:.1f}",
            f"{entry['peak_gib']:.1f}",
            f"{entry['building_s']:.0f}",
            f"{entry['round_s']:.0f}",
        ]
        for name, entry in found.items()
        if name != "environment"
    ]
    titles = ["Weights", "Peak after building, GiB", "Peak, GiB", "Building, s", "Round, s"]
    return table(titles, rows)


def alpaca(found: Results) -> str:
    """Perplexity over the rounds."""
    rows = [
        [str(line["round"]), f"{line['loss']:.3f}", f"{line['perplexity']:.2f}"]
        for line in found["history"]
    ]
    return (
        table(["Round", "Validation loss, nat", "Perplexity"], rows)
        + f"\n\nInterrupted after round {found['interrupted_after_round']} and resumed; "
        f"{found['wall_s'] / 60:.0f} minutes in all."
    )


TABLES: dict[str, Callable[[Results], str]] = {
    "matmul": matmul,
    "round": round_,
    "flower": flower,
    "memory": memory,
    "alpaca": alpaca,
}


def write(page: Path, results: Results) -> None:
    """Replace the tables between the page's markers by those of the results."""
    for name, make in TABLES.items():
        found = results.get(name)
        manual.put(page, name, f"{_conditions(found)}\n{make(found)}" if found else "")


def _conditions(found: Results) -> str:
    facts = found["environment"]
    return (
        f"\n{facts['processor']}, {facts['cpu_count']} cores, "
        f"PyTorch {facts['packages']['torch']}, load {facts['load_before']:.1f} before.\n"
    )
