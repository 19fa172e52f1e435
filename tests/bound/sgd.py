"""SGD over the air on problems whose constants are known, many runs at once.

Each function returns the mean gap after every round, its standard error, and what the bound needs.
"""

from dataclasses import dataclass

import numpy as np

from airtune.bound.convergence import BoundConstants


@dataclass(frozen=True)
class Measured:
    """Mean gap and its standard error (T + 1,), mean G_t^2 (T,), and the true constants.

    `sigma_sq` (T,) is the gradient variance of one sample where the rounds really were: the mean
    over the runs, of the client with the largest.
    """

    gap: np.ndarray
    error: np.ndarray
    G_sq: np.ndarray
    sigma_sq: np.ndarray
    constants: BoundConstants


def constants(
    L: float, mu: float, eta: float, sigma_g_sq: float, **others: float
) -> BoundConstants:
    """Constants of the fine-tuning half; those of pre-training play no part here."""
    neutral = {"G_sq": 0.0, "L0": 1.0, "mu0": 1.0, "eta0": 1.0, "sigma0_sq": 0.0}
    rest = {"delta_pre": 0.0, "L_x": 0.0, "W1": 0.0, **others}
    return BoundConstants(L=L, mu=mu, eta=eta, sigma_g_sq=sigma_g_sq, **neutral, **rest)


def over_the_air(
    updates: np.ndarray, omega: np.ndarray, mse: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean of updates (K, R, d) as received, one scale: entry error v^2 MSE; and d v^2."""
    spread = updates.std(axis=2)
    v_sq = np.einsum("k,kr->r", omega, spread**2)
    mean = np.einsum("k,krd->rd", omega, updates)
    noise = rng.standard_normal(mean.shape) * np.sqrt(v_sq * mse)[:, None]
    return mean + noise, updates.shape[2] * v_sq


def quadratic(
    rng: np.random.Generator,
    condition: float,
    *,
    rounds: int,
    mse: float,
    omega: np.ndarray,
    batch: np.ndarray,
    step: float,
    present: np.ndarray | None = None,
    runs: int = 200,
    dimension: int = 12,
) -> Measured:
    """F_k = (theta - a_k)^T A (theta - a_k) / 2: one Hessian, so the heterogeneity is constant."""
    L = float(rng.uniform(0.5, 5))
    mu = L / condition
    eigen = np.concatenate(([L, mu], rng.uniform(mu, L, dimension - 2)))
    basis = np.linalg.qr(rng.standard_normal((dimension, dimension)))[0]
    A = basis * eigen @ basis.T
    K = omega.size
    centres = rng.standard_normal((K, dimension)) * rng.uniform(0, 1)
    optimum = omega @ centres
    zeta_sq = float(np.max(np.sum(((centres - optimum) @ A) ** 2, axis=1)))
    sigma_g_sq, eta = float(10 ** rng.uniform(-1, 1.5)), step / L
    weights = omega if present is None else np.where(present, omega, 0.0)
    weights = weights / weights.sum()
    theta = np.tile(optimum + rng.standard_normal(dimension) * 2, (runs, 1))
    gaps, errors, scales = [], [], []

    def record() -> None:
        gap = 0.5 * np.einsum("rd,de,re->r", theta - optimum, A, theta - optimum)
        gaps.append(gap.mean())
        errors.append(gap.std() / np.sqrt(runs))

    record()
    for _ in range(rounds):
        noise = rng.standard_normal((K, runs, dimension)) * np.sqrt(sigma_g_sq / dimension)
        updates = (theta[None] - centres[:, None]) @ A + noise / np.sqrt(batch)[:, None, None]
        mean, scale = over_the_air(updates, weights, mse, rng)
        theta = theta - eta * mean
        scales.append(scale.mean())
        record()
    known = constants(L, mu, eta, sigma_g_sq, zeta_sq=zeta_sq)
    sigma_sq = np.full(rounds, sigma_g_sq)
    return Measured(np.array(gaps), np.array(errors), np.array(scales), sigma_sq, known)


def logistic(
    rng: np.random.Generator,
    condition: float,
    *,
    rounds: int,
    mse: float,
    omega: np.ndarray,
    batch: np.ndarray,
    step: float,
    runs: int = 60,
    dimension: int = 6,
    records: int = 40,
) -> Measured:
    """Regularised logistic regression; every client has records of its own kind."""
    K = omega.size
    x = rng.standard_normal((K, records, dimension)) + rng.standard_normal((K, 1, dimension)) * 0.7
    y = (np.einsum("knd,d->kn", x, rng.standard_normal(dimension)) > 0).astype(float)
    curvature = np.einsum("k,knd,kne->de", omega / records, x, x)
    smooth = float(np.linalg.eigvalsh(curvature)[-1]) / 4
    mu = smooth / (condition - 1) if condition > 1 else smooth * 10  # the regulariser
    L, sigma_g_sq = smooth + mu, float(np.max(np.sum(x**2, axis=2).mean(axis=1)))
    eta = step / L

    def slope(theta: np.ndarray, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-np.einsum("...nd,...d->...n", features, theta))) - labels

    def loss(theta: np.ndarray) -> np.ndarray:
        z = np.einsum("knd,rd->krn", x, theta)
        terms = np.logaddexp(0, z) - y[:, None] * z
        return np.einsum("k,krn->r", omega / records, terms) + mu / 2 * np.sum(theta**2, axis=1)

    optimum = np.zeros(dimension)
    for _ in range(100):  # Newton
        s = slope(np.broadcast_to(optimum, (K, dimension)), x, y)
        gradient = np.einsum("k,kn,knd->d", omega / records, s, x) + mu * optimum
        p = s + y
        hessian = np.einsum("k,kn,knd,kne->de", omega / records, p * (1 - p), x, x)
        optimum = optimum - np.linalg.solve(hessian + mu * np.eye(dimension), gradient)
    least = loss(optimum[None])[0]
    theta = np.tile(optimum + rng.standard_normal(dimension), (runs, 1))
    gaps, errors, scales, variances = [], [], [], []

    def record() -> None:
        gap = loss(theta) - least
        gaps.append(gap.mean())
        errors.append(gap.std() / np.sqrt(runs))

    def variance() -> float:
        """Return the variance over a client's records, the mean over the runs, the largest."""
        each = []
        for features, labels in zip(x, y, strict=True):
            s = slope(theta, np.broadcast_to(features, (runs, *features.shape)), labels)
            squares = (s**2 @ np.sum(features**2, axis=1)) / records
            each.append(np.mean(squares - np.sum((s @ features / records) ** 2, axis=1)))
        return float(np.max(each))

    record()
    for _ in range(rounds):
        variances.append(variance())
        updates = np.empty((K, runs, dimension))
        for k in range(K):
            drawn = rng.integers(records, size=(runs, int(batch[k])))
            features, labels = x[k][drawn], y[k][drawn]
            s = slope(theta, features, labels)
            updates[k] = np.einsum("rn,rnd->rd", s, features) / batch[k] + mu * theta
        mean, scale = over_the_air(updates, omega, mse, rng)
        theta = theta - eta * mean
        scales.append(scale.mean())
        record()
    known = constants(L, mu, eta, sigma_g_sq)
    return Measured(np.array(gaps), np.array(errors), np.array(scales), np.array(variances), known)
