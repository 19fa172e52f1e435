"""Code books and counted words (`airtune.radio.codeword_counts`)."""

from __future__ import annotations

import numpy as np
import pytest

from airtune.radio.codeword_counts import code_book, estimated, expected_error
from airtune.radio.quantisers.books import lloyd_max
from airtune.radio.quantisers.densities import LAPLACE


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_of_single_entries_the_book_is_that_of_lloyd_and_max(bits: int) -> None:
    book, best = code_book(2**bits, 1), lloyd_max(LAPLACE, bits)
    assert book.distortion == pytest.approx(best.distortion, rel=0.08)
    levels = np.sort(book.words[:, 0])  # the outermost rest on few draws
    assert levels == pytest.approx(best.levels, abs=0.15 * best.levels.max())


def test_longer_vectors_of_the_same_bits_are_coded_better() -> None:
    """The gain of vector quantisation: one bit an entry with 1, 2 and 3 entries a word."""
    errors = [code_book(2**length, length).distortion for length in (1, 2, 3)]
    assert errors[0] > errors[1] > errors[2]


def test_words_and_shares_are_those_of_a_fresh_sample() -> None:
    book = code_book(8, 2)
    draws = np.random.default_rng(5).laplace(0.0, np.sqrt(0.5), (50_000, 2))
    chosen = book.nearest(draws)
    nearest = np.argmin(((draws[:500, None] - book.words) ** 2).sum(axis=2), axis=1)
    assert np.array_equal(chosen[:500], nearest)
    assert np.mean((draws - book.words[chosen]) ** 2) == pytest.approx(book.distortion, rel=0.05)
    assert np.bincount(chosen, minlength=8) / 50_000 == pytest.approx(book.shares, abs=0.02)
    assert not book.words.any() or book.shares.sum() == pytest.approx(1.0)


def sums(weights: np.ndarray, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What arrives of words drawn with the shares of the book, and what was sent."""
    rng, book = np.random.default_rng(seed), code_book(8, 2)
    chosen = rng.choice(8, (4000, len(weights)), p=book.shares)
    truth = np.zeros((4000, 8))
    for k, weight in enumerate(weights):
        truth[np.arange(4000), chosen[:, k]] += weight
    return truth + np.sqrt(noise) * rng.standard_normal(truth.shape), truth


def test_counts_bear_noise_that_a_linear_estimate_does_not() -> None:
    """Below half of the distance of two counts the error falls exponentially."""
    equal, errors = np.full(10, 0.1), []
    for noise in (1e-3, 5e-4, 2.5e-4):
        received, truth = sums(equal, noise)
        errors.append(float(np.mean((estimated(received, equal, noise) - truth) ** 2)))
        shares = code_book(8, 2).shares
        spread = 0.1 * shares * (1 - shares)
        assert errors[-1] < np.mean(spread * noise / (spread + noise)) < noise
    assert errors[0] > 3 * errors[1] > 30 * errors[2]


def test_unequal_weights_are_estimated_by_least_squares() -> None:
    weights = np.random.default_rng(3).uniform(0.5, 2.0, 10)
    weights /= weights.sum()
    shares = code_book(8, 2).shares
    spread = shares * (1 - shares) * (weights @ weights)
    for noise in (1e-2, 1e-3):
        received, truth = sums(weights, noise)
        error = np.mean((estimated(received, weights, noise) - truth) ** 2, axis=0)
        assert error == pytest.approx(spread * noise / (spread + noise), rel=0.1)


@pytest.mark.parametrize("equal", [True, False])
def test_the_expected_error_is_that_of_the_sums_of_words(equal: bool) -> None:
    book, weights = code_book(8, 2), np.full(10, 0.1) if equal else np.arange(1.0, 11.0) / 55
    for noise in (1e-1, 1e-3):
        received, truth = sums(weights, noise, seed=7)
        wrong = (estimated(received, weights, noise) - truth) @ book.words
        expected = expected_error(book, weights, noise, np.random.default_rng(2))
        assert expected == pytest.approx(np.mean(wrong**2), rel=0.12)
