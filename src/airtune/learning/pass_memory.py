"""How many clients share a pass: the settings say so, or the memory of the device does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from airtune.learning.text import Example
from airtune.learning.text_path import states_before_head

if TYPE_CHECKING:
    from airtune.learning.joint import JointPass
    from airtune.learning.model import AdapterModel

# Share of a device's memory that may be planned with: the rest is for its library, for what is
# between the tensors, and for what a backward pass holds for a moment.
USABLE = 0.7
# Logits of a response token in float32: as they come, as logarithms, and their slopes.
COPIES = 3


@dataclass(frozen=True)
class Load:
    """What a client brings to a pass.

    Attributes
    ----------
    samples, width : int
        Sequences, and tokens of the longest one.
    responses : int
        Response tokens.
    """

    samples: int
    width: int
    responses: int


def load_of(steps: Sequence[Sequence[Example]]) -> Load:
    """Return the largest load of a client's local steps.

    Examples
    --------
    >>> short, long = Example((5, 6, 7), prompt=1, label=""), Example((5, 6, 7, 8), 3, "")
    >>> load_of([[short, short], [long]])
    Load(samples=2, width=4, responses=4)
    """
    return Load(
        max(len(chosen) for chosen in steps),
        max(len(example.ids) for chosen in steps for example in chosen),
        max(sum(example.learnt_tokens for example in chosen) for chosen in steps),
    )


@dataclass(frozen=True)
class Memory:
    """The memory of a pass [bytes]: what is there, and what it takes.

    Attributes
    ----------
    there : float
        What may be used beside the model.
    fixed : float
        Taken by any pass, such as weights in a lower precision.
    token, response, client : float
        Taken by each padded token, each response token and each client.
    place : float
        Taken besides by each padded token of the grid of clients times the most samples of one,
        where they do not have as many each.
    """

    there: float
    fixed: float
    token: float
    place: float
    response: float
    client: float

    def needed(self, loads: Sequence[Load]) -> float:
        """Return what a pass of these clients takes [bytes]."""
        width, most = max(load.width for load in loads), max(load.samples for load in loads)
        samples, grid = sum(load.samples for load in loads), len(loads) * most
        needed = self.fixed + self.token * samples * width + self.client * len(loads)
        if samples < grid:
            needed += self.place * grid * width
        return needed + self.response * sum(load.responses for load in loads)

    def fits(self, loads: Sequence[Load]) -> bool:
        """Tell whether a pass of these clients finds room."""
        return self.needed(loads) <= self.there


def groups(
    loads: Sequence[Load], most: int | None, fits: Callable[[Sequence[Load]], bool] | None = None
) -> list[list[int]]:
    """Return the clients of each pass, by their numbers.

    Clients of like length come together, so that little is padded; the order of their numbers
    decides between equals.

    Parameters
    ----------
    loads : sequence of Load
    most : int or None
        Clients of a pass at most.
    fits : callable, optional
        Tells whether clients find room in one pass.  A client that does not by itself has a pass of
        its own.

    Examples
    --------
    >>> groups([Load(1, 10, 5), Load(1, 30, 5), Load(1, 11, 5)], most=2)
    [[1, 2], [0]]
    """
    found: list[list[int]] = []
    for number in sorted(range(len(loads)), key=lambda i: (-loads[i].width, i)):
        last = found[-1] if found else []
        room = bool(last) and (most is None or len(last) < most)
        if room and (fits is None or fits([loads[i] for i in (*last, number)])):
            last.append(number)
        else:
            found.append([number])
    return found


def memory_of(model: AdapterModel, joint: JointPass, width: int, there: float) -> Memory:
    """Measure what a joint pass takes: passes of two clients, of two lengths.

    Parameters
    ----------
    model : AdapterModel
    joint : JointPass
    width : int
        Tokens of the longest sequence there is.
    there : float
        Memory of the device that may be used, the model's included [bytes].
    """
    width = max(width, 4)
    short = width // 2
    flats = [torch.from_numpy(model.initial)] * 2

    def saved(samples: int, tokens: int) -> float:
        example = Example((1, *[2] * (tokens - 1)), tokens - 1, "")
        return float(joint.saved_bytes(flats, [[example] * samples, [example]]))

    def slope(samples: int) -> float:
        return max(saved(samples, width) - saved(samples, short), 0.0) / (width - short)

    alike, unlike = slope(1) / 2, slope(2)
    logits = 4.0 * COPIES * int(model.causal.get_output_embeddings().weight.shape[0])
    # Some models make the logits of all tokens.
    everywhere = 0.0 if states_before_head(model.causal) else logits
    return Memory(
        there=there - _bytes(model.causal),
        fixed=max(saved(1, short) - alike * 2 * short, 0.0),
        token=alike + everywhere,
        # Three samples in a grid of four.
        place=max(unlike - 3 * alike, 0.0) / 4,
        response=logits,
        # Its adapter, the gradient of each matrix, and both in one piece.
        client=4.0 * 4 * model.size,
    )


def _bytes(causal: Any) -> float:
    tensors = [*causal.parameters(), *causal.buffers()]
    return float(sum(tensor.numel() * tensor.element_size() for tensor in tensors))


def device_bytes(kind: str) -> float | None:
    """Return the memory of a device that may be planned with [bytes]; None: it is not known.

    It is that of the device, whoever else uses it: the same clients share a pass in each run, which
    then gives the same bits.
    """
    if kind != "cuda":
        return None
    return USABLE * float(
        torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    )
