"""Losses with known constants, in the place of a language model's, for calibration."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from airtune.streams import generator


@dataclass
class QuadraticLoss:
    """F_k = (theta - c_k)^T H (theta - c_k) / 2 + least; a sample's gradient has Gaussian noise.

    Calibration samples are fixed draws of noise, so the loss of sample i is that of the client plus
    noise_i . theta: its gradient is the client's plus noise_i.
    """

    hessian: np.ndarray
    centres: np.ndarray
    weights: np.ndarray
    noise: float = 1.0
    samples: int = 16
    least: float = 1.0
    seed: int = 0
    matrix_sizes: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        clients, d = self.centres.shape
        self.records = np.full(clients, 10**9)
        self.matrix_sizes = np.array([d])
        self.start = np.zeros(d, np.float32)
        random = generator(self.seed, "noise")
        scale = self.noise / np.sqrt(d)
        self.drawn = scale * random.standard_normal((clients, self.samples, d))
        self.optimum = self.weights @ self.centres

    @property
    def zeta_sq(self) -> float:
        away = (self.centres - self.optimum) @ self.hessian
        return float(np.max(np.sum(away**2, axis=1)))

    def loss(self, point: np.ndarray) -> float:
        away = point - self.centres
        return self.least + 0.5 * float(
            self.weights @ np.einsum("kd,de,ke->k", away, self.hessian, away)
        )

    @property
    def floor(self) -> float:
        return self.loss(self.optimum)

    def losses(self, point: np.ndarray) -> list[np.ndarray]:
        away = point - self.centres
        each = self.least + 0.5 * np.einsum("kd,de,ke->k", away, self.hessian, away)
        return [np.full(self.samples, loss) for loss in each]

    def gradients(self, point: np.ndarray, client: int) -> np.ndarray:
        exact = self.hessian @ (point - self.centres[client])
        return (exact + self.drawn[client]).astype(np.float32)

    def updates(self, point: np.ndarray, batch_size: int, round_index: int) -> np.ndarray:
        random = generator(self.seed, "batch", round_index)
        exact = (point - self.centres) @ self.hessian
        scale = self.noise / np.sqrt(len(point) * batch_size)
        return (exact + scale * random.standard_normal(exact.shape)).astype(np.float32)

    def curvature(self, point: np.ndarray, direction: np.ndarray, samples: int) -> np.ndarray:
        return np.tile(self.hessian @ direction, (samples, 1)).astype(np.float32)


@dataclass
class LogisticLoss:
    """Regularised logistic regression of one client over all its records: everything is exact."""

    features: np.ndarray
    labels: np.ndarray
    ridge: float

    def __post_init__(self) -> None:
        n, d = self.features.shape
        self.weights, self.records = np.ones(1), np.array([n])
        self.matrix_sizes, self.start = np.array([d]), np.zeros(d, np.float32)

    def _slope(self, point: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-self.features @ point)) - self.labels

    def losses(self, point: np.ndarray) -> list[np.ndarray]:
        z = self.features @ point.astype(float)
        return [np.logaddexp(0, z) - self.labels * z + self.ridge / 2 * float(point @ point)]

    def gradients(self, point: np.ndarray, client: int = 0) -> np.ndarray:
        rows = self._slope(point)[:, None] * self.features + self.ridge * point
        return rows.astype(np.float32)

    def updates(self, point: np.ndarray, batch_size: int, round_index: int) -> np.ndarray:
        return self.gradients(point).mean(axis=0, keepdims=True)

    def hessian(self, point: np.ndarray) -> np.ndarray:
        p = self._slope(point) + self.labels
        weighted = self.features * (p * (1 - p))[:, None]
        d = len(point)
        return weighted.T @ self.features / len(self.labels) + self.ridge * np.eye(d)

    def curvature(self, point: np.ndarray, direction: np.ndarray, samples: int) -> np.ndarray:
        return np.tile(self.hessian(point) @ direction, (samples, 1)).astype(np.float32)
