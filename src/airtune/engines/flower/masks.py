"""Masks that cancel in a sum: the server learns what all nodes have together and nothing of one.

Secure aggregation with pairwise masks [1]_, its variant for clients that are not lost: two nodes
agree on a secret, stretch it to as many random words as they send, and one adds them while the
other one subtracts them, modulo 2^32.  A mask is used for one sum of one round.

X25519, HKDF with SHA-256 and the stream of ChaCha20 are those of the library `cryptography`.

References
----------
.. [1] K. Bonawitz et al., "Practical secure aggregation for privacy-preserving machine learning",
   ACM CCS 2017: the masks of its section 4.0.1, without the shares by which lost ones are removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from airtune.errors import FailedError
from airtune.kinds import Real

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

Words = NDArray[np.uint32]

KEY = 32
"""Bytes of a public key."""

PURPOSE = b"airtune masked sum 1"
ZEROS = 1 << 20


def new_key() -> X25519PrivateKey:
    """Return a private key for one round."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.generate()


def public_of(key: X25519PrivateKey) -> bytes:
    """Return the public half of a key."""
    return bytes(key.public_key().public_bytes_raw())


def transcript(facts: Mapping[str, Any]) -> bytes:
    """Return a digest of what all nodes of a sum have been told.

    Nodes that have been told different things have masks that do not cancel.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()


def words_of(values: Real, step: float) -> Words:
    """Return numbers as whole steps modulo 2^32, rounded to the nearest.

    Raises
    ------
    FailedError
        One does not fit: a sum of these would be another one.

    Examples
    --------
    >>> numbers_of(words_of(np.array([0.5, -0.25]), 0.25), 0.25).tolist()
    [0.5, -0.25]
    """
    steps = np.rint(values / step)
    if not (np.abs(steps) < 2.0**31).all():
        raise FailedError(
            "engine.secure = True: a number of an update is larger than its scales allow; the sum "
            "is not made"
        )
    return steps.astype(np.int64).astype(np.uint32)


def numbers_of(words: Words, step: float) -> Real:
    """Return the numbers of whole steps modulo 2^32, in [-2^31, 2^31) steps."""
    return words.view(np.int32).astype(np.float64) * step


def masked(words: Words, key: X25519PrivateKey, others: Sequence[bytes], told: bytes) -> Words:
    """Return words under the masks that a node shares with each of the others.

    Parameters
    ----------
    words : ndarray, uint32, shape (n,)
    key : X25519PrivateKey
        Of this node.
    others : sequence of bytes
        Public keys of the other nodes of the sum.
    told : bytes
        See :func:`transcript`.

    Raises
    ------
    FailedError
        A key is none.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    own, hidden = public_of(key), words.copy()
    for other in others:
        try:
            secret = key.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError:
            raise FailedError(
                "engine.secure = True: a key for masks is none; the sum is not made"
            ) from None
        mask = stretched(secret, told + min(own, other) + max(own, other), len(words))
        hidden = hidden + mask if own < other else hidden - mask
    return hidden


def stretched(secret: bytes, context: bytes, count: int) -> Words:
    """Return random words that only who knows the secret can tell, shape (count,).

    Parameters
    ----------
    secret : bytes
        Of two nodes.
    context : bytes
        What they are for: other words come for another context.
    count : int
    """
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    key = HKDF(SHA256(), 32, salt=None, info=PURPOSE + context).derive(secret)
    # A key is used once, so that the nonce may be the same: 0.
    stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()
    zeros, left, parts = bytes(ZEROS), 4 * count, list[bytes]()
    while left > 0:
        parts.append(stream.update(zeros[: min(left, ZEROS)]))
        left -= ZEROS
    return np.frombuffer(b"".join(parts), dtype="<u4").astype(np.uint32)
