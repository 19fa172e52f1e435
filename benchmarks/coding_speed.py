"""Processor time of coding and decoding an update on one core, beside that of the update itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from airtune.kinds import Floating, Real
from airtune.learning.learner import Learner
from airtune.learning.sizes import sizes_of
from airtune.radio.quantisers import Entropy, encode
from airtune.radio.quantisers.base import spans
from airtune.radio.quantisers.coding import Coding
from airtune.radio.quantisers.densities import DENSITIES
from airtune.streams import generator
from campaigns import Document


def speed(learner: Learner, seed: int, batch: int, codings: dict[str, Coding]) -> Document:
    """Return the processor time of a client's update, and of coding and decoding it."""
    import torch

    torch.set_num_threads(1)
    sizes = np.array([m.size for m in sizes_of(learner).matrices])
    theta, rows = learner.initial_adapter(), {}
    found, index = [], iter(range(1, 100))

    def compute() -> None:
        found[:] = learner.client_updates(theta, [0], [batch], seed, next(index))

    update_s = best(compute, 3)
    update = found[0].update
    for name, coding in codings.items():
        quantiser, feedback = coding.quantiser, coding.feedback
        memory, rng = (
            (np.zeros(len(update)), None) if feedback else (None, generator(seed, "speed"))
        )

        def code(q: Any = quantiser, f: bool = feedback, m: Any = memory, r: Any = rng) -> None:
            encode(q, update, m, sizes, feedback=f, rng=r)

        seconds = best(code, 7)
        rows[name] = {"s": seconds, "entries_per_s": len(update) / seconds}
        if isinstance(quantiser, Entropy) and not feedback:
            rows[name] |= written(quantiser, update, sizes)
    return {"update_s": update_s, "samples": batch, "entries": len(update), "quantisers": rows}


def best(work: Callable[[], Any], repeats: int) -> float:
    """Return the shortest processor time of some calls [s], after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def written(quantiser: Entropy, update: Floating, sizes: Real) -> Document:
    """Return what the coder of a library takes to write the indices and to read them (ANS)."""
    try:
        from constriction import stream
    except ImportError:
        return {}
    groups = []
    for span in spans(sizes, len(update)):
        group = np.asarray(update[span], dtype=np.float64)
        if group.any():
            groups.append(quantiser.indices(group).astype(np.int32))
    top = max(int(np.abs(indices).max()) for indices in groups)
    lengths = [quantiser.code_lengths(d, np.arange(top + 1), top) for d in DENSITIES]
    models, coded = [], [list[Any]() for _ in lengths]
    for each in lengths:
        masses = np.exp2(-np.concatenate([each[:0:-1], each])).astype(np.float32)
        models.append(stream.model.Categorical(masses, perfect=False))
    for indices in groups:
        bits = [float(each[np.abs(indices)].sum()) for each in lengths]
        coded[int(np.argmin(bits))].append(indices + np.int32(top))
    # headers say which density a group has, so that those of one can be written in one go
    parts = [(np.concatenate(c), m) for c, m in zip(coded, models, strict=True) if c]

    def write() -> Any:
        coder = stream.stack.AnsCoder()
        for symbols, model in reversed(parts):
            coder.encode_reverse(symbols, model)
        return coder.get_compressed()

    words = write()

    def read() -> list[Any]:
        coder = stream.stack.AnsCoder(words)
        return [coder.decode(model, len(symbols)) for symbols, model in parts]

    if not all(np.array_equal(a, b) for (a, _), b in zip(parts, read(), strict=True)):
        raise ValueError("the decoder reads other indices than were written")
    return {"write_s": best(write, 7), "read_s": best(read, 7), "written_bits": 32 * len(words)}
