"""A synthetic run folder, shaped like those of `airtune compare`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

SCHEMES = ("ideal", "movable", "fixed", "random-position", "digital")
ROUNDS = 30
DOMAINS = (
    "arithmetic",
    "calendar",
    "caesar cipher",
    "letter count",
    "number sorting",
    "word order",
)
_MSE_DB = {"movable": -11.0, "fixed": -3.5, "random-position": -6.0, "digital": -34.0}
_SLOWNESS = {"ideal": 1.0, "movable": 1.12, "fixed": 2.1, "random-position": 1.5, "digital": 1.0}
_LATENCY = {
    "ideal": {"compute": 2.4},
    "movable": {"compute": 2.4, "uplink": 0.031, "downlink": 0.9, "pilots": 0.004, "movement": 0.2},
    "fixed": {"compute": 2.4, "uplink": 0.031, "downlink": 0.9, "pilots": 0.004},
    "random-position": {"compute": 2.4, "uplink": 0.031, "downlink": 0.9, "pilots": 0.004,
                        "movement": 0.31},
    "digital": {"compute": 2.4, "uplink": 41.0, "downlink": 0.9, "pilots": 0.004},
}  # fmt: skip
_POWER = {"compute": 2.0, "uplink": 0.06, "downlink": 1.0, "pilots": 0.01, "movement": 5.0}
_PRETRAINING = {"s": 38.0, "j": 95.0}


def metrics(scheme: str, seed: int, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Return the lines of a plausible run: loss falls, more slowly the worse the air."""
    rng = np.random.default_rng([seed, len(scheme)])
    latency = _LATENCY[scheme]
    energy = {part: seconds * _POWER[part] for part, seconds in latency.items()}
    lines = []
    floor = 1.55 + (0.12 if scheme == "fixed" else 0.0)
    for index in range(rounds + 1):
        loss = floor + 2.3 * np.exp(-index / (6 * _SLOWNESS[scheme])) + 0.01 * rng.normal()
        level = _MSE_DB.get(scheme)
        learned = 1 - np.exp(-index / (9 * _SLOWNESS[scheme]))
        line: dict[str, Any] = {
            "round": index,
            # Every other client transmits, in turn.
            "clients": list(range(index % 2, 10, 2)),
            "time_s": _PRETRAINING["s"] + index * sum(latency.values()),
            "energy_j": _PRETRAINING["j"] + index * sum(energy.values()),
            "loss": round(float(loss), 4),
            "mse_db": None,
            "domains": {
                name: {"loss": 1.0, "exact_match": round(0.04 * i + learned * (0.75 - 0.1 * i), 3)}
                for i, name in enumerate(DOMAINS)
            },
        }
        if index and level is not None:
            ahead = level + 2.0 * np.sin(index / 4) + 0.5 * rng.normal()
            line["mse_predicted_db"] = float(ahead)
            line["mse_db"] = float(ahead + 0.3 * rng.normal())
        lines.append(line)
    return lines


def placement(scheme: str) -> dict[str, Any]:
    """Return a placement.json with ten clients, two interferers and four antennas."""
    rng = np.random.default_rng(5)
    shape, others = (10, 8), (2, 8)
    gains = rng.normal(size=(*shape, 2)) * 1e-6
    theirs = rng.normal(size=(*others, 2)) * 1e-7
    spots = {
        "movable": [[0.3, 0.4], [3.6, 1.1], [1.9, 3.7], [2.8, 2.2]],
        "fixed": [[1.75, 1.75], [1.75, 2.25], [2.25, 1.75], [2.25, 2.25]],
    }
    spots["digital"] = spots["fixed"]
    positions = spots.get(scheme) or rng.uniform(0, 4, size=(4, 2)).tolist()
    return {
        "round": ROUNDS,
        "positions": positions,
        "beamformer_re": [1.0] * 4,
        "beamformer_im": [0.0] * 4,
        "region": [4.0, 4.0],
        "spacing": 0.5,
        "clients": {
            "gains_re": gains[..., 0].tolist(),
            "gains_im": gains[..., 1].tolist(),
            "directions": rng.uniform(-0.9, 0.9, size=(*shape, 2)).tolist(),
            "auxiliary_scale": [1.0] * 10,
        },
        "interferers": {
            "gains_re": theirs[..., 0].tolist(),
            "gains_im": theirs[..., 1].tolist(),
            "directions": rng.uniform(-0.9, 0.9, size=(*others, 2)).tolist(),
            "powers": [0.2, 0.2],
        },
        "noise_w": 3e-14,
        "worst_gain_db": 9.5,
    }


def _statistic(value: float | None, seeds: int) -> Any:
    if seeds == 1 or value is None:
        return value
    return {"median": value, "p10": 0.9 * value, "p90": 1.2 * value}


def entry(scheme: str, target: float, seeds: int) -> dict[str, Any]:
    """Return a scheme's entry of results.json, from its own metrics."""
    lines = metrics(scheme, 0)
    reached = next((line for line in lines if line["loss"] <= target), None)
    last = lines[-1]
    latency = {part: ROUNDS * x for part, x in _LATENCY[scheme].items()}
    energy = {part: x * _POWER[part] for part, x in latency.items()}
    mse = _MSE_DB.get(scheme)
    scores = [domain["exact_match"] for domain in last["domains"].values()]
    kept = ("round", "time_s", "energy_j", "loss", "mse_db")
    return {
        "rounds_to_target": _statistic(reached and reached["round"], seeds),
        "time_to_target_s": _statistic(reached and reached["time_s"], seeds),
        "energy_to_target_j": _statistic(reached and reached["energy_j"], seeds),
        "energy_j": {
            part: _statistic(x, seeds)
            for part, x in {**energy, "pretraining": _PRETRAINING["j"]}.items()
        },
        "latency_s": {
            part: _statistic(x, seeds)
            for part, x in {**latency, "pretraining": _PRETRAINING["s"]}.items()
        },
        "final_loss": _statistic(last["loss"], seeds),
        "final_perplexity": _statistic(float(np.exp(last["loss"])), seeds),
        "exact_match": _statistic(float(np.mean(scores)), seeds),
        "mse_db": mse
        if mse is None or seeds == 1
        else {"median": mse, "p10": mse - 1, "p90": mse + 1},
        "fairness": 1.0,
        "initial_loss": _statistic(lines[0]["loss"], seeds),
        "initial_exact_match": 0.1,
        "within_latency_budget": True,
        "history": [{key: line[key] for key in kept} for line in lines],
    }


def document(schemes: Sequence[str], seeds: int = 1) -> dict[str, Any]:
    """Return results.json for these schemes, with its headline where `movable` is compared."""
    ideal = metrics("ideal", 0)
    target = ideal[0]["loss"] - 0.9 * (ideal[0]["loss"] - ideal[-1]["loss"])
    entries = {name: entry(name, target, seeds) for name in schemes}
    results: dict[str, Any] = {
        "scenario": {"name": "cell-edge-demo", "schemes": list(schemes)},
        "target_loss": target,
        "seeds": seeds,
        "schemes": entries,
        "environment": {"python": "3.11.9"},
    }
    if len(schemes) > 1 and "movable" in schemes:
        results["headline"] = {
            "faster_pct": _savings(entries, "time_to_target_s", "latency_s", seeds),
            "less_energy_pct": _savings(entries, "energy_to_target_j", "energy_j", seeds),
            "lower_bounds": [n for n, e in entries.items() if e["time_to_target_s"] is None],
        }
    return results


def _savings(entries: dict[str, Any], key: str, parts: str, seeds: int) -> dict[str, Any]:
    def middle(value: Any) -> Any:
        return value["median"] if isinstance(value, dict) else value

    mine = middle(entries["movable"][key])
    savings: dict[str, Any] = {}
    for name, other in entries.items():
        if name not in ("movable", "ideal"):
            theirs = middle(other[key])
            if theirs is None:
                theirs = sum(middle(x) for x in other[parts].values())
            savings[name] = _statistic(100 * (1 - mine / theirs), seeds) if mine else None
    return savings


HOLDINGS = {"labels": ["sums", "words"], "counts": [[3, 5], [0, 9]]}
SAMPLES = [
    {
        "prompt": "Sort the numbers in descending order: 12, 3, 45, 8",
        "reference": "45, 12, 8, 3",
        "before": "The answer is the numbers 12 and 3 and 45.",
        "after": "45, 12, 8, 3",
        "domain": "number sorting",
    },
    {
        "prompt": "How many letters “r” are in: strawberry <script>alert('p')</script>",
        "reference": "3",
        "before": "<script>alert('before')</script>",
        "after": '<img src="http://example.com/x.png" onerror="alert(1)">',
        "domain": "letter count",
    },
]

WriteRun = Callable[..., Path]


@pytest.fixture(scope="session")
def write_run(tmp_path_factory: pytest.TempPathFactory) -> WriteRun:
    """Return a function that writes a run folder."""

    def write(
        schemes: Sequence[str] = SCHEMES,
        *,
        finished: Sequence[str] | None = None,
        seeds: int = 1,
        extras: bool = True,
    ) -> Path:
        folder = tmp_path_factory.mktemp("run")
        done = schemes if finished is None else finished
        scenario = {
            "name": "cell-edge-demo",
            "seeds": seeds,
            "schemes": list(schemes),
            "clients": {"count": 10, "tx_power_dbm": 0.0},
            "array": {"antennas": 4, "region": [4.0, 4.0]},
            "radio": {"interferers": {"count": 2}},
            "model": {"source": "small", "lora": {"rank": 8}},
            "training": {"rounds": ROUNDS},
        }
        (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario, sort_keys=False))
        (folder / "environment.json").write_text(
            json.dumps({"python": "3.11.9", "packages": {"torch": "2.13.0", "numpy": "2.4.6"}})
        )
        if done:
            (folder / "results.json").write_text(json.dumps(document(done, seeds)))
        started = [*done, *[name for name in schemes if name not in done][:1]]
        for scheme in started:
            for seed in range(seeds):
                cell = folder / scheme / f"seed-{seed}"
                cell.mkdir(parents=True)
                lines = metrics(scheme, seed, ROUNDS if scheme in done else 11)
                text = "".join(json.dumps(line) + "\n" for line in lines)
                (cell / "metrics.jsonl").write_text(text)
                if scheme in done:
                    (cell / "finished.json").write_text("{}")
                if extras and scheme != "ideal":
                    (cell / "placement.json").write_text(json.dumps(placement(scheme)))
                if extras:
                    (cell / "samples.json").write_text(json.dumps(SAMPLES))
                    (cell / "holdings.json").write_text(json.dumps(HOLDINGS))
        return folder

    return write


@pytest.fixture
def make_results() -> Callable[..., dict[str, Any]]:
    """Return a function that makes a results document."""

    def make(schemes: Sequence[str] = SCHEMES, seeds: int = 1) -> dict[str, Any]:
        return document(schemes, seeds)

    return make


@pytest.fixture
def make_placement() -> Callable[[str], dict[str, Any]]:
    """Return a function that makes a scheme's placement.json."""
    return placement
