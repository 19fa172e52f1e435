"""FedProx, SCAFFOLD and AdamW of the clients, on quadratics whose answers are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from airtune.learning.client import client_update
from airtune.learning.objectives.base import CONTROL
from airtune.scenario import Scenario
from airtune.scenario.learning import Training

CURVATURES = np.array([[1.0, 0.2, 3.0], [0.1, 2.0, 1.0], [2.0, 1.0, 0.3]])
CENTRES = np.array([[1.0, -2.0, 0.5], [-1.5, 1.0, 2.0], [0.5, 2.0, -1.0]])
OMEGA = np.array([0.5, 0.3, 0.2])
OPTIMUM = (OMEGA[:, None] * CURVATURES * CENTRES).sum(0) / (OMEGA[:, None] * CURVATURES).sum(0)


class Bowl:
    """Client k minimises sum_i h_ki (theta_i - c_ki)^2 / 2."""

    packs, settings = True, SimpleNamespace(dropout=0.0)

    def __init__(self, client: int, factor: float = 1.0) -> None:
        self.curvature, self.centre = factor * CURVATURES[client], CENTRES[client]

    def gradient_at(self, flat: Any, examples: Any, random: Any) -> Any:
        slope = self.curvature * (flat.numpy() - self.centre)
        return float(slope @ slope), torch.from_numpy(slope.astype(np.float32))


EXAMPLE = SimpleNamespace(ids=(1, 2))


def settings(**changes: Any) -> Training:
    common = {"local_steps": 20, "local_learning_rate": 0.1, "learning_rate": 0.1}
    return Training(**(common | changes))


def update_of(client: int, adapter: np.ndarray, training: Training, **more: Any) -> Any:
    factor = more.pop("factor", 1.0)
    return client_update(
        Bowl(client, factor),  # type: ignore[arg-type]
        adapter,
        [EXAMPLE],  # type: ignore[list-item]
        training,
        batch_size=1,
        seed=1,
        round_index=1,
        client=client,
        **more,
    )


def trained(training: Training, rounds: int = 60) -> np.ndarray:
    """Return where federated averaging ends: the server takes over the mean of the clients."""
    adapter, states = np.zeros(3, np.float32), [None] * 3
    control = np.zeros(3, np.float32)
    for _ in range(rounds):
        if training.client_objective == "scaffold":
            states = [(state or {}) | {CONTROL: control} for state in states]
        results = [update_of(k, adapter, training, state=states[k]) for k in range(3)]
        mean = OMEGA @ np.array([result.update for result in results])
        states = [result.state for result in results]
        adapter = (adapter - training.local_learning_rate * mean).astype(np.float32)
        control = (mean / training.local_steps).astype(np.float32)
    return adapter


def test_control_variates_cancel_the_drift_of_unlike_clients() -> None:
    """Karimireddy et al. 2020: FedAvg stops off the optimum, SCAFFOLD does not."""
    drifted = np.linalg.norm(trained(settings()) - OPTIMUM)
    assert drifted > 0.1
    corrected = np.linalg.norm(trained(settings(client_objective="scaffold")) - OPTIMUM)
    assert corrected < 1e-3 * drifted
    # With one local step there is no drift to begin with.
    assert np.linalg.norm(trained(settings(local_steps=1), 600) - OPTIMUM) < 1e-4


@pytest.mark.slow
def test_the_proximal_term_holds_clients_together() -> None:
    """Li et al. 2020: the larger mu, the less clients with unlike data drift."""
    ends, spreads = [], []
    for pull in (1e-9, 1.0, 4.0):
        training = settings(client_objective="fedprox", proximal=pull)
        ends.append(np.linalg.norm(trained(training, 300) - OPTIMUM))
        updates = [update_of(k, np.zeros(3, np.float32), training).update for k in range(3)]
        spreads.append(np.var(updates, axis=0).sum())
    assert ends[0] > 1.5 * ends[1] > 1.5 * 1.5 * ends[2]
    assert spreads[0] > spreads[1] > spreads[2]
    assert ends[0] == pytest.approx(np.linalg.norm(trained(settings(), 300) - OPTIMUM), rel=1e-3)


def test_the_gradient_of_the_proximal_term() -> None:
    training = settings(client_objective="fedprox", proximal=0.5, local_steps=2)
    adapter = np.array([1.0, 2.0, 3.0], np.float32)
    first = CURVATURES[0] * (adapter - CENTRES[0])
    second = CURVATURES[0] * (adapter - 0.1 * first - CENTRES[0]) + 0.5 * (-0.1 * first)
    assert np.allclose(update_of(0, adapter, training).update, first + second, rtol=1e-4)


def test_adamw_takes_the_steps_of_pytorch_whatever_the_scale_of_the_loss() -> None:
    training = settings(client_optimizer="adamw", client_weight_decay=0.1, local_steps=5)
    adapter = np.array([1.0, 2.0, 3.0], np.float32)
    flat = torch.nn.Parameter(torch.from_numpy(adapter.copy()))
    optimizer = torch.optim.AdamW([flat], lr=0.1, weight_decay=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        slope = torch.tensor(CURVATURES[0], dtype=torch.float32) * (
            flat - torch.tensor(CENTRES[0], dtype=torch.float32)
        )
        flat.grad = slope.detach()
        optimizer.step()
    expected = (adapter - flat.detach().numpy()) / np.float32(0.1)
    assert np.allclose(update_of(0, adapter, training).update, expected, atol=1e-5)
    # Kingma and Ba 2015: the steps do not change with the scale of the gradients.
    plain = settings(client_optimizer="adamw", local_steps=5)
    one, hundred = (update_of(0, adapter, plain, factor=f).update for f in (1.0, 100.0))
    assert np.allclose(one, hundred, rtol=1e-4)


def test_entries_that_are_not_sent_do_not_decay() -> None:
    training = settings(client_optimizer="adamw", client_weight_decay=0.5, local_steps=3)
    adapter, moved = np.ones(3, np.float32), np.array([1])
    update = update_of(0, adapter, training, moved=moved).update
    assert update[[0, 2]].tolist() == [0.0, 0.0]
    assert update[1] != 0


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"client_optimizer": "adamw"}, "needs training.local_steps > 1; one local step"),
        ({"client_objective": "scaffold"}, "not 1, sgd and lora"),
        (
            {"client_objective": "scaffold", "local_steps": 2, "client_optimizer": "adamw"},
            "not 2, adamw and lora",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Scenario.model_validate({"training": section})


def test_scaffold_needs_a_payload_that_sends_the_same_entries() -> None:
    data = {
        "training": {"client_objective": "scaffold", "local_steps": 2},
        "aggregation": {"payload": "rolora"},
    }
    with pytest.raises(ValueError, match="not 2, sgd and rolora"):
        Scenario.model_validate(data)


def test_a_run_with_control_variates(scenario_with: Any, learner: Any) -> None:
    """The server's variate is the mean of the clients' gradients, and the broadcast holds it."""
    from airtune.engines import LocalEngine
    from airtune.learning.sizes import sizes_of
    from airtune.planning.repetition import Repetition
    from airtune.rounds.federated import FederatedRun

    def run_of(objective: str) -> FederatedRun:
        scenario = scenario_with(
            training__client_objective=objective,
            training__local_steps=2,
            training__local_learning_rate=0.05,
            training__batch_size_max=2,
            planning__overlap=False,
            digital__quantizer="lloyd-max",
            digital__bits=8,
        )
        own = learner.under(scenario)
        return FederatedRun(
            Repetition(scenario, 3, sizes_of(own)), "digital", LocalEngine.over(own)
        )

    run, plain = run_of("scaffold"), run_of("sft")
    lines = [(run.run_round(), plain.run_round()) for _ in range(2)]
    assert lines[0][0]["train_loss"] == lines[0][1]["train_loss"]  # nothing to correct yet
    assert lines[1][0]["train_loss"] != lines[1][1]["train_loss"]
    sums = [run.state.client_states[k]["sum"] for k in range(10)]
    mean = run.repetition.omega @ np.array(sums) / 2
    distance = np.linalg.norm(run.state.control - mean) / np.linalg.norm(mean)
    assert distance < 0.2  # quantised
    assert CONTROL not in run.state.client_states[0]
    downlinks = [line["round_latency_s"]["downlink"] for line in lines[0]]
    assert downlinks[0] == pytest.approx(2 * downlinks[1])
    arrays = run.state.arrays()
    again = run_of("scaffold")
    costs = {key: getattr(run.state, key).to_dict() for key in ("latency_s", "energy_j")}
    again.state.load(2, {name: array.copy() for name, array in arrays.items()}, costs)
    assert again.run_round()["train_loss"] == run.run_round()["train_loss"]
    assert np.array_equal(again.state.control, run.state.control)
