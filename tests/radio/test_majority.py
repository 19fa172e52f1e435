"""Majority votes against Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.radio.majority import vote_correlation, vote_error


@pytest.mark.parametrize(
    ("weights", "noise"),
    [
        ([1.0], 0.5),
        ([0.5, 0.5], 0.01),
        ([0.5, 0.3, 0.2], 0.05),
        ([0.6, 0.0, 0.4], 0.2),
        (np.full(25, 0.04), 0.01),
    ],
)
def test_agreement_and_error_are_those_of_drawn_votes(weights: list[float], noise: float) -> None:
    w = np.asarray(weights)
    rng = np.random.default_rng(0)
    d = rng.standard_normal((200_000, len(w)))
    s = np.sign(np.sign(d) @ w + np.sqrt(noise) * rng.standard_normal(len(d)))
    drawn = (s[:, None] * np.sign(d)).mean(axis=0) * (w > 0)
    assert np.allclose(vote_correlation(w, noise), drawn, atol=0.012)
    omega = np.full(len(w), 1 / len(w))  # the target may weigh otherwise
    error = np.mean((np.sqrt(2 / np.pi) * s - d @ omega) ** 2)
    assert vote_error(omega, w, noise) == pytest.approx(error, rel=0.01)
