"""Oracle for planning problem files: every integer choice, the best power by golden section.

Written from the formulas of the problem alone; shares no code with the package.
"""

import itertools

import numpy as np


def steep(left: np.ndarray, budget: float) -> np.ndarray:
    """Concave stand-in for a yes-or-no budget: above 1 as soon as SLACK of it is left."""
    return 1e12 * left / budget if np.isfinite(budget) else np.full_like(left, np.inf)


GOLDEN = (np.sqrt(5) - 1) / 2
SLACK = 1e-11


def brute_force(problem: dict) -> tuple[float, float] | None:
    """Least bound and the least energy among the plans that reach it; None: infeasible."""
    best = None
    server, top = problem["server"], problem["rounds_max"]
    batches = np.array(
        list(itertools.product(*(range(1, c["batch_max"] + 1) for c in problem["clients"]))), float
    )
    pairs = [(0, 1)] + [
        (t0, b0)
        for t0 in range(1, server["rounds_max"] + 1)
        for b0 in range(1, server["batch_max"] + 1)
    ]
    for rounds, (steps, batch0) in itertools.product(range(1, top + 1), pairs):
        least = best_of(problem, rounds, steps, batch0, batches)
        if least is not None and (
            best is None
            or least[0] < best[0] * (1 - 1e-12)
            or (least[0] <= best[0] * (1 + 1e-12) and least[1] < best[1])
        ):
            best = least
    return best


def best_of(
    problem: dict, rounds: int, steps: int, batch0: int, batches: np.ndarray
) -> tuple[float, float] | None:
    clients = problem["clients"]
    col = {name: np.array([c[name] for c in clients], float) for name in
           ("omega", "cycles_per_sample", "kappa", "f_min", "f_max", "tx_power_w")}  # fmt: skip
    own = np.array(
        [np.inf if c["energy_budget_j"] is None else c["energy_budget_j"] for c in clients]
    )
    total = np.inf if problem["energy_budget_j"] is None else problem["energy_budget_j"]
    latency = np.inf if problem["latency_budget_s"] is None else problem["latency_budget_s"]
    overlap = problem.get("overlap", False)
    names = ("uplink_s", "downlink_s", "pilot_s", *(() if overlap else ("move_s",)))
    fixed = sum(problem[name] for name in names)
    fixed_j = problem["move_j"] + problem.get("downlink_j", 0.0) + problem.get("pilot_j", 0.0)
    radio = col["tx_power_w"] * problem["uplink_s"]
    server = problem["server"]
    work0 = steps * batch0 * server["cycles_per_sample"]
    work = batches * col["cycles_per_sample"]
    air = problem["bound"]["G_sq"] * problem["mse_star"]

    def energies(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Server's energy and clients' energy of a round when pre-training takes s."""
        with np.errstate(invalid="ignore", divide="ignore"):
            limit = (
                (latency - s) / rounds - fixed if np.isfinite(latency) else np.full_like(s, np.inf)
            )
            f = np.maximum(col["f_min"], work / limit[:, None])
            e0 = server["kappa"] * (work0 / s) ** 2 * work0 if work0 > 0 else np.zeros_like(s)
        return e0, col["kappa"] * f**2 * work

    def power(s: np.ndarray) -> np.ndarray:
        e0, e = energies(s)
        rho = np.full(len(s), 1.0)
        left = total * (1 + SLACK) - e0 - rounds * (e.sum(1) + fixed_j)
        if radio.sum() > 0:
            rho = np.minimum(rho, left / (rounds * radio.sum()))
        else:
            rho = np.minimum(rho, steep(left, total))
        for k, r in enumerate(radio):
            mine = own[k] * (1 + SLACK) / rounds - e[:, k]
            rho = np.minimum(rho, mine / r if r > 0 else steep(mine, own[k] / rounds))
        return rho

    def spent(s: np.ndarray, rho: np.ndarray) -> np.ndarray:
        e0, e = energies(s)
        return e0 + rounds * (e.sum(1) + rho * radio.sum() + fixed_j)

    count = len(batches)
    low = np.full(count, work0 / server["f_max"])
    high = np.full(count, work0 / server["f_min"])
    if np.isfinite(latency):
        needed = np.maximum((work / col["f_max"]).max(1), problem["move_s"] if overlap else 0.0)
        high = np.minimum(high, latency * (1 + 1e-14) - rounds * (needed + fixed))
        fine = high >= low * (1 - SLACK)
        high = np.maximum(high, low)
    else:
        low, fine = high.copy(), np.full(count, True)
    s = golden(lambda x: power(x), low, high)
    rho = power(s)
    floor = 1e-6 if radio.sum() > 0 else 1.0
    fine &= rho >= floor * (1 - 1e-9)
    if not fine.any():
        return None
    rho = np.clip(rho, floor, 1.0)
    if air == 0 and radio.sum() > 0:
        rho[:] = floor
    b = problem["bound"]
    q = (1 - b["eta"] * b["mu"]) ** rounds
    q0 = (1 - b["eta0"] * b["mu0"]) ** steps
    start = q0 * b["delta_pre"] + (1 - q0) * b["L0"] * b["eta0"] * b["sigma0_sq"] / (
        2 * b["mu0"] * batch0
    )
    noise = b["sigma_g_sq"] * (col["omega"] ** 2 / batches).sum(1) + air / rho
    value = (
        q * (start + 2 * b["L_x"] * b["W1"])
        + (1 - q) / (b["eta"] * b["mu"]) * (b["L"] * b["eta"] ** 2 / 2) * noise
    )
    value[~fine] = np.inf
    least = value.min()
    same = np.flatnonzero(value <= least * (1 + 1e-12))

    def cheap(x: np.ndarray) -> np.ndarray:
        full_low = np.full(count, np.inf)
        full = low.copy()
        full[same] = x
        ok = power(full)[same] >= rho[same] * (1 - 1e-9)
        cost = spent(full, rho)[same]
        full_low[same] = np.where(ok, -cost, -np.inf)
        return full_low[same]

    # admissible server times are an interval around s: find the cheapest in it
    left, right = edge(power, low, s, rho)[same], edge(power, high, s, rho)[same]
    at = golden(cheap_inside(spent, rho, low, same), left, right)
    full = low.copy()
    full[same] = at
    return float(least), float(spent(full, rho)[same].min())


def cheap_inside(spent, rho, low, same):
    def cost(x: np.ndarray) -> np.ndarray:
        full = low.copy()
        full[same] = x
        return -spent(full, rho)[same]

    return cost


def edge(power, end: np.ndarray, inside: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """Farthest point from `inside` towards `end` at which the power is still allowed."""
    good, bad = inside.copy(), end.copy()
    done = power(bad) >= rho * (1 - 1e-10)
    for _ in range(56):
        middle = (good + bad) / 2
        fine = power(middle) >= rho * (1 - 1e-10)
        good, bad = np.where(fine, middle, good), np.where(fine, bad, middle)
    return np.where(done, end, good)


def golden(f, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Maximise concave f between low and high, element by element; best of the points seen."""
    a, b = low.copy(), high.copy()
    best, argument = np.full(len(low), -np.inf), low.copy()
    for step in range(70):
        pair = (low, high) if step == 0 else (b - GOLDEN * (b - a), a + GOLDEN * (b - a))
        left, right = (np.nan_to_num(f(p), nan=-np.inf) for p in pair)
        for point, value in zip(pair, (left, right), strict=True):
            argument, best = np.where(value > best, point, argument), np.maximum(value, best)
        if step > 0:
            up = right > left
            a, b = np.where(up, pair[0], a), np.where(up, b, pair[1])
    return argument
