"""Masks cancel in the sum of all, hide each share, and are made of the primitives they name."""

from __future__ import annotations

import hashlib
import hmac
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airtune.engines.flower import masks
from airtune.errors import FailedError

pytestmark = pytest.mark.skipif(
    find_spec("cryptography") is None, reason="cryptography (of the extra flower) is not installed"
)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_masks_cancel_in_the_sum_of_all_nodes(nodes: int, length: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    words = random.integers(0, 2**32, (nodes, length), dtype=np.uint32)
    keys = [masks.new_key() for _ in range(nodes)]
    public = [masks.public_of(key) for key in keys]
    hidden = [
        masks.masked(own, key, [p for p in public if p != masks.public_of(key)], b"told")
        for own, key in zip(words, keys, strict=True)
    ]
    assert np.array_equal(sum(hidden, np.zeros(length, np.uint32)), words.sum(0, dtype=np.uint32))
    if nodes > 1 and length > 8:
        assert not any(np.array_equal(one, own) for one, own in zip(hidden, words, strict=True))


def test_a_share_of_zeros_is_uniform_and_another_one_for_another_sum() -> None:
    one, other = masks.new_key(), masks.new_key()
    zeros, public = np.zeros(200_000, np.uint32), [masks.public_of(other)]
    first, second = (masks.masked(zeros, one, public, told) for told in (b"1", b"2"))
    for share in (first, second, first - second):
        octets = np.bincount(share.view(np.uint8), minlength=256)
        expected = octets.sum() / 256
        assert ((octets - expected) ** 2 / expected).sum() < 255 + 6 * np.sqrt(2 * 255)
        # neighbours are not correlated
        centred = share / 2.0**32 - 0.5
        assert abs(np.mean(centred[1:] * centred[:-1])) < 5 / 12 / np.sqrt(len(share))
    assert np.array_equal(first, masks.masked(zeros, one, public, b"1"))


def test_words_are_chacha20_under_a_key_of_hkdf() -> None:
    """HKDF by its definition (RFC 5869), and the key stream of RFC 8439 for a known key."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    secret, context = bytes(range(32)), b"context"
    extracted = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    key = hmac.new(extracted, masks.PURPOSE + context + b"\x01", hashlib.sha256).digest()
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(400))
    assert masks.stretched(secret, context, 100).astype("<u4").tobytes() == stream
    # RFC 8439, appendix A.1, test vector 1: the key 0, the nonce 0 and the counter 0
    zero = Cipher(algorithms.ChaCha20(bytes(32), bytes(16)), mode=None).encryptor()
    assert zero.update(bytes(16)).hex() == "76b8e0ada0f13d90405d6ae55386bd28"


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(-1000, 1000), min_size=1, max_size=20), st.integers(1, 5), st.floats(1e-6, 1)
)
def test_a_sum_of_whole_steps_is_that_of_the_numbers(values, nodes, step) -> None:
    numbers = np.array(values)
    if nodes * np.abs(numbers).max() >= step * (2.0**31 - nodes):
        return
    total = sum((masks.words_of(numbers, step) for _ in range(nodes)), np.zeros(1, np.uint32))
    assert np.abs(masks.numbers_of(total, step) - nodes * numbers).max() <= nodes * step / 1.9


def test_what_does_not_fit_or_is_no_key_is_refused() -> None:
    with pytest.raises(FailedError, match="larger than its scales allow"):
        masks.words_of(np.array([0.0, 3e9]), 1.0)
    with pytest.raises(FailedError, match="larger than its scales allow"):
        masks.words_of(np.array([np.nan]), 1.0)
    for wrong in (bytes(32), bytes(5)):  # the point of order 1, and another length
        with pytest.raises(FailedError, match="a key for masks is none"):
            masks.masked(np.zeros(3, np.uint32), masks.new_key(), [wrong], b"told")
