"""Federated rounds on Flower's simulation; a process of its own, called by learning.py.

python benchmarks/flower_rounds.py JOB.json      writes the answer to the job's `answer` file
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_DOCKER_CPU_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
HERE = Path(__file__).parent
os.environ |= QUIET
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
sys.path.insert(0, str(HERE))


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run the job's rounds: broadcast, gradients of all clients, weighted mean, server step."""
    import numpy as np
    import torch
    from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
    from flwr.serverapp import Grid, ServerApp
    from flwr.simulation import run_simulation

    from airtune.registry import SERVER_OPTIMIZERS
    from airtune.scenario.learning import Training
    from flower_client import app as client_app

    adapter = np.load(job["adapter"])
    matrices = [(name, tuple(shape)) for name, shape in job["matrices"]]
    ends = np.cumsum([int(np.prod(shape)) for _, shape in matrices])
    weights = np.array(job["weights"], np.float64)
    settings = Training(**job["training"])
    optimizer = SERVER_OPTIMIZERS[settings.server_optimizer]
    first_state = optimizer.init(adapter, settings)
    answer: dict[str, Any] = {"losses": [], "seconds": [], "client_seconds": []}
    server_app = ServerApp()

    def one_round(grid: Grid, number: int, theta: Any, optimizer_state: Any) -> Any:
        pieces = np.split(theta, ends[:-1])
        state = {
            name: torch.from_numpy(piece.reshape(shape))
            for (name, shape), piece in zip(matrices, pieces, strict=True)
        }
        config = ConfigRecord({**job["config"], "round": number})
        content = RecordDict({"adapter": ArrayRecord(state), "config": config})
        messages = [
            Message(content=content, dst_node_id=node, message_type="train")
            for node in grid.get_node_ids()
        ]
        mean, losses, seconds = np.zeros(len(theta)), [0.0] * len(weights), []
        for reply in grid.send_and_receive(messages):
            if reply.has_error():
                raise RuntimeError(reply.error.reason)
            metrics = reply.content["metrics"]
            client = int(metrics["client"])
            received = reply.content["gradient"].to_torch_state_dict()
            flat = torch.cat([received[name].reshape(-1) for name, _ in matrices]).numpy()
            mean += weights[client] * flat
            losses[client] = float(metrics["loss"])
            seconds.append(float(metrics["seconds"]))
        answer["losses"].append(losses)
        answer["client_seconds"].append(float(np.mean(seconds)))
        return optimizer.step(theta, mean, optimizer_state, settings)

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:
        theta, optimizer_state = adapter, first_state
        while len(list(grid.get_node_ids())) < len(weights):
            time.sleep(0.05)
        for number in range(job["rounds"]):
            began = time.perf_counter()
            theta, optimizer_state = one_round(grid, number, theta, optimizer_state)
            answer["seconds"].append(time.perf_counter() - began)

    run_simulation(
        server_app=server_app,
        client_app=client_app,
        num_supernodes=len(weights),
        backend_config={
            "client_resources": {"num_cpus": job["config"]["threads"], "num_gpus": 0.0},
            "init_args": {"num_cpus": job["cpus"], "log_to_driver": False},
        },
    )
    return answer


if __name__ == "__main__":
    work = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    result = run(work)
    Path(work["answer"]).write_text(json.dumps(result), encoding="utf-8")
