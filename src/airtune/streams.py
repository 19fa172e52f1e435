"""Named random streams: every draw comes from a generator with a name.

Two schemes that ask for the same stream of the same round see the same channels, data and batches
(common random numbers), and a round can be repeated without replaying those before it.
"""

from __future__ import annotations

import zlib

import numpy as np

Name = str | int


def seed_sequence(seed: int, *name: Name) -> np.random.SeedSequence:
    """Return the seed sequence of the stream `name` below the root `seed`.

    Parameters
    ----------
    seed : int
        Root seed of the scenario's repetition, >= 0.
    *name : str or int
        Path of the stream, for example ``("channel", round)``.
    """
    keys = [zlib.crc32(part.encode()) if isinstance(part, str) else part + 1 for part in name]
    return np.random.SeedSequence(entropy=seed, spawn_key=tuple(keys))


def generator(seed: int, *name: Name) -> np.random.Generator:
    """Return a fresh generator for the stream `name` below the root `seed`."""
    return np.random.default_rng(seed_sequence(seed, *name))


def torch_seed(seed: int, *name: Name) -> int:
    """Return a 63-bit integer seed of the stream `name`, for generators outside numpy."""
    return int(seed_sequence(seed, *name).generate_state(1, np.uint64)[0] >> np.uint64(1))
