"""Digital schemes that aggregate products exactly, or A alone (`digital.aggregation`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airtune import record
from airtune.engines import LocalEngine
from airtune.errors import InputError
from airtune.learning.exact import AGGREGATIONS, mean_products, pairs_of
from airtune.learning.own_factors import OWN, adapter_of
from airtune.learning.payload.base import entries_of
from airtune.learning.results import AdapterMatrix, ClientUpdate, DomainScore, Evaluation
from airtune.planning.repetition import Repetition
from airtune.rounds import cell_io
from airtune.rounds.federated import FederatedRun
from airtune.scenario import Scenario
from airtune.streams import generator
from quadratic import QuadraticLearner
from rounds.test_federated import with_settings
from rounds.test_payloads import stop_after

KINDS = ("flora", "fedex", "fedsa")
RANK, SHAPES = 2, ((6, 8), (5, 4))
RATE = 0.05


class Layers(QuadraticLearner):
    """Linear layers of rank 2: client k minimises |W + B A - C_k|^2 / 2 by local steps.

    Each client is a domain of its own.  With `shared` the C_k = B_k A have A in common.
    """

    def __init__(self, scenario: Scenario, seed: int = 1, *, shared: bool = False) -> None:
        self.shared = shared
        super().__init__(scenario, seed)

    def __post_init__(self) -> None:
        self.sizes = tuple(size for m, n in SHAPES for size in (RANK * n, m * RANK))
        super().__post_init__()
        names = [f"{layer}.lora_{factor}.weight" for layer in "qv" for factor in "AB"]
        shapes = [shape for m, n in SHAPES for shape in ((RANK, n), (m, RANK))]
        self.matrices = tuple(
            AdapterMatrix(name, shape, one.start, one.size)
            for name, shape, one in zip(names, shapes, self.matrices, strict=True)
        )
        self.pairs = pairs_of(self.matrices)
        random, clients = generator(self.seed, "targets"), self.scenario.clients.count
        common = [random.standard_normal((RANK, n)) / 2 for _, n in SHAPES]
        self.targets = [
            [
                random.standard_normal((m, RANK))
                @ (a if self.shared else random.standard_normal(a.shape) / 2)
                for (m, _), a in zip(SHAPES, common, strict=True)
            ]
            for _ in range(clients)
        ]

    def initial_adapter(self) -> np.ndarray:
        start = generator(7, "start").standard_normal(self.size).astype(np.float32) / 2
        start[entries_of(self.matrices, "B")] = 0.0
        return start

    def products(self, model: np.ndarray) -> list[np.ndarray]:
        whole = mean_products(self.pairs, model[None, : self.size], np.ones(1))
        whole = whole + (model[self.size :] if len(model) > self.size else 0.0)
        return [whole[p.start : p.start + p.size].reshape(p.shape) for p in self.pairs]

    def local(self, model: np.ndarray, client: int) -> np.ndarray:
        """Return where the local steps of a client end, without noise of batches."""
        moved = model.astype(np.float64)
        for _ in range(self.scenario.training.local_steps):
            gradient = np.zeros(self.size)
            products = zip(self.pairs, self.products(moved), self.targets[client], strict=True)
            for pair, product, target in products:
                a, b = (rows[0] for rows in pair.factors(moved[None, : self.size]))
                for one, slope in (
                    (pair.a, b.T @ (product - target)),
                    (pair.b, (product - target) @ a.T),
                ):
                    gradient[one.start : one.start + one.size] = slope.reshape(-1)
            moved[: self.size] -= RATE * gradient
        return moved[: self.size]

    def client_updates(
        self,
        adapter: np.ndarray,
        clients: list[int],
        batch_sizes: list[int],
        seed: int,
        round_index: int,
        states: dict[int, dict[str, np.ndarray]] | None = None,
    ) -> list[ClientUpdate]:
        done, kept = [], entries_of(self.matrices, "B")
        for client in clients:
            own = (states or {}).get(client, {}).get(OWN)
            start = adapter if own is None else adapter_of(adapter, own, kept)
            reached = self.local(start, client)
            update = ((start[: self.size] - reached) / RATE).astype(np.float32)
            state = {} if own is None else {OWN: reached[kept].astype(np.float32)}
            if own is not None:
                update[kept] = 0.0
            done.append(ClientUpdate(update, 1.0, 10, finite=True, state=state))
        return done

    def loss_of(self, products: list[np.ndarray], client: int) -> float:
        return sum(
            float(np.sum((one - target) ** 2)) / 2
            for one, target in zip(products, self.targets[client], strict=True)
        )

    def evaluate(self, adapter: np.ndarray) -> Evaluation:
        products = self.products(adapter)
        domains = {
            f"domain {k}": DomainScore(self.loss_of(products, k), 0.5, 10 + k)
            for k in range(len(self.targets))
        }
        weights = self.data_sizes / self.data_sizes.sum()
        loss = float(weights @ [one.loss for one in domains.values()])
        return Evaluation(loss, float(np.exp(min(loss, 700.0))), 0.5, domains)

    def holdings(self) -> dict[str, list[object]]:
        count = len(self.targets)
        own = np.diag(self.data_sizes).tolist()
        return {"labels": [f"domain {k}" for k in range(count)], "counts": own}


def scenario_of(base: Scenario, kind: str, **changes: Any) -> Scenario:
    """Four local steps; the server of `mean` averages, as those of the other kinds do."""
    return with_settings(
        base,
        digital__aggregation=kind,
        training__local_steps=changes.pop("local_steps", 4),
        training__local_learning_rate=RATE,
        training__learning_rate=RATE,
        digital__quantizer="uniform",
        digital__bits=16,
        digital__error_feedback=False,
        clients__tx_power_dbm=60.0,
        **changes,
    )


def run_of(scenario: Scenario, scheme: str = "digital", *, shared: bool = False) -> FederatedRun:
    learner = Layers(scenario, 1, shared=shared)
    repetition = Repetition(scenario, 1, learner)  # type: ignore[arg-type]
    return FederatedRun(repetition, scheme, LocalEngine.over(learner))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["mean", "flora", "fedex"])
def test_the_mean_of_the_products_is_exact_where_it_is_said_to_be(small_scenario, kind) -> None:
    """FedAvg of the factors misses it by the product bias, FLoRA and FedEx by rounding."""
    run = run_of(scenario_of(small_scenario, kind))
    learner = run.engine.learner
    run.run_round()
    for _ in range(3):
        before = run.state.model.copy()
        reached = np.array([learner.local(before, k) for k in range(3)])
        wanted = mean_products(learner.pairs, reached, run.repetition.omega)
        if len(before) > learner.size:
            wanted += before[learner.size :]
        line = run.run_round()
        now = np.concatenate([one.reshape(-1) for one in learner.products(run.state.model)])
        start = np.concatenate([one.reshape(-1) for one in learner.products(before)])
        missed = np.linalg.norm(now - wanted) / np.linalg.norm(wanted - start)
        if kind == "mean":
            assert missed == pytest.approx(line["product_bias"], rel=0.05)
            assert missed > 0.02
        else:
            assert missed < 2e-3
            assert line["product_bias"] == 0.0


@pytest.mark.parametrize(("kind", "rounds"), [("flora", 120), ("fedex", 30)])
def test_sums_of_products_go_beyond_the_rank_of_one_adapter(
    small_scenario, kind: str, rounds: int
) -> None:
    """No adapter of rank 2 fits the mean of the targets: stacked factors do, the mean cannot.

    FedEx is ahead of the mean at first; clients as unlike as these draw it away later.
    """
    learner, omega = Layers(scenario_of(small_scenario, "mean")), np.array([0.3, 0.3, 0.4])
    means = [sum(w * t[i] for w, t in zip(omega, learner.targets, strict=True)) for i in range(2)]
    off = sum(float(np.sum(np.linalg.svd(mean)[1][RANK:] ** 2)) / 2 for mean in means)

    def above(model: np.ndarray) -> float:
        """Loss over that of the mean of the targets."""
        products = zip(learner.products(model), means, strict=True)
        return sum(float(np.sum((one - mean) ** 2)) / 2 for one, mean in products)

    server, mean = AGGREGATIONS[kind](learner.pairs, 1), learner.initial_adapter()
    adapter, base = mean, np.zeros(server.size, np.float32)
    for index in range(rounds):
        model = np.concatenate([adapter, base])
        reached = np.array([learner.local(model, k) for k in range(3)])
        adapter, base = server.aggregated(adapter, base, reached, omega, index)
        mean = (omega @ np.array([learner.local(mean, k) for k in range(3)])).astype(np.float32)
    assert above(mean) >= off - 1e-6
    limit = 0.2 * off if kind == "flora" else 0.95 * above(mean)
    assert above(np.concatenate([adapter, base])) < limit


def test_clients_with_a_b_of_their_own_fit_what_they_do_not_share(small_scenario) -> None:
    """Targets B_k A: no common model fits them all (FedSA-LoRA); its server never sees a B."""
    rounds, losses = 12, {}
    for kind in ("mean", "fedsa"):
        scenario = scenario_of(small_scenario, kind, training__rounds=rounds, local_steps=20)
        run = run_of(scenario, shared=True)
        first = run.state.adapter.copy()
        for _ in range(rounds):
            line = run.run_round()
        losses[kind] = line["loss"]
    learner, omega = run.engine.learner, run.repetition.omega
    means = [sum(w * t[i] for w, t in zip(omega, learner.targets, strict=True)) for i in range(2)]
    floor = sum(w * learner.loss_of(means, k) for k, w in enumerate(omega))
    assert losses["mean"] >= floor - 1e-6
    assert losses["fedsa"] < 0.2 * floor
    kept = entries_of(learner.matrices, "B")
    assert np.array_equal(run.state.adapter[kept], first[kept])
    assert line["product_bias"] is None
    own = run.state.client_states[1][OWN]
    scored = learner.evaluate(adapter_of(run.state.adapter, own, kept)).domains["domain 1"]
    assert line["domains"]["domain 1"]["loss"] == scored.loss


def test_books_hold_what_is_sent(small_scenario) -> None:
    """Uploads of A and B, or of A; broadcasts of stacked factors, of residuals, or of A."""
    sizes = {"all": 28 + 18, "a": 16 + 8}  # r (m + n) and r n of both layers
    lines, plans = {}, {}
    for kind in ("mean", *KINDS):
        scenario = scenario_of(small_scenario, kind, digital__access="tdma", plan="own")
        run = run_of(scenario)
        lines[kind] = [run.run_round() for _ in range(2)]
        plans[kind] = run.plan.latency_s
    up, down = (
        {k: [line["round_latency_s"][part] for line in two] for k, two in lines.items()}
        for part in ("uplink", "downlink")
    )
    headers = {"all": 4 * 32, "a": 2 * 32}
    bits = {part: 16 * sizes[part] + headers[part] for part in sizes}
    assert up["flora"][0] == pytest.approx(up["mean"][0])
    assert up["fedsa"][0] / up["mean"][0] == pytest.approx(bits["a"] / bits["all"])
    # three clients: products of 48 and 20 entries are shorter than three stacked pairs
    stacked, residual = 48 + 20, sizes["all"] + 48 + 20
    for index, numbers in ((0, [sizes["all"]] * 2), (1, [stacked, residual])):
        shares = [down[kind][index] / down["mean"][index] for kind in ("flora", "fedex")]
        assert shares == pytest.approx([count / sizes["all"] for count in numbers])
    assert down["fedsa"][1] / down["mean"][1] == pytest.approx(sizes["a"] / sizes["all"])
    for kind, numbers in (("flora", stacked), ("fedex", residual)):
        share = plans[kind].downlink / plans["mean"].downlink
        assert share == pytest.approx(numbers / sizes["all"])


def test_a_cost_twin_books_factors_of_its_own(small_scenario) -> None:
    twin = {"costs__model": "openllama-3b-qv"}
    down = {}
    for kind in ("mean", *KINDS):
        run = run_of(scenario_of(small_scenario, kind, **twin))
        down[kind] = [run.run_round()["round_latency_s"]["downlink"] for _ in range(2)]
    shares = [down[kind][1] / down["mean"][1] for kind in KINDS]
    assert shares == pytest.approx([3.0, 3.0, 0.5])


def test_everybody_follows_a_change_of_the_frozen_weights(small_scenario) -> None:
    """Its rate is that of the weakest participant, also where one client is selected."""
    changes = {"clients__selection": "random", "clients__concurrency": 1}
    rates = {}
    for alone in (True, False):
        run = run_of(scenario_of(small_scenario, "fedex", **(changes if alone else {})))
        lines = [run.run_round() for _ in range(3)]
        numbers = [46, 46 if alone else 46 + 68, 46 if alone else 46 + 68]  # no residual of one
        rates[alone] = [
            n / line["round_latency_s"]["downlink"] for n, line in zip(numbers, lines, strict=True)
        ]
    assert np.allclose(rates[True], rates[False])


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_resumes_bit_for_bit(small_scenario, tmp_path: Path, kind: str) -> None:
    scenario = scenario_of(
        small_scenario, kind, training__rounds=5, clients__selection="random",
        clients__concurrency=2,
    )  # fmt: skip
    if kind != "flora":
        scenario = with_settings(scenario, digital__error_feedback=True, digital__bits=3)
    cells = [record.Cell(tmp_path / p / "digital" / "seed-0", "digital", 0) for p in ("a", "b")]
    whole = run_of(scenario)
    cell_io.execute(whole, cells[0], lambda line: None)
    with pytest.raises(KeyboardInterrupt):
        cell_io.execute(run_of(scenario), cells[1], stop_after(3))
    resumed = run_of(scenario)
    cell_io.execute(resumed, cells[1], lambda line: None)
    one, other = resumed.state.arrays(), whole.state.arrays()
    assert set(one) == set(other)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert ("base" in one) == (kind != "fedsa")
    assert any(OWN in name for name in one) == (kind == "fedsa")


def test_the_adapters_of_all_clients_are_written(small_scenario, tmp_path: Path) -> None:
    run = run_of(scenario_of(small_scenario, "fedsa", training__rounds=2))
    cell = record.Cell(tmp_path / "digital" / "seed-0", "digital", 0)
    cell_io.execute(run, cell, lambda line: None)
    (cell.folder.parents[1] / "environment.json").write_text("{}")
    models = cell_io._client_models(run)
    cell_io._save_adapter(run, cell, models[0])
    for client, own in enumerate(models):
        kept = np.load(cell.adapter_folder / "clients" / str(client) / "adapter.npy")
        assert np.array_equal(kept, own)
        own_b = run.state.client_states[client][OWN]
        assert np.array_equal(own[entries_of(run.engine.learner.matrices, "B")], own_b)


@pytest.mark.parametrize("scheme", ["fixed", "massive-digital"])
def test_other_schemes_take_no_notice(small_scenario, scheme: str) -> None:
    lines = []
    for kind in ("mean", "fedex", "fedsa"):
        run = run_of(scenario_of(small_scenario, kind), scheme)
        lines.append([run.run_round()["loss"] for _ in range(2)])
    assert lines[0] == lines[1] == lines[2]


def test_every_digital_scheme_takes_it(small_scenario) -> None:
    for scheme in ("digital-movable", "digital-selection"):
        run = run_of(scenario_of(small_scenario, "fedex"), scheme)
        run.run_round()
        assert np.any(run.state.base)


@pytest.mark.parametrize(
    ("kind", "changes", "said"),
    [
        ("fedex", {"local_steps": 1}, "training.local_steps = 1: must be at least 2"),
        ("fedsa", {"aggregation__payload": "ffa"}, "aggregation.payload = 'ffa': must be lora"),
        ("flora", {"aggregation__robust": "median"}, "aggregation.robust = 'median': must be none"),
        (
            "fedex",
            {"faults__broadcast": {"share": 0.1}},
            "faults.broadcast.share = 0.1: must be 0.0",
        ),
        (
            "flora",
            {"training__learning_rate_rule": "noise-aware", "training__server_optimizer": "adam"},
            "training.learning_rate_rule = 'noise-aware': must be fixed",
        ),
        ("fedex", {"model__quantization": "nf4"}, "model.quantization = 'nf4': must be none"),
        ("fedsa", {"planning__objective": "time"}, "planning.objective = 'time': must be bound"),
        (
            "fedex",
            {"training__client_objective": "scaffold", "training__objective": "scaffold"},
            "training.client_objective = 'scaffold': must be sft or fedprox",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(small_scenario, kind, changes, said) -> None:
    with pytest.raises(ValueError, match=f"{said} with digital.aggregation = {kind}"):
        scenario_of(small_scenario, kind, **changes)


def test_new_factors_have_no_use_for_what_was_lost(small_scenario) -> None:
    with pytest.raises(ValueError, match=r"error_feedback = True: must be False or planned"):
        with_settings(scenario_of(small_scenario, "flora"), digital__error_feedback=True)
    planned = with_settings(
        scenario_of(small_scenario, "flora"),
        digital__error_feedback="planned",
        digital__bits="planned",
        digital__quantizer="planned",
    )
    run = run_of(planned)
    assert not run.current.joint.coding or not run.current.joint.coding.feedback
    run.run_round()
    assert run.state.memory == {}


def test_matrices_that_are_no_factors_are_refused(small_scenario) -> None:
    for kind, said in (("fedex", "digital.aggregation: the matrix 'block0' is no factor"),):
        scenario = scenario_of(small_scenario, kind)
        learner = QuadraticLearner(scenario, 1)
        with pytest.raises(InputError, match=said):
            FederatedRun(
                Repetition(scenario, 1, learner),  # type: ignore[arg-type]
                "digital",
                LocalEngine.over(learner),  # type: ignore[arg-type]
            )
