"""What is sent of an update: one payload a file, by the name in `aggregation.payload`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from airtune.learning.payload.base import WHOLE, Payload
from airtune.learning.payload.ffa import FrozenA
from airtune.learning.payload.lora import Whole
from airtune.learning.payload.mask import RandomMask
from airtune.learning.payload.rolora import Alternating
from airtune.learning.payload.subspace import RandomSubspace
from airtune.learning.payload.zeroth_order import SeededDirections
from airtune.learning.results import AdapterMatrix
from airtune.scenario import Aggregation
from airtune.scenario.radio import PLANNED_PAYLOAD

PAYLOADS: dict[str, type[Payload]] = {
    "lora": Whole,
    "ffa": FrozenA,
    "rolora": Alternating,
    "mask": RandomMask,
    "subspace": RandomSubspace,
}


def payload_of(settings: Aggregation, matrices: Sequence[AdapterMatrix], seed: int) -> Payload:
    """Return the payload of a repetition.

    Parameters
    ----------
    settings : Aggregation
        `payload` and `payload_size` are read; `planned` stands for `lora` until a plan has chosen.
    matrices : sequence of AdapterMatrix
        Of the model.
    seed : int
        Root of the repetition's streams.

    Raises
    ------
    InputError
        The size does not fit the model, or the payload its matrices.

    Examples
    --------
    >>> a = AdapterMatrix("q.lora_A.weight", (2, 3), 0, 6)
    >>> b = AdapterMatrix("q.lora_B.weight", (4, 2), 6, 8)
    >>> settings = Aggregation(payload="mask", payload_size=7)
    >>> mask = payload_of(settings, [a, b], seed=1)
    >>> mask.blocks(WHOLE).tolist(), len(mask.entries(1))
    ([3, 4], 7)
    """
    if settings.payload == PLANNED_PAYLOAD:
        return _made("lora", None, tuple(matrices), seed)
    return _made(settings.payload, settings.payload_size, tuple(matrices), seed)


@lru_cache(maxsize=8)
def _made(name: str, size: int | None, matrices: tuple[AdapterMatrix, ...], seed: int) -> Payload:
    payload = PAYLOADS[name](matrices, seed, size)
    for part in payload.parts:
        payload.blocks(part)  # says what does not fit
    return payload


__all__ = ["PAYLOADS", "WHOLE", "Payload", "SeededDirections", "payload_of"]
