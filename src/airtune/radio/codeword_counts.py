"""Vector quantisation with a shared code book, and how many send each of its words.

References
----------
.. [1] L. Qiao, Z. Gao, M. B. Mashhadi, D. Gündüz, "Massive digital over-the-air computation for
   communication-efficient federated edge learning", IEEE Journal on Selected Areas in
   Communications, 2024, arXiv:2405.15969.
.. [2] Y. Linde, A. Buzo, R. M. Gray, "An algorithm for vector quantizer design", IEEE Transactions
   on Communications 28(1), 1980.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from airtune.kinds import Integer, Real

SAMPLES, TURNS = 8_000, 60
"""Vectors that a code book is made for, and steps of the algorithm that makes it."""

CHUNK = 1 << 14
"""Vectors handled at once."""

DRAWS = 1500
"""Vectors that an expected error is told by."""


@dataclass(frozen=True)
class CodeBook:
    """Words for vectors of Laplace entries of unit variance.

    Attributes
    ----------
    words : ndarray, float, shape (N, V)
    shares : ndarray, float, shape (N,)
        Probability of each.
    distortion : float
        Mean squared error of an entry.
    """

    words: Real
    shares: Real
    distortion: float

    def nearest(self, vectors: Real) -> Integer:
        """Return the index of the word next to each vector, (B, V) to (B,)."""
        found = np.empty(len(vectors), np.int64)
        half = np.sum(self.words**2, axis=1) / 2
        for start in range(0, len(vectors), CHUNK):
            piece = slice(start, start + CHUNK)
            found[piece] = np.argmax(vectors[piece] @ self.words.T - half, axis=1)
        return found


@lru_cache(maxsize=16)
def code_book(words: int, length: int) -> CodeBook:
    """Return the code book of N words for vectors of V entries that the LBG algorithm [2]_ finds.

    It starts from the vectors that are furthest from those before; the sample is always the same.

    Parameters
    ----------
    words : int
        N.
    length : int
        V.

    Examples
    --------
    With one entry and two words it is the sign with the mean modulus of the Laplace density:

    >>> book = code_book(2, 1)
    >>> np.sort(book.words[:, 0]).round(1).tolist(), round(book.distortion, 1)
    ([-0.7, 0.7], 0.5)
    """
    draws = np.random.default_rng(0).laplace(0.0, np.sqrt(0.5), (SAMPLES, length))
    draws = np.concatenate([draws, -draws])  # the density is even
    draws /= np.sqrt(np.mean(draws**2))
    book = CodeBook(_far_apart(draws, words), np.ones(words) / words, 1.0)
    for _ in range(TURNS):
        chosen = book.nearest(draws)
        counts = np.bincount(chosen, minlength=words)
        sums = np.stack([np.bincount(chosen, d, minlength=words) for d in draws.T], axis=1)
        means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], book.words)
        error = float(np.mean((draws - means[chosen]) ** 2))
        book = CodeBook(means, counts / len(draws), error)
    return book


def _far_apart(draws: Real, count: int) -> Real:
    """Return so many of the first draws, each furthest from those taken before."""
    some = draws[: min(len(draws), 50 * count)]
    taken = [int(np.argmin(np.sum(some**2, axis=1)))]
    gap = np.sum((some - some[taken[0]]) ** 2, axis=1)
    while len(taken) < count:
        taken.append(int(np.argmax(gap)))
        gap = np.minimum(gap, np.sum((some - some[taken[-1]]) ** 2, axis=1))
    return np.asarray(some[taken])


def estimated(received: Real, weights: Real, noise: float) -> Real:
    """Return the weight of those who have sent each word, from its noisy sum.

    ``x_j = sum_k omega_k s_kj`` with independent s_kj of one probability p_j for all vectors, which
    is the mean of what was received.  Senders of equal weight are counted: the posterior mean over
    0 to S of them, the denoiser of the message passing in [1]_.  With unequal weights it is the
    linear estimate of least error.

    Parameters
    ----------
    received : ndarray, float, shape (B, N)
        ``x_j`` in Gaussian noise.
    weights : ndarray, float, shape (S,)
        omega_k, sum 1.
    noise : float
        Its variance, > 0.

    Returns
    -------
    ndarray, float, shape (B, N)

    Examples
    --------
    Two of four senders have chosen the first word, and the noise is weak:

    >>> rows = np.array([[0.52, 0.24, 0.26], [0.23, 0.49, 0.27]])
    >>> estimated(rows, np.full(4, 0.25), 1e-3).round(2).tolist()
    [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]
    """
    shares = np.clip(received.mean(axis=0), 1e-6, 1 - 1e-6)
    senders = len(weights)
    if np.allclose(weights, 1 / senders, rtol=1e-9):
        return _counted(received, shares, senders, noise)
    spread = shares * (1 - shares) * float(weights @ weights)
    return np.asarray(shares + spread / (spread + noise) * (received - shares))


def expected_error(book: CodeBook, weights: Real, noise: float, rng: np.random.Generator) -> float:
    """Return the mean squared error of an entry that wrong counts bring, by sampling.

    Parameters
    ----------
    book : CodeBook
        Words are drawn with their shares, by each sender for itself.
    weights : ndarray, float, shape (S,)
        omega_k, sum 1.
    noise : float
        Variance of each word's sum.
    rng : Generator
        For :data:`DRAWS` vectors.
    """
    count = len(book.words)
    chosen = rng.choice(count, (DRAWS, len(weights)), p=book.shares)
    sums = np.zeros((DRAWS, count))
    for weight, own in zip(weights, chosen.T, strict=True):
        sums[np.arange(DRAWS), own] += weight
    received = sums + np.sqrt(noise) * rng.standard_normal(sums.shape)
    wrong = (estimated(received, weights, noise) - sums) @ book.words
    return float(np.mean(wrong**2))


def _counted(received: Real, shares: Real, senders: int, noise: float) -> Real:
    """Return the posterior mean of a binomial count over the number of senders."""
    counts = np.arange(senders + 1)
    choices = np.concatenate([[0.0], np.cumsum(np.log(counts[:0:-1]) - np.log(counts[1:]))])
    prior = choices + counts * np.log(shares)[:, None] + counts[::-1] * np.log1p(-shares)[:, None]
    found = np.empty_like(received)
    for start in range(0, len(received), CHUNK):
        piece = slice(start, start + CHUNK)
        away = received[piece, :, None] - counts / senders
        belief = prior - away**2 / (2 * noise)
        belief = np.exp(belief - belief.max(axis=2, keepdims=True))
        found[piece] = belief @ (counts / senders) / belief.sum(axis=2)
    return found
