"""Variance, heterogeneity and scale of gradients at one point, from gradients of single samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from airtune.bound.calibrate.contract import FloatArray, Loss, Vector
from airtune.errors import InputError
from airtune.radio.scales import (
    Normalise,
    Scales,
    group_sizes,
    normalise_updates,
    report_scales,
)

GROUPS = 4


@dataclass(frozen=True)
class GradientStatistics:
    """Unbiased estimates at one point, with standard errors (nan where they are unknown).

    Attributes
    ----------
    gradient_sq, gradient_sq_error : float
        ||grad F||^2.
    sigma_sq, sigma_sq_error : ndarray, shape (K,)
        Variance of the gradient of one sample of each client, summed over entries.
    zeta_sq, zeta_sq_error : ndarray, shape (K,)
        ||grad F_k - grad F||^2, at least 0.
    G_sq, G_sq_error : float
        E sum_b d_b v_b^2 / pi_b for batches of one sample.
    """

    gradient_sq: float
    gradient_sq_error: float
    sigma_sq: FloatArray
    sigma_sq_error: FloatArray
    zeta_sq: FloatArray
    zeta_sq_error: FloatArray
    G_sq: float
    G_sq_error: float


def gradient_statistics(loss: Loss, point: Vector, normalise: Normalise) -> GradientStatistics:
    """Estimate what the bound needs of the gradients at `point`.

    With the mean gbar_k of m_k samples drawn without replacement from N_k records,
    E ||gbar_k||^2 = ||grad F_k||^2 + (1 - m_k / N_k) sigma_k^2 / m_k, so squares of means are
    corrected by the noise that they hold.  Standard errors of squares are those of the jackknife
    over groups of samples.

    Raises
    ------
    InputError
        No client has two samples.
    """
    sums, counts, sigma, sigma_error, reports = [], [], [], [], []
    sizes = group_sizes(loss.matrix_sizes.tolist(), normalise)
    clients = len(loss.weights)
    for k in range(clients):
        rows = loss.gradients(point, k)
        parts = np.array_split(rows, GROUPS)
        sums.append(np.stack([part.sum(axis=0) for part in parts]))
        counts.append([len(part) for part in parts])
        value, error = _variance(rows)
        sigma.append(value)
        sigma_error.append(error)
        reports.append(report_scales(rows, sizes))
    noise = np.array(sigma)
    if np.isnan(noise).all():
        raise InputError(
            "calibration.samples: no client has two training records; a variance needs them"
        )
    noise = np.where(np.isnan(noise), np.nanmean(noise), noise)
    stacked = np.concatenate(sums)
    squares = _Squares(
        (stacked @ stacked.T).astype(np.float64),
        np.array(counts, float),
        noise,
        loss.weights,
        loss.records.astype(float),
    )
    gradient_sq, zeta = squares.estimate(np.ones(GROUPS, bool))
    gradient_error, zeta_error = squares.errors()
    scale = [
        _total_error(reports, i, loss.weights, normalise)
        for i in range(min(len(r.means) for r in reports))
    ]
    return GradientStatistics(
        gradient_sq=gradient_sq,
        gradient_sq_error=gradient_error,
        sigma_sq=noise,
        sigma_sq_error=np.array(sigma_error),
        zeta_sq=np.maximum(zeta, 0.0),
        zeta_sq_error=zeta_error,
        G_sq=float(np.mean(scale)),
        G_sq_error=_standard_error(np.array(scale)),
    )


def squared_scale(updates: Vector, weights: FloatArray, sizes: list[int], rule: Normalise) -> float:
    """Return G^2 = sum_b d_b v_b^2 / pi_b of updates (K, d) that are sent in one round."""
    reports = report_scales(updates, group_sizes(sizes, rule))
    return normalise_updates(reports, weights, rule).total_error


def _variance(rows: Vector) -> tuple[float, float]:
    """Return the unbiased variance, summed over entries, of gradients (m, d), and its error.

    The two deviations of two samples are the same: their spread says nothing, the error is nan.
    """
    count = len(rows)
    if count < 2:
        return np.nan, np.nan
    deviations = rows - rows.mean(axis=0, dtype=np.float64)
    squares = np.einsum("id,id->i", deviations, deviations) * count / (count - 1)
    return float(squares.mean()), _standard_error(squares) if count > 2 else np.nan


def _standard_error(values: FloatArray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan


def _total_error(reports: list[Scales], sample: int, weights: FloatArray, rule: Normalise) -> float:
    """Return G^2 of a round in which every client sends the gradient of one sample."""
    uploads = Scales(
        reports[0].sizes,
        np.stack([report.means[sample] for report in reports]),
        np.stack([report.deviations[sample] for report in reports]),
    )
    return normalise_updates(uploads, weights, rule).total_error


@dataclass(frozen=True)
class _Squares:
    """Squares of mean gradients from the products of sums over groups of samples.

    Attributes
    ----------
    gram : ndarray, shape (K G, K G)
        Products of the sums of gradients, group g of client k in row k G + g.
    counts : ndarray, int, shape (K, G)
    noise : ndarray, shape (K,)
        sigma_k^2.
    weights, records : ndarray, shape (K,)
    """

    gram: FloatArray
    counts: FloatArray
    noise: FloatArray
    weights: FloatArray
    records: FloatArray

    def estimate(self, used: np.ndarray) -> tuple[float, FloatArray]:
        """Return ||grad F||^2 and ||grad F_k - grad F||^2 (K,) from the groups that are used."""
        clients, groups = self.counts.shape
        samples = self.counts[:, used].sum(axis=1)
        means = np.zeros((clients, clients, groups))
        for k in range(clients):
            means[k, k, used] = 1 / samples[k]
        rows = means.reshape(clients, -1)
        mean = self.weights @ rows
        left = self.noise / samples * np.maximum(0.0, 1 - samples / self.records)
        away = rows - mean
        spread = np.einsum("ki,ij,kj->k", away, self.gram, away)
        total = float(self.weights**2 @ left)
        # Client k's own noise enters with 1 - omega_k, the others' with omega_j.
        excess = total + (1 - 2 * self.weights) * left
        return float(mean @ self.gram @ mean) - total, spread - excess

    def errors(self) -> tuple[float, FloatArray]:
        """Return the jackknife's standard errors of both."""
        groups = self.counts.shape[1]
        others = [np.arange(groups) != g for g in range(groups)]
        if any((self.counts[:, used].sum(axis=1) == 0).any() for used in others):
            return np.nan, np.full(len(self.weights), np.nan)
        both = [self.estimate(used) for used in others]
        factor = (groups - 1) / np.sqrt(groups)
        gradient = np.array([value for value, _ in both])
        zeta = np.array([values for _, values in both])
        return float(factor * gradient.std()), np.asarray(factor * zeta.std(axis=0))
