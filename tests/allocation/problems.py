"""Random planning problems with budgets that bind."""

import numpy as np


def random_problem(
    rng: np.random.Generator,
    clients: int,
    *,
    rounds: int,
    batch: int,
    steps: int,
    batch0: int,
    per_client: bool,
    total: bool,
    latency: bool = True,
    squeeze: tuple[float, float] = (1.0, 1.0),
) -> dict:
    """A problem whose budgets are the costs of a random plan, times a factor in `squeeze`."""
    L, L0 = rng.uniform(1, 10, 2)
    mu, mu0 = L * rng.uniform(0.02, 1), L0 * rng.uniform(0.02, 0.5)
    omega = rng.dirichlet(np.full(clients, 5.0))
    cycles = 10 ** rng.uniform(7, 8.5, clients)
    problem = {
        "bound": {
            "L": L, "mu": mu, "eta": rng.uniform(0.2, 1) / L,
            "sigma_g_sq": 10 ** rng.uniform(-1, 2), "G_sq": 10 ** rng.uniform(-1, 1),
            "L0": L0, "mu0": mu0, "eta0": rng.uniform(0.2, 1) / L0,
            "sigma0_sq": 10 ** rng.uniform(-1, 1.5), "delta_pre": rng.uniform(1, 10),
            "L_x": rng.uniform(0, 1), "W1": rng.uniform(0, 1),
        },
        "clients": [
            {
                "omega": float(omega[k]), "cycles_per_sample": float(cycles[k]),
                "kappa": float(10 ** rng.uniform(-28.5, -27.5)), "f_min": 2e8, "f_max": 2e9,
                "batch_max": int(rng.integers(max(1, batch // 2), batch + 1)),
                "tx_power_w": float(10 ** rng.uniform(-2, 0)), "energy_budget_j": None,
            }
            for k in range(clients)
        ],
        "server": {
            "cycles_per_sample": float(10 ** rng.uniform(7.5, 8.5)), "kappa": 1e-27,
            "f_min": 5e8, "f_max": 3e9, "batch_max": batch0, "rounds_max": steps,
        },
        "mse_star": float(10 ** rng.uniform(-3, 0)),
        "uplink_s": float(rng.uniform(0.05, 0.5)), "downlink_s": 0.05, "pilot_s": 0.01,
        "move_s": 0.1, "move_j": 0.05, "rounds_max": rounds,
        "latency_budget_s": None, "energy_budget_j": None,
    }  # fmt: skip
    _set_budgets(problem, rng, per_client=per_client, total=total, latency=latency, squeeze=squeeze)
    return problem


def _set_budgets(problem, rng, *, per_client, total, latency, squeeze) -> None:
    clients, server = problem["clients"], problem["server"]
    rounds = int(rng.integers(1, problem["rounds_max"] + 1))
    samples = int(rng.integers(0, server["rounds_max"] * server["batch_max"] + 1))
    sizes = [int(rng.integers(1, c["batch_max"] + 1)) for c in clients]
    work = np.array([c["cycles_per_sample"] * b for c, b in zip(clients, sizes, strict=True)])
    limit = float(np.max(work / np.exp(rng.uniform(np.log(3e8), np.log(1.8e9)))))
    clock = np.clip(work / limit, 2e8, 2e9)
    limit = float(np.max(work / clock))
    clock0 = rng.uniform(server["f_min"], server["f_max"])
    rho = rng.uniform(0.2, 1)
    energy = rounds * np.array(
        [
            c["kappa"] * f**2 * w + rho * c["tx_power_w"] * problem["uplink_s"]
            for c, f, w in zip(clients, clock, work, strict=True)
        ]
    )
    time0 = samples * server["cycles_per_sample"] / clock0
    energy0 = server["kappa"] * clock0**2 * samples * server["cycles_per_sample"]
    fixed = sum(problem[name] for name in ("uplink_s", "downlink_s", "pilot_s", "move_s"))
    if latency:
        problem["latency_budget_s"] = (time0 + rounds * (limit + fixed)) * rng.uniform(*squeeze)
    if per_client:
        for c, e in zip(clients, energy, strict=True):
            c["energy_budget_j"] = float(e * rng.uniform(*squeeze))
    if total:
        spent = energy0 + energy.sum() + rounds * problem["move_j"]
        problem["energy_budget_j"] = float(spent * rng.uniform(*squeeze))
